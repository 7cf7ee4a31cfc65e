"""The command line: reads flags and environment variables, calls the parts, prints what they return.

Exit status: 0 done; 1 it failed, or ``lint`` found errors; 2 it was asked for wrongly. Everything that takes time to
import is imported inside the commands, so that ``--help`` and completion answer at once.
"""

from nodegate.cli.root import main

__all__ = ["main"]
