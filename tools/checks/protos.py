"""The generated module of our own protocol is the one that its text makes."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tools import protos


def main() -> int:
    """Print what to do when the text is newer than the module."""
    if protos.is_current():
        return 0
    print(f"{protos.GENERATED.relative_to(protos.ROOT)}: not made from the redirect.proto of now; run make protos.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
