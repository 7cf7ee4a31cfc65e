"""Everything of one test: a folder of manifests, the control plane on it, Envoy, and backends that say their name."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.e2e.rig.backend import Backends
from tests.e2e.rig.control_plane import ControlPlane
from tests.e2e.rig.envoy import Envoy
from tests.e2e.rig.fetching import Answer, fetch
from tests.e2e.rig.load import Load, Plan
from tests.e2e.rig.manifests import Folder, Manifest, endpoint_slice, ingress, ingress_class, service
from tests.e2e.rig.waiting import eventually


class Site:
    """One namespace of its own, served by one Envoy. Everything ends with :meth:`stop`.

    What is in ``bootstrap`` replaces that part of Envoy's usual one.
    """

    def __init__(self, envoy_binary: Path, backends: Backends, variant: str, folder: Path) -> None:
        self._binary, self._folder = envoy_binary, folder
        self._ending = contextlib.ExitStack()
        self.variant = variant
        # Of its own, because the name decides the port: two tests beside each other must not share one.
        self.namespace = f"shop-{secrets.token_hex(4)}"
        self.manifests = Folder(folder / "manifests")
        self.manifests.put(ingress_class())
        self.backends = backends
        self.server = ControlPlane(folder / "manifests", folder / "state", folder / "server.log")
        self.bootstrap: dict[str, Any] = {}
        self.envoy: Envoy

    def start(self) -> None:
        """Start the control plane and Envoy."""
        self.server.start()
        self._ending.callback(self.server.stop)
        self.envoy = Envoy(
            self._binary,
            self.server.xds_address,
            self.variant,
            self._folder / "envoy.log",
            bootstrap=self.bootstrap,
        )
        self._ending.callback(self.envoy.stop)

    def stop(self) -> None:
        """End every process."""
        self._ending.close()

    def logs(self) -> list[tuple[str, str]]:
        """Return the end of every log, with its name."""
        files = sorted(self._folder.glob("*.log"))
        return [(file.name, "\n".join(file.read_text(errors="replace").splitlines()[-20:])) for file in files]

    # --- what is written ---

    def service(self, name: str, *backends: str, port: int = 80) -> tuple[Manifest, Manifest]:
        """Return a Service and its EndpointSlice with these backends."""
        return service(self.namespace, name, port), self.endpoints(name, *backends)

    def endpoints(self, service_name: str, *backends: str) -> Manifest:
        """Return the EndpointSlice of a Service with these backends."""
        return endpoint_slice(self.namespace, service_name, [self.backends[name] for name in backends])

    def ingress(self, paths: dict[str, str], *, name: str = "web", host: str = "") -> Manifest:
        """Return an Ingress: path -> "service:port"."""
        return ingress(self.namespace, name, paths, host=host)

    # --- what is seen ---

    def listener(self, ingress_name: str = "web") -> str:
        """Return the name, without its port, of an Ingress' listener."""
        return f"{self.namespace}/{ingress_name}/http"

    def url(self, ingress_name: str = "web") -> str:
        """Return the URL of an Ingress' listener, once Envoy has it."""
        return f"http://127.0.0.1:{self.envoy.port_of(self.listener(ingress_name))}"

    def get(self, path: str = "/", *, ingress_name: str = "web", host: str | None = None) -> Answer:
        """Send one request to an Ingress."""
        return fetch(self.url(ingress_name) + path, host=host)

    def answers(self, body: str, path: str = "/", *, within: float = 5.0, host: str | None = None) -> None:
        """Wait until a path answers 200 with this body."""

        def look() -> bool:
            answer = self.get(path, host=host)
            assert (answer.status, answer.body) == (200, body)
            return True

        eventually(look, within=within, what=f"{path} answering {body!r}")

    def refuses(self, status: int, path: str = "/", *, within: float = 5.0) -> None:
        """Wait until a path answers this status."""

        def look() -> bool:
            answer = self.get(path)
            assert answer.status == status, answer
            return True

        eventually(look, within=within, what=f"{path} answering {status}")

    def has_endpoints(self, service_name: str, backends: Iterable[str], *, port: int = 80, within: float = 5.0) -> None:
        """Wait until Envoy has exactly these backends for a Service."""
        wanted = {self.backends[name] for name in backends}
        cluster = f"{self.namespace}/{service_name}/{port}"

        def look() -> bool:
            assert self.envoy.endpoints(cluster) == wanted
            return True

        eventually(look, within=within, what=f"{cluster} in /clusters")

    def load(self, *, rate: float = 100, stream_seconds: float = 0, websocket: bool = False) -> Load:
        """Start constant load on the Ingress ``web``."""
        plan = Plan(self.url(), rate, stream_seconds, websocket)
        load = Load(plan, self._folder / "load.log")
        self._ending.callback(load.stop)
        return load
