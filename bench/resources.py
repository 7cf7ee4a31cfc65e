"""The synthetic resources that every server in a run serves, and the file they travel in.

One JSON object per line: ``type_url``, ``name`` and ``body``, the serialised message in base64.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT


@dataclass(frozen=True, slots=True)
class Body:
    """One resource before it is framed: its type URL, its name and the serialised message."""

    type_url: str
    name: str
    body: bytes


def name_of(number: int) -> str:
    """Return a cluster's name in the form that translation gives it: ``namespace/service/port``."""
    return f"team-{number % 40:02d}/service-{number:05d}/8080"


def names(count: int) -> list[str]:
    """Return the names of the first ``count`` clusters."""
    return [name_of(number) for number in range(count)]


def cluster(number: int, generation: int = 0) -> Body:
    """Return one EDS cluster; each generation differs in its connect timeout."""
    message = Cluster(name=name_of(number), type=Cluster.EDS)
    message.eds_cluster_config.eds_config.ads.SetInParent()
    message.eds_cluster_config.eds_config.resource_api_version = ApiVersion.V3
    message.connect_timeout.FromMilliseconds(2000 + generation)
    return Body(CLUSTER, message.name, message.SerializeToString(deterministic=True))


def endpoints(number: int, count: int = 20, generation: int = 0) -> Body:
    """Return one ClusterLoadAssignment; each generation has another last address."""
    message = ClusterLoadAssignment(cluster_name=name_of(number))
    locality = message.endpoints.add()
    locality.locality.zone = "zone-a"
    for position in range(count):
        last = position if position < count - 1 else 100 + generation % 100
        address = locality.lb_endpoints.add().endpoint.address.socket_address
        address.address = f"10.{number // 256 % 256}.{number % 256}.{last}"
        address.port_value = 8080
    return Body(ENDPOINT, message.cluster_name, message.SerializeToString(deterministic=True))


def write(path: Path, bodies: Iterable[Body]) -> Path:
    """Write a file of resources and return its path."""
    with path.open("w") as file:
        for body in bodies:
            line = {"type_url": body.type_url, "name": body.name, "body": b64encode(body.body).decode()}
            file.write(json.dumps(line) + "\n")
    return path


def read(path: Path) -> Iterator[Body]:
    """Yield the resources of a file that ``write`` wrote."""
    with path.open() as file:
        for line in file:
            fields = json.loads(line)
            yield Body(fields["type_url"], fields["name"], b64decode(fields["body"]))
