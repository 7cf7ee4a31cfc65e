"""``nodegate translate`` and ``nodegate lint``: what a folder of manifests means, without serving it."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from nodegate import settings as s
from nodegate.cli.choices import translation_flags
from nodegate.cli.flags import OUTPUTS, flag, output_flag, render

if TYPE_CHECKING:
    from nodegate.debug.state import State
    from nodegate.model.problem import Problem


@click.command()
@click.argument("folder", metavar="DIR")
@click.option("--static", is_flag=True, help="A complete Envoy configuration that needs no control plane.")
@flag("--node-name", default="", help="As a proxy on this node gets it.")
@flag("--zone", default="", help="As a proxy in this zone gets it.")
@flag("--redirect/--no-redirect", default=False, help="As a proxy gets it whose listeners are transparent.")
@translation_flags
@output_flag(*OUTPUTS)
def translate(
    *,
    folder: str,
    static: bool,
    node_name: str,
    zone: str,
    redirect: bool,
    translation: s.TranslationSettings,
    output: str,
) -> None:
    """Print the snapshot that serve would publish for the manifests in DIR, by type and name.

    Private keys are redacted, except with --static, whose output has to work. Problems go to standard error; they do
    not change the exit status, since the snapshot is what would be served in spite of them (use lint for a verdict).
    """
    state = _state(folder, translation)
    from nodegate.snapshot.facts import NodeFacts  # noqa: PLC0415
    from nodegate.translate.render import rendered_snapshot  # noqa: PLC0415  # the Envoy API is slow to import
    from nodegate.translate.static import static_configuration  # noqa: PLC0415

    facts = NodeFacts(node_name, zone, redirect)
    entries = [entry for of_type in state.target.types.values() for entry in of_type.values()]
    _print_problems(state.all_problems(), err=True)
    value = static_configuration(entries, facts) if static else rendered_snapshot(entries, facts)
    click.echo(render(value, output), nl=False)


@click.command()
@click.argument("folder", metavar="DIR")
@translation_flags
@output_flag("text", "json")
def lint(*, folder: str, translation: s.TranslationSettings, output: str) -> None:
    """Check the manifests in DIR as serve would read them and name every problem, with its remedy.

    The exit status is 1 if there is an error, 0 if there are at most warnings, 2 if DIR is no folder.
    """
    state = _state(folder, translation)
    problems = state.all_problems()
    if output == "json":
        from nodegate.debug.plain import plain_problem  # noqa: PLC0415

        click.echo(render([plain_problem(problem) for problem in problems], "json"), nl=False)
    else:
        _print_problems(problems, err=False)
        click.echo(_summary(problems, len(state.objects)))
    sys.exit(1 if _errors(problems) else 0)


def _state(folder: str, translation: s.TranslationSettings) -> State:
    path = s.parse_folder(folder, "DIR")
    from nodegate import logs  # noqa: PLC0415  # grpc and the Envoy API take long to import
    from nodegate.app.once import translate_once  # noqa: PLC0415

    logs.configure("console", "critical")  # problems are printed below, once
    return asyncio.run(translate_once(path, translation))


def _print_problems(problems: Iterable[Problem], *, err: bool) -> None:
    for problem in problems:
        click.echo(str(problem), err=err)


def _errors(problems: Iterable[Problem]) -> int:
    return sum(problem.severity.value == "error" for problem in problems)


def _summary(problems: tuple[Problem, ...], objects: int) -> str:
    if not problems:
        return f"No problems in {_count(objects, 'object')}."
    counts = Counter(problem.severity.value for problem in problems)
    parts = [_count(counts[word], word) for word in ("error", "warning", "info") if counts[word]]
    return f"{', '.join(parts)} in {_count(objects, 'object')}."


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 or word == "info" else f"{number} {word}s"
