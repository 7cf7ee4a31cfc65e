"""The certificate that all replicas share: made once, by the one that leads."""

from __future__ import annotations

import base64

import pytest

from nodegate.model.changes import Delete, Upsert
from nodegate.model.objects import Metadata, Secret
from nodegate.model.refs import Kind, Ref
from nodegate.status.certificate import NAME, CertificateWriter
from nodegate.status.requests import Requests
from tests.unit.status.cluster import Api, done

pytestmark = pytest.mark.looptime

PLACE = ("nodegate-system", NAME)
THERE = Upsert(Secret(Metadata(name=NAME, namespace="nodegate-system"), type="kubernetes.io/tls"))


def writer(api: Api, *, leads: bool = True) -> CertificateWriter:
    return CertificateWriter(Requests(api), PLACE, (b"certificate", b"key"), lambda: leads)


async def test_the_replica_that_leads_makes_the_secret_when_there_is_none() -> None:
    """Another one does not, and one that is there is used as it is."""
    api = Api()
    for one, observed in ((writer(api, leads=False), ()), (writer(api), (THERE,)), (writer(api), ())):
        one.observe(observed)
        one.look_at_all()
        await done(one.work)
    (sent,) = api.sent
    assert (sent.method, sent.path) == ("POST", "/api/v1/namespaces/nodegate-system/secrets")
    assert sent.body["type"] == "kubernetes.io/tls"
    assert base64.b64decode(sent.body["data"]["tls.key"]) == b"key"


@pytest.mark.parametrize(("errors", "requests"), [((409,), 1), ((503, 403), 3)])
async def test_one_that_another_replica_made_meanwhile_is_no_failure(errors: tuple[int, ...], requests: int) -> None:
    """Everything else is tried again."""
    api = Api(*errors)
    one = writer(api)
    one.look_at_all()
    await done(one.work)
    assert len(api.sent) == requests


async def test_one_that_was_deleted_is_made_again() -> None:
    """By hand, or with its namespace."""
    api = Api()
    one = writer(api)
    one.observe([THERE])
    one.observe([Delete(Ref(Kind.SECRET, *PLACE))])
    await done(one.work)
    assert len(api.sent) == 1
