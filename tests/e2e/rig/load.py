"""Constant load from a process of its own: every request counts, every failure is kept with its reason.

Nothing is hidden: connections are kept alive as clients do, but no request is ever sent twice. Next to the short
requests one streaming response at a time and one WebSocket may be kept open; cut is what did not end by itself.

As a program it takes its plan as JSON, prints ``ready`` once the first request and both long ones are answered, and
on end of its standard input stops and prints its report as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from tests.e2e.rig.backend import LAST_LINE
from tests.e2e.rig.processes import Child, python

_ANSWER_SECONDS = 10.0
_ECHO_EVERY = 0.1
_SLOW_SECONDS = 0.25
_KEPT_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: ``rate`` requests a second to ``url``; seconds of stream; whether a WebSocket is kept open.

    ``fresh`` gives each request a connection of its own.
    """

    url: str
    rate: float
    stream_seconds: float = 0.0
    websocket: bool = False
    host_header: str = ""
    fresh: bool = False


@dataclass(slots=True)
class Report:
    """What became of it.

    ``behind`` is how late a request was sent at most, in seconds: the machine was busy. ``slow_at`` are the seconds
    in which an answer took longer than a quarter of a second.
    """

    sent: int = 0
    failed: int = 0
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    answered_by: dict[str, int] = field(default_factory=dict)
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    slow_at: list[int] = field(default_factory=list)
    behind: float = 0.0
    stream_lines: int = 0
    stream_cut: str = ""
    streams_complete: int = 0
    websocket_echoes: int = 0
    websocket_cut: str = ""

    def summary(self) -> str:
        """Return the figures in one line."""
        return (
            f"sent {self.sent} in {self.seconds:.1f} s ({self.sent / max(self.seconds, 0.001):.0f}/s), "
            f"failed {self.failed}; p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, max {self.max_ms:.0f} ms, "
            f"slow in {len(self.slow_at)} s, sent late by {self.behind * 1000:.0f} ms at most; "
            f"streams complete {self.streams_complete} ({self.stream_lines} lines), cut {self.stream_cut or 'none'}; "
            f"WebSocket echoes {self.websocket_echoes}, cut {self.websocket_cut or 'not'}"
        )

    def require_flawless(self) -> None:
        """Raise AssertionError with reasons and first failures unless nothing failed and nothing open was cut."""
        wrong = self.failed or self.stream_cut or self.websocket_cut
        assert not wrong, f"{self.summary()}\nreasons: {self.reasons}\n" + "\n".join(self.failures)


