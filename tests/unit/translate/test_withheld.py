"""A private key that is not kept costs the Secret that goes out by SDS, and changes nothing else (decision 0017)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodegate.model.changes import Upsert
from nodegate.model.objects import Object, Secret
from nodegate.snapshot.type_urls import SECRET
from nodegate.translate.certificates import without_key
from nodegate.translate.settings import Settings
from tests.certificates import pair
from tests.unit.translate.arbitrary import SETTINGS, objects
from tests.unit.translate.objects import claimed, endpoints, ingress, rule, secret, service, tls, upserts
from tests.unit.translate.world import World

SHOP = (
    service("shop"),
    endpoints("shop", "10.0.0.1"),
    ingress("shop", rule({"/": "shop:80"}, "a.example"), tls=(tls("cert", "a.example"),)),
)
LISTENERS = claimed("default/shop/http", "default/shop/https")


def kept(one: Object) -> Object:
    return without_key(one) if isinstance(one, Secret) else one


@given(st.lists(objects(), max_size=12), SETTINGS)
def test_everything_else_is_byte_for_byte_the_same(found: list[Object], settings: Settings) -> None:
    """So a control plane that starts with what it kept sends a proxy nothing that the proxy has not."""
    found = list({one.ref: one for one in found}.values())
    claims = claimed("default/web/http", "default/app/http", "default/app/https", "shared/http", "shared/https")
    whole = World(*upserts(*found), *claims, settings=settings).bytes
    withheld = World(*upserts(*map(kept, found)), *claims, settings=settings).bytes
    assert {key: body for key, body in whole.items() if key[0] != SECRET} == {
        key: body for key, body in withheld.items() if key[0] != SECRET
    }
    assert {key: whole[key] for key in withheld} == withheld


def test_the_chain_is_there_and_its_secret_is_not() -> None:
    """A proxy that has the Secret goes on with it; a new one waits for this chain alone."""
    world = World(*upserts(*SHOP, kept(secret("cert", pair("a.example").data))), *LISTENERS)
    assert len(world.names("listener")) == 2
    assert world.names("secret") == []
    world.change(Upsert(secret("cert", pair("a.example").data)))
    assert world.names("secret") == ["default/cert"]


def test_a_secret_that_went_bad_meanwhile_takes_nothing_away() -> None:
    """What was kept counts as the last good one, and the problem is told (ingress.md 35)."""
    world = World(*upserts(*SHOP, kept(secret("cert", pair("a.example").data))), *LISTENERS)
    before = world.bytes
    world.change(Upsert(secret("cert", {"tls.crt": b"x", "tls.key": b"y"})))
    assert world.bytes == before
    assert world.codes() == ["InvalidCertificate"]
