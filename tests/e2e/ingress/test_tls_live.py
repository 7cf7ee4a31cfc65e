"""Certificates and hosts with TLS come and go over ADS while connections stay open."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl

from cryptography import x509

from tests.certificates import Pair, authority, pair
from tests.e2e.rig.manifests import Manifest
from tests.e2e.rig.site import Site
from tests.e2e.rig.waiting import eventually


class Connection:
    """One TLS connection to the Ingress ``web``, kept open."""

    def __init__(self, site: Site, host: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        port = site.envoy.port_of(f"{site.namespace}/web/https")
        plain = socket.create_connection(("127.0.0.1", port), timeout=5)
        secured = context.wrap_socket(plain, server_hostname=host)
        self.serial = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"").serial_number
        self._http = http.client.HTTPConnection("127.0.0.1", timeout=5)
        self._http.sock = secured
        self._host = host

    def get(self) -> str:
        """Send one request on it. A connection that was closed is an error: nothing is reconnected."""
        self._http.auto_open = 0
        self._http.request("GET", "/", headers={"Host": self._host})
        return self._http.getresponse().read().decode()

    def is_closed(self) -> bool:
        """Whether Envoy has closed it, as it does with those of a filter chain that is gone when draining ends."""
        try:
            self.get()
        except (OSError, http.client.HTTPException):
            return True
        return False

    def close(self) -> None:
        """Close it."""
        self._http.close()


def secret(site: Site, name: str, made: Pair) -> Manifest:
    """Return a TLS Secret."""
    data = {key: base64.b64encode(value).decode() for key, value in made.data.items()}
    metadata = {"name": name, "namespace": site.namespace}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}


def secured(site: Site, **secret_of: str) -> Manifest:
    """Return the Ingress ``web`` with TLS for hosts ``NAME.example``."""
    manifest = site.ingress({"/": "blue"})
    entries = [{"hosts": [f"{host}.example"], "secretName": name} for host, name in secret_of.items()]
    manifest["spec"]["tls"] = entries
    return manifest


def open_when_ready(site: Site, host: str, serial: int) -> Connection:
    """Return a connection once this certificate is shown."""

    def look() -> Connection | None:
        connection = Connection(site, host)
        if connection.serial == serial:
            return connection
        connection.close()
        return None

    found = eventually(look, within=10, what=f"the certificate of {host}")
    assert found is not None
    return found


def test_a_host_with_tls_comes_and_goes_beside_open_connections(shop: Site) -> None:
    """Only ``filter_chains`` differ, which Envoy takes in place: connections of other hosts stay (ingress.md 34).

    Also when the time is over in which Envoy drains what is gone: that is when it closes connections.
    """
    shop.manifests.put(secret(shop, "a", pair("a.example")), secret(shop, "b", pair("b.example")), secured(shop, a="a"))
    first = open_when_ready(shop, "a.example", pair("a.example").serial)
    assert first.get() == "blue"
    shop.manifests.put(secured(shop, a="a", b="b"))
    second = open_when_ready(shop, "b.example", pair("b.example").serial)
    assert (first.get(), second.get()) == ("blue", "blue")
    shop.manifests.put(secured(shop, b="b"))

    def refused() -> bool:
        try:
            Connection(shop, "a.example").close()
        except OSError:
            return True
        return False

    eventually(refused, within=10, what="the end of a.example's filter chain")
    eventually(first.is_closed, within=10, what="the end of draining")
    assert second.get() == "blue"
    shop.envoy.require_content()
    second.close()
    first.close()


def test_rotating_a_certificate_touches_no_listener_and_no_connection(shop: Site) -> None:
    """A new certificate goes out by SDS alone (ingress.md 35)."""
    old, new = pair("a.example"), authority().sign("a.example")
    shop.manifests.put(secret(shop, "a", old), secured(shop, a="a"))
    connection = open_when_ready(shop, "a.example", old.serial)
    assert connection.get() == "blue"
    before = shop.envoy.stats("listener_manager.(lds.update_success|listener_(modified|in_place_updated|added))")
    shop.manifests.put(secret(shop, "a", new))
    open_when_ready(shop, "a.example", new.serial).close()
    assert connection.get() == "blue"
    assert (
        shop.envoy.stats("listener_manager.(lds.update_success|listener_(modified|in_place_updated|added))") == before
    )
    connection.close()


def test_a_rotation_that_went_wrong_keeps_the_last_good_certificate(shop: Site) -> None:
    """A key that does not match never reaches Envoy; the next good one does (ingress.md 35)."""
    old, new = pair("a.example"), authority().sign("a.example")
    shop.manifests.put(secret(shop, "a", old), secured(shop, a="a"))
    open_when_ready(shop, "a.example", old.serial).close()
    broken = Pair(new.certificate, old.key, new.authority)
    shop.manifests.put(secret(shop, "a", broken))
    shop.manifests.put(*shop.service("green", "green"), shop.ingress({"/": "green"}, name="other"))
    shop.envoy.port_of(f"{shop.namespace}/other/http")  # what was written after the broken Secret is served
    open_when_ready(shop, "a.example", old.serial).close()
    shop.manifests.put(secret(shop, "a", new))
    open_when_ready(shop, "a.example", new.serial).close()
    shop.envoy.require_content()
