"""The redirect is tested in network namespaces, which takes root and some programs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

PROGRAMS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
    "sysctl": "procps",
    "nft": "nftables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "clang": "clang libbpf-dev linux-libc-dev",
    "iptables-nft-save": "iptables",
    "iptables-legacy-save": "iptables",
}


@pytest.fixture(scope="session", autouse=True)
def _can_redirect() -> None:
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root: run the tests as root")
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        pytest.skip(f"programs are missing; install the Debian packages {' '.join(missing)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything below this folder as slow: it makes network namespaces and runs programs in them."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("slow")
