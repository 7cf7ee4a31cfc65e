"""A real Envoy, started from the bootstrap that ``nodegate bootstrap`` prints, and what its admin interface says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodegate.bootstrap import BootstrapSettings, bootstrap
from nodegate.demo.envoy_process import envoy_command
from nodegate.settings import parse_address, parse_tcp
from tests.e2e.rig.addresses import free_port
from tests.e2e.rig.fetching import fetch
from tests.e2e.rig.processes import Child
from tests.e2e.rig.waiting import eventually

DRAIN_SECONDS = "2"


class Envoy:
    """One Envoy process. ``variant`` is ``delta`` or ``sotw``; ``bootstrap`` replaces parts of the usual one."""

    def __init__(
        self,
        binary: Path,
        xds_address: str,
        variant: str,
        log: Path,
        *,
        node: str = "node-1",
        bootstrap: Mapping[str, Any] | None = None,
    ) -> None:
        self.variant = variant
        self.admin = f"http://127.0.0.1:{free_port()}"
        made = make_bootstrap(xds_address, variant, self.admin.removeprefix("http://"), node) | dict(bootstrap or {})
        # Envoy drains a removed listener for ten minutes unless told otherwise, and keeps its routes as long.
        self.process = Child(
            envoy_command(binary, made, "--drain-time-s", DRAIN_SECONDS, "--log-level", "warning"), log
        )
        self.wait_until(lambda: self._ask("/server_info"), what="Envoy's admin interface")

    def wait_until(self, look: Any, *, within: float = 15.0, what: str) -> Any:
        """Wait for something that takes a living Envoy."""

        def alive_and_so() -> Any:
            self.process.require_alive()
            return look()

        return eventually(alive_and_so, within=within, what=what)

    def listeners(self) -> dict[str, int]:
        """Return the port of each active listener."""
        listed = self._ask("/listeners?format=json").get("listener_statuses", ())
        return {item["name"]: item["local_address"]["socket_address"]["port_value"] for item in listed}

    def port_of(self, listener: str) -> int:
        """Return the port of the one listener with this name, written without its port; wait for it."""

        def look() -> int:
            ports = [port for name, port in self.listeners().items() if name.rpartition("@")[0] == listener]
            return ports[0] if ports else 0

        return int(self.wait_until(look, what=f"listener {listener}"))

    def endpoints(self, cluster: str) -> set[tuple[str, int]]:
        """Return the addresses Envoy has for a cluster; none when it has no such cluster."""
        return self.clusters().get(cluster, set())

    def clusters(self) -> dict[str, set[tuple[str, int]]]:
        """Return the addresses of each dynamic cluster, as ``/clusters`` shows them."""
        listed = self._ask("/clusters?format=json").get("cluster_statuses", ())
        return {item["name"]: _addresses(item) for item in listed if item.get("added_via_api")}

    def clusters_of(self, namespace: str) -> set[str]:
        """Return the names of the clusters of a namespace."""
        return {name for name in self.clusters() if name.startswith(f"{namespace}/")}

    def knows(self, cluster: str) -> bool:
        """Whether Envoy has a cluster, active or warming."""
        return f'"{cluster}"' in fetch(f"{self.admin}/config_dump?resource=dynamic_active_clusters").body + (
            fetch(f"{self.admin}/config_dump?resource=dynamic_warming_clusters").body
        )

    def stats(self, pattern: str) -> dict[str, int]:
        """Return the counters and gauges whose name matches a regular expression."""
        listed = self._ask(f"/stats?format=json&filter={pattern}")["stats"]
        return {item["name"]: item["value"] for item in listed if "value" in item}

    def rejected(self) -> dict[str, int]:
        """Return every ``update_rejected`` counter that is not zero."""
        return {name: value for name, value in self.stats("update_rejected").items() if value}

    def warming(self) -> dict[str, int]:
        """Return every gauge of things that still warm and is not zero."""
        return {name: value for name, value in self.stats("warming").items() if value}

    def config_dump(self) -> dict[str, Any]:
        """Return all of Envoy's configuration, endpoints included."""
        return self._ask("/config_dump?include_eds")

    def require_content(self) -> None:
        """Raise unless Envoy has rejected nothing and nothing is warming."""
        assert self.rejected() == {}
        self.wait_until(lambda: self.warming() == {}, within=2, what="an end of warming")

    def stop(self) -> None:
        """End Envoy."""
        self.process.stop()

    def _ask(self, path: str) -> dict[str, Any]:
        decoded = fetch(self.admin + path).json()
        assert isinstance(decoded, dict)
        return decoded


def make_bootstrap(xds_address: str, variant: str, admin: str, node: str) -> dict[str, Any]:
    """Return what ``nodegate bootstrap`` prints for these."""
    settings = BootstrapSettings(
        xds_address=parse_address(xds_address, "xds"),
        node_name=node,
        admin_address=parse_tcp(admin, "admin"),
        sotw=variant == "sotw",
    )
    return bootstrap(settings)


def _addresses(cluster: Mapping[str, Any]) -> set[tuple[str, int]]:
    sockets = [host["address"]["socket_address"] for host in cluster.get("host_statuses", ())]
    return {(socket["address"], socket["port_value"]) for socket in sockets}
