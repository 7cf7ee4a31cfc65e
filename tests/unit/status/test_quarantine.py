"""Which objects go back to older content, from what clients said alone (DESIGN 2, quarantine)."""

from __future__ import annotations

from nodegate.model.changes import Delete, Quarantined, Upsert
from nodegate.model.objects import IngressClass, IngressClassSpec, Metadata
from nodegate.model.refs import Ref
from nodegate.snapshot.resource import Key
from nodegate.snapshot.type_urls import ROUTE
from nodegate.snapshot.votes import Votes
from nodegate.status.quarantine import PATIENCE_SECONDS, Quarantine, Review

KEY: Key = (ROUTE, "shop/web/http")


def thing(content: str, name: str = "web") -> IngressClass:
    """Return an object with some content; its kind means nothing here."""
    return IngressClass(metadata=Metadata(name=name), spec=IngressClassSpec(controller=content))


WEB, OTHER = thing("").ref, thing("", "other").ref


class Case:
    """A quarantine, the nodes that are connected, and the time."""

    def __init__(self, *nodes: str) -> None:
        """Begin with these nodes."""
        self.quarantine = Quarantine()
        self.nodes = set(nodes)
        self.now = 100.0

    def applied(self, *contents: IngressClass) -> None:
        """Apply these objects one after the other."""
        for content in contents:
            self.quarantine.observe([Upsert(content)])

    def said(self, *votes: Votes) -> Review:
        """Review what was said."""
        return self.quarantine.review(votes, frozenset(self.nodes), self.now)


def vote(
    *rejected: str, accepted: tuple[str, ...] = (), pending: tuple[str, ...] = (), causes: tuple[Ref, ...] = (WEB,)
) -> Votes:
    """Return what nodes said about one resource."""
    words = dict.fromkeys(rejected, "no such thing")
    return Votes(KEY, causes, words, frozenset(accepted), frozenset(pending))


def test_what_everyone_rejects_goes_back_to_the_content_before() -> None:
    """The object is translated from its last accepted content, and says why in the proxy's words."""
    case = Case("n1", "n2")
    case.applied(thing("good"), thing("bad"))
    review = case.said(vote("n1", "n2"))
    assert review.changes == (Quarantined(WEB, thing("good")),)
    (problem,) = review.problems[WEB]
    assert problem.code == "RejectedByProxy"
    assert "2 of 2 proxies that answered rejected route shop/web/http" in problem.message
    assert "no such thing" in problem.message


def test_what_was_never_accepted_is_not_served() -> None:
    """There is no older content to go back to."""
    case = Case("n1")
    case.applied(thing("bad"))
    review = case.said(vote("n1"))
    assert review.changes == (Quarantined(WEB, None),)
    assert "not served" in review.problems[WEB][0].message


def test_the_problem_stays_while_the_object_is_in_quarantine() -> None:
    """The target shows the old content by then, so no client rejects it any more; people still have to know."""
    case = Case("n1")
    case.applied(thing("good"), thing("bad"))
    case.said(vote("n1"))
    review = case.said()
    assert review.changes == ()
    assert review.problems[WEB][0].code == "RejectedByProxy"
    assert case.quarantine.refs == {WEB}


def test_where_some_accept_nothing_is_taken_back() -> None:
    """The stream that rejects keeps what it has by itself; the problem counts and names it."""
    case = Case("n1", "n2", "n3")
    case.applied(thing("good"), thing("new"))
    review = case.said(vote("n1", accepted=("n2", "n3")))
    assert review.changes == ()
    (problem,) = review.problems[WEB]
    assert problem.code == "RejectedBySomeProxies"
    assert "rejected by 1 of 3 proxies (n1)" in problem.message
    assert case.said().problems == {}


def test_the_problem_is_the_same_one_while_more_proxies_answer() -> None:
    """People are told of it once, not with each of a thousand proxies; its message counts on."""
    case = Case("n1", "n2", "n3", "n4")
    case.applied(thing("good"), thing("new"))
    votes = (vote("n1", accepted=("n2",)), vote("n1", accepted=("n2", "n3")), vote("n4", "n1", accepted=("n2", "n3")))
    found = [case.said(one).problems[WEB][0] for one in votes]
    assert len({one.message for one in found}) == 3
    assert len({one.identity for one in found}) == 1
    assert "2 of 4 proxies (n1 and 1 more)" in found[-1].message


