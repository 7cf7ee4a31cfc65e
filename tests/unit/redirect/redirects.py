"""Redirects for tests: as values, as messages, and as hypothesis makes them."""

from __future__ import annotations

from hypothesis import strategies as st

from nodegate_protos import redirect_pb2
from nodegate_redirect.contract import Place, Redirect
from nodegate_redirect.plan import REFUSED, Node

ADDRESSES = ("10.103.218.167", "203.0.113.10", "fd00:96::a7", "2001:db8::10")
NODE_ADDRESSES = ("10.0.1.1", "127.0.0.1", "fd00:1::1")
PORTS = (10000, 18243, 18259, 20000)
RANGES = ("0.0.0.0/0", "192.0.2.0/24", "198.51.100.7/32", "2001:db8:7::/48")

places = st.builds(Place, st.sampled_from(ADDRESSES), st.sampled_from((80, 443)))


@st.composite
def redirects(draw: st.DrawFn) -> list[Redirect]:
    """Return some redirects with names of their own; their frontends may be in conflict."""
    names = draw(st.lists(st.sampled_from([f"ns/web{number}/80" for number in range(5)]), unique=True))
    return [
        Redirect(
            name,
            f"{name}@listener",
            draw(st.sampled_from(PORTS)),
            tuple(sorted(draw(st.dictionaries(places, st.booleans(), max_size=4)).items())),
            tuple(sorted(draw(st.dictionaries(st.sampled_from((31907, 31908)), st.booleans())).items())),
            tuple(sorted(draw(st.sets(st.sampled_from(RANGES))))),
        )
        for name in names
    ]


nodes = st.builds(
    Node,
    st.frozensets(st.sampled_from(NODE_ADDRESSES)),
    st.frozensets(st.tuples(st.sampled_from((4, 6)), st.sampled_from(PORTS))),
)
installed = st.dictionaries(places, st.sampled_from((REFUSED, *PORTS)))


def message(name: str = "default/web/80") -> redirect_pb2.ServiceRedirect:
    """Return a message that asks for a ClusterIP, a NodePort and a restricted load balancer's address."""
    made = redirect_pb2.ServiceRedirect(name=name, source_ranges=["192.0.2.9/24"])
    made.listener.name, made.listener.port = "default/web/http@18243", 18243
    made.frontends.add().address.ip = "10.103.218.167"
    made.frontends[0].address.port = 80
    made.frontends.add(node_port=31907)
    restricted = made.frontends.add(restricted=True)
    restricted.address.ip, restricted.address.port = "FD00:0:0::A7", 80
    return made
