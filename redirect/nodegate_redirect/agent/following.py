"""What the control plane asks for, as far as this agent has heard of it. Pure; it outlives streams and restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nodegate_redirect.contract import Redirect, decode
from nodegate_redirect.errors import ContractError

UNSETTLED = ""
"""The version we claim to have of what we cannot go by or have not installed: no server sends any under this one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One ServiceRedirect as it was sent: its version, its bytes, and what they say."""

    version: str
    body: bytes
    redirect: Redirect


@dataclass(frozen=True, slots=True)
class Message:
    """One response: resources as name -> (version, bytes), and names of what is gone."""

    nonce: str
    resources: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Every name it has something to say of."""
        return frozenset(self.resources).union(self.removed)


@dataclass(slots=True)
class Following:
    """What is asked for, by name.

    ``refused`` says of resources that cannot be honoured why; what was asked for before under their names stays.
    ``heard``: this comes from the control plane, now or in an earlier run. Until then nothing may be removed from the
    kernel, for nobody knows what should be in it. ``sequence`` grows with every change. ``news`` is what is asked for
    under names that changed since it was last looked at, None for nothing.
    """

    asked: dict[str, Asked] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    heard: bool = False
    sequence: int = 0
    news: dict[str, Redirect | None] = field(default_factory=dict)

    def take(self, message: Message) -> None:
        """Take a message in: the good part of it, whatever the rest says."""
        for name, (version, body) in message.resources.items():
            self._put(name, version, body)
        for name in message.removed:
            if self.asked.pop(name, None) is not None:
                self.news[name] = None
            self.refused.pop(name, None)
        self.heard = True
        self.sequence += 1

    def take_news(self) -> Mapping[str, Redirect | None]:
        """Return what changed, and forget it."""
        news, self.news = self.news, {}
        return news

    def versions(self, problems: Mapping[str, str]) -> dict[str, str]:
        """Return what to claim at the start of a stream (xds-protocol 37).

        What has a problem is claimed at a version that no server has: so it is sent again, and removed when it is gone.
        """
        versions = {name: asked.version for name, asked in self.asked.items()}
        return {name: UNSETTLED if name in problems else version for name, version in versions.items()}

    def _put(self, name: str, version: str, body: bytes) -> None:
        try:
            redirect = decode(body)
        except ContractError as error:
            self.refused[name] = f"cannot be honoured: {error}"
            return
        if redirect.name != name:
            self.refused[name] = f"cannot be honoured: inside, its name is {redirect.name!r}. Both have to be the same."
            return
        self.refused.pop(name, None)
        self.asked[name] = Asked(version, body, redirect)
        self.news[name] = redirect
