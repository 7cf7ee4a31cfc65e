"""Statements 40 to 49: order, warming, reconnects and back-pressure."""

from __future__ import annotations

import pytest

from nodegate.server.protocol.decode import decode_request
from nodegate.server.protocol.stream import Stream, StreamOptions
from nodegate.snapshot.target import Target
from nodegate.snapshot.type_urls import CLUSTER, ROUTE, SHORT_NAME
from tests.protocol.wire import Wire, resource

WORLD = "CDS c1, EDS c1, SDS s1, LDS l1(r1), RDS r1(c1)"
UP = {
    "delta": """
        <-CDS NODE | ->CDS v1 n1[c1] | <-EDS sub[c1] | ->EDS v2 n2[c1] | <-EDS n2 ; <-CDS n1 | <-LDS | ->LDS v3 n3[l1]
        <-RDS sub[r1] | ->RDS v4 n4[r1] | <-LDS n3 ; <-RDS n4
    """,
    "sotw": """
        <-CDS [] NODE | ->CDS v1 n1[c1] | <-EDS [c1] | ->EDS v2 n2[c1] | <-EDS [c1] v2 n2 ; <-CDS [] v1 n1
        <-LDS [] | ->LDS v3 n3[l1] | <-RDS [r1] | ->RDS v4 n4[r1] | <-LDS [] v3 n3 ; <-RDS [r1] v4 n4
    """,
}
both = pytest.mark.parametrize("variant", ["delta", "sotw"])


def up(variant: str, **options: float) -> Wire:
    """Return a wire to a client that is served ``WORLD``."""
    wire = Wire(variant, WORLD, options=StreamOptions(**options))  # type: ignore[arg-type]
    wire.play(UP[variant])
    return wire


def test_updates_go_out_in_the_order_of_their_types() -> None:
    """Clusters, endpoints, secrets, listeners, then routes when the clusters are acknowledged (xds-protocol 40)."""
    wire = up("delta")
    wire.play("<-SDS sub[s1] | ->SDS n5[s1] | <-SDS n5 | <-SRD sub[*] | ->SRD n6[] | <-SRD n6")
    wire.put("SRD x, RDS r1@2(c1), LDS l1@2(r1), SDS s1@2, EDS c1@2, CDS c1@2")
    assert [said.short for said in wire.inbox] == ["CDS", "EDS", "SDS", "LDS", "RDS", "SRD"]


def test_removals_go_out_in_reverse_and_last() -> None:
    """A listener, then its routes, then their clusters, then the endpoints (xds-protocol 40)."""
    wire = up("delta")
    wire.play("""
        -- CDS c1, EDS c1, LDS l1, RDS r1 ; ->LDS n11 removed[l1] | <-LDS n11 | ->RDS n12 removed[r1] | <-RDS n12
        ->CDS n13 removed[c1] | <-CDS n13 | ->EDS n14 removed[c1] | <-EDS n14 ; ..
    """)


def test_a_route_waits_for_the_acknowledgement_of_its_clusters() -> None:
    """The old cluster stays until the route that left it is acknowledged (xds-protocol 42, 40)."""
    up("delta").play("""
        ++ CDS c2, EDS c2, RDS r1@2(c2) ; -- CDS c1, EDS c1
        ->CDS n10[c2] | <-EDS sub[c2] | ->EDS n11[c2] ; .. | <-EDS n11 | ->RDS n12[r1@2] | <-CDS n10 ; ..
        <-RDS n12 | ->CDS n13 removed[c1] | <-EDS unsub[c1] ; <-CDS n13 ; ..
    """)


def test_the_same_in_state_of_the_world() -> None:
    """The whole set is sent twice: with the old cluster, then without (xds-protocol 42, 16)."""
    up("sotw").play("""
        ++ CDS c2, EDS c2, RDS r1@2(c2) ; -- CDS c1, EDS c1
        ->CDS v10 n10[c1,c2] | <-EDS [c1,c2] v2 n2 | ->EDS v11 n11[c2] ; ..
        <-EDS [c1,c2] v11 n11 | ->RDS v12 n12[r1@2]
        <-CDS [] v10 n10 ; .. | <-RDS [r1] v12 n12 | ->CDS v13 n13[c2] | <-EDS [c2] v11 n11 ; <-CDS [] v13 n13 ; ..
    """)


