"""One resource type on one stream: what is asked for, held, rejected, in flight, and still to be looked at.

This is what requests and targets do to it. What is sent is decided in ``planning``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nodegate.server.protocol.agenda import Agenda, Hold
from nodegate.server.protocol.exchange import Counters, Outstanding, Refused, Sent
from nodegate.server.protocol.ledger import EMPTY, UNKNOWN, Held, Ledger
from nodegate.server.protocol.postponement import POSTPONED_BY_NACK, Postponement, words_by_name
from nodegate.server.protocol.rejection import Rejections
from nodegate.server.protocol.request import Request, Variant
from nodegate.server.protocol.shared import SharedUpdate
from nodegate.server.protocol.subscription import Edit, Subscription
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry, Resource, set_version
from nodegate.snapshot.type_urls import CLUSTER, LISTENER, SECRET

IMPLICIT_WILDCARD = frozenset({LISTENER, CLUSTER})
"""Types whose empty first request means everything (21, 33)."""

SILENT_WHEN_MISSING = frozenset({SECRET, "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"})
"""Types of which a missing or deleted resource is never reported: Envoy would reject that or cut traffic (51, 52)."""


class TypeState:
    """The state machine of one type. ``Stream`` drives it; ``planning`` decides what it sends."""

    def __init__(self, type_url: str, variant: Variant, facts: NodeFacts) -> None:
        self.type_url = type_url
        self.variant = variant
        self.facts = facts
        self.subscription = Subscription(
            may_be_implicit=type_url in IMPLICIT_WILDCARD, may_be_wildcard=type_url != SECRET
        )
        self.ledger = Ledger(facts)
        self.rejections = Rejections()
        self.postponed: dict[str, Postponement] = {}
        """What an agent has not installed yet, of the types of which a NACK says only that."""
        self.agenda = Agenda()
        self.outstanding: Outstanding | None = None
        self.pending: SharedUpdate | None = None
        """What could be sent now, as many other streams are sent it; made anew for each look at the target."""
        self.refused: dict[str, Resource] = {}
        """Content of refused responses that the client may hold all the same, until it acknowledges another (35)."""
        self.acknowledged: Outstanding | None = None
        """The response that the latest request acknowledged, if it did, until ``Stream`` has looked at it."""
        self.warm: set[str] = set()
        """Clusters of the outstanding response that are in use already, though it is not acknowledged."""
        self.counters = Counters()
        self.resumed = False
        """Whether the client said that it holds something from an earlier stream."""
        self.reported: Mapping[str, str] = {}
        """What it said so of, name -> version, until that is taken in (``resumption``)."""
        self.stuck_at: set[int] = set()
        """The digests of whole sets that the client refused without a reason, and that could not be halved."""
        self.whole_set = variant is Variant.SOTW and type_url in IMPLICIT_WILDCARD
        """Whether every response carries all resources, and absence deletes (16)."""
        self.says_removed = variant is Variant.DELTA and type_url not in SILENT_WHEN_MISSING
        """Whether a response names what does not exist (29, 51, 52)."""
        self._first = True
        self._answered = ""

    @property
    def holds(self) -> Mapping[str, tuple[Hold, float]]:
        """What has to wait: name -> why, and since when."""
        return self.agenda.holds

    @property
    def has_answered(self) -> bool:
        """Whether the client has answered a response of this stream, and so taken in what it is to hold."""
        return bool(self.counters.acked or self.counters.nacked)

    # --- requests ------------------------------------------------------------------------------------------------

    def on_request(self, request: Request) -> Refused | None:
        """Take in one request of this type; return the refusal if it is a NACK of the outstanding response."""
        first, self._first = self._first, False
        if first:
            self._start(request)
        refused = None if first else self._settle(request)
        if self.variant is Variant.SOTW:
            edit = self.subscription.replace(request.names)
        else:
            edit = self.subscription.edit(request.subscribe, request.unsubscribe)
        if edit:
            self._apply(edit)
        return refused

    def repeats(self, request: Request) -> bool:
        """Return whether a state-of-the-world request has the nonce of a response that was acknowledged already.

        With the same names too, the client asks for them again: a cluster of theirs changed on another stream (26).
        """
        return (
            self.variant is Variant.SOTW
            and self.outstanding is None
            and request.error is None
            and request.nonce != ""
            and request.nonce == self._answered
            and request.version == self.counters.acked_version
        )

    def answer_all(self) -> None:
        """Send everything that is asked for, whatever the client holds."""
        self.agenda.answer(self.subscription.names)
        if self.subscription.wildcard:
            self.agenda.answer(self.ledger.names())
            self.agenda.everything = self.agenda.reply = True

    def _start(self, request: Request) -> None:
        """Take in what only the first request of a type says; its nonce means nothing (4)."""
        self.reported = request.initial_versions
        self.resumed = bool(request.initial_versions) or request.version != ""
        if self.resumed and self.variant is Variant.SOTW:
            # The version of the set says little about the names in it: they are held, in whatever content.
            self.reported = dict.fromkeys(request.names, UNKNOWN)

    def _settle(self, request: Request) -> Refused | None:
        """Take the request as the answer to the outstanding response, if it is one (10-14, 34)."""
        outstanding = self.outstanding
        if outstanding is None or request.nonce != outstanding.nonce:
            return None
        if request.error is not None:
            self.outstanding = None
            return self._refuse(outstanding, request.error)
        if self.variant is Variant.DELTA or request.version == outstanding.version:
            self.outstanding = None
            self._answered = outstanding.nonce
            self.acknowledged = outstanding
            self._acknowledge(outstanding)
        return None

    def _acknowledge(self, outstanding: Outstanding) -> None:
        self.counters.acked += 1
        self.counters.acked_version = outstanding.version
        self.stuck_at.clear()
        shared = outstanding.shared
        if shared and self._is_plain and outstanding.edits == self.subscription.edits and self._take_over(shared):
            return
        for name, resource in outstanding.sent.items():
            self._take(name, resource)

    def _take(self, name: str, resource: Resource | None) -> None:
        """Note that the client took this, or that there is nothing under the name."""
        if not self.subscription.wants(name):
            return
        self.ledger.put(name, resource)
        self.refused.pop(name, None)
        self.postponed.pop(name, None)
        if resource is not None:
            self.rejections.accept(name, resource.version)

    def _take_over(self, shared: SharedUpdate) -> bool:
        """Hold a whole update by reference; return whether that could be done."""
        if shared.mapping is not None and shared.base is self.ledger.base:
            self.ledger.adopt(shared.mapping, shared.serial, self.ledger.digest + shared.digest)
            if not self.subscription.wildcard and (self.subscription.names.base or EMPTY) is shared.base:
                self.subscription.names.share(shared.mapping, shared.sent)
        return shared.mapping is self.ledger.base

    @property
    def _is_plain(self) -> bool:
        return not (self.ledger.own or self.refused or self.postponed or self.rejections)

    def _refuse(self, outstanding: Outstanding, text: str) -> Refused:
        self.counters.nacked += 1
        self.counters.last_nack = text
        if self.type_url in POSTPONED_BY_NACK:
            return self._postpone(outstanding, text)
        carried = {name: one for name, one in outstanding.sent.items() if one is not None}
        # Without what it held before, half a set would take from a state-of-the-world client what it still serves.
        may_halve = not (self.whole_set and self.resumed and not self.counters.acked)
        versions = {name: resource.version for name, resource in carried.items()}
        guilty = self.rejections.refuse(versions, text, may_halve=may_halve)
        if not guilty and not may_halve:
            self.stuck_at.add(sum(resource.digest for resource in carried.values()))
        wanted = {name: one for name, one in carried.items() if self.subscription.wants(name)}
        self.refused.update(wanted)
        self.agenda.look_at(wanted)
        # Whether the rest was applied is unknown, so it goes out again (35).
        self.agenda.answer(wanted.keys() - guilty)
        for name in outstanding.sent.keys() - carried.keys():
            self._refuse_absence(name, alone=not carried)
        return Refused(text, tuple(carried[name] for name in sorted(guilty)))

    def _postpone(self, outstanding: Outstanding, text: str) -> Refused:
        """Note what an agent has not installed yet; what its text does not name is done."""
        waiting = words_by_name(text, outstanding.sent)
        for name, resource in outstanding.sent.items():
            if name in waiting:
                self.postponed[name] = Postponement(resource.version if resource else None, waiting[name])
                if resource is not None:
                    self.refused[name] = resource
            else:
                self._take(name, resource)
        return Refused(text, ())

    def postpones(self, name: str, version: str | None) -> bool:
        """Return whether the agent was sent this very content and has not installed it yet: it will ask for it."""
        postponement = self.postponed.get(name)
        return postponement is not None and postponement.version == version

    def _refuse_absence(self, name: str, *, alone: bool) -> None:
        """Say again that a name is gone, unless that alone was refused: then it could go on for ever."""
        if alone or not self.subscription.wants(name):
            self.ledger.put(name, None)
            self.refused.pop(name, None)
        else:
            self.agenda.answer((name,))

    def _apply(self, edit: Edit) -> None:
        subscription, agenda = self.subscription, self.agenda
        for name in edit.dropped:
            self._forget(name)
        if edit.look_again and not subscription.wildcard:
            for name in [name for name in (*self.ledger.names(), *self.refused) if not subscription.wants(name)]:
                self._forget(name)
        agenda.answer(edit.answer)
        if edit.look_again and subscription.wildcard:
            agenda.everything = True
            # Even when there is nothing (9, 36); elsewhere an empty state of the world says nothing (17).
            agenda.reply = self.whole_set or self.variant is Variant.DELTA
        if edit.answer_all:
            self.answer_all()

    def _forget(self, name: str) -> None:
        self.ledger.put(name, None)
        self.refused.pop(name, None)
        self.postponed.pop(name, None)
        self.agenda.forget(name)

    # --- the target ----------------------------------------------------------------------------------------------

    def on_target(self, changed: frozenset[str] | None) -> None:
        """Note that these names changed in the target; None means that any may have."""
        if changed is None:
            self.agenda.everything = True
        else:
            self.agenda.news.append(changed)

    def force(self, names: Iterable[str]) -> None:
        """Send these names again whatever the client holds, those of them that it is subscribed to."""
        self.agenda.answer([name for name in names if self.subscription.wants(name)])

    # --- what the client may hold --------------------------------------------------------------------------------

    def unsettled(self) -> set[str]:
        """Return the names of which the client may hold something else than the target says."""
        names = {*self.agenda.dirty, *self.agenda.leaving, *self.refused, *self.rejections.rejected}
        names.update(*self.agenda.news)
        if self.outstanding is not None:
            names.update(self.outstanding.sent)
        return names

    def may_hold(self, name: str) -> tuple[Held, ...]:
        """Return everything the client may hold under this name: acknowledged, refused or in flight."""
        sent = self.outstanding.sent.get(name) if self.outstanding else None
        return tuple(held for held in (self.ledger.get(name), self.refused.get(name), sent) if held is not None)

    def is_at(self, mapping: Mapping[str, Entry]) -> bool:
        """Return whether the client has acknowledged this very mapping of the target; a False may be too careful."""
        return self.outstanding is None and not self.ledger.own and self.ledger.base is mapping

    def settled(self, name: str) -> bool:
        """Return whether the client has this name for good, or has refused it for good."""
        if name in self.rejections.rejected or name in self.warm:
            return True
        going = self.outstanding is not None and self.outstanding.sent.get(name, self) is None
        return self.ledger.get(name) is not None and not going

    # --- sending -------------------------------------------------------------------------------------------------

    def send(self, nonce: str, sent: Sent, shared: SharedUpdate | None = None) -> Outstanding:
        """Note that a response with this content goes out under this nonce."""
        if shared is not None:
            adds = shared.base is None or shared.base is self.ledger.base  # else it says again what is held
            digest = self.ledger.digest + (shared.digest if adds else 0)
            self.agenda.clear()
        else:
            digest = self.ledger.digest
            for name, resource in sent.items():
                held = self.ledger.get(name)
                digest += (resource.digest if resource else 0) - (held.digest if held else 0)
        self.agenda.reply = False
        self.pending = None
        self.warm.clear()
        self.outstanding = Outstanding(nonce, set_version(digest), sent, shared, self.subscription.edits)
        self.counters.sent += 1
        self.counters.sent_version = self.outstanding.version
        return self.outstanding
