"""One resource type on one stream: what is asked for, held, rejected, in flight, and still to be looked at.

Work is in the number of names to look at (``dirty``), never in the number of all names (DESIGN 2, cost).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from nodegate.server.protocol.ledger import Held, Ledger, Reported
from nodegate.server.protocol.rejection import Rejections
from nodegate.server.protocol.request import Request, Variant
from nodegate.server.protocol.subscription import Edit, Subscription
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Resource
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, LISTENER, SECRET

IMPLICIT_WILDCARD = frozenset({LISTENER, CLUSTER})
"""Types whose empty first request means everything (21, 33)."""

SILENT_WHEN_MISSING = frozenset({SECRET, "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"})
"""Types of which a missing or deleted resource is never reported: Envoy would reject that or cut traffic (51, 52)."""

Sent = Mapping[str, Resource | None]
"""What a response does: name -> the resource it carries, or None where it says that there is none."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a name has to wait. A ``bounded`` wait ends by itself after the stream's limit."""

    reason: str
    bounded: bool


@dataclass(frozen=True, slots=True)
class Outstanding:
    """The one response of a type that the client has not answered yet (49)."""

    nonce: str
    version: str
    sent: Sent


@dataclass(slots=True)
class Counters:
    """What happened on one type of one stream, for people."""

    sent: int = 0
    acked: int = 0
    nacked: int = 0
    sent_version: str = ""
    acked_version: str = ""
    last_nack: str = ""


@dataclass(slots=True)
class Plan:
    """What could be sent now: ``updates`` in sending order of the types, ``removals`` in reverse, last (40)."""

    updates: dict[str, Resource | None] = field(default_factory=dict)
    removals: dict[str, Resource | None] = field(default_factory=dict)
    reply: bool = False
    again: set[str] = field(default_factory=set)
    """Names answered with what the client holds already, to be looked at again."""

    def __bool__(self) -> bool:
        """Return whether there is anything to send."""
        return bool(self.updates or self.removals or self.reply)


Gate = Callable[[str, Resource | None, Held | None], Hold | None]
"""Asked with a name, what should be sent (None: its removal) and what is held; says why it has to wait, if so."""


