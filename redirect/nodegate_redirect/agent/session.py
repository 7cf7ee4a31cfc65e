"""The client's half of the delta protocol, for one type on one stream. Pure: messages in, requests out.

The server's half, and how an agent words what it could not install, is in ``redirect.proto``; statements are those of
docs/xds.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nodegate_redirect.agent.following import Following, Message

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Request:
    """What is said to the server. ``error`` None with a nonce is an ACK, otherwise its text is that of a NACK."""

    nonce: str = ""
    error: str | None = None
    subscribe: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


class Session:
    """What was said on one stream. A message is answered when the kernel was brought to it, and not before."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._unanswered: list[tuple[int, Message]] = []
        self._owed: dict[str, str] = {}  # what a NACK named, and the kind of reason that it gave

    def opening(self, problems: Mapping[str, str]) -> Request:
        """Return the first request: everything, but what is held already."""
        return Request(subscribe=(EVERYTHING,), versions=self._following.versions(problems))

    def take(self, message: Message) -> None:
        """Take a message in; it is answered when :meth:`settle` is told what became of it."""
        self._following.take(message)
        self._unanswered.append((self._following.sequence, message))

    def settle(self, sequence: int, problems: Mapping[str, str], refused: str = "") -> list[Request]:
        """Return what to say now that the kernel was brought to what was asked for as of ``sequence``.

        An ACK, or a NACK that names what is not installed, for each message: what is in ``problems`` (name -> why not),
        or, where there is ``refused``, every name of the message. And what an earlier NACK named is asked for again
        when it is installed, so that it can be acknowledged (28), and when the reason is of another kind, so that it
        can be said: a port that is waited for, and then held by another program, moves the listener.
        """
        answered = [message for taken, message in self._unanswered if taken <= sequence]
        self._unanswered = self._unanswered[len(answered) :]
        requests = [self._answer(message, problems, refused) for message in answered]
        again = [] if refused else [name for name, said in self._owed.items() if said != _kind(problems.get(name, ""))]
        for name in again:
            del self._owed[name]
        if again:
            requests.append(Request(subscribe=tuple(sorted(again))))
        return requests

    def _answer(self, message: Message, problems: Mapping[str, str], refused: str) -> Request:
        for name in message.names:
            self._owed.pop(name, None)
        named = sorted(message.names if refused else message.names & problems.keys())
        if not named:
            return Request(message.nonce)
        self._owed.update((name, _kind(refused or problems[name])) for name in named)
        lines = _same(named, refused) if refused else [f"{name}: {_line(problems[name])}" for name in named]
        return Request(message.nonce, "\n".join(lines))


def _kind(reason: str) -> str:
    """Return what a reason begins with: all but the details."""
    return reason.partition(":")[0]


def _same(names: Sequence[str], reason: str) -> Iterator[str]:
    """Yield a line for each name; the reason in full is in the first, for there may be thousands."""
    for name in names:
        yield f"{name}: {_line(reason)}" if name == names[0] else f"{name}: {_kind(reason)}: as {names[0]}"


def _line(text: str) -> str:
    return " ".join(text.split())
