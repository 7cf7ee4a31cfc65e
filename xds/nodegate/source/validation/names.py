"""The forms of names and addresses in Kubernetes. Each function returns what is wrong, or ''.

What is returned goes on a sentence that begins with the name of the field: ``is not an IPv4 address``.
"""

from __future__ import annotations

import ipaddress
import re

from nodegate.model.refs import Kind

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_DNS_LABEL = re.compile(rf"{_LABEL}\Z")
_DNS_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_QUALIFIED_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?\Z")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_KEY = re.compile(r"[-._a-zA-Z0-9]+\Z")

_LABELLED = frozenset({Kind.NAMESPACE, Kind.SERVICE})
"""Kinds whose name is one DNS label; Services begin with a letter as well in releases before 1.34."""


def name_fault(name: str, kind: Kind) -> str:
    """Check the name of an object of ``kind``."""
    return dns_label_fault(name) if kind in _LABELLED else dns_subdomain_fault(name)


def dns_label_fault(text: str) -> str:
    """Check a DNS label (RFC 1123): one part of a domain name, in lower case."""
    if len(text) > 63:
        return "is longer than 63 characters"
    if _DNS_LABEL.match(text):
        return ""
    return f"{_quoted(text)} is not a DNS label: lower-case letters, digits and '-', a letter or digit at both ends"


def dns_subdomain_fault(text: str) -> str:
    """Check a DNS subdomain (RFC 1123): labels with dots between, in lower case."""
    if len(text) > 253:
        return "is longer than 253 characters"
    if _DNS_SUBDOMAIN.match(text):
        return ""
    return (
        f"{_quoted(text)} is not a DNS name: lower-case letters, digits, '-' and '.', "
        "a letter or digit at both ends of every part"
    )


def host_fault(host: str) -> str:
    """Check the host of an Ingress: a DNS name, or ``*.`` and a DNS name; no port and no IP address."""
    if ip_fault(host) == "" or (host.startswith("[") and ip_fault(host.strip("[]")) == ""):
        return f"{_quoted(host)} is an IP address, and must be a DNS name"
    if re.search(r":[0-9]+\Z", host):
        return f"{_quoted(host)} has a port, and must be a DNS name alone"
    if "*" not in host:
        return dns_subdomain_fault(host)
    if host.startswith("*.") and dns_subdomain_fault(host[2:]) == "" and len(host) <= 253:
        return ""
    return f"{_quoted(host)} is not a wildcard: '*' stands for the whole first label only, as in *.example.com"


def ip_fault(text: str, version: int | None = None) -> str:
    """Check an IP address, of one version when that is given."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return f"{_quoted(text)} is not an IPv{version} address" if version else f"{_quoted(text)} is not an IP address"
    if version and address.version != version:
        return f"{_quoted(text)} is not an IPv{version} address but an IPv{address.version} address"
    return f"{_quoted(text)} has a zone, which has a meaning on one machine only" if "%" in text else ""


def cidr_fault(text: str) -> str:
    """Check an IP network, like 10.0.0.0/8."""
    try:
        ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return f"{_quoted(text)} is not a network like 10.0.0.0/8"
    return "" if "/" in text else f"{_quoted(text)} has no prefix length, as in 10.0.0.0/8"


def port_number_fault(number: int) -> str:
    """Check a port number."""
    return "" if 1 <= number <= 65535 else f"{number} is not a port number from 1 to 65535"


def port_name_fault(name: str) -> str:
    """Check the name of a port as others refer to it (RFC 6335 service name): at most 15 characters, one a letter."""
    if len(name) <= 15 and _PORT_NAME.match(name):
        return ""
    return f"{_quoted(name)} is not a port name: at most 15 lower-case letters, digits and single '-', with a letter"


def qualified_name_fault(name: str) -> str:
    """Check a label or annotation key, or an appProtocol: an optional DNS name and ``/``, then a name."""
    prefix, slash, short = name.rpartition("/")
    if slash and dns_subdomain_fault(prefix.lower()):
        return f"{_quoted(name)} has a prefix that is not a DNS name"
    if len(short) <= 63 and _QUALIFIED_NAME.match(short):
        return ""
    return f"{_quoted(name)} is not a name of at most 63 letters, digits, '-', '_' and '.'"


def label_value_fault(value: str) -> str:
    """Check the value of a label."""
    if not value or (len(value) <= 63 and _QUALIFIED_NAME.match(value)):
        return ""
    return f"{_quoted(value)} is not empty or at most 63 letters, digits, '-', '_' and '.'"


def key_fault(key: str) -> str:
    """Check a key of a Secret's data."""
    return (
        ""
        if len(key) <= 253 and _KEY.match(key) and key not in {".", ".."}
        else "is not a key of letters, digits, '-', '_' and '.'"
    )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
