"""The source as a whole, in virtual time: what its log and its metrics say of the API server."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import structlog
from prometheus_client.registry import CollectorRegistry

from nodegate.source.kubernetes.answers import Interrupted, refusal
from nodegate.source.kubernetes.metrics import WatchCollector
from nodegate.source.kubernetes.resources import WATCHED
from nodegate.source.kubernetes.source import KubernetesSource
from tests.unit.kubernetes.script import Answer, Pause, recorded

pytestmark = pytest.mark.looptime

NONE_YET = b"".join(recorded("stream")[3:4])
"""The bookmark that ends a listing: of a resource with no objects, it is all there is."""


class Server:
    """An API server that streams a recorded listing of Services, and of nothing else; it may be gone for a time.

    ``denied`` are the resources that nobody may read; ``gone`` is when it goes and when it comes back.
    """

    def __init__(self, denied: frozenset[str] = frozenset(), gone: tuple[float, float] = (1e9, 1e9)) -> None:
        self.denied = denied
        self._goes, self._returns = gone

    @asynccontextmanager
    async def get(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Answer]:
        """Answer a watch."""
        now, resource = asyncio.get_running_loop().time(), path.rpartition("/")[2]
        if self._goes <= now < self._returns:
            raise Interrupted("Connection refused.")
        if resource in self.denied:
            raise refusal(403, {}, b"".join(recorded("forbidden")))
        listing = b"".join(recorded("stream")[:4]) if resource == "services" else NONE_YET
        rest = self._goes - now if now < self._goes else 1e9
        yield Answer((*([listing] if "sendInitialEvents" in query else []), Pause(rest)))

    async def renew(self) -> None:
        """Do nothing."""


class Heard:
    """A source that runs, and the lines of its log."""

    def __init__(self, source: KubernetesSource, logs: list[Mapping[str, object]]) -> None:
        self.source = source
        self._logs = logs

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The level of each line, and the code of the problem that it is about."""
        return [(str(line["log_level"]), str(line["code"])) for line in self._logs if "code" in line]

    @property
    def words(self) -> str:
        """All that was logged."""
        return " ".join(str(line["event"]) for line in self._logs)

    def sample(self, name: str, **labels: str) -> float | None:
        """Return a figure of the metrics."""
        registry = CollectorRegistry()
        registry.register(WatchCollector(self.source.informers))
        return registry.get_sample_value(name, labels)


@asynccontextmanager
async def following(server: Server) -> AsyncIterator[Heard]:
    """Follow a server."""
    source = KubernetesSource(server, chance=lambda: 1.0)

    async def listen() -> None:
        async for _ in source.batches():
            pass

    with structlog.testing.capture_logs() as logs:
        async with TaskGroup() as tasks:
            running = [tasks.create_task(source.run()), tasks.create_task(listen())]
            yield Heard(source, logs)  # type: ignore[arg-type]
            for task in running:
                task.cancel()


# --- The log -------------------------------------------------------------------------------------------------------


async def test_a_rule_that_is_missing_is_in_the_log_with_what_to_add() -> None:
    """Where people look first when nothing is served; once, and once more when it is there."""
    server = Server(frozenset({"nodes", "secrets"}))
    async with following(server) as heard:
        await asyncio.sleep(300)
        assert sorted(heard.lines) == [("error", "AccessDenied")] * 2
        assert 'apiGroups: [""], resources: ["nodes"], verbs: ["list", "watch"]' in heard.words
        server.denied = frozenset()
        await asyncio.sleep(300)
        assert sorted(heard.lines[2:]) == [("info", "AccessDenied")] * 2


async def test_a_server_that_is_gone_is_in_the_log_once_and_that_it_is_back() -> None:
    """Whatever each of the watches hears of it, and however often it is tried."""
    async with following(Server(gone=(100, 400))) as heard:
        await asyncio.sleep(50)
        assert heard.lines == []
        await asyncio.sleep(300)
        assert heard.lines == [("warning", "ApiUnreachable")]
        await asyncio.sleep(300)
        assert heard.lines == [("warning", "ApiUnreachable"), ("info", "ApiUnreachable")]


# --- Metrics -------------------------------------------------------------------------------------------------------


async def test_metrics_say_of_each_resource_what_is_known_and_when_it_was_heard_of() -> None:
    """Objects, restarts by reason, the age of the last event, and for how long there was none."""
    async with following(Server(gone=(100, 400))) as heard:
        await asyncio.sleep(60)
        assert heard.sample("nodegate_watch_objects", resource="services") == 3
        assert heard.sample("nodegate_watch_last_event_age_seconds", resource="services") == 60
        for resource in WATCHED[:2]:
            assert heard.sample("nodegate_watch_objects", resource=resource.plural) == 0
            assert heard.sample("nodegate_watch_unserved_seconds", resource=resource.plural) == 0
        await asyncio.sleep(140)
        assert heard.sample("nodegate_watch_unserved_seconds", resource="services") == pytest.approx(100, abs=10)
        interrupted = heard.sample("nodegate_watch_restarts_total", resource="services", reason="interrupted")
        assert interrupted is not None
        assert interrupted > 3
        await asyncio.sleep(300)
        assert heard.sample("nodegate_watch_unserved_seconds", resource="services") == 0
        assert heard.sample("nodegate_watch_objects", resource="services") == 3
