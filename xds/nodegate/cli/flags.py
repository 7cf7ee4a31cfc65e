"""Flags that are also environment variables, and the forms output can have."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

OUTPUTS = ("yaml", "json")


def flag(name: str, **options: Any) -> Callable[[Any], Any]:
    """Return click's option ``--name`` that ``NODEGATE_NAME`` sets as well, shown with its default."""
    first = name.split("/", maxsplit=1)[0]
    variable = "NODEGATE_" + first.removeprefix("--").replace("-", "_").upper()
    return click.option(
        name, **{"envvar": variable, "show_default": options.get("default") != "", "show_envvar": True, **options}
    )


def output_flag(*forms: str) -> Callable[[Any], Any]:
    """Return ``-o FORM``; the first form is the default."""
    return click.option("-o", "--output", type=click.Choice(forms), default=forms[0], show_default=True)


def render(value: Any, form: str) -> str:
    """Return plain values as YAML or JSON text, keys in the order they have."""
    if form == "json":
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    import yaml  # noqa: PLC0415  # only when something is printed

    return str(yaml.dump(value, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, width=120))
