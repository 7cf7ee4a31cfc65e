"""Every statement of a specification has a test, and the tables that say which are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tools import statements  # a folder of scripts, so the path of the repository comes first

if __name__ == "__main__":
    sys.exit(statements.main(["--check"]))
