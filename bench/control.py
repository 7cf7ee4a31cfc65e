"""The conversation with the orchestrator, from inside a Python process under measurement.

One JSON object per line: commands on standard input, one answer each on standard output, in order. The Go side of the
same conversation is ``bench/internal/control``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

Answer = Mapping[str, Any]


class Server(Protocol):
    """A server that can be told to change what it serves."""

    def prepare(self, path: Path) -> None:
        """Read the changed resources from a file; not part of what is measured."""

    def apply(self) -> None:
        """Make the prepared change; clients get it from now on."""


async def obey(address: str, server: Server) -> None:
    """Say where the server listens, then do as told until standard input ends or ``quit`` is asked for."""
    commands: dict[str, Callable[[Answer], Answer]] = {
        "prepare": lambda arguments: _prepared(server, Path(arguments["path"])),
        "apply": lambda _: _applied(server),
        "cpu": lambda _: {"seconds": time.process_time()},  # cheap, because it is asked for often
        "memory": lambda _: _memory(),
        "reset_peak": lambda _: _reset_peak(),
    }
    _say({"address": address})
    lines = await _standard_input()
    while line := await lines.readline():
        asked = json.loads(line)
        if asked["do"] == "quit":
            _say({})
            return
        _say(commands[asked["do"]](asked))


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _prepared(server: Server, path: Path) -> Answer:
    server.prepare(path)
    return {}


def _applied(server: Server) -> Answer:
    start = time.monotonic_ns()
    server.apply()
    return {"start_ns": start}


def _memory() -> Answer:
    """Return the resident KiB, now and at most since the last reset."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"rss_kib": int(status["VmRSS"].split()[0]), "peak_kib": int(status["VmHWM"].split()[0])}


def _reset_peak() -> Answer:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): forget the highest resident size
    return {}


def _say(answer: Answer) -> None:
    print(json.dumps(answer), flush=True)