def test_a_cluster_that_never_warms_holds_back_only_its_own_routes() -> None:
    """The endpoints of another one, acknowledged after it was sent, show that it is in use (xds-protocol 42)."""
    up("delta").play("""
        ++ CDS never, CDS c2, EDS c2, RDS r1@2(c2), RDS r2(never)
        ->CDS n10[never,c2] | <-EDS sub[c2] | ->EDS n11[c2] | <-EDS n11 | ->RDS n12[r1@2] | <-RDS n12
        <-RDS sub[r2] ; .. | .. 14s | .. | .. 1s | ->RDS n13[r2]
    """)


def test_the_wait_for_one_cluster_does_not_start_anew_with_each_route() -> None:
    """Who waited in vain once does not wait again for the same (xds-protocol 42)."""
    up("delta").play("""
        ++ CDS never, RDS r1@2(never,c1) ; ->CDS n10[never] | .. 15s | ->RDS n11[r1@2] | <-RDS n11
        ++ RDS r1@3(never,c1) ; ->RDS n12[r1@3]
    """)


def test_what_waits_can_be_seen() -> None:
    """With the reason, for people (xds-protocol 42)."""
    wire = up("delta")
    wire.play("++ CDS c2, RDS r1@2(c2) ; ->CDS n10[c2]")
    ((hold, since),) = [state for one in wire.stream.states.values() for state in one.holds.values()]
    assert "cluster c2" in hold.reason
    assert hold.until == since + 15.0


def test_what_waits_to_be_removed_says_what_names_it() -> None:
    """By kind and name (xds-protocol 40)."""
    wire = up("delta")
    wire.play("-- RDS r1, CDS c1")
    ((hold, _),) = wire.stream.states[CLUSTER].holds.values()
    assert hold.reason == f"{SHORT_NAME[ROUTE]} r1 on the client still names it"


def test_a_cluster_is_not_emptied_before_the_routes_left_it() -> None:
    """The end of an old Service does not overtake the route that leaves it (xds-protocol 40)."""
    up("delta").play("""
        ++ CDS c2, EDS c2, RDS r1@2(c2), EDS c1@0
        ->CDS n10[c2] | <-EDS sub[c2] | ->EDS n11[c2] | <-EDS n11 ; ->RDS n12[r1@2]
        <-CDS n10 ; .. | <-RDS n12 | ->EDS n13[c1@0]
    """)


def test_a_cluster_in_use_is_emptied_at_once() -> None:
    """The target's routes lead there, so 503 is what it wants (xds-protocol 41)."""
    up("delta").play("++ EDS c1@0 ; ->EDS n10[c1@0]")


def test_a_route_waits_for_endpoints_that_came_back() -> None:
    """A route that moves to a cluster which was empty comes after its endpoints (xds-protocol 40)."""
    wire = Wire("delta", WORLD + ", CDS c2, EDS c2@0")
    wire.play("""
        <-CDS NODE | ->CDS n1[c1,c2] | <-EDS sub[c1,c2] | ->EDS n2[c1,c2] | <-EDS n2 ; <-CDS n1 | <-LDS | ->LDS n3[l1]
        <-RDS sub[r1] | ->RDS n4[r1] | <-LDS n3 ; <-RDS n4
        ++ EDS c2@1, RDS r1@2(c2) ; ->EDS n10[c2@1] ; .. | <-EDS n10 | ->RDS n11[r1@2]
    """)


def test_a_route_does_not_wait_for_endpoints_that_are_none() -> None:
    """Its cluster answers 503, whatever else the client has not acknowledged yet (xds-protocol 40, 41)."""
    wire = Wire("delta", WORLD + ", CDS c2, EDS c2@0")
    wire.play("""
        <-CDS NODE | ->CDS n1[c1,c2] | <-EDS sub[c1,c2] | ->EDS n2[c1,c2] | <-EDS n2 ; <-CDS n1 | <-LDS | ->LDS n3[l1]
        <-RDS sub[r1] | ->RDS n4[r1] | <-LDS n3 ; <-RDS n4
        ++ EDS c1@2 ; ->EDS n10[c1@2] | ++ RDS r1@2(c2) ; ->RDS n11[r1@2]
    """)


def test_a_changed_listener_does_not_bring_its_routes_again() -> None:
    """It warms with those the client has (xds-protocol 43)."""
    up("delta").play("++ LDS l1@2(r1) ; ->LDS n10[l1@2] | <-LDS n10 ; ..")


