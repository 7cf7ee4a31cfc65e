"""One resource followed through everything a server and a network do, in virtual time."""

from __future__ import annotations

import asyncio
import json
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from nodegate.model.changes import Delete, ObjectChange, Upsert
from nodegate.model.refs import Kind
from nodegate.source.kubernetes.backoff import Recovery
from nodegate.source.kubernetes.informer import QUIET_SECONDS, Informer
from nodegate.source.kubernetes.resources import WATCHED
from tests.unit.kubernetes.script import Answer, Break, Pause, Script, Step, event, recorded, refused, unreachable

pytestmark = pytest.mark.looptime

SERVICES = next(resource for resource in WATCHED if resource.kind is Kind.SERVICE)
OPEN = Pause(1e6)
FEW = [b"apples", b"bread", b"cheese"]


def _stream() -> tuple[bytes, bytes]:
    """Return the recorded stream in two parts: the listing with the bookmark that ends it, and what came later."""
    lines = recorded("stream")
    end = next(number for number, line in enumerate(lines) if b"initial-events-end" in line) + 1
    return b"".join(lines[:end]), b"".join(lines[end:])


LISTING, LATER = _stream()


class Heard:
    """An informer that runs, and what it handed on."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.deliveries: list[tuple[ObjectChange, ...]] = []
        self.informer = Informer(script, SERVICES, self.deliveries.append, chance=lambda: 1.0)

    @property
    def words(self) -> list[str]:
        """What was handed on, in order: ``+name`` and ``-name``."""
        return [_word(change) for delivery in self.deliveries for change in delivery]

    @property
    def known(self) -> list[str]:
        """The names of what the informer knows now."""
        return sorted(ref.name for ref in self.informer.replica.objects)


def _word(change: ObjectChange) -> str:
    return f"{'+' if isinstance(change, Upsert) else '-'}{change.ref.name}"


@asynccontextmanager
async def following(*answers: Answer | Callable[[], Answer]) -> AsyncIterator[Heard]:
    """Run an informer against a script."""
    heard = Heard(Script(*answers))
    task = asyncio.ensure_future(heard.informer.run())
    try:
        yield heard
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError)


def answer(*steps: Step) -> Answer:
    return Answer(steps)


def version_of(line: bytes) -> str:
    return str(event(line)["object"]["metadata"]["resourceVersion"])


# --- Listing -------------------------------------------------------------------------------------------------------


async def test_a_listing_is_streamed_and_handed_on_when_it_is_complete() -> None:
    """Half a listing is no listing: nothing is known until the bookmark that ends it."""
    first, rest = LISTING[:900], LISTING[900:]
    async with following(answer(first, Pause(5), rest, OPEN)) as heard:
        await asyncio.sleep(4)
        assert heard.words == []
        await asyncio.sleep(2)
        assert heard.informer.listed
        assert heard.words == ["+apples", "+bread", "+cheese"]
        query = heard.script.asked[0].query
        assert (query["sendInitialEvents"], query["resourceVersionMatch"]) == ("true", "NotOlderThan")
        assert "resourceVersion" not in query


async def test_what_changes_after_the_listing_is_handed_on_event_by_event() -> None:
    """A label, a new Service and a deleted one, as the real server told them."""
    async with following(answer(LISTING, LATER, OPEN)) as heard:
        await asyncio.sleep(1)
        assert heard.words[3:] == ["+apples", "+dates", "-bread"]
        assert heard.known == ["apples", "cheese", "dates"]


@pytest.mark.parametrize("size", [1, 7, 1024])
async def test_bytes_may_be_cut_anywhere(size: int) -> None:
    """TCP knows no lines."""
    whole = LISTING + LATER
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    async with following(answer(*chunks, OPEN)) as heard:
        await asyncio.sleep(1)
        assert heard.known == ["apples", "cheese", "dates"]


@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_without_streaming_lists_is_listed_in_pages(status: int) -> None:
    """It refuses sendInitialEvents; from then on it is asked for pages, and the watch goes on from their version."""
    pages = [answer(b"".join(recorded(f"page-{number}"))) for number in (1, 2)]
    async with following(refused(status), *pages, answer(OPEN)) as heard:
        await asyncio.sleep(1)
        assert heard.words == ["+apples", "+bread", "+cheese"]
        _, first, second, watch = heard.script.asked
        assert first.query == {"limit": "500"}
        assert second.query["continue"] == json.loads(b"".join(recorded("page-1")))["metadata"]["continue"]
        assert watch.query["resourceVersion"] == json.loads(b"".join(recorded("page-2")))["metadata"]["resourceVersion"]
        assert heard.script.times == [0, 0, 0, 0]


async def test_a_server_that_never_ends_a_streamed_listing_is_listed_in_pages() -> None:
    """One that does not know the parameter ignores it, and waits for changes."""
    pages = [answer(b"".join(recorded(f"page-{number}"))) for number in (1, 2)]
    async with following(answer(LISTING[:50], OPEN), *pages) as heard:
        await asyncio.sleep(QUIET_SECONDS + 1)
        assert heard.known == ["apples", "bread", "cheese"]


async def test_pages_that_expire_are_given_up_for_a_list_as_a_whole() -> None:
    """A continue token lives for minutes; a list that takes longer comes in one piece."""
    pages = [answer(b"".join(recorded(f"page-{number}"))) for number in (1, 2)]
    async with following(refused(400), pages[0], refused(410), pages[1], answer(OPEN)) as heard:
        await asyncio.sleep(1)
        assert heard.informer.listed
        assert heard.script.asked[3].query == {}


async def test_a_listing_that_breaks_off_is_begun_anew() -> None:
    """What was heard of it is not taken for everything."""
    async with following(answer(LISTING[:900], Break()), answer(LISTING, OPEN)) as heard:
        await asyncio.sleep(10)
        assert heard.words == ["+apples", "+bread", "+cheese"]


async def test_a_listing_that_ends_too_soon_is_begun_anew_after_a_moment() -> None:
    """Without any error: the server may be about to stop."""
    async with following(answer(LISTING[:900]), answer(LISTING, OPEN)) as heard:
        await asyncio.sleep(10)
        assert heard.script.times == [0, 0.5]
        assert heard.words == ["+apples", "+bread", "+cheese"]


async def test_only_the_marked_bookmark_ends_a_listing() -> None:
    """Another one may come before it, and is no end."""
    first, *rest = LISTING.splitlines(keepends=True)
    bookmark = LATER.splitlines(keepends=True)[-1]
    async with following(answer(first, bookmark, Pause(5), *rest, OPEN)) as heard:
        await asyncio.sleep(4)
        assert heard.words == []
        await asyncio.sleep(2)
        assert heard.words == ["+apples", "+bread", "+cheese"]


# --- Going on ------------------------------------------------------------------------------------------------------


async def test_a_broken_watch_goes_on_where_it_was() -> None:
    """Nothing is listed again, and nothing is handed on twice."""
    async with following(answer(LISTING, LATER, Break()), answer(OPEN)) as heard:
        await asyncio.sleep(10)
        assert len(heard.words) == 6
        assert heard.script.asked[1].query["resourceVersion"] == version_of(LATER.splitlines()[-1])
        assert "sendInitialEvents" not in heard.script.asked[1].query


async def test_every_event_moves_the_version_to_go_on_from() -> None:
    """Also where no bookmark follows."""
    *events, _ = LATER.splitlines(keepends=True)
    async with following(answer(LISTING, *events, Break()), answer(OPEN)) as heard:
        await asyncio.sleep(10)
        assert heard.script.asked[1].query["resourceVersion"] == version_of(events[-1])


async def test_a_bookmark_moves_the_version_to_go_on_from() -> None:
    """So that a quiet resource does not expire."""
    bookmark = b'{"type":"BOOKMARK","object":{"kind":"Service","metadata":{"resourceVersion":"900000"}}}\n'
    async with following(answer(LISTING, bookmark, Break()), answer(OPEN)) as heard:
        await asyncio.sleep(10)
        assert heard.script.asked[1].query["resourceVersion"] == "900000"


async def test_a_watch_that_the_server_ends_in_time_goes_on_at_once() -> None:
    """Every watch is asked to last a few minutes; its end is no failure."""
    bookmark = LATER.splitlines(keepends=True)[-1]
    minutes: tuple[Step, ...] = (Pause(60), bookmark) * 5
    async with following(answer(LISTING, *minutes), answer(OPEN)) as heard:
        await asyncio.sleep(310)
        assert heard.script.times == [0, 300]
        assert heard.informer.trouble is None
        assert heard.informer.restarts == {"ended": 1}
        assert 300 <= int(heard.script.asked[0].query["timeoutSeconds"]) <= 600


async def test_a_version_that_is_too_old_lists_anew_and_tells_what_was_missed() -> None:
    """410: deletions in the gap are told, and what is as it was is not told again."""
    gone = b"".join(recorded("too-old"))
    later = b"".join(line for line in recorded("stream") if b'"name":"bread"' not in line and b'"ADDED"' in line)
    bookmark = LISTING.splitlines(keepends=True)[-1]
    async with following(answer(LISTING, Break()), answer(gone), answer(later + bookmark, OPEN)) as heard:
        await asyncio.sleep(10)
        assert heard.words == ["+apples", "+bread", "+cheese", "+dates", "-bread"]
        assert heard.script.asked[2].query["sendInitialEvents"] == "true"


# --- Trouble -------------------------------------------------------------------------------------------------------


async def test_a_server_that_is_gone_is_asked_less_and_less_often() -> None:
    """Half a second, then twice as long each time, at most half a minute."""
    async with following(*[unreachable] * 20) as heard:
        await asyncio.sleep(200)
        gaps = [after - before for before, after in zip(heard.script.times, heard.script.times[1:], strict=False)]
        assert gaps[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]
        assert heard.informer.trouble is not None
        assert heard.informer.trouble_since == 0


async def test_a_server_that_is_back_is_known_to_be_before_it_has_anything_to_say() -> None:
    """The next event, or bookmark, may be a minute away; a watch that stays open is proof enough."""
    async with following(answer(LISTING, Break()), unreachable, answer(Pause(60), LATER, OPEN)) as heard:
        await asyncio.sleep(1)
        assert "refused" in str(heard.informer.trouble)
        await asyncio.sleep(3)
        assert heard.informer.trouble is None
        assert heard.words == ["+apples", "+bread", "+cheese"]


async def test_what_one_informer_finds_out_the_others_do_not_wait_for() -> None:
    """After a long absence of the server each would wait up to half a minute more, by itself."""
    recovery = Recovery()
    late = Script(*[unreachable] * 20)
    first = Script(answer(Pause(40), Break()), answer(LISTING, OPEN))
    informers = [
        Informer(one, SERVICES, lambda _: None, chance=lambda: 1.0, recovery=recovery) for one in (late, first)
    ]
    async with TaskGroup() as tasks:
        running = [tasks.create_task(informer.run()) for informer in informers]
        await asyncio.sleep(41)
        for task in running:
            task.cancel()
    assert late.times == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 40.5]


async def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_loop() -> None:
    """An early close without an error is a failure like any other."""
    async with following(answer(LISTING, Break()), *[answer()] * 50) as heard:
        await asyncio.sleep(60)
        assert len(heard.script.asked) < 10


async def test_retry_after_is_kept_to() -> None:
    """429 says how long; chance adds to it and never takes away."""
    async with following(refused(429, "Too many requests.", Retry_After="7"), answer(LISTING, OPEN)) as heard:
        await asyncio.sleep(60)
        assert heard.script.times == [0, 7.5]
        assert heard.informer.trouble is None


@pytest.mark.parametrize("status", [500, 503, 504])
async def test_an_error_of_the_server_is_waited_out_and_nothing_known_is_lost(status: int) -> None:
    """While it starts, or has lost its storage; the words are those of the latter."""
    failing = Answer((b"".join(recorded("no-storage")),), status)
    async with following(answer(LISTING, Break()), *[failing] * 3, answer(LATER, OPEN)) as heard:
        await asyncio.sleep(3)
        assert heard.known == ["apples", "bread", "cheese"]
        assert f"{status} Timeout: " in str(heard.informer.trouble)
        assert heard.script.times == [0, 0.5, 1.5]
        await asyncio.sleep(10)
        assert heard.known == ["apples", "cheese", "dates"]
        assert heard.informer.trouble is None


async def test_a_connection_that_is_silent_is_given_up() -> None:
    """Half-open: the other side is gone, and nobody said so. Bookmarks would have come."""
    async with following(answer(LISTING, OPEN), answer(LATER, OPEN)) as heard:
        await asyncio.sleep(QUIET_SECONDS - 1)
        assert len(heard.script.asked) == 1
        await asyncio.sleep(2)
        assert heard.known == ["apples", "cheese", "dates"]
        assert heard.script.times == [0, QUIET_SECONDS]


async def test_every_byte_puts_the_end_of_a_silent_connection_off() -> None:
    """Silence counts from the last thing heard."""
    async with following(answer(LISTING, Pause(80), LATER, OPEN)) as heard:
        await asyncio.sleep(80 + QUIET_SECONDS - 1)
        assert len(heard.script.asked) == 1
        await asyncio.sleep(2)
        assert len(heard.script.asked) == 2


async def test_refused_credentials_are_read_anew_and_tried_at_once() -> None:
    """401: a token is rotated every hour; a second refusal in a row waits."""
    denied = Answer((b"".join(recorded("unauthorized")),), 401)
    async with following(denied, denied, answer(LISTING, OPEN)) as heard:
        await asyncio.sleep(10)
        assert heard.script.renewed == 2
        assert heard.script.times[:2] == [0, 0]
        assert heard.script.times[2] > 0
        assert heard.informer.listed


async def test_a_missing_permission_is_told_and_asked_for_again() -> None:
    """403: everything known stays, and the rule may be added any time."""
    denied = Answer((b"".join(recorded("forbidden")),), 403)
    async with following(answer(LISTING, Break()), denied, answer(OPEN)) as heard:
        await asyncio.sleep(1)
        assert 'cannot list resource "secrets"' in str(heard.informer.trouble)
        assert heard.known == ["apples", "bread", "cheese"]


@pytest.mark.parametrize("line", [b"404 page not found\n", b'{"type":"ADDED","object":7}\n', b"\xff\xfe\n"])
async def test_what_is_no_event_is_as_good_as_a_broken_connection(line: bytes) -> None:
    """A proxy in between may answer anything; it is never taken for an object."""
    async with following(answer(LISTING, line), answer(OPEN)) as heard:
        await asyncio.sleep(10)
        assert heard.known == ["apples", "bread", "cheese"]
        assert heard.script.times == [0, 0.5]


async def test_an_object_that_does_not_decode_keeps_its_last_good_version() -> None:
    """And says so; every other object goes on (DESIGN 2, quarantine)."""
    apples = next(line for line in LATER.splitlines(keepends=True) if b'"apples"' in line)
    odd = apples.replace(b'"ports":[', b'"ports":["odd",')
    async with following(answer(LISTING, odd, OPEN)) as heard:
        await asyncio.sleep(1)
        assert heard.known == ["apples", "bread", "cheese"]
        (problem,) = heard.informer.replica.broken.values()
        assert "Its last good version stays in use." in problem.message


async def test_an_object_that_changes_in_nothing_that_is_read_is_not_handed_on() -> None:
    """Whatever else Kubernetes writes on it: translation is not asked again."""
    apples = next(line for line in LISTING.splitlines(keepends=True) if b'"apples"' in line)
    again = apples.replace(b'"ADDED"', b'"MODIFIED"').replace(version_of(apples).encode(), b"900001")
    async with following(answer(LISTING, again, OPEN)) as heard:
        await asyncio.sleep(1)
        assert len(heard.words) == 3


async def test_a_deleted_object_is_told_once() -> None:
    """A deletion of what was never there is nothing."""
    bread = next(line for line in LATER.splitlines(keepends=True) if b'"DELETED"' in line)
    async with following(answer(LISTING, bread, bread, OPEN)) as heard:
        await asyncio.sleep(1)
        assert [word for word in heard.words if word.startswith("-")] == ["-bread"]
        assert isinstance(heard.deliveries[-1][0], Delete)
