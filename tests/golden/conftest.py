"""The switch that rewrites golden files, and the Envoy that has to accept them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodegate.demo.envoy_binary import ENVIRONMENT, cached_envoy


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--rewrite-goldens`` (or ``--rewrite``)."""
    parser.addoption(
        "--rewrite-goldens",
        "--rewrite",
        action="store_true",
        default=False,
        help="write tests/golden/*/out.yaml from what translation makes now, and remove those without an in.yaml",
    )


@pytest.fixture(scope="session")
def envoy_binary() -> Path:
    """Return a real Envoy; tests download nothing."""
    binary = cached_envoy()
    if binary is None:
        pytest.skip(f"no Envoy: run `python -m nodegate.demo.envoy_binary` to install one, or set {ENVIRONMENT}")
    return binary
