"""Keeps claims in a file of the state folder, so that a listener has the same port after a restart.

The file is replaced as a whole: written beside, synced, renamed, and the folder synced. A half-written one can not be
seen, also after a power cut. It names Ingresses of the whole cluster, so it is readable by its owner only.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from nodegate.durable import replace_file
from nodegate.errors import StateError
from nodegate.ports.allocation import Claims
from nodegate.ports.range import PortRange
from nodegate.ports.resting import Rest

VERSION = 1
FILE_NAME = "ports.json"


class _Version(msgspec.Struct, frozen=True):
    version: int


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    claims: dict[str, int]
    resting: tuple[Rest, ...] = ()


class PortStore:
    """One file of claims. ``set_aside`` tells where a file that could not be understood went, if there was one."""

    def __init__(self, folder: Path) -> None:
        """Use ``ports.json`` in this folder, which is made on the first write."""
        self.path = folder / FILE_NAME
        self.set_aside: Path | None = None

    def load(self, ports: PortRange | None = None) -> Claims:
        """Return the claims kept in the file; none when there is no file.

        A file that is damaged is moved away (``set_aside``): nearly every port follows from the listener's name, so
        starting without it is better than not starting. One of a newer nodegate, or one that may not be read, is a
        :class:`StateError`: going on would throw away what is good.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return Claims(ports)
        except OSError as error:
            raise StateError(
                f"Cannot read the kept ports in {self.path}: {error.strerror}. Check its owner."
            ) from error
        try:
            kept = self._decode(content)
        except msgspec.DecodeError:
            self._move_away()
            return Claims(ports)
        return Claims(ports, kept.claims, kept.resting)

    def save(self, claims: Claims) -> None:
        """Write all claims, durably, or raise a :class:`StateError` and leave the file as it was."""
        self.write(self.encode(claims))

    def encode(self, claims: Claims) -> bytes:
        """Return the file's content for these claims: JSON, names in order."""
        kept = _File(VERSION, dict(sorted(claims.ports.items())), claims.resting)
        return msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n"

    def write(self, content: bytes) -> None:
        """Replace the file by this content, durably; may be called from another thread."""
        try:
            replace_file(self.path, [content])
        except OSError as error:
            raise StateError(
                f"Cannot keep the ports in {self.path}: {error.strerror}. Ports may change at the next restart; "
                f"make the folder writable and give it space."
            ) from error

    def _decode(self, content: bytes) -> _File:
        version = msgspec.json.decode(content, type=_Version).version
        if version > VERSION:
            raise StateError(
                f"{self.path} is of version {version}, this nodegate reads version {VERSION}. Run the nodegate that "
                f"wrote it, or move the file away; listeners may then get other ports."
            )
        return msgspec.json.decode(content, type=_File)

    def _move_away(self) -> None:
        self.set_aside = self.path.with_suffix(".damaged")
        try:
            self.path.replace(self.set_aside)
        except OSError as error:
            raise StateError(f"{self.path} is damaged and cannot be moved away: {error.strerror}.") from error