def test_the_unsubscription_after_a_removed_cluster_is_met_with_silence() -> None:
    """Whether it comes before or after the acknowledgement (xds-protocol 44)."""
    Wire("delta", "CDS c1, EDS c1, CDS c3, EDS c3").play("""
        <-CDS NODE | ->CDS n1[c1,c3] | <-EDS sub[c1,c3] | ->EDS n2[c1,c3] | <-EDS n2 | <-CDS n1
        -- CDS c3, EDS c3 ; ->CDS n3 removed[c3] | <-EDS unsub[c3] ; .. | <-CDS n3 ; ..
    """)


def test_a_shorter_list_after_a_removed_cluster_is_met_with_silence() -> None:
    """It carries the current nonce of state of the world (xds-protocol 44)."""
    Wire("sotw", "CDS c1, EDS c1, CDS c3, EDS c3").play("""
        <-CDS [] NODE | ->CDS v1 n1[c1,c3] | <-EDS [c1,c3] | ->EDS v2 n2[c1,c3] | <-EDS [c1,c3] v2 n2 | <-CDS [] v1 n1
        -- CDS c3, EDS c3 ; ->CDS v3 n3[c1] | <-EDS [c1] v2 n2 ; .. | <-CDS [] v3 n3 ; ..
    """)


@both
def test_routes_asked_for_after_their_listener_is_gone_are_answered(variant: str) -> None:
    """Envoy does so while the listener drains (xds-protocol 45, 24, 29)."""
    names = "sub[r1,r0]" if variant == "delta" else "[r1,r0]"
    missing = "removed[r0]" if variant == "delta" else ""
    Wire(variant, "RDS r1(c1)").play(f"<-LDS NODE | ->LDS v1 n1[] | <-RDS {names} v9 '' | ->RDS v2 n2[r1] {missing}")


@both
def test_a_stream_is_not_answered_before_the_sources_are_synced(variant: str) -> None:
    """An empty answer would wipe a proxy that comes back (xds-protocol 47)."""
    wire = Wire(variant, ready=False)
    wire.play("<-CDS NODE ; .. | ++ CDS c1 ; ..")
    wire.ready = True
    wire.put("CDS c2")
    wire.play("->CDS v1 n1[c1,c2]")


def test_a_stale_target_removes_nothing_in_delta() -> None:
    """Before the first full listing nobody knows what is gone (xds-protocol 47)."""
    wire = Wire("delta", "CDS c1@2")
    wire.mark(stale=True)
    wire.play("<-LDS NODE | ->LDS n0[] | <-LDS n0 | <-CDS init{c1:1,c2:1} | ->CDS n1[c1@2] | <-CDS n1 | .. 60s | ..")
    wire.mark(stale=False)
    wire.play("->CDS n2 removed[c2]")


def test_a_stale_target_does_not_empty_a_client_that_comes_back_in_sotw() -> None:
    """Absence deletes, so it is not sent to one that holds something; to a new one it is (xds-protocol 47)."""
    wire = Wire("sotw", "CDS c1")
    wire.mark(stale=True)
    wire.play("<-CDS [] v7 '' NODE ; .. | .. 60s | ..")
    wire.mark(stale=False)
    wire.play("->CDS v1 n1[c1]")
    wire.mark(stale=True)
    wire.redial()
    wire.play("<-CDS [] v'' '' NODE | ->CDS v1 n2[c1]")


def test_streams_of_one_node_do_not_know_of_each_other() -> None:
    """One refuses, is slow, ends: the other goes on (xds-protocol 48)."""
    wire = Wire("delta", "CDS c1, CDS c2")
    streams = [Stream(wire.variant), Stream(wire.variant)]
    for stream in streams:
        stream.on_target(wire.target)
        stream.on_request(decode_request(wire.variant, wire.encode("CDS NODE")))
        assert stream.next_response(0.0) is not None
    refusal = streams[0].on_request(decode_request(wire.variant, wire.encode("CDS 1 error{c1: no}")))
    assert refusal is None  # the nonce of a script is a label; this one is stale
    assert streams[1].next_response(1.0) is None
    assert streams[1].on_request(decode_request(wire.variant, wire.encode("CDS"))) is None


