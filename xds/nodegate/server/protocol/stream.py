"""One ADS stream, of either variant: requests and targets in, responses out. Pure: no socket, no clock, no task.

The caller feeds requests and targets and asks for the next response until there is none; it asks again after every
input, and at ``deadline``. Never a difference between two targets: what is sent is the difference between the target
and what this client holds, so a slow client may skip any number of targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodegate.server.protocol.ledger import Held
from nodegate.server.protocol.ordering import hold_removal, hold_update
from nodegate.server.protocol.request import ClientNode, ProtocolError, Request, Variant
from nodegate.server.protocol.response import Response, encode
from nodegate.server.protocol.type_state import Hold, Plan, Sent, TypeState
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ENDPOINT, SECRET, SEND_ORDER


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What holds for a stream from its start.

    ``identifier`` is the ``control_plane.identifier`` (7). ``hold_limit`` bounds, in seconds, every wait for something
    that may never come. ``secrets`` says whether private keys may travel over this connection (DESIGN 3.8).
    """

    identifier: str = "nodegate"
    hold_limit: float = 15.0
    secrets: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """A client refused a response: which resources are known to be at fault, and its text."""

    type_url: str
    names: tuple[str, ...]
    text: str


class Stream:
    """The state machine of one stream."""

    def __init__(self, variant: Variant, options: StreamOptions | None = None) -> None:
        self.variant = variant
        self.options = options or StreamOptions()
        self.node: ClientNode | None = None
        self.states: dict[str, TypeState] = {}
        self._target: Target | None = None
        self._nonce = 0
        self._now = 0.0

    # --- inputs --------------------------------------------------------------------------------------------------

    def on_request(self, request: Request) -> Refusal | None:
        """Take in a request; return the refusal if it is a NACK of the outstanding response.

        Raises ProtocolError when the first request names no node (1) or the request names no type (2).
        """
        if self.node is None:
            if request.node is None:
                message = "The first request of a stream has to carry the node (xDS protocol, 'node' of the request)."
                raise ProtocolError(message)
            self.node = request.node
        if not request.type_url:
            message = "A request on the aggregated stream has to carry a type_url."
            raise ProtocolError(message)
        state = self._state(request.type_url)
        before = set(state.rejections.rejected)
        text = state.on_request(request)
        if text is None:
            return None
        return Refusal(request.type_url, tuple(sorted(set(state.rejections.rejected) - before)), text)

    def on_target(self, target: Target) -> None:
        """Take in the newest target; those in between may be skipped."""
        old = self._target
        self._target = target
        changed = target.changed_since(old.serial) if old is not None else None
        for type_url, state in self.states.items():
            if changed is None:
                state.on_target(None)
            elif type_url in changed:
                state.on_target(changed[type_url])

    # --- outputs -------------------------------------------------------------------------------------------------

    def next_response(self, now: float) -> Response | None:
        """Return the next response to put on the wire, or None when there is nothing to say yet.

        ``now`` is any clock in seconds that only goes forward. Updates go out in the order of the types, removals in
        reverse and last (40).
        """
        self._now = now
        if self._target is None:
            return None
        removals: list[tuple[TypeState, Plan]] = []
        for state in self._in_order():
            plan = state.plan(self._target, self._gate(state, self._target), now)
            if plan.updates or plan.reply:
                return self._send(state, plan.updates, plan.again)
            if plan.removals:
                removals.append((state, plan))
        if not removals:
            return None
        state, plan = removals[-1]
        return self._send(state, plan.removals)

    def deadline(self) -> float | None:
        """Return the time at which a bounded wait ends, or None when nothing waits that way."""
        return min(
            (
                since + self.options.hold_limit
                for state in self.states.values()
                for hold, since in state.holds.values()
                if hold.bounded and since + self.options.hold_limit > self._now
            ),
            default=None,
        )

    # --- inside --------------------------------------------------------------------------------------------------

    def _state(self, type_url: str) -> TypeState:
        state = self.states.get(type_url)
        if state is None:
            assert self.node is not None  # noqa: S101  # set by the first request
            state = self.states[type_url] = TypeState(type_url, self.variant, self.node.facts)
        return state

    def _in_order(self) -> Iterator[TypeState]:
        for type_url in SEND_ORDER:
            if type_url in self.states:
                yield self.states[type_url]
        for type_url, state in self.states.items():
            if type_url not in SEND_ORDER:
                yield state

    def _gate(self, state: TypeState, target: Target) -> _Gate:
        return _Gate(self, state, target)

    def _send(self, state: TypeState, sent: Sent, again: Iterable[str] = ()) -> Response:
        self._nonce += 1
        nonce = str(self._nonce)
        body = self._body(state, sent)
        removed = [name for name, resource in sent.items() if resource is None]
        outstanding = state.send(nonce, sent, again)
        if state.type_url == CLUSTER:
            self._follow_with_endpoints(sent)
        data = encode(
            self.variant,
            state.type_url,
            version=outstanding.version,
            nonce=nonce,
            body=body,
            removed=removed if self.variant is Variant.DELTA else (),
            identifier=self.options.identifier,
        )
        return Response(state.type_url, nonce, data, len(sent) - len(removed), len(removed))

    def _body(self, state: TypeState, sent: Sent) -> bytes:
        if self.variant is Variant.DELTA:
            return b"".join(resource.delta_entry for resource in sent.values() if resource is not None)
        changed = b"".join(resource.sotw_entry for resource in sent.values() if resource is not None)
        if not state.whole_set:
            return changed
        kept = (state.ledger.get(name) for name in state.ledger.names() if name not in sent)
        return changed + b"".join(held.sotw_entry for held in kept if isinstance(held, Resource))

    def _follow_with_endpoints(self, sent: Sent) -> None:
        """Send the endpoints of every cluster that changed, though they did not: it warms until they come (26)."""
        endpoints = self.states.get(ENDPOINT)
        if endpoints is None:
            return
        for resource in sent.values():
            for type_url, name in resource.refs if resource is not None else ():
                if type_url == ENDPOINT:
                    endpoints.force(name)


class _Gate:
    """Answers for one type of one stream why a name has to wait."""

    __slots__ = ("_state", "_stream", "_target")

    def __init__(self, stream: Stream, state: TypeState, target: Target) -> None:
        self._stream, self._state, self._target = stream, state, target

    def __call__(self, name: str, want: Resource | None, held: Held | None) -> Hold | None:
        stream = self._stream
        if want is None:
            hold = hold_removal(stream.states, self._target, (self._state.type_url, name))
        elif want.type_url == SECRET and not stream.options.secrets:
            hold = Hold("private keys are not sent over this connection", bounded=False)
        else:
            hold = hold_update(stream.states, self._target, want, held)
        return None if hold is not None and self._expired(name, hold) else hold

    def _expired(self, name: str, hold: Hold) -> bool:
        if not hold.bounded or name not in self._state.holds:
            return False
        since = self._state.holds[name][1]
        return self._stream._now - since >= self._stream.options.hold_limit  # noqa: SLF001
