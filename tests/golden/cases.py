"""Golden cases: a folder with manifests a user could apply, and what translation makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from nodegate.model.changes import Claimed, Upsert
from nodegate.model.objects import KIND_OF, Object
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.resource import Entry
from nodegate.translate.index import Index
from nodegate.translate.render import rendered_snapshot
from nodegate.translate.result import Changed
from nodegate.translate.settings import Settings
from nodegate.translate.step import step
from tests.golden.reduced import reduced

FOLDER = Path(__file__).parent
_MODEL = {kind.value: model for model, kind in KIND_OF.items()}
_FIRST_PORT = 18_000


@dataclass(frozen=True)
class Case:
    """One case. The first line of ``in.yaml`` says the rule; further comment lines may set facts and settings.

    ``# facts: {node: node-1}`` and ``# settings: {listener_mode: shared}`` are read as YAML. The objects of
    ``common.yaml`` are part of every case, but for ``seed``, which is complete in itself.
    """

    folder: Path

    @property
    def source(self) -> str:
        """The text of ``in.yaml``."""
        return (self.folder / "in.yaml").read_text()

    @property
    def rule(self) -> str:
        """The rule this case proves: the first comment line."""
        return self.source.splitlines()[0].removeprefix("#").strip()

    @property
    def expected(self) -> Path:
        """Where the expected output is."""
        return self.folder / "out.yaml"

    @property
    def facts(self) -> NodeFacts:
        """The facts of the client the output is for."""
        return NodeFacts(**self._option("facts"))

    @property
    def settings(self) -> Settings:
        """The settings the output is made with."""
        return msgspec.convert(self._option("settings"), Settings)

    def _option(self, name: str) -> Any:
        start = f"# {name}:"
        given = [line.removeprefix(start) for line in self.source.splitlines() if line.startswith(start)]
        return yaml.safe_load(given[0]) if given else {}

    def objects(self) -> list[Object]:
        """Return the objects of ``in.yaml``; the namespace is ``default`` where none is given."""
        common = "" if self.is_whole else (FOLDER / "common.yaml").read_text()
        texts = (self.source, common)
        return [as_object(document) for text in texts for document in yaml.safe_load_all(text) if document]

    @property
    def is_whole(self) -> bool:
        """Whether the case shows everything: all its objects, and resources with all their defaults."""
        return self.folder.name == "seed"

    def translated(self) -> Changed:
        """Return everything translation makes of the case, each listener with a port of its own."""
        return translated(self.objects(), self.settings)


def as_object(document: dict[str, Any]) -> Object:
    """Return a manifest as an object of the model."""
    model = _MODEL[document["kind"]]
    if KIND_OF[model].namespaced:
        document["metadata"].setdefault("namespace", "default")
    return msgspec.convert(document, model)


def translated(objects: list[Object], settings: Settings) -> Changed:
    """Return what a full translation makes of objects after every listener it asks for got a port."""
    index, first = step(Index.new(settings), [Upsert(content) for content in objects])
    wanted = sorted(first.listeners)
    _, second = step(index, [Claimed(listener, _FIRST_PORT + i) for i, listener in enumerate(wanted)])
    return Changed({**first.resources, **second.resources}, {**first.problems, **second.problems}, first.listeners)


def entries(changed: Changed) -> list[Entry]:
    """Return the resources of a full translation."""
    return [entry for entry in changed.resources.values() if entry is not None]


def as_yaml(case: Case) -> str:
    """Return what translation makes of a case as the text of an ``out.yaml``."""
    changed = case.translated()
    problems = [str(problem) for ref in sorted(changed.problems) for problem in changed.problems[ref]]
    snapshot = rendered_snapshot(entries(changed), case.facts)
    content = {
        "listeners": dict(sorted(changed.listeners.items())),
        "problems": problems,
        "resources": snapshot if case.is_whole else reduced(snapshot),
    }
    return yaml.dump(content, sort_keys=False, width=120, allow_unicode=True, Dumper=_Plain)


class _Plain(yaml.SafeDumper):
    """Writes every value in full: anchors and aliases are no documentation."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


CASES = [Case(path.parent) for path in sorted(FOLDER.glob("*/in.yaml"))]
