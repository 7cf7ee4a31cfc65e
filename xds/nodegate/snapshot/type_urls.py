"""The resource types nodegate serves, and the order in which they are sent.

Source: ``xds_protocol.rst`` (Envoy), section "Resource Types"; order: DESIGN 2.4 and xds-protocol statement 40.
"""

from __future__ import annotations

PREFIX = "type.googleapis.com/"

CLUSTER = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
LISTENER = PREFIX + "envoy.config.listener.v3.Listener"
ROUTE = PREFIX + "envoy.config.route.v3.RouteConfiguration"
REDIRECT = PREFIX + "nodegate.redirect.v1.ServiceRedirect"

SEND_ORDER = (CLUSTER, ENDPOINT, SECRET, LISTENER, ROUTE, REDIRECT)

SHORT_NAME = {
    CLUSTER: "cluster",
    ENDPOINT: "endpoint",
    SECRET: "secret",
    LISTENER: "listener",
    ROUTE: "route",
    REDIRECT: "redirect",
}
