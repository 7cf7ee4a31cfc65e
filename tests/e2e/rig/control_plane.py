"""``nodegate serve`` as a process of its own, so that it can be killed and started again."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from tests.e2e.rig.addresses import free_port
from tests.e2e.rig.fetching import fetch
from tests.e2e.rig.processes import Child, python
from tests.e2e.rig.waiting import eventually


class ControlPlane:
    """The control plane on a folder of manifests. It has the same addresses after every start.

    ``flags`` are added to those it always has.
    """

    def __init__(self, source: Path, state_dir: Path, log: Path) -> None:
        self._source, self._state_dir, self._log = source, state_dir, log
        self.flags: list[str] = []
        self.xds_address = f"127.0.0.1:{free_port()}"
        self._http = f"127.0.0.1:{free_port()}"
        self._debug = f"127.0.0.1:{free_port()}"
        self._process: Child | None = None

    def start(self) -> None:
        """Start it and wait until it is ready: everything is listed once and there is a snapshot."""
        flags = {
            "--source": str(self._source),
            "--state-dir": str(self._state_dir),
            "--xds-address": self.xds_address,
            "--http-address": self._http,
            "--debug-address": self._debug,
        }
        words = [word for flag in flags.items() for word in flag] + self.flags
        process = Child(python("nodegate", "serve", *words), self._log)
        self._process = process

        def ready() -> bool:
            process.require_alive()
            return fetch(f"http://{self._http}/readyz").status == 200

        eventually(ready, within=20, what="/readyz of the control plane")

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

    def debug_pages(self) -> dict[str, str]:
        """Return every page that can be reached from the debug page, for people and for programs: path -> text."""
        pages: dict[str, str] = {}
        left = ["/debug/"]
        while left:
            path = left.pop()
            if path not in pages:
                pages[path] = fetch(f"http://{self._debug}{path}").body
                left += [html.unescape(link) for link in re.findall(r'href="(/debug/[^"#]*)"', pages[path])]
        return pages

    def metrics(self) -> str:
        """Return the text of ``/metrics``."""
        return fetch(f"http://{self._http}/metrics").body

    def log(self) -> str:
        """Return all it has logged."""
        return self._log.read_text(errors="replace")
