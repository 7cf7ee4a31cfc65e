"""A ServiceRedirect is read strictly: what no node could do is refused, and the reason names the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegate_redirect.contract import Place, Redirect, decode
from nodegate_redirect.errors import ContractError
from tests.unit.redirect.redirects import message


def test_a_message_becomes_places_node_ports_and_ranges_in_their_normal_form() -> None:
    assert decode(message().SerializeToString()) == Redirect(
        "default/web/80",
        "default/web/http@18243",
        18243,
        ((Place("10.103.218.167", 80), False), (Place("fd00::a7", 80), True)),
        ((31907, False),),
        ("192.0.2.0/24",),
    )


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no name": (lambda m: m.ClearField("name"), "name is empty"),
    "no listener": (lambda m: m.ClearField("listener"), "listener.port 0 is no port"),
    "a listener's port above 65535": (lambda m: setattr(m.listener, "port", 70000), "listener.port 70000"),
    "a frontend without a place": (lambda m: m.frontends.add(), r"frontends\[3\] has neither"),
    "a host name": (lambda m: setattr(m.frontends[0].address, "ip", "web"), r"frontends\[0\].address.ip 'web'"),
    "no address": (lambda m: setattr(m.frontends[0].address, "ip", "0.0.0.0"), "not one that clients connect to"),
    "a zone": (lambda m: setattr(m.frontends[0].address, "ip", "fe80::1%eth0"), "has a zone"),
    "IPv4 as IPv6": (lambda m: setattr(m.frontends[0].address, "ip", "::ffff:192.0.2.1"), "IPv4 address in the form"),
    "no port": (lambda m: setattr(m.frontends[0].address, "port", 0), r"frontends\[0\].address.port 0"),
    "a node port too high": (lambda m: setattr(m.frontends[1], "node_port", 1 << 17), r"frontends\[1\].node_port"),
    "a protocol of tomorrow": (lambda m: setattr(m.frontends[0], "protocol", 7), r"frontends\[0\].protocol 7"),
    "a range that is none": (lambda m: m.source_ranges.append("all"), r"source_ranges\[1\] 'all'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_no_node_could_do_is_refused_with_the_name_of_the_field(case: str) -> None:
    change, said = WRONG[case]
    wrong = message()
    change(wrong)
    with pytest.raises(ContractError, match=said):
        decode(wrong.SerializeToString())


@given(st.binary(max_size=64))
def test_no_bytes_do_anything_else_than_decode_or_be_refused(body: bytes) -> None:
    try:
        decoded = decode(body)
    except ContractError:
        return
    assert decoded.name
