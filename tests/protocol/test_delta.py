"""Statements 27 to 39: delta."""

from __future__ import annotations

import pytest

from tests.protocol.wire import TYPES, Wire, resource


def test_a_subscription_is_edited_by_any_message() -> None:
    """First, ACK, NACK or unasked; an empty list changes nothing (xds-protocol 27)."""
    Wire("delta", "EDS c1, EDS c2, EDS c3, EDS c4").play("""
        <-EDS sub[c1] NODE | ->EDS n1[c1] | <-EDS sub[c2] n1 | ->EDS n2[c2]
        <-EDS sub[c3] n2 error{c2 is bad} | ->EDS n3[c3]
        <-EDS sub[c4] unsub[c1] | <-EDS n3 | ->EDS n4[c4] | <-EDS n4 ; ..
        ++ EDS c1@2 ; .. | ++ EDS c3@2 ; ->EDS n5[c3@2]
    """)


def test_every_subscription_is_answered_even_a_redundant_one() -> None:
    """The client needs it to finish warming (xds-protocol 28)."""
    Wire("delta", "EDS c1, EDS c2").play("""
        <-EDS sub[c1,c2] NODE | ->EDS n1[c1,c2] | <-EDS n1 | <-EDS sub[c1] | ->EDS n2[c1] | <-EDS n2 ; ..
        <-EDS sub[c1,c1] | ->EDS n3[c1] | <-EDS n3
    """)


def test_a_subscription_beside_its_own_version_is_answered() -> None:
    """Initial versions do not replace the answer (xds-protocol 28, 37)."""
    Wire("delta", "EDS c1, EDS c2").play("<-EDS sub[c1,c2] init{c1:1,c2:1} NODE | ->EDS n1[c1,c2] | <-EDS n1 ; ..")


def test_asking_for_the_wildcard_again_answers_everything() -> None:
    """It is a subscription like any other (xds-protocol 28)."""
    Wire("delta", "CDS c1, CDS c2").play("""
        <-CDS sub[*] NODE | ->CDS n1[c1,c2] | <-CDS n1 | <-CDS sub[*] | ->CDS n2[c1,c2] | <-CDS n2 ; ..
    """)


def test_a_name_that_does_not_exist_is_reported_and_remembered() -> None:
    """It is sent when it exists (xds-protocol 29, 24)."""
    Wire("delta", "EDS c1").play("""
        <-EDS sub[c1,c2] NODE | ->EDS n1[c1] removed[c2] | <-EDS n1 | ++ EDS c2 ; ->EDS n2[c2] | <-EDS n2
        -- EDS c2 ; ->EDS n3[] removed[c2] | <-EDS n3 | <-EDS sub[c2] | ->EDS n4[] removed[c2] | <-EDS n4
        ++ EDS c2 ; ->EDS n5[c2]
    """)


def test_an_update_carries_what_changed_and_names_what_is_gone() -> None:
    """And nothing else (xds-protocol 30)."""
    Wire("delta", "CDS c1, CDS c2, CDS c3").play("""
        <-CDS NODE | ->CDS n1[c1,c2,c3] | <-CDS n1 | ++ CDS c2@2 ; ->CDS n2[c2@2] | <-CDS n2
        -- CDS c1, CDS c3 ; ->CDS n3[] removed[c1,c3] | <-CDS n3 ; ..
    """)


def test_an_unsubscription_is_met_with_silence() -> None:
    """Also one of names that were never asked for (xds-protocol 31)."""
    Wire("delta", "EDS c1, EDS c2").play("""
        <-EDS sub[c1,c2] NODE | ->EDS n1[c1,c2] | <-EDS n1 | <-EDS unsub[c2,zzz] ; .. | ++ EDS c2@2 ; ..
        <-EDS sub[c2] | ->EDS n2[c2@2]
    """)


def test_a_name_unsubscribed_from_under_the_wildcard_is_answered() -> None:
    """In full when it exists, as removed when it does not (xds-protocol 32)."""
    Wire("delta", "CDS A, CDS b").play("""
        <-CDS sub[*,A,gone] NODE | ->CDS n1[A,b] removed[gone] | <-CDS n1
        <-CDS unsub[A] | ->CDS n2[A] | <-CDS n2 | <-CDS unsub[gone] | ->CDS n3[] removed[gone] | <-CDS n3
    """)


