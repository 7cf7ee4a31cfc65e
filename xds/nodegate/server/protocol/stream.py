"""One ADS stream, of either variant: requests and targets in, responses out. Pure: no socket, no clock, no task.

The caller feeds requests and targets and asks for the next response until there is none; it asks again after every
input, and at ``deadline``. Never a difference between two targets: what is sent is the difference between the target
and what this client holds, so a slow client may skip any number of targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from nodegate.server.protocol.exchange import Outstanding, Sent
from nodegate.server.protocol.heartbeat import Heartbeat
from nodegate.server.protocol.ordering import Patience, Waits
from nodegate.server.protocol.planning import Plan, look, plan_removals, plan_updates
from nodegate.server.protocol.request import ClientNode, ProtocolError, Request, Variant
from nodegate.server.protocol.response import WRAPPING_FEATURES, Framing, Response, encode
from nodegate.server.protocol.type_state import TypeState
from nodegate.server.protocol.withdrawal import Departures, Withdrawals
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, SEND_ORDER

_MOST_TYPES = 50
"""How many types one stream may ask for, many more than there are: each is looked at with every change."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What holds for a stream from its start.

    ``identifier`` is the ``control_plane.identifier`` (7). ``hold_limit`` bounds, in seconds, every wait for something
    that may never come. ``secrets`` says whether private keys may travel over this connection (DESIGN 3.8). ``ttl``,
    in seconds, lets what was sent expire on a client that has lost us; None: nothing expires (50). ``share`` lets
    streams that need the same update share it; the bytes are the same without.
    """

    identifier: str = "nodegate"
    hold_limit: float = 15.0
    secrets: bool = True
    ttl: float | None = None
    share: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """A client refused a response: which resources are known to be at fault, and its text."""

    type_url: str
    names: tuple[str, ...]
    text: str
    resources: tuple[Resource, ...] = ()


class Stream:
    """The state machine of one stream."""

    def __init__(
        self, variant: Variant, options: StreamOptions | None = None, withdrawals: Withdrawals | None = None
    ) -> None:
        """Start a stream. ``withdrawals`` is shared by the streams of a replica; None: nothing has redirects."""
        self.variant = variant
        self.options = options or StreamOptions()
        self.node: ClientNode | None = None
        self.states: dict[str, TypeState] = {}
        self._ordered: list[TypeState] = []
        self._target: Target | None = None
        self._framing = Framing(variant)
        self._heartbeat: Heartbeat | None = None
        self._patience = Patience(self.options.hold_limit)
        self._withdrawals = withdrawals if withdrawals is not None else Withdrawals(0.0)
        self._departures = Departures(self._withdrawals)
        self._nonce = 0
        self._now = 0.0

    # --- inputs --------------------------------------------------------------------------------------------------

    def on_request(self, request: Request) -> Refusal | None:
        """Take in a request; return the refusal if it is a NACK of the outstanding response.

        Raises ProtocolError when the first request names no node (1), the request names no type (2), or one type too
        many.
        """
        if not request.type_url:
            message = "A request on the aggregated stream has to carry a type_url."
            raise ProtocolError(message)
        if self.node is None:
            if request.node is None:
                message = "The first request of a stream has to carry the node (xDS protocol, 'node' of the request)."
                raise ProtocolError(message)
            self._greet(request.node)
        state = self._state(request.type_url)
        repeated, edits = state.repeats(request), state.subscription.edits
        refused = state.on_request(request)
        if repeated and edits == state.subscription.edits and self._is_endpoints_alone(state):
            state.answer_all()
        acknowledged, state.acknowledged = state.acknowledged, None  # it may be large, and the next may be far away
        if state.type_url == ENDPOINT and acknowledged is not None:
            self._warm(acknowledged)
        if refused is None:
            return None
        return Refusal(state.type_url, tuple(one.name for one in refused.guilty), refused.text, refused.guilty)

    def on_target(self, target: Target) -> None:
        """Take in the newest target; those in between may be skipped."""
        old, self._target = self._target, target
        if target is old:
            return
        changed = target.changed_since(old.serial) if old is not None else None
        for type_url, state in self.states.items():
            if changed is None or type_url in changed:
                state.on_target(changed[type_url] if changed is not None else None)
        for name in self._patience.awaited():
            if changed is None or name in changed.get(CLUSTER, ()):
                self._patience.forget(name)

    # --- outputs -------------------------------------------------------------------------------------------------

    def next_response(self, now: float) -> Response | None:
        """Return the next response to put on the wire, or None when there is nothing to say yet.

        ``now`` is any clock in seconds that only goes forward. Updates go out in the order of the types, removals in
        reverse and last (40).
        """
        self._now = now
        target = self._target
        if target is None:
            return None
        self._patience.begin(now)
        self._withdrawals.on_target(target, now)
        share = self.options.share
        busy = [state for state in self._ordered if look(state, target, self._framing, share=share)]
        while busy:
            unsettled = _unsettled(self._ordered)
            if response := self._next_update(busy, target) or self._next_removal(busy, target):
                return response
            if _unsettled(self._ordered) == unsettled:
                break
        return self._next_heartbeat()

    def deadline(self) -> float | None:
        """Return the time at which a bounded wait ends or a heartbeat is due, or None when nothing waits that way."""
        ends = [
            hold.until
            for state in self._ordered
            for hold, _ in state.agenda.holds.values()
            if hold.until is not None and hold.until > self._now
        ]
        if self._heartbeat is not None:
            ends.extend(self._heartbeat.due(self._ordered))
        return min(ends) if ends else None

    def _next_update(self, states: Sequence[TypeState], target: Target) -> Response | None:
        waits = self._waits(target)
        for state in states:
            if plan := plan_updates(state, target, waits, self._now):
                return self._send(state, plan)
        return None

    def _next_removal(self, states: Sequence[TypeState], target: Target) -> Response | None:
        waits = self._waits(target)
        for state in reversed(states):
            if gone := plan_removals(state, target, waits, self._now):
                return self._send(state, Plan(gone))
        return None

    # --- inside --------------------------------------------------------------------------------------------------

    def _greet(self, node: ClientNode) -> None:
        self.node = node
        ttl = self.options.ttl
        if ttl is not None and (self.variant is Variant.DELTA or node.features >= WRAPPING_FEATURES):
            self._framing = Framing(self.variant, ttl)
            self._heartbeat = Heartbeat(self._framing, ttl)

    def _state(self, type_url: str) -> TypeState:
        state = self.states.get(type_url)
        if state is None:
            if len(self.states) >= _MOST_TYPES:
                message = f"A stream may ask for {_MOST_TYPES} types; this one asks for more."
                raise ProtocolError(message)
            assert self.node is not None  # noqa: S101  # set by the first request
            state = self.states[type_url] = TypeState(type_url, self.variant, self.node.facts)
            self._ordered = sorted(self.states.values(), key=lambda one: _place(one.type_url))
        return state

    def _is_endpoints_alone(self, state: TypeState) -> bool:
        """Return whether clusters come on another stream; on this one, their endpoints follow them unasked (26)."""
        return state.type_url == ENDPOINT and CLUSTER not in self.states

    def _warm(self, endpoints: Outstanding) -> None:
        """Note that clusters are in use: the client took in their endpoints after them, which ends their warming.

        The acknowledgement of the clusters themselves waits until the last of them is warm (42). Without this, one
        that warms with what must not be sent before the routes left it would hold back the routes.
        """
        clusters = self.states.get(CLUSTER)
        sent = clusters.outstanding if clusters is not None else None
        if clusters is not None and sent is not None and int(endpoints.nonce) > int(sent.nonce):
            clusters.warm.update(name for name in endpoints.sent if sent.sent.get(name) is not None)

    def _waits(self, target: Target) -> Waits:
        return Waits(self.states, target, self._patience, self._now, self.options.secrets, self._departures)

    def _send(self, state: TypeState, plan: Plan) -> Response:
        sent, shared = plan.updates, plan.shared
        parts = shared.parts if shared is not None else self._parts(state, sent)
        removed = [name for name, resource in sent.items() if resource is None] if shared is None else []
        outstanding = state.send(self._next_nonce(), sent, shared)
        if state.type_url == CLUSTER:
            self._follow_with_endpoints(sent)
        if self._heartbeat is not None:
            self._heartbeat.began(state, self._now)
        return self._response(state, outstanding.version, outstanding.nonce, parts, removed)

    def _response(
        self, state: TypeState, version: str, nonce: str, parts: Iterable[bytes], removed: Iterable[str] = ()
    ) -> Response:
        data = encode(
            self.variant,
            state.type_url,
            version=version,
            nonce=nonce,
            parts=parts,
            removed=removed if self.variant is Variant.DELTA else (),
            identifier=self.options.identifier,
        )
        return Response(state.type_url, nonce, data)

    def _next_nonce(self) -> str:
        self._nonce += 1
        return str(self._nonce)

    def _parts(self, state: TypeState, sent: Sent) -> list[bytes]:
        """Return the entries of what is sent, and of what a whole set has beside it."""
        names = sorted(state.ledger.names()) if state.whole_set else ()
        kept = (state.ledger.get(name) for name in names if name not in sent)
        return [self._framing.entry(one) for one in chain(sent.values(), kept) if isinstance(one, Resource)]

    def _follow_with_endpoints(self, sent: Sent) -> None:
        """Send the endpoints of every cluster that changed, though they did not: it warms until they come (26)."""
        endpoints = self.states.get(ENDPOINT)
        if endpoints is not None:
            named = (ref for resource in sent.values() if resource is not None for ref in resource.refs)
            endpoints.force(name for type_url, name in named if type_url == ENDPOINT)

    def _next_heartbeat(self) -> Response | None:
        if self._heartbeat is None:
            return None
        for state in self._ordered:
            if beat := self._heartbeat.next(state, self._now):
                return self._response(state, beat.version, self._next_nonce(), (beat.body,))
        return None


def _place(type_url: str) -> int:
    """Return when a type's turn is: in the order of DESIGN 2.4, then any other as they were asked for."""
    return SEND_ORDER.index(type_url) if type_url in SEND_ORDER else len(SEND_ORDER)


def _unsettled(states: Iterable[TypeState]) -> int:
    """Return how many names are to be looked at: fewer after a look mean that others may go on."""
    count = 0
    for state in states:
        count += len(state.agenda.dirty) + len(state.agenda.leaving)
    return count
