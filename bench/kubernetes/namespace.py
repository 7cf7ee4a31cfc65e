"""A network namespace of its own, in which every address of a network is a backend and no port is taken.

The API server refuses loopback addresses in EndpointSlices; here a network that is not loopback is routed to ``lo``.
The namespace has no name, so it goes away with its last process.
"""

from __future__ import annotations

import os
import subprocess
import sys

BACKENDS = "10.250"
"""The first half of the addresses on which backends answer."""
_INSIDE = "NODEGATE_BENCH_INSIDE"


def enter() -> None:
    """Run this same program inside a namespace, instead of here; return when it is there."""
    if _INSIDE not in os.environ:
        os.environ[_INSIDE] = "1"
        rights = [] if os.geteuid() == 0 else ["--map-root-user"]
        command = ["unshare", "--net", *rights, sys.executable, "-m", "bench.kubernetes", *sys.argv[1:]]
        os.execvp(command[0], command)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "local", f"{BACKENDS}.0.0/16", "dev", "lo"], check=True)
