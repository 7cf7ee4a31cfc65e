"""Every statement of a specification has a test, and the tables that say which are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import statements  # tools/ is a folder of scripts, so its path comes first

if __name__ == "__main__":
    sys.exit(statements.main(["--check"]))
