"""What tests of commands share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logging_stays() -> Iterator[None]:
    """Undo what a command that runs in this process sets up for its log lines: later tests read theirs."""
    root, configured = logging.getLogger(), structlog.get_config() if structlog.is_configured() else None
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    if configured is not None:
        structlog.configure(**configured)
