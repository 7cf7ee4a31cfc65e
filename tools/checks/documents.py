"""The documents that are made of the code are what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

if __name__ == "__main__":
    sys.exit(subprocess.run([sys.executable, ROOT / "tools" / "documents.py", "--check"], check=False).returncode)
