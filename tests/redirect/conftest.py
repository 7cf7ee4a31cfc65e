"""The redirect is tested in network namespaces, which takes root and some programs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.e2e.conftest import envoy_binary
from tests.redirect.rig.stack import Stack, logs

__all__ = ["envoy_binary"]
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
    require_redirect()


def require_redirect() -> None:
    """Skip where there is no root, or a program is missing."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root: run the tests as root")
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        pytest.skip(f"programs are missing; install the Debian packages {' '.join(missing)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of everyone on the node next to a failure: the reason is rarely in the test."""
    report = yield
    node = getattr(item, "funcargs", {}).get("node")
    if report.failed and isinstance(node, Stack):
        report.sections += logs(node.folder)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything below this folder as slow: it makes network namespaces and runs programs in them."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("slow")
