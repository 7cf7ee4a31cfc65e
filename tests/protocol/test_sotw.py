"""Statements 9 to 26: state of the world."""

from __future__ import annotations

import pytest

from tests.protocol.wire import Wire


@pytest.mark.parametrize("kind", ["CDS", "LDS"])
def test_a_wildcard_is_answered_even_with_nothing(kind: str) -> None:
    """Else Envoy waits 15 s for each type at its start (xds-protocol 9, 16)."""
    Wire("sotw").play(f"<-{kind} [] v'' '' NODE | ->{kind} v1 n1[] | <-{kind} [] v1 n1")


def test_an_ack_is_followed_by_silence() -> None:
    """Unless names changed or an update waits (xds-protocol 10, 8)."""
    Wire("sotw", "CDS c1").play("""
        <-CDS [] NODE | ->CDS v1 n1[c1] | ++ CDS c1@2 ; .. | <-CDS [] v1 n1 | ->CDS v2 n2[c1@2] | <-CDS [] v2 n2 ; ..
        <-CDS [] v2 n2 ; ..
    """)


def test_a_nack_needs_nothing_but_an_error() -> None:
    """Not even a text; the version may be empty when nothing was ever accepted (xds-protocol 11)."""
    wire = Wire("sotw", "CDS c1")
    wire.play("<-CDS [] NODE | ->CDS v1 n1[c1] | <-CDS [] v'' n1 error{} ; ..")
    assert [refusal.names for refusal in wire.refusals] == [("c1",)]
    assert "code 13" in wire.refusals[0].text


def test_rejected_content_is_not_sent_again_until_it_changes() -> None:
    """Other changes leave it out; its own next version goes out at once (xds-protocol 12)."""
    Wire("sotw", "CDS c1, CDS c2").play("""
        <-CDS [] NODE | ->CDS v1 n1[c1,c2] | <-CDS [] v1 n1
        ++ CDS c1@2 ; ->CDS v2 n2[c1@2,c2] | <-CDS [] v1 n2 error{c1: no} ; ..
        ++ CDS c2@2 ; ->CDS v3 n3[c1@1,c2@2] | <-CDS [] v3 n3
        ++ CDS c1@3 ; ->CDS v4 n4[c1@3,c2@2]
    """)


def test_the_rest_of_a_rejected_message_goes_out_at_once() -> None:
    """Without the part that the client's text names (xds-protocol 12, 35)."""
    Wire("sotw", "CDS c1, CDS bad, CDS c2").play("""
        <-CDS [] NODE | ->CDS v1 n1[c1,bad,c2] | <-CDS [] v'' n1 error{cluster bad is bad} | ->CDS v2 n2[c1,c2]
        <-CDS [] v2 n2 ; ..
    """)


def test_an_old_version_with_the_current_nonce_is_no_nack() -> None:
    """A gRPC client asks that way for one more name after it refused another: only that is sent (xds-protocol 13)."""
    wire = Wire("sotw", "EDS c1")
    wire.play("""
        <-EDS [c1] NODE | ->EDS v1 n4[c1] | <-EDS [c1] v1 n4
        ++ EDS c1@2, EDS c2 ; ->EDS v2 n5[c1@2] | <-EDS [c1] v1 n5 error{no} ; ..
        <-EDS [c1,c2] v1 n5 | ->EDS v3 n6[c2] | <-EDS [c1,c2] v3 n6 ; ..
    """)
    assert len(wire.refusals) == 1


def test_a_nack_may_change_the_names() -> None:
    """What it adds is sent, what it leaves out is dropped (xds-protocol 13)."""
    Wire("sotw", "EDS c1, EDS c2, EDS c3").play("""
        <-EDS [c1,c2] NODE | ->EDS v1 n1[c1,c2] | <-EDS [c2,c3] v'' n1 error{c1 is bad} | ->EDS v2 n2[c2,c3]
        ++ EDS c1@2 ; ..
    """)


