"""How a replica takes part in the election: requests, failures, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nodegate.status.leadership import Leadership
from nodegate.status.requests import Requests
from tests.unit.status.cluster import Answered

pytestmark = pytest.mark.looptime

PLACE = ("nodegate-system", "nodegate")
PATH = "/apis/coordination.k8s.io/v1/namespaces/nodegate-system/leases"


class Leases:
    """One Lease, as an API server keeps it; ``fails`` is the status of every answer, or None."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.fails: int | None = None
        self.silent = False
        self.slow = 0.0
        self.sent: list[str] = []

    async def send(self, method: str, path: str, query: Mapping[str, str], body: bytes, content_type: str) -> bytes:
        """Answer a request."""
        self.sent.append(method)
        if self.silent:
            await asyncio.Event().wait()
        if self.fails is not None:
            raise Answered(self.fails)
        if method != "GET":
            self._put(method, json.loads(body))
            await asyncio.sleep(self.slow)  # what is taken is taken, whether or not anybody waits for the answer
        elif self.lease is None:
            raise Answered(404)
        return json.dumps(self.lease).encode()

    def _put(self, method: str, new: dict[str, Any]) -> None:
        old = self.lease["metadata"]["resourceVersion"] if self.lease else None
        if (method == "POST") != (old is None) or new["metadata"].get("resourceVersion") != old:
            raise Answered(409)
        new["metadata"]["resourceVersion"] = str(int(old or 0) + 1)
        self.lease = new

    @property
    def holder(self) -> str:
        """Who holds it."""
        return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""


@asynccontextmanager
async def taking_part(*replicas: Leadership) -> AsyncIterator[None]:
    """Let replicas take part for as long as the block lasts."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(replica.run()) for replica in replicas]
        yield
        for task in running:
            task.cancel()


def replica(leases: Leases, identity: str = "a", seconds: int = 15) -> Leadership:
    return Leadership(Requests(leases), PLACE, identity, seconds)


async def test_one_of_two_leads_and_renews_and_the_other_follows_when_it_stops() -> None:
    """It gives the Lease back, so the other need not wait for its end."""
    leases = Leases()
    first, second = replica(leases, "a"), replica(leases, "b")
    changes: list[bool] = []
    first.on_change = changes.append
    async with taking_part(second):
        async with taking_part(first):
            await asyncio.sleep(60)
            assert [first.leads, second.leads].count(True) == 1
            leader = first if first.leads else second
            assert leases.holder == leader.election.identity
        await asyncio.sleep(2)
        assert second.leads
        assert leases.holder == "b"
    assert leases.holder == ""
    assert changes in ([True, False], [])


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_lease_is_given_back_also_while_something_that_was_written_is_not_answered(
    method: str,
) -> None:
    """The first claim, or a renewal: the server has taken it, and nobody waits any more to hear of it."""
    leases = Leases()
    one = replica(leases)
    async with taking_part(one):
        if method == "PUT":
            await asyncio.sleep(1)
            assert one.leads
        leases.slow = 1.0
        while leases.sent[-1:] != [method]:  # noqa: ASYNC110  # time is virtual
            await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    assert (leases.holder, one.leads) == ("", False)


async def test_who_stops_without_the_lease_asks_nothing_more() -> None:
    """Another one holds it, or the server has never answered."""
    leases, other = Leases(), Leases()
    other.fails = 503
    async with taking_part(replica(leases, "a")):
        await asyncio.sleep(1)
        async with taking_part(replica(leases, "b"), replica(other)):
            await asyncio.sleep(10)
            asked = (len(leases.sent), len(other.sent))
        assert (len(leases.sent), len(other.sent)) == asked
        assert leases.holder == "a"


async def test_another_takes_over_within_the_lease_when_the_leader_dies() -> None:
    """It dies without a word; what it wrote last is seen to be unchanged for 15 seconds."""
    leases = Leases()
    first, second = replica(leases, "a"), replica(leases, "b")
    running = asyncio.create_task(first.run())
    await asyncio.sleep(1)
    assert first.leads
    other = asyncio.create_task(second.run())
    await asyncio.sleep(1)
    before = asyncio.get_running_loop().time()
    leases.silent, first._release = True, _nothing  # type: ignore[method-assign]  # it dies: it cannot give back
    running.cancel()
    leases.silent = False
    while not second.leads:  # noqa: ASYNC110  # time is virtual
        await asyncio.sleep(0.1)
    assert 10 < asyncio.get_running_loop().time() - before < 15 + 2
    other.cancel()


async def _nothing() -> None:
    return


async def test_who_cannot_reach_the_server_stops_to_lead_and_says_why() -> None:
    """Ten of fifteen seconds after the last renewal."""
    leases = Leases()
    one = replica(leases)
    async with taking_part(one):
        await asyncio.sleep(1)
        assert one.leads
        leases.fails = 503
        led = []
        for pause in (8, 4):
            await asyncio.sleep(pause)
            led.append(one.leads)
        assert led == [True, False]
        assert "cannot be read or renewed" in one.trouble
        ((problem,),) = one.problems.values()
        assert problem.remedy.startswith("See whether the API server runs")
        leases.fails = None
        await asyncio.sleep(4)
        assert one.leads
        assert one.trouble == ""


async def test_a_server_that_does_not_answer_is_no_leadership_for_ever() -> None:
    """Requests end, and so does the lead."""
    leases = Leases()
    one = replica(leases)
    async with taking_part(one):
        await asyncio.sleep(1)
        leases.silent = True
        await asyncio.sleep(15)
        assert not one.leads
        leases.silent = False
        await asyncio.sleep(10)
        assert one.leads


async def test_a_lease_that_cannot_be_written_is_a_problem_that_names_the_flag() -> None:
    """Its namespace does not exist, for example: nothing can be written then; everything is served all the same."""
    leases = Leases()
    leases.fails = 404
    one = replica(leases)
    changes: list[int] = []
    one.on_trouble = lambda: changes.append(len(one.problems))
    async with taking_part(one):
        await asyncio.sleep(5)
        ((problem,),) = one.problems.values()
        assert problem.code == "LeaseUnavailable"
        assert "nodegate-system/nodegate cannot be read or renewed" in problem.message
        assert "--lease-namespace" in problem.remedy
        leases.fails = None
        await asyncio.sleep(5)
    assert changes == [1, 0]