@both
def test_a_slow_client_skips_what_happened_meanwhile(variant: str) -> None:
    """A thousand changes are one response when it has answered (xds-protocol 49)."""
    wire = Wire(variant, "CDS c1")
    wire.play("<-CDS NODE | ->CDS v1 n1[c1]")
    for content in range(2, 1000):
        wire.put(f"CDS c1@{content}")
    wire.play("<-CDS v1 n1 | ->CDS v2 n2[c1@999]")


def test_a_client_far_behind_is_caught_up() -> None:
    """Further than the target remembers its changes (xds-protocol 49)."""
    wire = Wire("delta", "CDS c1, CDS c2, CDS c3")
    wire.play("<-CDS NODE | ->CDS n1[c1,c2,c3]")
    target = wire.target
    for content in range(2, 5000):
        target = target.apply({(CLUSTER, "c1"): resource("CDS", "c1", str(content))})
    wire.target = target.apply({(CLUSTER, "c2"): None})
    wire.play("<-CDS n1 | ->CDS n2[c1@4999] | <-CDS n2 | ->CDS n3 removed[c2]")


def test_an_empty_target_is_a_target() -> None:
    """Everything was deleted, and that is known (xds-protocol 47, 16)."""
    wire = Wire("sotw")
    assert wire.target == Target()
    wire.play("<-CDS [] NODE | ->CDS v1 n1[]")


def test_a_cluster_that_is_being_removed_is_not_there_for_a_route() -> None:
    """It comes back first (xds-protocol 42, 40)."""
    wire = up("delta")
    wire.play("++ CDS c2 ; ->CDS n10[c2] | <-CDS n10 | -- CDS c2 ; ->CDS n11 removed[c2]")
    wire.play("""
        ++ CDS c2, RDS r1@2(c2) ; .. | <-CDS n11 | ->CDS n12[c2] ; .. | <-CDS n12 | ->RDS n13[r1@2]
    """)


def test_a_route_does_not_wait_for_clusters_it_does_not_name() -> None:
    """Though they are under way (xds-protocol 42)."""
    up("delta").play("++ CDS c2 ; ->CDS n10[c2] | ++ RDS r1@2(c1) ; ->RDS n11[r1@2]")


def test_endpoints_that_are_none_are_said_at_once_to_a_client_that_holds_no_others() -> None:
    """Nothing is taken away from the routes that lead there (xds-protocol 24, 40)."""
    Wire("delta", "CDS c1, CDS c2, EDS c1, EDS c2@0, LDS l1(r1), RDS r1(c2)").play("""
        <-CDS NODE | ->CDS n1[c1,c2] | <-CDS n1 | <-EDS sub[c1] | ->EDS n2[c1] | <-EDS n2 | <-LDS | ->LDS n3[l1]
        <-LDS n3 | <-RDS sub[r1] | ->RDS n4[r1] | <-RDS n4 | ++ RDS r1@2(c1) ; ->RDS n5[r1@2]
        <-EDS sub[c2] | ->EDS n6[c2@0]
    """)


def test_a_cluster_in_use_is_emptied_also_while_its_route_changes() -> None:
    """The target's route leads there too (xds-protocol 41)."""
    up("delta").play("++ RDS r1@2(c1) ; ->RDS n10[r1@2] | ++ EDS c1@0 ; ->EDS n11[c1@0]")


def test_endpoints_of_a_cluster_that_went_while_it_warmed_are_answered() -> None:
    """Delta says that there are none, state of the world sends none: silence would last 15 s (xds-protocol 24, 41)."""
    Wire("delta", "CDS c1, EDS c1").play("""
        <-CDS NODE | ->CDS n1[c1] | -- CDS c1, EDS c1 ; .. | <-EDS sub[c1] | ->EDS n2[] removed[c1]
    """)
    wire = Wire("sotw", "CDS c1, EDS c1, CDS c2")
    wire.play("<-CDS [] NODE | ->CDS v1 n1[c1,c2] | -- CDS c1, EDS c1 ; .. | <-EDS [c1] | ->EDS v2 n2[c1@0]")
    wire.play("<-EDS [c1,c2,c3] v2 n2 ; ..")


