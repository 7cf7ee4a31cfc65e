"""What an agent says on a stream: it acknowledges what the kernel holds, and names what it does not hold yet."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from nodegate_redirect.agent.following import UNSETTLED, Following, Message
from nodegate_redirect.agent.session import Request, Session
from tests.unit.redirect.redirects import message

WAITS = "waiting for listener default/web/http@18243: no transparent socket listens on port 18243 for IPv4"


def body(name: str) -> bytes:
    """Return a ServiceRedirect of this name."""
    return bytes(message(name).SerializeToString())


def sent(nonce: str, *names: str, removed: tuple[str, ...] = (), version: str = "v1") -> Message:
    """Return a response with resources of these names."""
    return Message(nonce, {name: (version, body(name)) for name in names}, removed)


def settle(session: Session, problems: dict[str, str], refused: str = "") -> list[Request]:
    """Return what is said when the kernel was brought to everything that was taken in."""
    return session.settle(session._following.sequence, problems, refused)


def test_the_first_request_asks_for_everything_and_says_what_is_held() -> None:
    """``initial_resource_versions`` (xds-protocol 37); what is not installed is claimed at a version nobody sent."""
    following = Following()
    following.take(sent("", "a/a/80", "b/b/80"))
    opening = Session(following).opening({"b/b/80": WAITS})
    assert opening == Request(subscribe=("*",), versions={"a/a/80": "v1", "b/b/80": UNSETTLED})


def test_a_message_is_acknowledged_when_the_kernel_holds_all_of_it() -> None:
    """And nothing is said before (DESIGN 3.4)."""
    session = Session(Following())
    session.take(sent("1", "a/a/80"))
    assert settle(session, {}) == [Request("1")]
    assert settle(session, {}) == []


def test_a_message_that_comes_while_the_kernel_is_brought_to_an_earlier_one_is_not_answered_yet() -> None:
    following = Following()
    session = Session(following)
    session.take(sent("1", "a/a/80"))
    brought = following.sequence
    session.take(sent("2", "b/b/80"))
    assert session.settle(brought, {}) == [Request("1")]
    assert session.settle(following.sequence, {}) == [Request("2")]


def test_what_waits_is_named_in_a_nack_and_asked_for_again_once_it_is_installed() -> None:
    """The server answers a subscription to what is subscribed already (28), and then there is an ACK."""
    session = Session(Following())
    session.take(sent("1", "a/a/80", "b/b/80"))
    assert settle(session, {"b/b/80": WAITS}) == [Request("1", f"b/b/80: {WAITS}")]
    assert settle(session, {"b/b/80": WAITS}) == []
    assert settle(session, {}) == [Request(subscribe=("b/b/80",))]
    assert settle(session, {}) == []
    session.take(sent("2", "b/b/80"))
    assert settle(session, {}) == [Request("2")]


def test_what_waits_from_an_earlier_message_is_no_reason_to_refuse_another_one() -> None:
    session = Session(Following())
    session.take(sent("1", "a/a/80"))
    settle(session, {"a/a/80": WAITS})
    session.take(sent("2", "b/b/80"))
    assert settle(session, {"a/a/80": WAITS}) == [Request("2")]


def test_a_reason_of_another_kind_is_said_as_well() -> None:
    """A port that is waited for, and that another program takes then, moves the listener (redirect 5)."""
    session = Session(Following())
    session.take(sent("1", "a/a/80"))
    settle(session, {"a/a/80": WAITS})
    held = "port held by nginx (pid 7): listener default/web/http@18243 cannot have port 18243 for IPv4"
    assert settle(session, {"a/a/80": held}) == [Request(subscribe=("a/a/80",))]
    assert settle(session, {"a/a/80": held}) == []
    session.take(sent("2", "a/a/80"))
    assert settle(session, {"a/a/80": held}) == [Request("2", f"a/a/80: {held}")]
    assert settle(session, {"a/a/80": held.replace("IPv4", "IPv6")}) == []


def test_what_is_withdrawn_while_it_waits_is_not_asked_for_again() -> None:
    session = Session(Following())
    session.take(sent("1", "a/a/80"))
    settle(session, {"a/a/80": WAITS})
    session.take(sent("2", removed=("a/a/80",)))
    assert settle(session, {}) == [Request("2")]


def test_what_the_kernel_refuses_is_every_name_of_the_message_also_those_to_be_removed() -> None:
    """The kernel's words are said once: a message may have thousands of names."""
    session = Session(Following())
    session.take(sent("1", "a/a/80", "b/b/80", removed=("c/c/80",)))
    (nack,) = settle(session, {}, "kernel refused: nft -f - failed:\n  No space left")
    assert nack.error is not None
    assert nack.error.splitlines() == [
        "a/a/80: kernel refused: nft -f - failed: No space left",
        "b/b/80: kernel refused: as a/a/80",
        "c/c/80: kernel refused: as a/a/80",
    ]
    assert settle(session, {}) == [Request(subscribe=("a/a/80", "b/b/80", "c/c/80"))]


