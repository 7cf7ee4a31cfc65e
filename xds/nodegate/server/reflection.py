"""gRPC server reflection, so that tools like grpcurl can list and call the services."""

from __future__ import annotations

import grpc.aio
from envoy.service.cluster.v3 import cds_pb2  # noqa: F401  # importing registers the descriptors that are reflected
from envoy.service.discovery.v3 import ads_pb2  # noqa: F401
from envoy.service.endpoint.v3 import eds_pb2  # noqa: F401
from envoy.service.listener.v3 import lds_pb2  # noqa: F401
from envoy.service.route.v3 import rds_pb2  # noqa: F401
from envoy.service.secret.v3 import sds_pb2  # noqa: F401
from grpc_reflection.v1alpha import reflection

from nodegate.server.services import SERVICES

_ALSO = ("envoy.service.status.v3.ClientStatusDiscoveryService", "grpc.health.v1.Health")


def enable_reflection(server: grpc.aio.Server) -> None:
    """Serve the descriptors of every service of the endpoint."""
    names = (*(service.name for service in SERVICES), *_ALSO, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
