"""What may change in the input: objects, the ports claimed for listeners, and the quarantine.

These values are what a source yields and what translation takes. They are the only way in.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodegate.model.objects import Object
from nodegate.model.problem import Problem
from nodegate.model.refs import Ref


@dataclass(frozen=True, slots=True)
class Upsert:
    """An object exists with this content, whether or not it did before."""

    object: Object

    @property
    def ref(self) -> Ref:
        """The identity of the object."""
        return self.object.ref


@dataclass(frozen=True, slots=True)
class Delete:
    """An object no longer exists."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Claimed:
    """A listener has a port of its own. ``listener`` is the name without port, ``default/basic-ingress/http``.

    ``port`` is None when the claim was given up. Translation makes no listener without its claim (DESIGN 3.6).
    """

    listener: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Proxies rejected what an object causes: translate ``accepted`` in its place, or nothing if that is None.

    It holds for this very content only; the next :class:`Upsert` of the object ends it (DESIGN 2, quarantine).
    """

    ref: Ref
    accepted: Object | None


ObjectChange = Upsert | Delete
Change = Upsert | Delete | Claimed | Quarantined


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that belong together and are applied as one.

    ``synced`` is True once the source has listed everything it knows, and stays True. ``problems`` is the whole list
    of what is wrong with the source's own material (a file that does not parse) after this batch, not a difference.
    ``stale`` is True of one batch at most, before anything is synced: all that an earlier run knew, to be served until
    the source has listed everything, but without taking anything away.
    """

    changes: tuple[ObjectChange, ...] = ()
    synced: bool = True
    problems: tuple[Problem, ...] = ()
    stale: bool = False
