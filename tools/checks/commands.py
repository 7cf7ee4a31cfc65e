"""Every command and flag of nodegate that README.md names exists, and it names every command."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from nodegate.cli import main as nodegate

README = Path(__file__).resolve().parent.parent.parent / "README.md"
COMMAND = re.compile(r"`?nodegate ([a-z]+)(?=[ `])")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def main() -> int:
    """Print every command and flag that is named and does not exist, and every command that is not named."""
    text = README.read_text()
    commands, named = commands_with_flags(), set(COMMAND.findall(code(text)))
    wrong = [f"README.md: there is no command nodegate {name}." for name in sorted(named - commands.keys())]
    wrong += [f"README.md: nodegate {name} is not mentioned." for name in sorted(commands.keys() - named)]
    flags = set().union(*commands.values()) | {"--help"}
    wrong += [f"README.md: no command has the flag {flag}." for flag in sorted(set(FLAG.findall(text)) - flags)]
    print("\n".join(wrong))
    return 1 if wrong else 0


def code(text: str) -> str:
    """Return what stands between backquotes, and in fenced blocks."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


def commands_with_flags() -> dict[str, set[str]]:
    """Return the flags of every command."""
    context = click.Context(nodegate)
    found = {}
    for name in nodegate.list_commands(context):
        command = nodegate.get_command(context, name)
        found[name] = {flag for option in command.params for flag in option.opts} if command else set()
    return found


if __name__ == "__main__":
    sys.exit(main())
