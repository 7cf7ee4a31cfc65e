"""Whatever the order of events: the client ends with what it asked for, and nothing it uses breaks on the way.

Two streams are driven side by side, one of which shares updates with others and one of which does not: their bytes are
the same.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.request import Variant
from nodegate.server.protocol.stream import Stream, StreamOptions
from nodegate.snapshot.resource import Entry, Key, Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.protocol.model import EMPTY, Answer, ModelClient, body, names_in

CLUSTERS, ROUTES, LISTENERS = "abc", ("r1", "r2"), ("l1", "l2")
MOST_RESPONSES = 200
"""More than any input may cause here."""

marks = st.sampled_from(["", "", "", "", "!", "?"])


def made(url: str, name: str, content: str) -> Resource:
    """Return a resource that names what its content says."""
    refs: tuple[Key, ...] = ((ENDPOINT, name),) if url == CLUSTER else ()
    if url in {LISTENER, ROUTE}:
        refs = tuple((ROUTE if url == LISTENER else CLUSTER, one) for one in names_in(content))
    return Resource(url, name, body(name, content), refs=refs, empty=url == ENDPOINT and content == EMPTY)


class Conversation(RuleBasedStateMachine):
    """One client, one server, messages under way in both directions, and a target that changes meanwhile."""

    delta = True
    poison = True

    @initialize(withholds=st.booleans())
    def begin(self, *, withholds: bool) -> None:
        """Start with one route to one cluster."""
        self.complaints: list[str] = []
        self.world: dict[Key, str] = {}
        self.target = Target()
        self.count = 0
        self.now = 0.0
        self.to_client: deque[Answer] = deque()
        self.refused_now: dict[Key, str] = {}
        self.client = ModelClient(delta=self.delta, withholds=withholds, complain=self.complaints.append)
        self._open()
        self._publish({(CLUSTER, "a"): "1", (ENDPOINT, "a"): "1", (ROUTE, "r1"): "1:a", (LISTENER, "l1"): "1:r1"})

    # --- the target ----------------------------------------------------------------------------------------------

    def _label(self, mark: str = "") -> str:
        self.count += 1
        return f"{self.count}{mark if self.poison else ''}"

    @rule(name=st.sampled_from(CLUSTERS), mark=marks)
    def change_cluster(self, name: str, mark: str) -> None:
        """A cluster comes or changes; its endpoints are there."""
        endpoints = self.world.get((ENDPOINT, name), self._label())
        self._publish({(CLUSTER, name): self._label(mark), (ENDPOINT, name): endpoints})

    @rule(name=st.sampled_from(CLUSTERS), empty=st.booleans(), mark=marks)
    def change_endpoints(self, name: str, *, empty: bool, mark: str) -> None:
        """The endpoints of a cluster change, perhaps to none."""
        if (CLUSTER, name) in self.world:
            self._publish({(ENDPOINT, name): EMPTY if empty else self._label(mark)})

    @rule(
        name=st.sampled_from(ROUTES),
        clusters=st.sets(st.sampled_from(CLUSTERS), min_size=1, max_size=2),
        end=st.sampled_from(["keep", "empty", "delete"]),
        mark=marks,
    )
    def move_route(self, name: str, clusters: set[str], end: str, mark: str) -> None:
        """A route moves; what it leaves is kept, emptied or deleted at the same time."""
        changes: dict[Key, str | None] = {(ROUTE, name): f"{self._label(mark)}:{','.join(sorted(clusters))}"}
        for left in set(names_in(self.world.get((ROUTE, name), ""))) - clusters:
            if (CLUSTER, left) in self.world and end == "empty":
                changes[ENDPOINT, left] = EMPTY
            elif end == "delete":
                changes[CLUSTER, left] = changes[ENDPOINT, left] = None
        for cluster in clusters - {name for url, name in self.world if url == CLUSTER}:
            changes[CLUSTER, cluster], changes[ENDPOINT, cluster] = self._label(), self._label()
        self._publish(changes)

    @rule(name=st.sampled_from(ROUTES))
    def delete_route(self, name: str) -> None:
        """A route goes, and the listeners that name it."""
        gone: dict[Key, str | None] = {(ROUTE, name): None}
        gone |= {key: None for key, one in self.world.items() if key[0] == LISTENER and name in names_in(one)}
        self._publish(gone)

    @rule(name=st.sampled_from(LISTENERS), route=st.sampled_from(ROUTES), mark=marks)
    def change_listener(self, name: str, route: str, mark: str) -> None:
        """A listener comes or changes."""
        if (ROUTE, route) in self.world:
            self._publish({(LISTENER, name): f"{self._label(mark)}:{route}"})

    @rule(name=st.sampled_from(LISTENERS))
    def delete_listener(self, name: str) -> None:
        """A listener goes."""
        self._publish({(LISTENER, name): None})

    @rule(name=st.sampled_from(CLUSTERS))
    def delete_cluster(self, name: str) -> None:
        """A cluster goes; routes that lead there make it come back empty, as translation does."""
        self._publish({(CLUSTER, name): None, (ENDPOINT, name): None})

    def _publish(self, changes: dict[Key, str | None]) -> None:
        for key, content in changes.items():
            if content is None:
                self.world.pop(key, None)
            else:
                self.world[key] = content
        entries: dict[Key, Entry | None] = dict.fromkeys(changes)
        for (url, _), content in list(self.world.items()):
            for cluster in names_in(content) if url == ROUTE else ():
                if (CLUSTER, cluster) not in self.world:
                    self.world[CLUSTER, cluster], self.world[ENDPOINT, cluster] = self._label(), EMPTY
                    entries[CLUSTER, cluster] = entries[ENDPOINT, cluster] = None
        for key in entries:
            if key in self.world:
                entries[key] = made(*key, self.world[key])
        self.target = self.target.apply(entries)
        note(f"target {self.world}")
        self._serve()

    # --- the wire ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        variant = Variant.DELTA if self.delta else Variant.SOTW
        self.streams = [Stream(variant, StreamOptions(share=share)) for share in (True, False)]
        self.to_client.clear()
        self.unanswered: dict[str, str] = {}
        self.refused_messages: list[tuple[str, dict[str, str]]] = []

    def _serve(self) -> None:
        for _ in range(MOST_RESPONSES):
            said = []
            for stream in self.streams:
                stream.on_target(self.target)
                said.append(stream.next_response(self.now))
            assert (said[0] and said[0].data) == (said[1] and said[1].data), "sharing changes the bytes"
            response = said[0]
            if response is None:
                return
            assert response.type_url not in self.unanswered, "one response of a type at a time (49)"
            self.unanswered[response.type_url] = response.nonce
            self._check_refused(response.type_url)
            note(f"-> {response.type_url[-12:]} {response.nonce} {response.data!r}")
            self.to_client.append(Answer(response.data, self.target))
        raise AssertionError("the server does not stop talking")

    def _check_refused(self, url: str) -> None:
        state = self.streams[0].states[url]
        assert state.outstanding is not None
        for name, resource in state.outstanding.sent.items():
            if resource is not None:
                content = resource.body.decode().partition("@")[2]
                assert self.refused_now.get((url, name)) != content, f"{name} was refused already (12)"
        sent = {name: one.version for name, one in state.outstanding.sent.items() if one is not None}
        assert not sent or (url, sent) not in self.refused_messages, "this message was refused already (35)"

    @precondition(lambda self: self.to_client)
    @rule()
    def client_reads(self) -> None:
        """The client takes in the next response."""
        self.client.receive(self.to_client.popleft())

    @precondition(lambda self: self.client.requests)
    @rule()
    def server_reads(self) -> None:
        """The server takes in the next request."""
        message = self.client.requests.popleft()
        note(f"<- {message.type_url[-12:]} {message!r}")
        if self.unanswered.get(message.type_url) == message.response_nonce and self._answers(message):
            del self.unanswered[message.type_url]
            if message.HasField("error_detail"):
                self._note_refusal(message.type_url)
        data = message.SerializeToString()
        for stream in self.streams:
            stream.on_request(decode_request(stream.variant, data))
        self._serve()

    def _answers(self, message: Any) -> bool:
        outstanding = self.streams[0].states[message.type_url].outstanding
        assert outstanding is not None
        return self.delta or message.HasField("error_detail") or message.version_info == outstanding.version

    def _note_refusal(self, url: str) -> None:
        outstanding = self.streams[0].states[url].outstanding
        assert outstanding is not None
        sent = {name: one for name, one in outstanding.sent.items() if one is not None}
        self.refused_messages.append((url, {name: one.version for name, one in sent.items()}))

    @rule(count=st.integers(2, 12))
    def both_read(self, count: int) -> None:
        """Several messages arrive."""
        for _ in range(count):
            if self.to_client:
                self.client_reads()
            if self.client.requests:
                self.server_reads()

    @rule()
    def redial(self) -> None:
        """The stream breaks; the client keeps what it holds."""
        self._open()
        self.client.connect()
        self._serve()

    @rule()
    def restart(self) -> None:
        """The client starts anew."""
        self._open()
        self.client.restart()
        self._serve()

    # --- what has to hold ----------------------------------------------------------------------------------------

    @invariant()
    def nothing_in_use_breaks(self) -> None:
        """The client has nothing to complain about."""
        assert not getattr(self, "complaints", [])

    def teardown(self) -> None:
        """When all messages have arrived, and waits are over, the client holds what it asked for."""
        if not hasattr(self, "client"):
            return
        self._settle()
        self.now += 5.0  # a client that comes back may take this long to say all that it holds
        self._serve()
        self._settle(complaints=False)
        if self.poison:
            for _ in range(4):
                self.now += 20.0
                self.client.give_up_warming()
                self._serve()
                self._settle(complaints=False)
        self._check_content()

    def _settle(self, *, complaints: bool = True) -> None:
        for _ in range(1000):
            if not (self.to_client or self.client.requests):
                return
            self.both_read(1)
            assert not (complaints and self.complaints), self.complaints
        raise AssertionError("client and server do not stop talking")

    def _check_content(self) -> None:
        for url, view in self.client.types.items():
            if url in self.streams[0].states and self.streams[0].states[url].stuck_at:
                continue  # refused without a reason by a client whose earlier set is unknown: it keeps that
            wanted = {name for kind, name in self.world if kind == url}
            if url in {ENDPOINT, ROUTE}:
                wanted &= view.names
            kept = self._kept(url)
            for name in wanted - kept if not self._refuses_a_user() else ():
                content = self.world[url, name]
                if content.partition(":")[0][-1] not in "!?":
                    assert view.held.get(name) == content, f"{url} {name}: {view.held.get(name)}, not {content}"
            if url in {CLUSTER, LISTENER} or self.delta:
                left = view.held.keys() - wanted - kept
                if not self.delta and any(kind == url for kind, _, _ in self.client.refused):
                    continue  # a set that was refused did not say what is gone either
                assert not left or self._refuses_a_user(), f"{url} {left} are gone, but not for the client"
        assert not self.client.warming

    def _refuses_a_user(self) -> bool:
        """Return whether the client keeps a listener or route whose successor it refused: that may name anything."""
        return any((url, name) in self.world for url, name, _ in self.client.refused if url in {LISTENER, ROUTE})

    def _kept(self, url: str) -> set[str]:
        """Return the names that are kept because something that the client holds, and did not give up, names them."""
        if not self.client.refused:
            return set()
        naming = self.client.types[LISTENER if url == ROUTE else ROUTE].held.values()
        return {name for content in naming for name in names_in(content)} if url != LISTENER else set()


class ContentDelta(Conversation):
    """Delta, and a client that refuses nothing: it waits for nothing (xds-protocol 42, 40, 37, 49)."""

    poison = False


class RefusingDelta(Conversation):
    """Delta, and a client that refuses some content, by name or not (xds-protocol 35, 12)."""


class ContentSotw(Conversation):
    """State of the world, and a client that refuses nothing (xds-protocol 42, 40, 16, 49)."""

    delta = False
    poison = False


class RefusingSotw(Conversation):
    """State of the world, and a client that refuses some content (xds-protocol 35, 12)."""

    delta = False


FULL = settings().max_examples > 1000
"""Whether this is ``make test-full``; else the same examples each time, and fewer."""


def case(machine: type[Conversation]) -> Any:
    """Return the test of a conversation."""
    test = machine.TestCase
    test.settings = settings(
        max_examples=settings().max_examples if FULL else min(40, settings().max_examples),
        stateful_step_count=40,
        derandomize=not FULL,
    )
    test.pytestmark = [  # type: ignore[attr-defined]  # pytest's, on any class
        pytest.mark.slow,
        pytest.mark.timeout(1800 if FULL else 120),
    ]
    return test


TestContentDelta = case(ContentDelta)
TestRefusingDelta = case(RefusingDelta)
TestContentSotw = case(ContentSotw)
TestRefusingSotw = case(RefusingSotw)
