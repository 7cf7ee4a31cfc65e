"""What clients reject is in the log once."""

from __future__ import annotations

import pytest
import structlog

from nodegate.server import complaints
from nodegate.server.complaints import Complaints
from nodegate.server.protocol.request import ClientNode
from nodegate.server.protocol.stream import Refusal
from nodegate.snapshot.facts import NodeFacts
from nodegate.snapshot.type_urls import CLUSTER, REDIRECT
from tests.protocol.wire import resource


def node(name: str) -> ClientNode:
    """Return a client of this name."""
    return ClientNode(name, "envoy", NodeFacts(name))


def refusal(*names: str, text: str = "it is bad", content: str = "1") -> Refusal:
    """Return a refusal of clusters with this content; without names the culprit is not known."""
    guilty = tuple(resource("CDS", name, content) for name in names)
    return Refusal(CLUSTER, names, text, guilty)


def lines(*said: tuple[str, Refusal]) -> list[tuple[str, object]]:
    """Return what these refusals, each with the client's name, write: the client and the resources of each line."""
    all_of_them = Complaints()
    with structlog.testing.capture_logs() as logs:
        for name, one in said:
            all_of_them.report(node(name), one)
    return [(line["node"], line["resources"]) for line in logs]


def test_a_rejection_is_written_once_for_each_client_and_content() -> None:
    """Again on another stream it is no news; of another client or of other content it is."""
    assert lines(
        ("a", refusal("c1")),
        ("a", refusal("c1", text="it is still bad")),
        ("b", refusal("c1")),
        ("a", refusal("c1", content="2")),
        ("a", refusal("c1", "c2", content="2")),
    ) == [("a", ["c1"]), ("b", ["c1"]), ("a", ["c1"]), ("a", ["c1", "c2"])]


def test_halves_of_a_message_are_one_line_until_the_culprit_is_found() -> None:
    """Where the text names nobody, the first line says so, and the last one who it was."""
    assert lines(("a", refusal()), ("a", refusal()), ("a", refusal("c1"))) == [("a", "not known yet"), ("a", ["c1"])]


def test_the_log_remembers_only_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that makes up complaints costs no more memory than that; the oldest is forgotten first."""
    monkeypatch.setattr(complaints, "_REMEMBERED", 2)
    said = [("a", refusal(name)) for name in ("c1", "c2", "c2", "c3", "c1")]
    assert [names for _, names in lines(*said)] == [["c1"], ["c2"], ["c3"], ["c1"]]


def test_an_agents_nack_is_no_rejection() -> None:
    """It says what is not installed yet."""
    with structlog.testing.capture_logs() as logs:
        Complaints().report(node("agent"), Refusal(REDIRECT, (), "a\nb\nc"))
    assert [(line["log_level"], line["reason"], line["more"]) for line in logs] == [("info", "a", 2)]
