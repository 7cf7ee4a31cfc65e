"""The conversations of real clients, replayed against the pure stream (xds-protocol, section 1F)."""

from __future__ import annotations

from tests.protocol.wire import Wire


def test_delta_start() -> None:
    """Envoy starts in delta: clusters, endpoints, listeners, routes, answered at once (xds-protocol 41, 29, 33)."""
    wire = Wire("delta", "CDS c1, CDS c2, EDS c1, LDS l1(r1), RDS r1(c1)")
    wire.play("""
        <-CDS '' NODE | ->CDS n1[c1,c2]
        <-EDS sub[c1,c2] '' ; <-CDS n1 | ->EDS n2[c1] removed[c2]
        <-LDS '' ; <-EDS n2 | ->LDS n3[l1]
        <-RDS sub[r1] '' ; <-LDS n3 | ->RDS n4[r1] | <-RDS n4
    """)


def started(wire: Wire) -> Wire:
    """Bring a delta Envoy up with clusters c1 and c2, listener l1 and routes r1."""
    wire.play("""
        <-CDS '' NODE | ->CDS n1[c1,c2]
        <-EDS sub[c1,c2] '' ; <-CDS n1 | ->EDS n2[c1,c2]
        <-LDS '' ; <-EDS n2 | ->LDS n3[l1]
        <-RDS sub[r1] '' ; <-LDS n3 | ->RDS n4[r1] | <-RDS n4
    """)
    return wire


WORLD = "CDS c1, CDS c2, EDS c1, EDS c2, LDS l1(r1), RDS r1(c1)"


def test_delta_change_of_a_cluster() -> None:
    """The endpoints of a changed cluster follow unasked, so it warms at once (xds-protocol 26, 42, finding 1)."""
    started(Wire("delta", WORLD)).play("""
        ++ CDS c1@2
        ->CDS n6[c1@2] | (silence, warming=1) | ->EDS n7[c1@1] | <-CDS n6 ; <-EDS n7
    """)


def test_delta_addition_and_removal_of_a_cluster() -> None:
    """A cluster comes with its endpoints and goes without a word after the unsubscription (xds-protocol 30, 31, 44)."""
    started(Wire("delta", WORLD)).play("""
        ++ CDS c3, EDS c3
        ->CDS n9[c3] | <-EDS sub[c3] '' | ->EDS n10[c3] | <-CDS n9 ; <-EDS n10
        -- CDS c3, EDS c3
        ->CDS n11 removed[c3] | <-EDS unsub[c3] '' ; <-CDS n11
    """)


def test_delta_redial() -> None:
    """A client that comes back is sent what differs, and what it asks for by name (xds-protocol 37, 28, 46)."""
    wire = started(Wire("delta", WORLD))
    wire.redial()
    wire.play("""
        <-CDS init{c1:1,c2:1} NODE ; ->CDS n20[]
        <-EDS sub[c1,c2] init{c1:1,c2:1} ; ->EDS n21[c1,c2]
        <-LDS init{l1:1} ; ->LDS n22[]
        <-RDS sub[r1] init{r1:1} ; ->RDS n23[r1]
        <-CDS n20 ; <-EDS n21 ; <-LDS n22 ; <-RDS n23
    """)


def test_delta_redial_after_everything_changed() -> None:
    """What changed while the client was away is sent, what is gone is removed, in order (xds-protocol 37, 40)."""
    wire = started(Wire("delta", WORLD))
    wire.take("CDS c2, EDS c2")
    wire.put("CDS c1@2, RDS r1@2(c1)")
    wire.inbox.clear()
    wire.redial()
    wire.play("""
        <-CDS init{c1:1,c2:1} NODE ; ->CDS n20[c1@2]
        <-EDS sub[c1,c2] init{c1:1,c2:1} ; ->EDS n21[c1] | (c2 keeps its endpoints as long as it is there)
        <-LDS init{l1:1} ; ->LDS n22[]
        <-RDS sub[r1] init{r1:1} ; ->RDS n23[r1@2]
        <-CDS n20 ; <-EDS n21 ; <-LDS n22 ; .. | <-RDS n23
        ->CDS n24[] removed[c2] | <-EDS unsub[c2] '' ; <-CDS n24
    """)


def test_delta_redial_while_a_cluster_warms() -> None:
    """Envoy asks for no clusters before the endpoints it warms with arrive, so they are sent (xds-protocol 38)."""
    wire = Wire("delta", "CDS c1@3, EDS c1@1, LDS l1(r1), RDS r1(c1)")
    wire.play("""
        <-EDS sub[c1] init{c1:1} NODE ; ->EDS n1[c1@1]
        <-LDS init{l1:1} '' ; ->LDS n2[] ; <-RDS sub[r1] init{r1:1} '' ; ->RDS n3[r1]
        <-CDS init{c1:3} '' ; ->CDS n4[] ; <-EDS n1 ; <-LDS n2 ; <-RDS n3 ; <-CDS n4
    """)


