"""Keeps what is asked for in a file: an agent that starts while no control plane answers goes by it.

The kernel has its rules anyway; what the file adds is that a node which restarts, or whose listener moves, or gets an
address, is served as well.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from nodegate.durable import replace_file
from nodegate.errors import StateError
from nodegate_redirect.agent.following import Following, Message

log = structlog.get_logger(__name__)

VERSION = 1
FILE_NAME = "redirects.json"
_HOLD_OFF = 0.5


class _Version(msgspec.Struct, frozen=True):
    version: int


class _Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One resource: its name, the control plane's version of it, and its bytes in base64."""

    name: str
    version: str
    body: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    resources: tuple[_Resource, ...]


@dataclass(slots=True)
class StateFile:
    """One file. ``complaint`` says, as sentences, why one that was there could not be used, and where it is now."""

    path: Path
    complaint: str = ""

    def load(self) -> Following:
        """Return what was kept; nothing was heard when there is no file, or none that can be read.

        One that is damaged or of another version is moved away, with a :attr:`complaint`: the control plane says it
        all again, and until then the kernel's rules stay. Raises StateError when the file may not be read.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return Following()
        except OSError as error:
            raise StateError(f"Cannot read the state in {self.path}: {error.strerror}. Check its owner.") from error
        try:
            version = msgspec.json.decode(content, type=_Version).version
            if version != VERSION:
                return self._move_away("other-version", _of_version(version))
            kept = msgspec.json.decode(content, type=_File)
            resources = {one.name: (one.version, base64.b64decode(one.body, validate=True)) for one in kept.resources}
        except ValueError as error:  # of msgspec, of base64
            return self._move_away("damaged", f"It is damaged: {error}.")
        following = Following()
        following.take(Message("", resources))
        return following

    def save(self, content: bytes) -> None:
        """Put this content in the place of the file, durably. Raises StateError, and the file is as it was."""
        try:
            replace_file(self.path, [content])
        except OSError as error:
            raise StateError(
                f"Cannot keep the state in {self.path}: {error.strerror}. Make the folder writable and give it space."
            ) from error

    def _move_away(self, suffix: str, why: str) -> Following:
        beside = self.path.with_suffix(f".{suffix}")
        try:
            self.path.replace(beside)
        except OSError as error:
            raise StateError(f"{self.path} cannot be used. {why} It cannot be moved away: {error.strerror}.") from error
        self.complaint = (
            f"{self.path} cannot be used and is {beside.name} now. {why} Until the control plane answers, the "
            "redirects in the kernel stay as they are."
        )
        return Following()


class Keeper:
    """Writes what is asked for to a file, soon after it changed; without a file it does nothing."""

    def __init__(self, following: Following, file: StateFile | None = None) -> None:
        self.following = following
        self._file = file
        self._woken = asyncio.Event()
        self._kept = following.sequence

    def wake(self) -> None:
        """Say that something new is asked for."""
        self._woken.set()

    async def run(self) -> None:
        """Go on until cancelled; what changed until then is written at the end."""
        try:
            while True:
                await self._woken.wait()
                await asyncio.sleep(_HOLD_OFF)
                self._woken.clear()
                await self._keep()
        finally:
            if self._file is not None and self._kept != self.following.sequence:
                self._save(self._file, encode(self.following))

    async def _keep(self) -> None:
        if self._file is not None:
            sequence, content = self.following.sequence, encode(self.following)
            await asyncio.to_thread(self._save, self._file, content)
            self._kept = sequence

    @staticmethod
    def _save(file: StateFile, content: bytes) -> None:
        try:
            file.save(content)
        except StateError as error:
            log.warning(str(error))


def encode(following: Following) -> bytes:
    """Return the file's content: JSON, names in order."""
    resources = tuple(
        _Resource(name, asked.version, base64.b64encode(asked.body).decode())
        for name, asked in sorted(following.asked.items())
    )
    return msgspec.json.format(msgspec.json.encode(_File(VERSION, resources)), indent=1) + b"\n"


def _of_version(version: int) -> str:
    if version > VERSION:
        return f"It is of version {version}, this agent reads {VERSION}. The nodegate that wrote it can use it."
    return f"It is of version {version}, which no released nodegate wrote."