def test_a_stale_request_is_not_answered_but_its_names_count() -> None:
    """A client never repeats them (xds-protocol 14, 15)."""
    Wire("sotw", "EDS c1, EDS c2, EDS c3").play("""
        <-EDS [c1] NODE | ->EDS v1 n1[c1] | <-EDS [c1] v1 n1 | ++ EDS c1@2 ; ->EDS v2 n2[c1@2]
        <-EDS [c1,c2] v1 n1 ; .. | <-EDS [c1,c2,c3] v1 n1 ; .. | <-EDS [c1,c2,c3] v2 n2 | ->EDS v3 n3[c2,c3]
    """)


def test_only_the_answer_to_the_last_response_asks_for_endpoints_again() -> None:
    """Clusters come on another stream: the same request again means that one of them changed (xds-protocol 26, 14)."""
    Wire("sotw", "EDS c1").play("""
        <-EDS [c1] NODE | ->EDS v1 n1[c1] | <-EDS [c1] v1 n1 | <-EDS [c1] v1 nOld ; .. | <-EDS [c1] v1 n1 error{no} ; ..
        <-EDS [c1] vOld n1 ; .. | <-EDS [c1] v1 n1 | ->EDS v1 n2[c1] | <-EDS [c1] v1 n2 ; ..
    """)


def test_one_response_of_a_type_is_unanswered_at_most() -> None:
    """What changes meanwhile is merged into the next (xds-protocol 14, 49)."""
    Wire("sotw", "CDS c1").play("""
        <-CDS [] NODE | ->CDS v1 n1[c1] | ++ CDS c1@2 ; ++ CDS c2 ; ++ CDS c3 ; -- CDS c2 ; ++ CDS c1@3 ; ..
        <-CDS [] v1 n1 | ->CDS v2 n2[c1@3,c3]
    """)


def test_every_response_holds_all_clusters() -> None:
    """A change of one brings all; absence deletes, also the last one (xds-protocol 16)."""
    Wire("sotw", "CDS c1, CDS c2").play("""
        <-CDS [] NODE | ->CDS v1 n1[c1,c2] | <-CDS [] v1 n1 | ++ CDS c2@2 ; ->CDS v2 n2[c1,c2@2] | <-CDS [] v2 n2
        -- CDS c1 ; ->CDS v3 n3[c2] | <-CDS [] v3 n3 | -- CDS c2 ; ->CDS v4 n4[] | <-CDS [] v4 n4 ; ..
    """)


def test_other_types_are_sent_in_part() -> None:
    """Only what changed; what is gone is left alone, and nothing empty is sent (xds-protocol 17)."""
    Wire("sotw", "EDS c1, EDS c2").play("""
        <-EDS [c1] NODE | ->EDS v1 n1[c1] | <-EDS [c1] v1 n1 | <-EDS [c1,c2] v1 n1 | ->EDS v2 n2[c2]
        <-EDS [c1,c2] v2 n2 ; ++ EDS c1@2 ; ->EDS v3 n3[c1@2]
        <-EDS [c1,c2] v3 n3 | -- EDS c1, EDS c2 ; .. | ++ EDS c1@2 ; ->EDS v4 n4[c1]
    """)


def test_several_names_come_in_one_response() -> None:
    """Or in several, as they come into being (xds-protocol 18)."""
    Wire("sotw", "EDS c1, EDS c2").play("""
        <-EDS [c1,c2,c3] NODE | ->EDS v1 n1[c1,c2] | <-EDS [c1,c2,c3] v1 n1 | ++ EDS c3 ; ->EDS v2 n2[c3]
    """)


def test_a_newly_named_resource_is_sent_whatever_came_before() -> None:
    """Even one that the wildcard has brought already (xds-protocol 19)."""
    Wire("sotw", "CDS c1, CDS c2").play("""
        <-CDS [] NODE | ->CDS v1 n1[c1,c2] | <-CDS [] v1 n1 | <-CDS [*,c1] v1 n1 | ->CDS v1 n2[c1,c2]
    """)


def test_a_name_dropped_and_asked_for_again_is_sent_again() -> None:
    """The client has thrown it away (xds-protocol 20)."""
    Wire("sotw", "EDS c1, EDS c2").play("""
        <-EDS [c1,c2] NODE | ->EDS v1 n1[c1,c2] | <-EDS [c1,c2] v1 n1 | <-EDS [c2] v1 n1 ; ..
        <-EDS [c1,c2] v1 n1 | ->EDS v1 n2[c1]
    """)