def test_sotw_start() -> None:
    """Envoy starts in state of the world; endpoints that come later are sent then (xds-protocol 9, 24, 17)."""
    Wire("sotw", "CDS c1, CDS c2, EDS c1, LDS l1(r1), RDS r1(c1)").play("""
        <-CDS [] v'' '' NODE | ->CDS v1 n1[c1,c2]
        <-EDS [c1,c2] v'' '' ; ->EDS v2 n2[c1] ; <-CDS [] v1 n1
        <-EDS [c1,c2] v2 n2 | ++ EDS c2 | ->EDS v3 n3[c2]
        <-LDS [] v'' '' ; ->LDS v4 n4[l1] ; <-EDS [c1,c2] v3 n3
        <-RDS [r1] v'' '' ; ->RDS v5 n5[r1] ; <-LDS [] v4 n4 ; <-RDS [r1] v5 n5
    """)


def started_sotw(wire: Wire) -> Wire:
    """Bring a state-of-the-world Envoy up with clusters c1 and c2."""
    wire.play("""
        <-CDS [] v'' '' NODE | ->CDS v1 n1[c1,c2]
        <-EDS [c1,c2] v'' '' ; ->EDS v2 n3[c1,c2] ; <-CDS [] v1 n1 ; <-EDS [c1,c2] v2 n3
        <-LDS [] v'' '' ; ->LDS v4 n4[l1] ; <-RDS [r1] v'' '' ; ->RDS v5 n5[r1]
        <-LDS [] v4 n4 ; <-RDS [r1] v5 n5
    """)
    return wire


def test_sotw_change_of_a_cluster() -> None:
    """Envoy's repeated request is no ACK; the endpoints are on their way already (xds-protocol 26)."""
    started_sotw(Wire("sotw", WORLD)).play("""
        ++ CDS c1@2
        ->CDS v10 n6[c1@2,c2] | ->EDS v2 n7[c1] | <-EDS [c1,c2] v2 n3 | .. | <-CDS [] v10 n6 ; <-EDS [c1,c2] v2 n7
    """)


def test_sotw_nack() -> None:
    """A NACK carries the last accepted version; the rest goes out again at once (xds-protocol 11, 12, 35)."""
    started_sotw(Wire("sotw", WORLD)).play("""
        ++ CDS bad, CDS c2@2
        ->CDS v11 n15[bad,c1,c2@2] ; ->EDS v2 n16[c2]
        <-CDS [] v1 n15 error{Error adding/updating cluster(s) bad: no} ; <-EDS [c1,c2] v2 n16
        ->CDS v12 n17[c1,c2@2] ; ->EDS v2 n18[c2] ; <-CDS [] v12 n17 ; <-EDS [c1,c2] v2 n18
    """)


def test_sotw_redial() -> None:
    """A client that comes back with an empty nonce is answered for every type (xds-protocol 4, 25, 46)."""
    wire = started_sotw(Wire("sotw", WORLD))
    wire.redial()
    wire.play("""
        <-CDS [] v1 '' NODE ; ->CDS v1 n30[c1,c2] ; <-EDS [c1,c2] v2 '' ; ->EDS v2 n31[c1,c2]
        <-LDS [] v4 '' ; ->LDS v4 n32[l1] ; <-RDS [r1] v5 '' ; ..
        <-CDS [] v1 n30 ; <-EDS [c1,c2] v2 n31 ; ->RDS v5 n33[r1]
    """)


GRPC_START = """
    <-LDS [svc.test:80] v'' '' NODE | ->LDS v1 n1[svc.test:80]
    <-LDS [svc.test:80] v1 n1 ; <-RDS [r1] v'' '' | ->RDS v2 n2[r1]
    <-RDS [r1] v2 n2 ; <-CDS [c1] v'' '' | ->CDS v3 n3[c1]
    <-CDS [c1] v3 n3 ; <-EDS [c1] v'' '' | ->EDS v4 n4[c1] | <-EDS [c1] v4 n4
"""


def test_grpc_start() -> None:
    """A client that asks by name learns the clusters from the routes; nothing is held back (xds-protocol 24, 40)."""
    Wire("sotw", "LDS svc.test:80(r1), RDS r1(c1), CDS c1, EDS c1").play(GRPC_START)


def test_grpc_switches_to_another_cluster() -> None:
    """The routes move first, then the client names the new cluster beside the old one (xds-protocol 18, 19, 20)."""
    wire = Wire("sotw", "LDS svc.test:80(r1), RDS r1(c1), CDS c1, EDS c1, CDS c2, EDS c2")
    wire.play(GRPC_START)
    wire.play("""
        ++ RDS r1@2(c2)
        ->RDS v12 n12[r1@2] | <-RDS [r1] v12 n12
        <-CDS [c1,c2] v3 n3 | ->CDS v13 n13[c1,c2] | <-CDS [c1,c2] v13 n13
        <-EDS [c1,c2] v4 n4 | ->EDS v14 n14[c2] | <-EDS [c1,c2] v14 n14
        <-CDS [c2] v13 n13 ; <-EDS [c2] v14 n14
    """)