@pytest.mark.parametrize("kind", ["EDS", "RDS"])
def test_a_repeated_request_is_met_with_silence(kind: str) -> None:
    """Only endpoints without their clusters on the stream are asked for that way (xds-protocol 26, 10)."""
    Wire("sotw", "CDS c1, EDS a, RDS a").play(f"""
        <-{kind} [a] NODE | ->{kind} v1 n1[a] | <-CDS [] | ->CDS v2 n2[c1]
        <-{kind} [a] v1 n1 ; <-{kind} [a] v1 n1 ; ..
    """)
    Wire("sotw", "RDS a").play("<-RDS [a] NODE | ->RDS v1 n1[a] | <-RDS [a] v1 n1 ; <-RDS [a] v1 n1 ; ..")


def test_a_route_does_not_wait_for_a_cluster_that_does_not_exist() -> None:
    """But for all of the others (xds-protocol 42)."""
    wire = up("delta")
    wire.play("++ CDS c2, CDS c3, RDS r1@2(a0,c2,c3) ; ->CDS n10[c2,c3] ; ..")
    ((hold, _),) = [state for one in wire.stream.states.values() for state in one.holds.values()]
    assert hold.reason.endswith("cluster c2, c3")
    wire.play("<-CDS n10 | ->RDS n11[r1@2]")


def test_a_route_does_not_wait_for_endpoints_that_were_refused() -> None:
    """There will be no others (xds-protocol 42, 35)."""
    up("delta").play("""
        ++ CDS c2, EDS c2, RDS r1@2(c2) ; ->CDS n10[c2] | <-EDS sub[c2] | ->EDS n11[c2]
        <-EDS n11 error{c2 is bad} ; .. | <-CDS n10 | ->RDS n12[r1@2]
    """)


def test_what_many_streams_are_sent_alike_empties_no_cluster_early_either() -> None:
    """Each stream asks whether its routes have left it (xds-protocol 40)."""
    Wire("delta", WORLD + ", CDS c2, EDS c2").play("""
        <-CDS NODE | ->CDS n1[c1,c2] | <-EDS sub[c1,c2] | ->EDS n2[c1,c2] | <-EDS n2 ; <-CDS n1 | <-LDS | ->LDS n3[l1]
        <-RDS sub[r1] | ->RDS n4[r1] | <-LDS n3 ; <-RDS n4
        ++ RDS r1@2(c2), EDS c1@0 ; ->RDS n5[r1@2] ; .. | <-RDS n5 | ->EDS n6[c1@0]
    """)


def test_endpoints_of_before_do_not_keep_a_warming_cluster_waiting() -> None:
    """The cluster that names them is the one that went (xds-protocol 24, 41)."""
    Wire("delta", "CDS c1, EDS c1").play("""
        <-CDS NODE | ->CDS n1[c1] | -- CDS c1, EDS c1 ; .. | <-EDS sub[c1] init{c1:7} | ->EDS n2[] removed[c1]
    """)


def test_a_cluster_that_comes_back_before_it_could_be_removed_stays() -> None:
    """What held it back may end, and it is not removed all the same (xds-protocol 40)."""
    up("delta").play("""
        -- LDS l1, RDS r1, CDS c1, EDS c1 ; ->LDS n10 removed[l1] | ++ CDS c1, EDS c1 ; ..
        <-LDS n10 | ->RDS n11 removed[r1] | <-RDS n11 ; .. | ++ CDS c1@2 ; ->CDS n12[c1@2] | ->EDS n13[c1]
    """)


def test_a_route_waits_for_endpoints_in_place_of_none_that_were_made_up() -> None:
    """The client holds that there are none until it takes in others (xds-protocol 24, 42)."""
    Wire("sotw", "CDS c1, EDS c1").play("""
        <-CDS [] NODE | ->CDS v1 n1[c1] | -- CDS c1, EDS c1 ; .. | <-EDS [c1] | ->EDS v2 n2[c1@0] | <-EDS [c1] v2 n2
        ++ CDS c1, EDS c1, RDS r1(c1) ; ->EDS v3 n3[c1@1] | <-CDS [] v1 n1 | <-RDS [r1] ; ..
        <-EDS [c1] v3 n3 | ->RDS v4 n4[r1]
    """)


def test_who_asks_for_what_cannot_be_removed_yet_is_sent_what_it_holds() -> None:
    """To say that it is gone would take it from the route that names it (xds-protocol 28, 40)."""
    up("delta").play("-- RDS r1, CDS c1 ; .. | <-CDS sub[c1] | ->CDS n10[c1@1] | ->EDS n11[c1] | <-CDS n10 ; ..")