def test_the_implied_wildcard_ends_only_by_name() -> None:
    """A later name keeps it; afterwards an empty message does not bring it back (xds-protocol 33)."""
    Wire("delta", "CDS A, CDS b").play("""
        <-CDS NODE | ->CDS n1[A,b] | <-CDS n1 | <-CDS sub[A] | ->CDS n2[A] | <-CDS n2 | ++ CDS b@2 ; ->CDS n3[b@2]
        <-CDS unsub[*] n3 ; ++ CDS b@3 ; .. | <-CDS ; .. | ++ CDS A@2 ; ->CDS n4[A@2]
        <-CDS n4 | <-CDS sub[*] | ->CDS n5[A,b@3]
    """)


@pytest.mark.parametrize("kind", ["EDS", "RDS", "SDS", "SRD"])
def test_there_is_no_implied_wildcard_for_other_types(kind: str) -> None:
    """An empty first message asks for nothing (xds-protocol 33, 23)."""
    Wire("delta", f"{kind} a").play(f"<-{kind} NODE ; .. | <-{kind} sub[a] | ->{kind} n1[a]")


def test_a_stale_nonce_rejects_nothing_and_loses_no_edit() -> None:
    """Neither as ACK nor as NACK (xds-protocol 34)."""
    wire = Wire("delta", "EDS c1, EDS c2, EDS c3")
    wire.play("""
        <-EDS sub[c1] NODE | ->EDS n1[c1] | <-EDS n1 | ++ EDS c1@2 ; ->EDS n2[c1@2]
        <-EDS sub[c2] n1 error{c1 is bad} ; .. | <-EDS sub[c3] n99 ; .. | <-EDS n2 | ->EDS n3[c2,c3]
    """)
    assert wire.refusals == []


def test_after_a_nack_everything_but_the_rejected_part_goes_out_again() -> None:
    """What was applied is unknown; the text names the culprit (xds-protocol 35, 12)."""
    wire = Wire("delta", "CDS c1, CDS bad, CDS c2")
    wire.play("""
        <-CDS NODE | ->CDS n1[c1,bad,c2]
        <-CDS n1 error{Error adding/updating cluster(s) bad: no such} | ->CDS n2[c1,c2]
        <-CDS n2 ; .. | -- CDS bad ; ->CDS n3[] removed[bad]
    """)
    assert [(one.names, one.resources[0].name) for one in wire.refusals] == [(("bad",), "bad")]


def test_a_culprit_that_is_not_named_is_found_by_halving() -> None:
    """The innocent half goes on at once, and no message is sent twice (xds-protocol 35)."""
    Wire("delta", "CDS a, CDS b, CDS c, CDS d").play("""
        <-CDS NODE | ->CDS n1[a,b,c,d] | <-CDS n1 error{schema} | ->CDS n2[a,b] | <-CDS n2
        ->CDS n3[c,d] | <-CDS n3 error{schema} | ->CDS n4[c] | <-CDS n4 error{schema} | ->CDS n5[d] | <-CDS n5 ; ..
        ++ CDS c@2 ; ->CDS n6[c@2] | <-CDS n6 ; ..
    """)


def test_a_name_that_only_resembles_one_in_the_text_is_not_blamed() -> None:
    """``shop/a`` is not ``shop/ab`` (xds-protocol 35)."""
    Wire("delta", "CDS shop/a, CDS shop/ab").play("""
        <-CDS NODE | ->CDS n1[shop/a,shop/ab] | <-CDS n1 error{cluster shop/ab: no} | ->CDS n2[shop/a] | <-CDS n2 ; ..
    """)


def test_what_was_said_to_be_missing_is_said_again_when_its_message_was_refused() -> None:
    """The client may have dropped the whole message, and warms until it hears of it (xds-protocol 35, 29)."""
    Wire("delta", "EDS bad").play("""
        <-EDS sub[bad,gone] NODE | ->EDS n1[bad] removed[gone] | <-EDS n1 error{bad: no} | ->EDS n2[] removed[gone]
        <-EDS n2 error{what?} ; ..
    """)


def test_content_that_was_good_before_is_sent_again_after_a_refusal() -> None:
    """Part of what was refused may be in use (xds-protocol 35)."""
    Wire("delta", "CDS c1").play("""
        <-CDS NODE | ->CDS n1[c1@1] | <-CDS n1 | ++ CDS c1@2 ; ->CDS n2[c1@2] | <-CDS n2 error{no} ; ..
        ++ CDS c1@1 ; ->CDS n3[c1@1] | <-CDS n3 ; ..
    """)


def test_a_refused_resource_is_not_taken_away_when_it_is_asked_for() -> None:
    """The client is answered with what it held before (xds-protocol 28, 12)."""
    Wire("delta", "EDS c1").play("""
        <-EDS sub[c1] NODE | ->EDS n1[c1@1] | <-EDS n1 | ++ EDS c1@2 ; ->EDS n2[c1@2] | <-EDS n2 error{no}
        <-EDS sub[c1] | ->EDS n3[c1@1] | <-EDS n3 ; .. | <-EDS sub[c1] | ->EDS n4[c1@1] | <-EDS n4
    """)


