"""The one entry of translation: ``step`` applies changes and says which resources are different for it."""

from __future__ import annotations

from collections.abc import Iterable

from nodegate.model.changes import Change
from nodegate.translate.certifying import certify, make_secrets
from nodegate.translate.index import Dirty, Index
from nodegate.translate.intake import take
from nodegate.translate.making import make_clusters, make_endpoints, make_listeners, make_routes, make_virtual_hosts
from nodegate.translate.membership import replan
from nodegate.translate.redirecting import make_redirects
from nodegate.translate.result import Changed
from nodegate.translate.settings import Settings


def step(index: Index, changes: Iterable[Change]) -> tuple[Index, Changed]:
    """Apply changes as one and return the index and the difference they make.

    The index passed in is modified and returned: do not use it again under its old name. What changes cost is in
    proportion to what depends on them: an EndpointSlice makes its Service's ClusterLoadAssignments, an Ingress its
    hosts; only an IngressClass concerns every Ingress. After any history the resources are those of :func:`full` of
    the objects that are left, byte for byte; the one exception is a Secret that is no good, in whose place the last
    good one is served. Nothing is raised whatever the objects hold.
    """
    for change in changes:
        take(index, change)
    replan(index)
    certify(index)
    make_virtual_hosts(index)
    make_routes(index)
    make_listeners(index)
    make_clusters(index)
    make_endpoints(index)
    make_secrets(index)
    make_redirects(index)
    changed = Changed(index.changed, index.findings.take_changed(), index.wanted_changed)
    index.changed, index.wanted_changed, index.dirty = {}, {}, Dirty()
    return index, changed


def full(settings: Settings, changes: Iterable[Change]) -> Changed:
    """Return everything that is made of these objects and claims: one step from nothing."""
    return step(Index.new(settings), changes)[1]
