"""Log lines: for people on a terminal, JSON for everything else. Both on standard error; standard output is for data.

The standard library's loggers (grpc, aiohttp, asyncio) come out in the same form.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

from nodegate.settings import LOG_FORMATS, LOG_LEVELS

FORMATS, LEVELS = LOG_FORMATS, LOG_LEVELS


def configure(form: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Set up all logging of this process. ``auto`` is ``console`` when ``stream`` (stderr) is a terminal."""
    out = stream if stream is not None else sys.stderr
    console = form == "console" or (form == "auto" and out.isatty())
    shared = _shared_processors(console=console)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderer(out, console=console)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # a probe every second is not news


def _shared_processors(*, console: bool) -> list[Any]:
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console)
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        stamp,
    ]


def _renderer(out: TextIO, *, console: bool) -> list[Any]:
    if console:
        return [
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(),
                pad_event_to=0,
                exception_formatter=structlog.dev.plain_traceback,  # rich would show locals: they may be secret
            )
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