class TypeState:
    """The state machine of one type. ``Stream`` drives it and supplies the waits between types."""

    def __init__(self, type_url: str, variant: Variant, facts: NodeFacts) -> None:
        self.type_url = type_url
        self.subscription = Subscription(may_be_implicit=type_url in IMPLICIT_WILDCARD)
        self.ledger = Ledger(facts)
        self.rejections = Rejections()
        self.outstanding: Outstanding | None = None
        self.counters = Counters()
        self.holds: dict[str, tuple[Hold, float]] = {}
        self.resumed = False
        """Whether the client reported resources of an earlier stream."""
        self.whole_set = variant is Variant.SOTW and type_url in IMPLICIT_WILDCARD
        """Whether every response carries all resources, and absence deletes (16)."""
        self._says_removed = variant is Variant.DELTA
        self._variant = variant
        self._facts = facts
        self._first = True
        self._dirty: set[str] = set()
        self._forced: set[str] = set()
        self._reply = False
        self._everything = False
        self._uncertain: set[str] = set()  # refused names that the client may hold all the same (35)
        self._lingering: set[str] = set()  # gone from the target, but the variant cannot say so (17)

    # --- requests ------------------------------------------------------------------------------------------------

    def on_request(self, request: Request) -> str | None:
        """Take in one request of this type; return the client's text if it refused the outstanding response."""
        first, self._first = self._first, False
        refused = None if first else self._settle(request)
        if self._variant is Variant.SOTW:
            edit = self.subscription.replace(request.names)
        else:
            edit = self.subscription.edit(request.subscribe, request.unsubscribe)
        if first and request.initial_versions:
            self._resume(request.initial_versions)
        self._apply(edit)
        if first and self.subscription.wildcard:
            self._reply = True  # even when there is nothing (9, 36)
        return refused

    def _settle(self, request: Request) -> str | None:
        """Take the request as the answer to the outstanding response, if it is one (10-14, 34)."""
        outstanding = self.outstanding
        if outstanding is None or request.nonce != outstanding.nonce:
            return None
        if request.error is not None:
            self.outstanding = None
            self._refuse(outstanding, request.error)
            return request.error
        if self._variant is Variant.DELTA or request.version == outstanding.version:
            self.outstanding = None
            self._acknowledge(outstanding)
        return None

    def _acknowledge(self, outstanding: Outstanding) -> None:
        self.counters.acked += 1
        self.counters.acked_version = outstanding.version
        for name, resource in outstanding.sent.items():
            if not self.subscription.wants(name):
                continue
            self.ledger.put(name, resource)
            self._uncertain.discard(name)
            if resource is not None:
                self.rejections.accept(name)

    def _refuse(self, outstanding: Outstanding, text: str) -> None:
        self.counters.nacked += 1
        self.counters.last_nack = text
        versions = {name: resource.version for name, resource in outstanding.sent.items() if resource is not None}
        guilty = self.rejections.refuse(versions, text)
        for name, resource in outstanding.sent.items():
            if resource is None:  # a removal is never at fault; sending it again could go on for ever
                self.ledger.put(name, None)
            elif name in guilty:
                self._uncertain.add(name)
            else:
                self._forced.add(name)  # whether it was applied is unknown (35)
        self._dirty.update(versions)

    def _resume(self, versions: Mapping[str, str]) -> None:
        self.resumed = True
        for name, version in versions.items():
            self.ledger.put(name, Reported(name, version))
        self._dirty.update(versions)

    def _apply(self, edit: Edit) -> None:
        for name in edit.dropped:
            self._forget(name)
        if edit.look_again and not self.subscription.wildcard:
            for name in [name for name in self.ledger.names() if not self.subscription.wants(name)]:
                self._forget(name)
        self._dirty.update(edit.answer)
        self._forced.update(edit.answer)
        if edit.answer_all:
            self._forced.update(self.ledger.names())
            self._reply = True
        if edit.look_again or edit.answer_all:
            self._everything = True
            self._reply = self._reply or self.subscription.wildcard

    def _forget(self, name: str) -> None:
        self.ledger.put(name, None)
        self.rejections.accept(name)
        for names in (self._dirty, self._forced, self._uncertain, self._lingering):
            names.discard(name)
        self.holds.pop(name, None)

    # --- the target ----------------------------------------------------------------------------------------------

    def on_target(self, changed: frozenset[str] | None) -> None:
        """Note that these names changed in the target; None means that any may have."""
        if changed is None:
            self._everything = True
        elif self.subscription.wildcard:
            self._dirty |= changed
        else:
            self._dirty |= changed & self.subscription.names

    def force(self, name: str) -> None:
        """Send this name again whatever the client holds, if it is subscribed to it."""
        if self.subscription.wants(name):
            self._dirty.add(name)
            self._forced.add(name)

    def unsettled(self) -> Iterable[str]:
        """Return the names of which the client may hold something else than the target says."""
        sent = self.outstanding.sent if self.outstanding else {}
        return {*self._dirty, *sent, *self.rejections.rejected, *self._lingering}

    def may_hold(self, name: str) -> tuple[Held, ...]:
        """Return everything the client may hold under this name: acknowledged, refused or in flight."""
        sent = self.outstanding.sent.get(name) if self.outstanding else None
        return tuple(held for held in (self._held(name), sent) if held is not None)

    def settled(self, name: str) -> bool:
        """Return whether the client has this name for good, or has refused it for good."""
        if name in self.rejections.rejected:
            return True
        going = self.outstanding is not None and self.outstanding.sent.get(name, self) is None
        return self.ledger.get(name) is not None and not going

    def _held(self, name: str) -> Held | None:
        held = self.ledger.get(name)
        return Reported(name, "") if held is None and name in self._uncertain else held

    # --- planning ------------------------------------------------------------------------------------------------

    def plan(self, target: Target, gate: Gate, now: float) -> Plan:
        """Return what could be sent now. Names that need nothing are looked at no more; those that wait stay."""
        plan = Plan()
        if self.outstanding is not None:
            return plan
        if self._everything:
            self._everything = False
            self._dirty.update(self.subscription.names, self.ledger.names())
            if self.subscription.wildcard:
                self._dirty.update(target.of_type(self.type_url))
        for name in self._candidates(target):
            self._decide(name, target, gate, plan, now)
        plan.reply = self._reply
        if not plan and not self._dirty and self.subscription.wildcard and not self._has_exceptions():
            self.ledger.share(target.of_type(self.type_url))
        return plan

    def _candidates(self, target: Target) -> list[str]:
        """Return the names to look at: those on trial alone, or all that are dirty."""
        while trial := self.rejections.trial:
            for name, version in list(trial.items()):
                entry = target.get(self.type_url, name)
                if entry is None or entry.resolve(self._facts).version != version:
                    self.rejections.accept(name)  # its content changed: it is no suspect any more
            if trial:
                return sorted(trial)
        return sorted(self._dirty)

    def _decide(self, name: str, target: Target, gate: Gate, plan: Plan, now: float) -> None:
        entry = target.get(self.type_url, name) if self.subscription.wants(name) else None
        if entry is None:
            self._decide_absent(name, gate, plan, now)
            return
        want, held = entry.resolve(self._facts), self._held(name)
        forced = name in self._forced
        if self.rejections.withholds(name, want.version):
            self._keep_old(name, forced=forced, plan=plan)
        elif held is not None and want.version == held.version and not forced:
            self._confirm(name, want, held)
        elif not self._waits(name, gate(name, want, held), now):
            plan.updates[name] = want
        elif forced and isinstance(held, Resource):
            plan.updates[name] = held  # the client asked; what it should have then comes when it may
            plan.again.add(name)

    def _decide_absent(self, name: str, gate: Gate, plan: Plan, now: float) -> None:
        """Decide on a name that the target does not have."""
        held, silent = self._held(name), self.type_url in SILENT_WHEN_MISSING
        self.rejections.accept(name)  # what was refused is gone
        if held is None:
            if name in self._forced and self._says_removed and not silent:
                plan.updates[name] = None  # subscribed to, but there is none (29)
            else:
                self._done(name)
        elif silent or not (self._says_removed or self.whole_set):
            self._lingering.add(name)
            self._done(name)
        elif not self._waits(name, gate(name, None, held), now):
            plan.removals[name] = None
        elif name in self._forced and isinstance(held, Resource):
            plan.updates[name] = held
            plan.again.add(name)

    def _keep_old(self, name: str, *, forced: bool, plan: Plan) -> None:
        """Leave the client what it holds, because it refused the target's content; answer with that if it asks."""
        held = self.ledger.get(name)
        if not forced or not (isinstance(held, Resource) or self._says_removed):
            self._done(name)
        else:
            plan.updates[name] = held if isinstance(held, Resource) else None

    def _confirm(self, name: str, want: Resource, held: Held) -> None:
        if isinstance(held, Reported):
            self.ledger.put(name, want)  # the same content, so now we know what it names
        self.rejections.accept(name)
        self._done(name)

    def _done(self, name: str) -> None:
        self._dirty.discard(name)
        self._forced.discard(name)
        self.holds.pop(name, None)

    def _waits(self, name: str, hold: Hold | None, now: float) -> bool:
        if hold is None:
            return False
        since = self.holds[name][1] if name in self.holds else now
        self.holds[name] = (hold, since)
        return True

    def _has_exceptions(self) -> bool:
        return bool(self.rejections.rejected or self.rejections.trial or self._uncertain)

    # --- sending -------------------------------------------------------------------------------------------------

    def send(self, nonce: str, sent: Sent, again: Iterable[str] = ()) -> Outstanding:
        """Note that a response with this content goes out under this nonce; ``again`` is to be looked at once more."""
        digest = self.ledger.digest
        for name, resource in sent.items():
            held = self.ledger.get(name)
            digest += (resource.digest if resource else 0) - (held.digest if held else 0)
            self._lingering.discard(name)
            self._forced.discard(name)
            if name not in again:
                self._done(name)
        self._reply = False
        self.outstanding = Outstanding(nonce, f"{digest % (1 << 128):032x}", sent)
        self.counters.sent += 1
        self.counters.sent_version = self.outstanding.version
        return self.outstanding