def test_a_name_dropped_while_under_way_and_asked_for_again_is_sent_again() -> None:
    """The acknowledgement of the first one says nothing about the second (xds-protocol 20)."""
    Wire("sotw", "EDS c1, EDS c2").play("""
        <-EDS [c1,c2] NODE | ->EDS v1 n1[c1,c2] | <-EDS [c2] v'' '' ; <-EDS [c1,c2] v'' '' ; <-EDS [c1,c2] v1 n1
        ->EDS v1 n2[c1] | <-EDS [c1,c2] v1 n2 ; ..
    """)


def test_an_asterisk_means_everything() -> None:
    """Also beside other names, and for any type (xds-protocol 21)."""
    Wire("sotw", "CDS c1, EDS c1, EDS c2").play("""
        <-CDS [*] NODE | ->CDS v1 n1[c1] | <-EDS [*] | ->EDS v2 n2[c1,c2]
    """)


def test_the_sequence_of_wildcards() -> None:
    """``[]``, ``[*,A]``, ``[A]``, ``[]`` are everything, everything and A, A, nothing (xds-protocol 22, 21)."""
    Wire("sotw", "CDS A, CDS b").play("""
        <-CDS [] NODE | ->CDS v1 n1[A,b] | <-CDS [] v1 n1 | <-CDS [*,A] v1 n1 | ->CDS v1 n2[A,b] | <-CDS [*,A] v1 n2
        <-CDS [A] v1 n2 ; ++ CDS b@2 ; .. | ++ CDS A@2 ; ->CDS v3 n3[A@2] | <-CDS [A] v3 n3
        <-CDS [] v3 n3 ; ++ CDS A@3 ; ..
    """)


@pytest.mark.parametrize("kind", ["EDS", "RDS", "SDS", "ECDS", "SRD"])
def test_an_empty_first_request_of_other_types_subscribes_to_nothing(kind: str) -> None:
    """Envoy sends it when its last cluster is gone (xds-protocol 23)."""
    Wire("sotw", f"{kind} a").play(
        f"<-{kind} [] v4 '' NODE ; .. | ++ {kind} a@2 ; .. | <-{kind} [a] | ->{kind} v1 n1[a]"
    )


def test_unknown_names_do_not_hold_up_known_ones() -> None:
    """They are remembered and sent when they exist (xds-protocol 24)."""
    Wire("sotw", "EDS c1, EDS c3").play("""
        <-EDS [c1,c2] NODE | ->EDS v1 n1[c1] | <-EDS [c1,c2] v1 n1 | ++ EDS c2 ; ->EDS v2 n2[c2]
    """)


def test_a_request_of_unknown_names_only_is_met_with_silence() -> None:
    """For listeners by name too, as a gRPC client asks (xds-protocol 24)."""
    Wire("sotw").play(
        "<-LDS [svc] NODE ; .. | ++ LDS svc ; ->LDS v1 n1[svc] | <-LDS [svc] v1 n1 | -- LDS svc ; ->LDS v2 n2[]"
    )


def test_named_resources_are_answered_at_the_same_version() -> None:
    """The client that comes back asks for them (xds-protocol 25)."""
    wire = Wire("sotw", "EDS c1, CDS c1")
    wire.play("<-CDS [] NODE | ->CDS v1 n1[c1] | <-EDS [c1] | ->EDS v2 n2[c1]")
    wire.redial()
    wire.play("<-CDS [] v1 '' NODE | ->CDS v1 n3[c1] | <-EDS [c1] v2 '' | ->EDS v2 n4[c1]")


def test_a_version_is_the_hash_of_what_was_sent() -> None:
    """Whatever the history, the replica and the order of the changes (xds-protocol 25)."""
    versions = set()
    for order in (("CDS a", "CDS b", "CDS c@9", "CDS c@1"), ("CDS c, CDS b, CDS x, CDS a",)):
        wire = Wire("sotw")
        for world in order:
            wire.put(world)
        wire.take("CDS x")
        wire.ask("CDS [] NODE")
        versions.add(wire.inbox.pop().version)
    assert len(versions) == 1


