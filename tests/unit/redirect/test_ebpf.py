"""The data of the eBPF program: the layouts of bpf/redirect.h, and the table of nftables beside it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nodegate_redirect.contract import Place
from nodegate_redirect.ebpf import maps, rules
from nodegate_redirect.plan import REFUSED, Target

ROOT = Path(__file__).resolve().parents[3]
places = st.builds(
    Place, st.ip_addresses().filter(lambda a: not getattr(a, "ipv4_mapped", None)).map(str), st.integers(1, 65535)
)


ports = st.one_of(st.just(REFUSED), st.integers(1, 65535))


@given(places)
def test_a_key_is_read_back_as_the_place_it_was_made_of(place: Place) -> None:
    key = maps.place_key(place)
    assert len(key) == maps.PLACE_SIZE
    assert maps.place_of(key) == place


def test_ipv4_is_mapped_into_ipv6_and_ports_are_in_network_order() -> None:
    key = maps.place_key(Place("10.103.218.167", 80))
    assert key == ip_address("::ffff:10.103.218.167").packed + b"\0\x50\0\0"
    assert maps.target_value(Target(18243)) == b"\x47\x43\0\0"
    assert maps.target_value(Target(REFUSED, ())) == b"\0\0\1\0"


def test_a_client_network_is_a_prefix_behind_the_place() -> None:
    """The longest prefix of place and client decides: 160 bits are the place's, 96 more make an IPv4 address."""
    place = Place("10.0.0.1", 80)
    (key,) = maps.client_keys({place: Target(18243, ("192.0.2.0/24", "2001:db8::/32"))})
    assert len(key) == maps.CLIENT_SIZE
    assert int.from_bytes(key[:4], "little") == 160 + 96 + 24
    assert key[4:] == maps.place_key(place) + ip_address("::ffff:192.0.2.0").packed


def test_the_names_of_events_are_those_of_the_program() -> None:
    header = (ROOT / "bpf" / "redirect.h").read_text()
    listed = re.findall(r"^\t([A-Z_]+)\b", header[header.index("enum event") :], re.MULTILINE)
    assert [name.lower() for name in listed] == [*maps.EVENTS, "events"]


@given(st.dictionaries(places, ports, max_size=6), st.dictionaries(places, ports, max_size=6))
def test_a_place_of_the_table_is_in_a_set_and_in_a_map_if_it_has_a_listener(
    new: dict[Place, int], gone: dict[Place, int]
) -> None:
    text = rules.changes(new, gone)
    assert text.count("add element") == sum(1 if port == REFUSED else 2 for port in new.values())
    assert text.count("delete element") == sum(1 if port == REFUSED else 2 for port in gone.values())
