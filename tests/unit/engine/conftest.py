"""Logs as the command line has them: without values of local variables, which take seconds to print."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from nodegate import logs


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    before = logging.getLogger().handlers[:]
    logs.configure("json", "warning")
    yield
    logging.getLogger().handlers[:] = before
    structlog.reset_defaults()
