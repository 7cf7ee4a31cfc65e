"""``nodegate serve --source kubernetes`` as a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.rig.addresses import free_port
from tests.e2e.rig.fetching import fetch
from tests.e2e.rig.processes import Child, python
from tests.e2e.rig.waiting import eventually

LEASE_SECONDS = "3"
"""What a test kills holds its Lease for so long; nothing writes to the cluster meanwhile."""


class ControlPlane:
    """A control plane that follows the cluster of a configuration, with the same addresses after every start."""

    def __init__(self, kubeconfig: Path, log: Path, *flags: str) -> None:
        self._kubeconfig, self._log, self._flags = kubeconfig, log, flags
        self.xds_address = f"127.0.0.1:{free_port()}"
        self._http = f"127.0.0.1:{free_port()}"
        self._debug = f"127.0.0.1:{free_port()}"
        self._process: Child | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        words = ["--source", "kubernetes", "--kubeconfig", str(self._kubeconfig), "--xds-address", self.xds_address]
        words += ["--http-address", self._http, "--debug-address", self._debug, "--lease-seconds", LEASE_SECONDS]
        words += self._flags
        process = Child(python("nodegate", "serve", *words), self._log)
        self._process = process

        def ready() -> bool:
            process.require_alive()
            return self.is_ready()

        eventually(ready, within=20, what="/readyz of the control plane")

    def is_ready(self) -> bool:
        """Whether proxies should be sent here."""
        return fetch(f"http://{self._http}/readyz").status == 200

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self._process is not None
        self._process.kill()

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.stop()

    def debug(self, page: str) -> Any:
        """Return a debug page as decoded JSON."""
        return fetch(f"http://{self._debug}/debug/{page}?format=json").json()

    @property
    def leads(self) -> bool:
        """Whether it writes to the cluster what only one replica may."""
        return self.metric("nodegate_is_leader") == 1

    def metric(self, name: str) -> float:
        """Return the sum of a metric over all its labels."""
        lines = [line for line in self.metrics().splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def metrics(self) -> str:
        """Return the text of ``/metrics``."""
        return fetch(f"http://{self._http}/metrics").body

    def log(self) -> str:
        """Return all it has logged."""
        return self._log.read_text(errors="replace")