class Load:
    """Load that runs until :meth:`finish`. ``prefix`` are words before its command, as of ``nsenter``."""

    def __init__(self, plan: Plan, log: Path, prefix: Sequence[str] = ()) -> None:
        self._child = Child(
            [*prefix, *python("tests.e2e.rig.load", json.dumps(asdict(plan)))],
            log,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._child.read_line() != "ready":
            self._child.kill()
            raise RuntimeError(f"the load did not start:\n{self._child.tail()}")

    def finish(self) -> Report:
        """Stop sending, wait for the stream to end by itself if there is one, and return the report."""
        self._child.close_input()
        report = json.loads(self._child.read_line())
        self._child.stop()
        return Report(**report)

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._child.kill()


class Failure(Exception):
    """A request that did not get the answer it should."""


class Connection:
    """One kept-alive HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.reusable = True

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        """Connect, or raise OSError."""
        return cls(*await asyncio.open_connection(host, port))

    async def ask(self, request: bytes) -> str:
        """Send one request and return the body of its 200, or raise :class:`Failure`."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
        body = (await self._reader.readexactly(length)).decode()
        self.reusable = "connection: close" not in head
        if not head.startswith("http/1.1 200 "):
            flags = head.partition("x-envoy-")[2].split("\r\n")[0]
            raise Failure(f"{head.split(chr(13))[0]}: {body[:120]} {flags}".strip())
        return body

    def close(self) -> None:
        """Close it."""
        self._writer.close()


class Generator:
    """Sends what a plan says and counts what comes back."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        address = URL(plan.url)
        self._host, self._port = str(address.host), int(address.port or 80)
        closing = "Connection: close\r\n" if plan.fresh else ""
        self._request = (
            f"GET {address.path_qs} HTTP/1.1\r\nHost: {plan.host_header or address.authority}\r\n{closing}\r\n"
        ).encode()
        self._idle: deque[Connection] = deque()
        self._took: list[float] = []
        self._slow_at: set[int] = set()
        self._reasons: Counter[str] = Counter()
        self._answered_by: Counter[str] = Counter()
        self._stop = asyncio.Event()
        self.report = Report()
        self.streaming = asyncio.Event()
        self.echoing = asyncio.Event()

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Send at a constant rate until :meth:`stop`; a slow answer delays no later request."""
        start = time.monotonic()
        while not self._stop.is_set():
            due = start + self.report.sent / self._plan.rate
            now = time.monotonic()
            if due > now:
                await asyncio.sleep(due - now)
            else:
                self.report.behind = max(self.report.behind, now - due)
                if self.report.sent % 50 == 0:
                    await asyncio.sleep(0)
            self.report.sent += 1
            tasks.create_task(self._one(time.monotonic() - start))
        self.report.seconds = time.monotonic() - start

    def stop(self) -> None:
        """Send nothing more."""
        self._stop.set()

    async def _one(self, at: float) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                self._answered_by[await self._ask()] += 1
        except (OSError, EOFError, Failure, TimeoutError) as error:
            self._failed(f"{type(error).__name__}: {error}", at)
        took = time.monotonic() - began
        self._took.append(took)
        if took > _SLOW_SECONDS:
            self._slow_at.add(int(at))

    async def _ask(self) -> str:
        connection = self._idle.pop() if self._idle else await Connection.open(self._host, self._port)
        try:
            body = await connection.ask(self._request)
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return body

    def _failed(self, reason: str, at: float) -> None:
        self.report.failed += 1
        self._reasons[reason] += 1
        if len(self.report.failures) < _KEPT_FAILURES:
            self.report.failures.append(f"at {at:.3f} s: {reason}")

    async def streams(self, session: aiohttp.ClientSession) -> None:
        """Read streaming responses to their ends, one after the other, until :meth:`stop`."""
        while not self._stop.is_set() and not self.report.stream_cut:
            await self._stream(session)

    async def _stream(self, session: aiohttp.ClientSession) -> None:
        last = ""
        try:
            url = f"{self._plan.url.rstrip('/')}/stream?seconds={self._plan.stream_seconds}"
            async with session.get(url, headers=self._headers()) as answer:
                answer.raise_for_status()
                async for line in answer.content:
                    last = line.decode().strip()
                    self.report.stream_lines += 1
                    self.streaming.set()
        except (aiohttp.ClientError, OSError) as error:
            self.report.stream_cut = repr(error)
        if last == LAST_LINE:
            self.report.streams_complete += 1
        elif not self.report.stream_cut:
            self.report.stream_cut = f"ended after {last!r}"
        self.streaming.set()

    async def websocket(self, session: aiohttp.ClientSession) -> None:
        """Keep one WebSocket open and see every message come back, until :meth:`stop`."""
        try:
            async with session.ws_connect(f"{self._plan.url.rstrip('/')}/ws", headers=self._headers()) as socket:
                while not self._stop.is_set():
                    await socket.send_str(str(self.report.websocket_echoes))
                    echo = await socket.receive_str(timeout=_ANSWER_SECONDS)
                    _require_equal(echo, str(self.report.websocket_echoes))
                    self.report.websocket_echoes += 1
                    self.echoing.set()
                    await asyncio.sleep(_ECHO_EVERY)
        except (aiohttp.ClientError, OSError, TypeError, Failure, TimeoutError) as error:
            self.report.websocket_cut = repr(error)
        self.echoing.set()

    def _headers(self) -> dict[str, str]:
        return {"Host": self._plan.host_header} if self._plan.host_header else {}

    def finish(self) -> dict[str, Any]:
        """Return the report, complete."""
        for connection in self._idle:
            connection.close()
        took = sorted(self._took) or [0.0]
        report = self.report
        report.p50_ms, report.p99_ms, report.max_ms = (
            1000 * took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.99, 1)
        )
        report.slow_at = sorted(self._slow_at)
        report.reasons, report.answered_by = dict(self._reasons), dict(self._answered_by)
        return asdict(report)


def _require_equal(echo: str, sent: str) -> None:
    if echo != sent:
        raise Failure(f"the WebSocket echoed {echo!r} for {sent!r}")


async def _main(plan: Plan) -> None:
    generator = Generator(plan)
    timeout = aiohttp.ClientTimeout(total=None, connect=_ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
        if plan.stream_seconds:
            tasks.create_task(generator.streams(session))
            await generator.streaming.wait()
        if plan.websocket:
            tasks.create_task(generator.websocket(session))
            await generator.echoing.wait()
        tasks.create_task(generator.run(tasks))
        print("ready", flush=True)  # noqa: T201 - this is how the test learns it
        await asyncio.to_thread(sys.stdin.read)
        generator.stop()
    print(json.dumps(generator.finish()), flush=True)  # noqa: T201 - this is the report


if __name__ == "__main__":
    asyncio.run(_main(Plan(**json.loads(sys.argv[1]))))
