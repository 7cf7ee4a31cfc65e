"""Which certificate each host of a frontend is served with: filter chains, one per Secret (ingress.md 34 to 37)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from nodegate.model.problem import Problem
from nodegate.model.refs import Kind, Ref
from nodegate.translate import codes
from nodegate.translate.hosts import ANY_HOST, covers, is_wildcard, wildcards_over
from nodegate.translate.names import ObjectName
from nodegate.translate.plan import Plan, PlannedTLS

DEFAULT_CHAIN = "default"
"""The filter chain, and the certificate, of clients that ask for no host with a chain of its own."""

IsGood = Callable[[ObjectName], str]
"""Says why a Secret cannot be served, as a sentence; empty when it can."""


def secret_ref(name: ObjectName) -> Ref:
    """Return the identity of a Secret."""
    return Ref(Kind.SECRET, *name)


@dataclass(slots=True)
class HostChains:
    """The hosts of one frontend that have a certificate of their own, and their filter chains' names.

    A chain is named after its Secret, ``namespace/name``, and serves every host that Secret was chosen for.
    """

    chain_of: dict[str, str] = field(default_factory=dict)
    hosts_of: dict[str, set[str]] = field(default_factory=dict)

    def assign(self, host: str, secret: ObjectName | None) -> bool:
        """Give a host its Secret, or none; say whether that is news."""
        before, now = self.chain_of.get(host), "/".join(secret) if secret else None
        if before == now:
            return False
        if before is not None:
            del self.chain_of[host]
            self.hosts_of[before].discard(host)
            if not self.hosts_of[before]:
                del self.hosts_of[before]
        if now is not None:
            self.chain_of[host] = now
            self.hosts_of.setdefault(now, set()).add(host)
        return True

    def serving(self, host: str) -> frozenset[str]:
        """Return the chains on which requests for a host may come in; empty means on all of them.

        A connection was made for one name and with its certificate; a request on it for a host that has another
        certificate is misdirected (RFC 9110, 15.5.20). What a wildcard's rules serve may come in by the wildcard's
        own chain and by those of single names below it.
        """
        if host == ANY_HOST:
            return frozenset()
        own = self._chain(host)
        if not is_wildcard(host):
            return frozenset((own,))
        return frozenset((own, *(chain for name, chain in self.chain_of.items() if covers(host, name))))

    def has(self, host: str) -> bool:
        """Say whether a host has a certificate other than the default one."""
        return host != ANY_HOST and self._chain(host) != DEFAULT_CHAIN

    def _chain(self, host: str) -> str:
        if self.chain_of:  # most frontends have none
            for name in (host, *wildcards_over(host)):
                if name in self.chain_of:
                    return self.chain_of[name]
        return DEFAULT_CHAIN


@dataclass(frozen=True, slots=True)
class Chosen:
    """The Secret of one host, if any of those declared can be served, and what is wrong with the others."""

    secret: ObjectName | None
    wanted: frozenset[ObjectName]
    problems: Mapping[Ref, tuple[Problem, ...]]


def choose(host: str, plans: Iterable[Plan], fault_of: IsGood) -> Chosen:
    """Choose the Secret of a host: of the oldest Ingress whose Secret can be served (ingress.md 36)."""
    winner: tuple[Plan, PlannedTLS] | None = None
    wanted: set[ObjectName] = set()
    problems: dict[Ref, list[Problem]] = {}
    for plan in sorted(plans, key=lambda plan: plan.age):
        for entry in plan.tls:
            if host not in entry.hosts or entry.secret is None:
                continue
            wanted.add(entry.secret)
            if fault := fault_of(entry.secret):
                found = codes.CERTIFICATE_NOT_SERVED.found(
                    plan.ref, f"{entry.field}.secretName", f"Secret {entry.secret[1]!r} cannot be served. {fault}"
                )
                problems.setdefault(plan.ref, []).append(found)
            elif winner is None:
                winner = (plan, entry)
            elif entry.secret != winner[1].secret:
                problems.setdefault(plan.ref, []).append(_conflict(host, plan, entry, *winner))
    told = {ref: tuple(sorted(set(found))) for ref, found in problems.items()}
    return Chosen(winner[1].secret if winner else None, frozenset(wanted), told)


def _conflict(host: str, plan: Plan, entry: PlannedTLS, winner: Plan, winning: PlannedTLS) -> Problem:
    by = "this Ingress" if winner is plan else f"the older {winner.ref}"
    secret = winning.secret[1] if winning.secret else ""
    message = f"Host {host} is already served with Secret {secret!r} by {winning.field} of {by}."
    return codes.CERTIFICATE_CONFLICT.found(plan.ref, entry.field, message)
