"""Fixtures of the traffic tests: a gateway, and backends that say what they saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.ingress.echo import Echo
from tests.e2e.ingress.gateway import Gateway

MakeEcho = Callable[..., Echo]


@pytest.fixture
def gateway(envoy_binary: Path, tmp_path: Path) -> Iterator[Gateway]:
    """Return an Envoy that is not started yet."""
    gateway = Gateway(envoy_binary, tmp_path)
    try:
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture
def echo() -> Iterator[MakeEcho]:
    """Return a way to start backends, which all end with the test."""
    started: list[Echo] = []

    def start(name: str, **options: Any) -> Echo:
        started.append(Echo(name, **options))
        return started[-1]

    yield start
    for backend in started:
        backend.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as slow: each starts an Envoy."""
    for item in items:
        if "tests/e2e/ingress/" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)