def test_those_that_have_not_answered_are_waited_for_but_not_for_ever() -> None:
    """The first to answer is not the one that decides; one that never answers does not hold up the others."""
    case = Case("n1", "n2")
    case.applied(thing("good"), thing("bad"))
    review = case.said(vote("n1", pending=("n2",)))
    assert (review.changes, review.problems) == ((), {})
    assert review.again_in is not None
    case.now += PATIENCE_SECONDS
    assert case.said(vote("n1", pending=("n2",))).changes == (Quarantined(WEB, thing("good")),)


def test_of_several_causes_the_one_that_changed_last_is_blamed() -> None:
    """What it broke worked before."""
    case = Case("n1")
    case.applied(thing("a"), thing("b", "other"), thing("c"))
    assert case.said(vote("n1", causes=(OTHER, WEB))).changes == (Quarantined(WEB, thing("a")),)


def test_when_the_first_suspect_was_not_it_the_next_one_is_blamed() -> None:
    """The resource is still rejected with the last change taken back."""
    case = Case("n1")
    case.applied(thing("a"), thing("b", "other"), thing("b2", "other"), thing("c"))
    case.said(vote("n1", causes=(OTHER, WEB)))
    assert case.said(vote("n1", causes=(OTHER, WEB))).changes == (Quarantined(OTHER, thing("b", "other")),)


def test_a_changed_object_leaves_quarantine_and_its_bad_content_is_no_past_of_it() -> None:
    """If the next content is rejected too, the last accepted one is served, not the rejected one in between."""
    case = Case("n1")
    case.applied(thing("good"), thing("bad"))
    case.said(vote("n1"))
    case.applied(thing("worse"))
    assert case.quarantine.refs == frozenset()
    assert case.said().problems == {}
    assert case.said(vote("n1")).changes == (Quarantined(WEB, thing("good")),)


def test_the_same_content_applied_again_changes_nothing() -> None:
    """A resync of the source is not a new attempt."""
    case = Case("n1")
    case.applied(thing("good"), thing("bad"))
    case.said(vote("n1"))
    case.applied(thing("bad"))
    assert case.quarantine.refs == {WEB}


def test_a_deleted_object_leaves_quarantine() -> None:
    """With its problem."""
    case = Case("n1")
    case.applied(thing("bad"))
    case.said(vote("n1"))
    case.quarantine.observe([Delete(WEB)])
    assert case.quarantine.refs == frozenset()
    assert case.said().problems == {}


def test_a_node_that_never_had_its_say_gets_it_once() -> None:
    """So a hostile client that was alone for a while has not decided for everybody."""
    case = Case("hostile")
    case.applied(thing("good"), thing("new"))
    case.said(vote("hostile"))
    case.nodes.add("n1")
    assert case.said().changes == (Upsert(thing("new")),)
    review = case.said(vote("hostile", accepted=("n1",)))
    assert review.changes == ()
    assert review.problems[WEB][0].code == "RejectedBySomeProxies"


def test_a_node_that_agrees_with_the_verdict_is_not_asked_again_when_it_reconnects() -> None:
    """Otherwise a proxy in a restart loop would try the rejected content for ever."""
    case = Case("n1")
    case.applied(thing("good"), thing("bad"))
    case.said(vote("n1"))
    case.nodes.add("n2")
    case.said()
    assert case.said(vote("n1", "n2")).changes == (Quarantined(WEB, thing("good")),)
    case.nodes.discard("n2")
    case.said()
    case.nodes.add("n2")
    assert case.said().changes == ()


def test_a_resource_of_unknown_causes_is_nobodys_fault() -> None:
    """There is nothing to take back, and nothing raises."""
    case = Case("n1")
    assert case.said(vote("n1", causes=())) == Review(again_in=case.said(vote("n1", causes=())).again_in)
