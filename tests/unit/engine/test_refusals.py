"""A port that a node cannot use is told apart from content that proxies reject (redirect 5)."""

from __future__ import annotations

import pytest

from nodegate.engine.refusals import MOST_MOVES, Refusal, Refusals
from nodegate.snapshot.type_urls import LISTENER, ROUTE
from nodegate.snapshot.votes import Votes

PORTS = {"shop/web/http": 18_243, "shop/api/http": 18_244}
TEXT = """Error adding/updating listener(s) shop/web/http@18243: cannot bind '0.0.0.0:18243': Address already in use
shop/api/http@18244: Proto constraint validation failed"""
WEB, API = (LISTENER, "shop/web/http@18243"), (LISTENER, "shop/api/http@18244")


def vote(key: tuple[str, str], **rejected: str) -> Votes:
    return Votes(key, (), rejected, accepted=frozenset({"other"}))


def test_each_listener_of_a_message_is_judged_by_itself() -> None:
    """Envoy says everything in one text, a line for each listener."""
    votes, refused = Refusals().take([vote(WEB, one=TEXT), vote(API, one=TEXT)], (), PORTS)
    assert refused == (Refusal("shop/web/http", 18_243, "one"),)
    assert votes == (vote(API, one=TEXT),)


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]"])
def test_the_text_is_envoys_for_either_family(address: str) -> None:
    """Seen with Envoy 1.40."""
    text = TEXT.splitlines()[0].replace("0.0.0.0", address)
    assert Refusals().take([vote(WEB, one=text)], (), PORTS)[1]


def test_a_node_that_rejects_the_content_still_votes() -> None:
    """One node may lack the port while another finds fault with the content."""
    votes, refused = Refusals().take([vote(WEB, one=TEXT, two="no such filter")], (), PORTS)
    assert [one.node for one in refused] == ["one"]
    assert [set(one.rejected) for one in votes] == [{"two"}]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((LISTENER, "shared/http@80"), "shared/http@80: cannot bind '0.0.0.0:80': Address already in use"),
        (WEB, "shop/web/http@18243: cannot bind '0.0.0.0:18243': Permission denied"),
        (WEB, "shop/web/http@18243: cannot bind '0.0.0.0:18244': Address already in use"),
        ((ROUTE, "shop/web/http"), TEXT),
        ((LISTENER, "shop/web/http@18242"), TEXT.replace("18243", "18242")),
    ],
    ids=["nobody claimed the port", "not permitted", "another port", "not a listener", "not the port of now"],
)
def test_what_no_other_port_would_cure_is_a_rejection(key: tuple[str, str], text: str) -> None:
    """A listener on the node's own port has no other to go to (DESIGN 7)."""
    votes, refused = Refusals().take([vote(key, one=text)], (), PORTS)
    assert not refused
    assert votes == (vote(key, one=text),)


def test_what_agents_say_counts_for_the_port_of_now() -> None:
    """A listener that has moved meanwhile is not moved again."""
    held = [("shop/web/http@18243", "node-1"), ("shop/api/http@18000", "node-1"), ("odd", "node-1")]
    assert Refusals().take((), held, PORTS)[1] == (Refusal("shop/web/http", 18_243, "node-1"),)


def test_one_node_moves_a_listener_a_few_times_and_not_for_ever() -> None:
    """Where every port is refused, the ports are not the reason: then it is that node's rejection."""
    refusals = Refusals()
    for port in range(18_243, 18_243 + MOST_MOVES):
        name, ports = (LISTENER, f"shop/web/http@{port}"), {"shop/web/http": port}
        one = vote(name, node=f"cannot bind '0.0.0.0:{port}': Address already in use")
        for _ in range(2):  # as long as the claim is not written anew, it is told again
            assert refusals.take([one], (), ports) == ((), (Refusal("shop/web/http", port, "node"),))
    last = 18_243 + MOST_MOVES
    one = vote((LISTENER, f"shop/web/http@{last}"), node=f"cannot bind '0.0.0.0:{last}': Address already in use")
    ports = {"shop/web/http": last}
    assert refusals.take([one], [(f"shop/web/http@{last}", "node")], ports) == ((one,), ())
    assert refusals.take([], [(f"shop/web/http@{last}", "another")], ports)[1], "another node has a say of its own"
    refusals.take([], (), {})
    assert refusals.take([one], (), ports)[1], "a listener that comes back is a new one"
