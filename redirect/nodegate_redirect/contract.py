"""What the control plane asks for: ``nodegate.redirect.v1.ServiceRedirect``, checked and as frozen values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from nodegate_protos import redirect_pb2
from nodegate_redirect.errors import ContractError

_TCP = (redirect_pb2.Frontend.PROTOCOL_UNSPECIFIED, redirect_pb2.Frontend.PROTOCOL_TCP)


class Place(NamedTuple):
    """Where clients connect to: an address in its one normal text form, and a TCP port."""

    address: str
    port: int

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.address else 4


@dataclass(frozen=True, slots=True)
class Redirect:
    """One ServiceRedirect. ``places`` and ``node_ports`` say of each frontend whether it is restricted to ``ranges``.

    ``ranges`` are CIDRs in their normal form. ``port`` is the listener's, ``listener`` its name.
    """

    name: str
    listener: str
    port: int
    places: tuple[tuple[Place, bool], ...] = ()
    node_ports: tuple[tuple[int, bool], ...] = ()
    ranges: tuple[str, ...] = ()


def decode(body: bytes) -> Redirect:
    """Return what a serialised ServiceRedirect asks for.

    Raises ContractError, which names the resource, the field and what would be right.
    """
    try:
        message = redirect_pb2.ServiceRedirect.FromString(body)
    except DecodeError as error:
        raise ContractError(f"Not a nodegate.redirect.v1.ServiceRedirect: {error}.") from error
    try:
        return _redirect(message)
    except ValueError as error:
        raise ContractError(f"ServiceRedirect {message.name or '(without a name)'}: {error}.") from error


def _redirect(message: Any) -> Redirect:
    if not message.name:
        raise ValueError("name is empty; it is namespace/service/port")
    places: dict[Place, bool] = {}
    node_ports: dict[int, bool] = {}
    for number, frontend in enumerate(message.frontends):
        where = f"frontends[{number}]"
        if frontend.protocol not in _TCP:
            raise ValueError(f"{where}.protocol {frontend.protocol} is not known here; only TCP is")
        kind = frontend.WhichOneof("place")
        if kind == "address":
            place = Place(_address(frontend.address.ip, where), _port(frontend.address.port, f"{where}.address.port"))
            places[place] = frontend.restricted
        elif kind == "node_port":
            node_ports[_port(frontend.node_port, f"{where}.node_port")] = frontend.restricted
        else:
            raise ValueError(f"{where} has neither address nor node_port")
    return Redirect(
        message.name,
        message.listener.name,
        _port(message.listener.port, "listener.port"),
        tuple(sorted(places.items())),
        tuple(sorted(node_ports.items())),
        tuple(sorted({_range(text, number) for number, text in enumerate(message.source_ranges)})),
    )


def _port(port: int, field: str) -> int:
    if not 0 < port < 1 << 16:
        raise ValueError(f"{field} {port} is no port; one is 1 to 65535")
    return port


def _address(text: str, where: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{where}.address.ip {text!r} is no IP address") from None
    if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped):
        raise ValueError(f"{where}.address.ip {text} has a zone or is an IPv4 address in the form of IPv6")
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"{where}.address.ip {text} is not one that clients connect to")
    return str(address)


def _range(text: str, number: int) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"source_ranges[{number}] {text!r} is no CIDR such as 192.0.2.0/24") from None
