"""What a client holds from an earlier stream, and when it is told that something of it is gone (37, 40, 47)."""

from __future__ import annotations

from tests.protocol.wire import Wire

WORLD = "CDS c1, EDS c1, LDS l1(r1), RDS r1(c1)"
BACK = """
    <-CDS init{c1:1,c2:1} NODE | ->CDS n1[] | <-CDS n1 | <-LDS init{l1:1} | ->LDS n2[] | <-LDS n2
"""
"""A client that comes back and holds one cluster more than there is."""


def test_nothing_is_removed_before_the_client_has_said_what_routes_it_holds() -> None:
    """It does so at once, or it holds none: five seconds are enough (xds-protocol 37, 40)."""
    wire = Wire("delta", WORLD)
    wire.play("<-CDS init{c1:1,c2:1} NODE | ->CDS n1[] | <-CDS n1 ; ..")
    assert wire.stream.deadline() == wire.now + 5.0
    wire.play(".. 4s | .. | .. 1s | ->CDS n2 removed[c2]")


def test_a_client_without_listeners_holds_no_routes_either() -> None:
    """So there is nothing to wait for (xds-protocol 37, 40)."""
    Wire("delta", "CDS c1").play("""
        <-CDS init{c1:1,c2:1} NODE | ->CDS n1[] | <-LDS | ->LDS n2[] | <-CDS n1 | ->CDS n3 removed[c2]
    """)


def test_a_cluster_stays_until_the_routes_of_before_are_replaced() -> None:
    """What they name is unknown, so it may be this one (xds-protocol 37, 40)."""
    Wire("delta", WORLD).play(BACK + "<-RDS sub[r1] init{r1:0} | ->RDS n3[r1] ; .. | <-RDS n3 | ->CDS n4 removed[c2]")


def test_a_client_that_never_answers_its_routes_is_not_waited_for_for_ever() -> None:
    """The wait is bounded and can be seen (xds-protocol 40)."""
    wire = Wire("delta", WORLD)
    wire.play(BACK + "<-RDS sub[r1] init{r1:0} | ->RDS n3[r1] ; ..")
    assert wire.stream.deadline() == 115.0
    wire.play(".. 14s | .. | .. 1s | ->CDS n4 removed[c2]")


def test_a_route_of_before_whose_successor_was_refused_stays_and_so_does_its_cluster() -> None:
    """Until there is one that the client takes (xds-protocol 35, 40)."""
    Wire("delta", WORLD).play(
        BACK
        + """
        <-RDS sub[r1] init{r1:0} | ->RDS n3[r1] | <-RDS n3 error{r1 is bad} ; .. | .. 60s | ..
        ++ RDS r1@2(c1) ; ->RDS n4[r1@2] | <-RDS n4 | ->CDS n5 removed[c2]
        """
    )


def test_routes_wait_for_a_client_that_asks_for_its_clusters_later() -> None:
    """One of its own is warming, so it asks for the endpoints first (xds-protocol 38, 42)."""
    wire = Wire("delta", WORLD)
    wire.play("""
        <-EDS sub[c1] init{c1:1} NODE | ->EDS n1[c1] | <-EDS n1 | <-LDS init{l1:1} | ->LDS n2[] | <-LDS n2
        <-RDS sub[r1] init{r1:0} ; ..
    """)
    assert wire.stream.deadline() == 115.0
    wire.play(".. 14s | .. | .. 1s | ->RDS n3[r1]")


def test_a_new_client_that_takes_routes_alone_gets_them_at_once() -> None:
    """It holds nothing, and never asks for clusters (xds-protocol 42)."""
    Wire("delta", WORLD).play("<-EDS sub[c1] NODE | ->EDS n1[c1] | <-RDS sub[r1] | ->RDS n2[r1]")


def test_endpoints_are_not_emptied_before_the_client_has_asked_for_its_clusters() -> None:
    """Its routes may still lead there (xds-protocol 38, 40)."""
    wire = Wire("delta", "CDS c1, EDS c1@0")
    wire.play("<-EDS sub[c1] init{c1:1} NODE ; ..")
    assert wire.stream.deadline() == wire.now + 5.0
    wire.play(".. 5s | ->EDS n1[c1@0]")


def test_what_was_refused_and_is_asked_for_again_does_not_exist_for_this_client() -> None:
    """The same content is not sent again; a client that holds another keeps that (xds-protocol 12, 28, 35)."""
    ask = "<-EDS sub[c1] NODE | ->EDS n1[c1] | <-EDS n1 error{c1 is bad} ; .. | <-EDS sub[c1]"
    Wire("delta", "EDS c1").play(ask + "| ->EDS n2[] removed[c1]")
    Wire("delta", "EDS c1").play(ask.replace("NODE", "init{c1:7} NODE") + "; ..")


def test_what_the_client_reported_and_the_target_comes_back_to_is_held() -> None:
    """It need not be sent, and has to be removed when it goes (xds-protocol 37)."""
    Wire("delta", "CDS c1, CDS c2, RDS r1@2(c2)").play("""
        <-CDS NODE | ->CDS n1[c1,c2] | <-LDS | ->LDS n2[] | <-LDS n2
        <-RDS sub[*] init{r1:1} | ->RDS n3[] | <-RDS n3 ; .. | ++ RDS r1@1(c1) ; .. | <-CDS n1 ; ..
        -- RDS r1 ; ->RDS n4 removed[r1]
    """)


def test_what_the_client_reported_and_does_not_ask_for_is_not_counted() -> None:
    """Its version is that of a client that reported nothing (xds-protocol 37, 25)."""
    versions = []
    for reported in ("", "init{c1:1}"):
        wire = Wire("delta", "EDS c1")
        wire.play(f"<-EDS {reported} NODE ; .. | ++ EDS c2 ; ..")
        wire.ask("EDS sub[c2]")
        versions.append(wire.hears("EDS v1 n1[c2]").version)
    assert versions[0] == versions[1]