def test_one_redirect_that_cannot_be_honoured_leaves_the_others_of_its_message_alone() -> None:
    """One wrong object never harms another; what was asked for before under its name stays."""
    following = Following()
    following.take(sent("1", "bad/bad/80"))
    following.take(Message("2", {"bad/bad/80": ("v2", b"\xff"), "good/good/80": ("v2", body("good/good/80"))}))
    assert {name: asked.version for name, asked in following.asked.items()} == {
        "bad/bad/80": "v1",
        "good/good/80": "v2",
    }
    assert following.refused["bad/bad/80"].startswith("cannot be honoured: Not a nodegate.redirect.v1.ServiceRedirect")
    following.take(sent("3", "bad/bad/80", version="v3"))
    assert not following.refused


def test_a_resource_under_the_name_of_another_one_cannot_be_honoured() -> None:
    following = Following()
    following.take(Message("1", {"a/a/80": ("v1", body("b/b/80"))}))
    assert not following.asked
    assert "inside, its name is 'b/b/80'" in following.refused["a/a/80"]


class Server:
    """What a server that follows redirect.proto and the delta protocol would send, one message at a time."""

    def __init__(self, target: dict[str, str]) -> None:
        self.target = target
        self.told: dict[str, str] = {}
        self.postponed: set[str] = set()
        self._forced: set[str] = set()
        self._open: Message | None = None
        self._nonce = 0

    def hear(self, request: Request) -> None:
        """Take a request in."""
        self._forced |= set(request.subscribe) - {"*"}
        self.told |= request.versions
        if request.nonce:
            assert self._open is not None
            assert request.nonce == self._open.nonce
            self.postponed -= self._open.names
            self.postponed |= {line.partition(": ")[0] for line in (request.error or "").splitlines()}
            self._open = None

    def next(self) -> Message | None:
        """Return a message when something is to be said and nothing is unanswered."""
        if self._open is not None:
            return None
        new = {name for name, version in self.target.items() if self.told.get(name) != version}
        new |= self._forced & self.target.keys()
        gone = (self.told.keys() | self._forced) - self.target.keys()
        self._forced.clear()
        if not new and not gone:
            return None
        self._nonce += 1
        self.told = dict(self.target)
        self._open = Message(
            str(self._nonce), {name: (self.target[name], body(name)) for name in new}, tuple(sorted(gone))
        )
        return self._open


class Scene:
    """One agent, over any number of streams."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.names = [f"ns/web{number}/80" for number in range(5)]
        self.target: dict[str, str] = {}
        self.waiting: set[str] = set()
        self.following = Following()
        self.problems: dict[str, str] = {}
        self.connect()

    def connect(self) -> None:
        """Begin a new stream to a server that knows nothing of the earlier ones."""
        self.server, self.session = Server(self.target), Session(self.following)
        self.server.hear(self.session.opening(self.problems))

    def change(self) -> None:
        """Ask for something else."""
        name = self.chance.choice(self.names)
        self.target.pop(name, None)
        if self.chance.random() < 0.7:
            self.target[name] = f"v{self.chance.randrange(3)}"

    def listeners_change(self) -> None:
        """Let other listeners wait than before."""
        self.waiting = set(self.chance.sample(self.names, self.chance.randint(0, 5)))

    def work(self, refused: str = "") -> None:
        """Let the agent hear what there is to hear, and answer."""
        if said := self.server.next():
            self.session.take(said)
        self.problems = {name: WAITS for name in self.following.asked if name in self.waiting}
        for request in settle(self.session, self.problems, refused):
            self.server.hear(request)


@given(st.integers(0, 2**32))
def test_whatever_happens_the_server_ends_up_knowing_what_is_installed(seed: int) -> None:
    """Changes, broken streams, listeners that come and go, a kernel that refuses: then it is quiet, and all is told."""
    chance = random.Random(seed)
    scene = Scene(chance)
    steps = (scene.change, scene.listeners_change, scene.connect, scene.work, lambda: scene.work("kernel refused: no"))
    for _ in range(chance.randint(0, 30)):
        chance.choice(steps)()
    scene.waiting.clear()
    for _ in range(3):
        scene.work()
    assert scene.server.next() is None
    assert scene.server.told == scene.target
    assert scene.server.postponed == set()
    assert {name: asked.version for name, asked in scene.following.asked.items()} == scene.target
