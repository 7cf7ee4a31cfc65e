"""The ports that may be given to listeners."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class PortRange:
    """The ports that may be given out, both ends included."""

    first: int = 10_000
    last: int = 20_000

    def __len__(self) -> int:
        """Return how many ports there are."""
        return self.last - self.first + 1

    def __contains__(self, port: object) -> bool:
        """Return whether a port is in the range."""
        return isinstance(port, int) and self.first <= port <= self.last

    def preferred(self, name: str) -> int:
        """Return the port this name hashes to."""
        return self.first + int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) % len(self)

    def probe(self, name: str) -> Iterable[int]:
        """Yield every port once, from the one this name hashes to, upwards, around the end."""
        start = self.preferred(name) - self.first
        for step in range(len(self)):
            yield self.first + (start + step) % len(self)
