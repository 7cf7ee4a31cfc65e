"""Certificates: which host is served with which Secret, and the Secrets that go out by SDS."""

from __future__ import annotations

from nodegate.model.objects import Secret
from nodegate.snapshot.type_urls import SECRET
from nodegate.translate import codes
from nodegate.translate.certificates import CERTIFICATE, KEY, authority, is_withheld, tls_certificate
from nodegate.translate.clusters import authority_name
from nodegate.translate.frontends import Frontend
from nodegate.translate.hosts import ANY_HOST, covers, is_wildcard, wildcards_over
from nodegate.translate.index import DEFAULT_USER, Index
from nodegate.translate.names import ObjectName
from nodegate.translate.tls import DEFAULT_CHAIN, Chosen, choose, secret_ref


def certify(index: Index) -> None:
    """Choose the Secret of every marked host again, and mark what follows from it."""
    for unit in index.dirty.certificates:
        if unit == DEFAULT_USER:
            _mark_all(index, index.https)
            continue
        name, host = unit
        frontend = index.frontends[name]
        plans = [index.plans[ingress] for ingress in frontend.declared.get(host, ())]
        chosen = choose(host, plans, lambda secret: certificate_fault(index, secret))
        index.findings.replace(("tls", unit), chosen.problems)
        before = frontend.wanted.pop(host, frozenset())
        if chosen.wanted:
            frontend.wanted[host] = chosen.wanted
        first, last = index.certificate_users.replace(unit, before, chosen.wanted)
        index.dirty.secrets.update(first | last)
        _serve_with(index, frontend, host, chosen)


def certificate_fault(index: Index, secret: ObjectName) -> str:
    """Say why a Secret cannot be served, as a sentence; empty when it can."""
    stored = index.objects.secrets.get(secret)
    if stored is None:
        return f"There is no TLS Secret of this name in namespace {secret[0]!r}."
    return "" if stored.served is not None else stored.checked.fault


def authority_fault(index: Index, secret: ObjectName) -> str:
    """Say why a Secret cannot verify endpoints, as a sentence; empty when it can."""
    stored = index.objects.secrets.get(secret)
    if stored is None:
        return f"There is no TLS Secret of this name in namespace {secret[0]!r}."
    return "" if stored.authority else "It holds no PEM certificates in ca.crt."


def _serve_with(index: Index, frontend: Frontend, host: str, chosen: Chosen) -> None:
    index.dirty.frontends.add(frontend.name)
    if host == ANY_HOST:
        # One Ingress of many cannot choose the certificate of all other hosts.
        frontend.default_secret = None if frontend.is_shared else chosen.secret
        _mark_all(index, {frontend.name})
        return
    if frontend.chains.assign(host, chosen.secret):
        around = [host, *wildcards_over(host)]
        if is_wildcard(host):
            around += [other for other in frontend.hosts if covers(host, other)]
        index.dirty.units.update((frontend.name, other) for other in around if other in frontend.hosts)


def _mark_all(index: Index, frontends: set[str]) -> None:
    """Mark everything of these frontends: without any certificate, their plain HTTP redirects nowhere."""
    index.dirty.frontends |= frontends
    index.dirty.units.update((name, host) for name in frontends for host in index.frontends[name].hosts)


def has_default(index: Index) -> bool:
    """Say whether there is a certificate for clients that ask for a host without one."""
    return _chosen_default(index) is not None or index.settings.self_signed is not None


def _chosen_default(index: Index) -> Secret | None:
    """Return the operator's Secret for such clients, if it can be served."""
    name = index.settings.default_certificate
    stored = index.objects.secrets.get(name) if name else None
    return stored.served if stored else None


def _make_default(index: Index) -> None:
    chosen, own = _chosen_default(index), index.settings.self_signed
    if index.https and chosen is not None and not is_withheld(chosen):
        certificate, key = chosen.data[CERTIFICATE], chosen.data[KEY]
        index.emit(tls_certificate(DEFAULT_CHAIN, certificate, key, (chosen.ref,)))
    elif index.https and chosen is None and own is not None:
        index.emit(tls_certificate(DEFAULT_CHAIN, own.certificate, own.key, ()))
    else:
        index.withdraw((SECRET, DEFAULT_CHAIN))


def make_secrets(index: Index) -> None:
    """Make the SDS resources of Secrets that changed or are used since, or no more."""
    for name in index.dirty.secrets:
        _make_certificate(index, name)
        _make_authority(index, name)
    served = (SECRET, DEFAULT_CHAIN) in index.emitted
    if index.settings.default_certificate in index.dirty.secrets or served != (
        bool(index.https) and has_default(index)
    ):
        _make_default(index)


def _make_certificate(index: Index, name: ObjectName) -> None:
    stored = index.objects.secrets.get(name) if name in index.certificate_users else None
    served = stored.served if stored else None
    resource_name, ref = "/".join(name), secret_ref(name)
    problems = []
    if served and not is_withheld(served):
        index.work["certificate"] += 1
        index.emit(tls_certificate(resource_name, served.data[CERTIFICATE], served.data[KEY], (ref,)))
    else:
        index.withdraw((SECRET, resource_name))
    if stored and served and served is not stored.content:
        problems = [codes.INVALID_CERTIFICATE.found(ref, stored.checked.field, stored.checked.fault)]
    index.findings.replace(("certificate", name), {ref: tuple(problems)})


def _make_authority(index: Index, name: ObjectName) -> None:
    stored = index.objects.secrets.get(name) if name in index.authority_users else None
    if stored and stored.authority:
        index.emit(authority(authority_name(name), stored.authority, (secret_ref(name),)))
    else:
        index.withdraw((SECRET, authority_name(name)))
