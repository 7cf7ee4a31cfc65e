"""What an error group is about."""

from __future__ import annotations


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a group is about: its first error, from the inside."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