@pytest.mark.parametrize(("kind", "ask"), [("CDS", ""), ("CDS", "sub[*]"), ("LDS", "")])
def test_the_first_wildcard_request_is_answered_even_with_nothing(kind: str, ask: str) -> None:
    """Else the client waits (xds-protocol 36)."""
    Wire("delta").play(f"<-{kind} {ask} NODE | ->{kind} n1[] | <-{kind} n1 ; ..")


def test_after_a_reconnect_only_the_difference_is_sent() -> None:
    """Removed is what is gone; what is the same is not sent (xds-protocol 37)."""
    Wire("delta", "CDS same, CDS changed@2, CDS fresh").play("""
        <-LDS NODE | ->LDS n0[] | <-LDS n0
        <-CDS init{same:1,changed:1,gone:1} | ->CDS n1[changed@2,fresh]
        <-CDS n1 | ->CDS n2[] removed[gone] | <-CDS n2 ; ..
    """)


def test_after_a_reconnect_nothing_is_sent_when_nothing_changed() -> None:
    """The reply is empty, for any number of resources (xds-protocol 37)."""
    world = ", ".join(f"CDS c{number}" for number in range(100))
    known = ",".join(f"c{number}:1" for number in range(100))
    Wire("delta", world).play(f"<-CDS init{{{known}}} NODE | ->CDS n1[] | <-CDS n1 | ++ CDS c7@2 ; ->CDS n2[c7@2]")


def test_endpoints_are_answered_though_nothing_else_was_asked_for() -> None:
    """Envoy asks for no clusters as long as one of them warms (xds-protocol 38)."""
    Wire("delta", "CDS c1, EDS c1").play("<-EDS sub[c1] init{c1:1} NODE | ->EDS n1[c1]")


def test_every_resource_has_its_name_and_version() -> None:
    """The version is the hash of its content (xds-protocol 39, 25)."""
    wire = Wire("delta", "CDS c1, CDS c2@7")
    wire.ask("CDS NODE")
    said = wire.hears("CDS n1[c1,c2@7]")
    assert {one.name: one.version for one in said.raw.resources} == {
        "c1": resource("CDS", "c1").version,
        "c2": resource("CDS", "c2", "7").version,
    }
    assert said.raw.type_url == TYPES["CDS"]


def test_who_asks_again_for_all_it_holds_holds_no_more_than_before() -> None:
    """So its version is that of everybody who holds the same (xds-protocol 28, 25)."""
    versions = []
    for again in ("", "<-EDS sub[c1,c2] | ->EDS v1 n2[c1,c2] | <-EDS n2"):
        wire = Wire("delta", "EDS c1, EDS c2")
        wire.play(f"<-EDS sub[c1,c2] NODE | ->EDS v1 n1[c1,c2] | <-EDS n1 | {again}")
        wire.put("EDS c1@2")
        versions.append(wire.hears("EDS v2 n3[c1@2]").version)
    assert versions[0] == versions[1]


def test_a_question_and_a_change_that_come_together_are_both_answered() -> None:
    """Though others are sent the change alone (xds-protocol 28)."""
    wire = Wire("delta", "CDS c1, CDS c2")
    wire.play("<-CDS NODE | ->CDS n1[c1,c2] | <-CDS n1")
    wire.ready = False
    wire.ask("CDS sub[c2]")
    wire.put("CDS c1@2")
    wire.ready = True
    wire.play(".. 0s | ->CDS n2[c1@2,c2]")


def test_what_changes_while_it_waits_for_its_trial_is_sent_after_it() -> None:
    """The other half is still sent without any other, or nobody could be blamed for it (xds-protocol 35)."""
    Wire("delta", "EDS a, EDS b, EDS c, EDS d").play("""
        <-EDS sub[a,b,c,d] NODE | ->EDS n1[a,b,c,d] | <-EDS n1 error{no} | ->EDS n2[a,b] | ++ EDS c@2 ; ..
        <-EDS n2 | ->EDS n3[d] | <-EDS n3 | ->EDS n4[c@2] | <-EDS n4 ; ..
    """)


def test_a_server_without_redirects_takes_listeners_away_at_once() -> None:
    """There is nobody to wait for (xds-protocol 30)."""
    Wire("delta", "LDS l1, SRD shop/a/80(l1)").play("""
        <-LDS NODE | ->LDS n1[l1] | <-LDS n1 | -- LDS l1, SRD shop/a/80 ; ->LDS n2[] removed[l1]
    """)