def test_endpoints_follow_their_changed_cluster_unasked() -> None:
    """Envoy repeats its request meanwhile; it is answered once (xds-protocol 26)."""
    Wire("sotw", "CDS c1, EDS c1, EDS c2").play("""
        <-CDS [] NODE | ->CDS v1 n1[c1] | <-EDS [c1] | ->EDS v2 n2[c1] | <-EDS [c1] v2 n2 ; <-CDS [] v1 n1
        ++ CDS c1@2 ; ->CDS v3 n3[c1@2] ; ->EDS v2 n4[c1] | <-EDS [c1] v2 n2 ; ..
        <-EDS [c1] v2 n4 ; <-CDS [] v3 n3 ; ..
    """)


def test_repeated_endpoints_are_answered_where_clusters_come_on_another_stream() -> None:
    """Nobody else on this stream knows that the cluster changed (xds-protocol 26)."""
    Wire("sotw", "EDS c1").play("""
        <-EDS [c1] NODE | ->EDS v1 n1[c1] | <-EDS [c1] v1 n1 ; ..
        <-EDS [c1] v1 n1 | ->EDS v1 n2[c1] | <-EDS [c1] v1 n2 ; ..
    """)


def test_a_client_that_comes_back_and_refuses_without_a_reason_keeps_what_it_has() -> None:
    """Half of a whole set would delete the other half of what it still serves (xds-protocol 35, 16)."""
    Wire("sotw", "CDS c1, CDS c2").play("""
        <-CDS [] v9 '' NODE | ->CDS v1 n1[c1,c2] | <-CDS [] v9 n1 error{schema} ; .. | <-CDS [] v9 n1 ; ..
        ++ CDS c2@2 ; ->CDS v2 n2[c1,c2@2] | <-CDS [] v2 n2 ; ..
    """)


def test_what_went_while_a_whole_set_is_refused_does_not_empty_the_client() -> None:
    """Neither does a set that was refused before go out again when it comes back (xds-protocol 12, 16)."""
    Wire("sotw", "CDS a, CDS b, CDS c").play("""
        <-CDS [] v9 '' NODE | ->CDS v1 n1[a,b,c] | <-CDS [] v9 n1 error{schema} ; .. | -- CDS c ; ->CDS v2 n2[a,b]
        <-CDS [] v9 n2 error{schema} ; .. | ++ CDS c ; .. | -- CDS c ; .. | -- CDS a, CDS b ; .. 5s ; ->CDS v3 n3[]
    """)


def test_a_set_that_is_refused_without_its_known_culprit_is_not_sent_again() -> None:
    """What is left of it is a set like any other (xds-protocol 12, 35)."""
    Wire("sotw", "CDS a, CDS b, CDS c").play("""
        <-CDS [] v9 '' NODE | ->CDS v1 n1[a,b,c] | <-CDS [] v9 n1 error{c: no} | ->CDS v2 n2[a,b]
        <-CDS [] v9 n2 error{schema} ; .. | ++ CDS c@2 ; ->CDS v3 n3[a,b,c@2] | <-CDS [] v3 n3 ; ..
    """)


def test_a_new_client_that_refuses_a_whole_set_without_a_name_is_sent_halves_of_it() -> None:
    """It serves nothing yet, so half a set takes nothing from it; every refusal counts (xds-protocol 35)."""
    wire = Wire("sotw", "CDS c1, CDS c2")
    wire.play("""
        <-CDS [] NODE | ->CDS v1 n1[c1,c2] | <-CDS [] v'' n1 error{what?} | ->CDS v2 n2[c1]
        <-CDS [] v2 n2 | ->CDS v3 n3[c1,c2] | <-CDS [] v2 n3 error{what?} ; ..
    """)
    (state,) = wire.stream.states.values()
    assert (state.counters.sent, state.counters.acked, state.counters.nacked) == (3, 1, 2)
