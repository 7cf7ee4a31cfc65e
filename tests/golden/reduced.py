"""Rendered resources without what is the same in all of them, so that a golden file shows what its case is about.

The case ``seed`` shows everything once; every other shows only what differs from these defaults.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from cryptography import x509

from nodegate.snapshot.facts import NodeFacts
from nodegate.translate.clusters import cluster
from nodegate.translate.listeners import Chain, Place, listener
from nodegate.translate.names import ClusterKey, Scheme
from nodegate.translate.render import REDACTED, rendered
from nodegate.translate.settings import Settings

Plain = dict[str, Any]


def reduced(snapshot: dict[str, dict[str, Plain]]) -> dict[str, dict[str, Any]]:
    """Return a rendered snapshot without its defaults."""
    return {
        short: {name: _REDUCE[short](resource) for name, resource in of_type.items()}
        for short, of_type in snapshot.items()
    }


def _cluster(resource: Plain) -> Any:
    return _difference(resource, _default_cluster(resource["name"])) or "as by default"


def _listener(resource: Plain) -> Plain:
    scheme = Scheme.HTTPS if "listener_filters" in resource else Scheme.HTTP
    port = resource["address"]["socket_address"]["port_value"]
    default = _default_listener(resource["name"].rpartition("@")[0], port, scheme)
    chain = default["filter_chains"][0]
    chains = [_difference(given, chain, keep={"filter_chain_match"}) for given in resource["filter_chains"]]
    kept = _difference({**resource, "filter_chains": None}, {**default, "filter_chains": None}, keep={"address"})
    return {**kept, "filter_chains": chains} if any(chains) else kept


def _route(resource: Plain) -> Plain:
    hosts = {}
    for host in resource.get("virtual_hosts", ()):
        assert host["domains"] == [host["name"]]
        hosts[host["name"]] = [_one_route(route) for route in host.get("routes", ())]
    kept = {key: value for key, value in resource.items() if key not in {"name", "virtual_hosts"}}
    assert kept.pop("ignore_port_in_host_matching") is True
    return {**kept, "virtual_hosts": hosts}


def _one_route(route: Plain) -> Plain:
    action = dict(route.get("route", {}))
    if action.get("timeout") == "0s":
        del action["timeout"]
    first = {"cause": route["name"]}
    rest = {key: value for key, value in route.items() if key not in {"name", "route"}}
    return {**first, **rest, **({"route": action} if action else {})}


def _endpoint(resource: Plain) -> Any:
    """Return the addresses of an assignment; each group is one priority."""
    groups = []
    for group in resource.get("endpoints", ()):
        listed = []
        for endpoint in group["lb_endpoints"]:
            address = endpoint["endpoint"]["address"]["socket_address"]
            state = f" {endpoint['health_status']}" if "health_status" in endpoint else ""
            listed.append(f"{address['address']}:{address['port_value']}{state}")
        groups.append(listed)
    if len(groups) > 1:
        return {f"priority {number}": group for number, group in enumerate(groups)}
    return groups[0] if groups else []


def _secret(resource: Plain) -> str:
    """Return whom a certificate is for; its bytes say nothing to a reader."""
    what = "tls_certificate" if "tls_certificate" in resource else "validation_context"
    field = "certificate_chain" if what == "tls_certificate" else "trusted_ca"
    pem = base64.b64decode(resource[what][field]["inline_bytes"])
    subject = x509.load_pem_x509_certificate(pem).subject.rfc4514_string()
    if what == "tls_certificate":
        assert base64.b64decode(resource[what]["private_key"]["inline_bytes"]) == REDACTED
    return f"{what} {subject}"


def _redirect(resource: Plain) -> Plain:
    """Return each frontend in words, and the listener that gets their traffic."""
    frontends = []
    for frontend in resource["frontends"]:
        assert frontend["protocol"] == "PROTOCOL_TCP"
        where = frontend.get("address")
        text = f"{where['ip']} port {where['port']}" if where else f"node port {frontend['node_port']}"
        frontends.append(f"{text}, restricted" if frontend.get("restricted") else text)
    ranges = {"source_ranges": resource["source_ranges"]} if "source_ranges" in resource else {}
    return {"frontends": frontends, **ranges, "listener": resource["listener"]}


_REDUCE = {
    "cluster": _cluster,
    "listener": _listener,
    "route": _route,
    "endpoint": _endpoint,
    "secret": _secret,
    "redirect": _redirect,
}


def _difference(value: Plain, default: Plain, keep: set[str] | None = None) -> Plain:
    """Return the part of a value that is not as in the default; what is only in the default shows as ``absent``."""
    different: Plain = {}
    for key, item in value.items():
        other = default.get(key)
        if item == other and key not in (keep or ()):
            continue
        if isinstance(item, dict) and isinstance(other, dict) and key not in (keep or ()):
            different[key] = _difference(item, other)
        elif other is not None and _are_filters(item) and _are_filters(other):
            different[key] = [_difference(item[0], other[0])]
        else:
            different[key] = item
    different.update({key: "absent" for key in default if key not in value})
    return different


def _are_filters(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and "typed_config" in value[0]


@cache
def _default_cluster(name: str) -> Plain:
    namespace, service, port = name.split("/")
    made = cluster(ClusterKey((namespace, service), port), None, Settings(), lambda _: "")
    return rendered(made.resource)


@cache
def _default_listener(base: str, port: int, scheme: Scheme) -> Plain:
    made = listener(Place(base, port, scheme), Settings(), [Chain("", (), "")], {}, ())
    return rendered(made.resolve(NodeFacts()))
