"""What the operator asks for arrives where it is used."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from cryptography import x509

from nodegate.cli import main
from nodegate.cli.lease import lease_flags
from nodegate.engine.own_certificate import own_certificate
from nodegate.errors import UsageError
from nodegate.settings import (
    LeaseSettings,
    TcpAddress,
    TranslationSettings,
    UnixAddress,
    parse_address,
    parse_backend,
    parse_secret_name,
    parse_service_name,
    parse_tcp,
    parse_xds_security,
)
from nodegate.translate.settings import Settings
from tests.unit.cli.test_commands import GOOD


def run(folder: Path, *flags: str) -> str:
    (folder / "web.yaml").write_text(GOOD)
    result = CliRunner().invoke(main, ["translate", str(folder), *flags], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9900", TcpAddress("127.0.0.1", 9900)),
        ("[::1]:0", TcpAddress("::1", 0)),
        ("nodegate.example:9900", TcpAddress("nodegate.example", 9900)),
        (":9900", TcpAddress("0.0.0.0", 9900)),
        ("unix:/run/x.sock", UnixAddress("/run/x.sock")),
    ],
)
def test_addresses_are_read_as_they_are_written(text: str, address: object) -> None:
    """HOST:PORT, an IPv6 host in brackets, or unix:PATH."""
    assert parse_address(text, "--xds-address") == address
    if not text.startswith(":"):
        assert str(address) == text


def test_a_debug_address_without_a_host_is_on_loopback() -> None:
    """``:PORT`` means every address, except where that would show too much."""
    assert parse_tcp(":9903", "--debug-address", default_host="127.0.0.1").host == "127.0.0.1"


@pytest.mark.parametrize("text", ["name", "/name", "namespace/", "a/b/c"])
def test_a_default_certificate_is_a_namespace_and_a_secret(text: str) -> None:
    """The message shows the form."""
    assert parse_secret_name("default/fallback") == ("default", "fallback")
    with pytest.raises(UsageError, match="NAMESPACE/SECRET"):
        parse_secret_name(text)


@pytest.mark.parametrize("text", ["web:80", "default/web", "default/web:", "default/:80", "a/b/c:80", "a/b:80:90"])
def test_a_default_backend_is_a_namespace_a_service_and_a_port(text: str) -> None:
    """The message shows the form."""
    assert parse_backend("default/web:http") == ("default", "web", "http")
    with pytest.raises(UsageError, match="NAMESPACE/SERVICE:PORT"):
        parse_backend(text)


def test_the_files_for_tls_are_given_together() -> None:
    """Half of a TLS configuration would be plaintext that looks secured."""
    file = Path("x.pem")
    for wrong in ((file, None, None), (None, file, None), (None, None, file)):
        with pytest.raises(UsageError):
            parse_xds_security(*wrong)
    assert parse_xds_security(file, file, file).client_ca == file


def test_every_setting_of_translation_has_its_flag() -> None:
    """Nothing that can be decided is out of the operator's reach; only our own certificate is made, not given."""
    renamed = {"families": "address_family"}
    wanted = {renamed.get(field.name, field.name) for field in fields(Settings)} - {"self_signed"}
    assert set(TranslationSettings.__struct_fields__) == wanted


def test_listeners_can_be_shared_and_bind_the_node_itself(tmp_path: Path) -> None:
    """``--expose host`` means shared listeners on the node's ports (DESIGN 7)."""
    shared = yaml.safe_load(run(tmp_path, "--listener-mode", "shared"))["listener"]
    assert {name.partition("@")[0] for name in shared} == {"shared/http"}
    host = yaml.safe_load(run(tmp_path, "--expose", "host", "--http-port", "8080"))["listener"]
    assert "shared/http@8080" in host


def test_flags_reach_the_listener(tmp_path: Path) -> None:
    """A few of each kind: an enumeration, a number, a switch."""
    flags = ("--address-family", "ipv6", "--trusted-hops", "2", "--proxy-protocol", "--access-log")
    (listener,) = yaml.safe_load(run(tmp_path, *flags))["listener"].values()
    assert listener["address"]["socket_address"]["address"] == "::"
    text = str(listener)
    assert "'xff_num_trusted_hops': 2" in text
    assert "proxy_protocol" in text
    assert "access_log" in text


@pytest.mark.parametrize("text", ["nodegate", "/nodegate", "a/b/c", ""])
def test_a_service_that_is_published_is_named_with_its_namespace(text: str) -> None:
    """The Service of shared listeners may be anywhere (DESIGN 5)."""
    assert parse_service_name("nodegate-system/nodegate") == ("nodegate-system", "nodegate")
    with pytest.raises(UsageError, match="--publish-service"):
        parse_service_name(text)


def test_an_ingress_class_narrows_to_that_one(tmp_path: Path) -> None:
    """Other classes are somebody else's."""
    assert yaml.safe_load(run(tmp_path, "--ingress-class", "other")) == {}


def test_our_own_certificate_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """A restart changes nothing that is served."""
    first = own_certificate(tmp_path)
    assert own_certificate(tmp_path) == first
    assert own_certificate(None) != own_certificate(None)
    assert x509.load_pem_x509_certificate(first.certificate).subject == x509.Name.from_rfc4514_string(
        "CN=nodegate.invalid"
    )
    assert (tmp_path / "own-certificate.pem").stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in repr(first)


def test_our_own_certificate_is_made_anew_when_it_is_damaged_or_over(tmp_path: Path) -> None:
    """It proves nothing, so it can be replaced."""
    first = own_certificate(tmp_path)
    later = datetime.now(UTC) + timedelta(days=3650)
    second = own_certificate(tmp_path, now=later)
    assert second != first
    (tmp_path / "own-certificate.pem").write_text("nonsense")
    assert own_certificate(tmp_path) not in (first, second)


@pytest.mark.parametrize(
    ("flags", "lease"),
    [
        ((), LeaseSettings(namespace="", name="nodegate", identity="", seconds=15)),
        (
            ("--lease-namespace", "infra", "--lease-name", "edge", "--lease-identity", "a", "--lease-seconds", "30"),
            LeaseSettings(namespace="infra", name="edge", identity="a", seconds=30),
        ),
    ],
)
def test_the_lease_is_what_its_flags_say(flags: tuple[str, ...], lease: LeaseSettings) -> None:
    """Each flag is one of its fields."""
    arrived = []

    @click.command()
    @lease_flags
    def command(lease: LeaseSettings) -> None:
        arrived.append(lease)

    CliRunner().invoke(command, flags, catch_exceptions=False)
    assert arrived == [lease]


def test_a_lease_that_is_too_short_to_renew_is_refused() -> None:
    """Requests take their time."""
    result = CliRunner().invoke(main, ["serve", "--source", "kubernetes", "--lease-seconds", "1"])
    assert result.exit_code == 2
    assert "--lease-seconds" in result.stderr
