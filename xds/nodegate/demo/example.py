"""The example the demo serves: where its files are, which backends it names, and what to curl."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

from nodegate.demo.backends import APPS, Address
from nodegate.errors import UsageError
from nodegate.model.objects import EndpointSlice, HTTPIngressPath, Ingress, Object
from nodegate.model.refs import Kind, Ref

_BOOKINFO, _REDIRECT = Path("examples", "bookinfo"), Path("examples", "redirect")
_INSTEAD = {"/details": "/details/1"}
_AFTERWARDS = {"/details": "/detailsx"}  # not below /details: Prefix goes by whole path elements


def bookinfo_folder() -> Path:
    """Return the folder of the example: the checkout's when nodegate runs from one, else the installed one."""
    return _folder(_BOOKINFO)


def redirect_folder() -> Path:
    """Return the folder of the example as a node of a cluster sees it, likewise."""
    return _folder(_REDIRECT)


def _folder(name: Path) -> Path:
    package = Path(__file__).resolve().parents[1]
    for root in (package.parents[1], package):
        if (root / name).is_dir():
            return root / name
    raise UsageError(
        f"The example is neither in {package.parents[1]} nor in {package}. Name a folder with --examples DIR."
    )


def backends_of(
    objects: Iterable[Object], serves: Callable[[str], bool] | None = None
) -> dict[Address, tuple[str, Ref]]:
    """Return the loopback addresses that EndpointSlices give our two services: which service, named where."""
    found: dict[Address, tuple[str, Ref]] = {}
    for item in objects:
        if isinstance(item, EndpointSlice) and item.service_name in APPS:
            found.update(dict.fromkeys(_addresses(item, serves or is_loopback), (item.service_name, item.ref)))
    return found


def curl_lines(ingress: Ingress, listener_port: int) -> Iterator[str]:
    """Yield one ``curl`` command per thing worth asking for."""
    for rule in ingress.spec.rules:
        header = f"-H 'Host: {rule.host.replace('*', 'any')}' " if rule.host else ""
        for path in dict.fromkeys(_paths_to_try(rule.http.paths if rule.http else ())):
            yield f"curl -s {header}http://127.0.0.1:{listener_port}{path}"


def ingress_of(listener: str, objects: Mapping[Ref, Object]) -> Ingress | None:
    """Return the Ingress a listener (name without port, ``default/basic-ingress/http``) belongs to."""
    namespace, _, rest = listener.partition("/")
    found = objects.get(Ref(Kind.INGRESS, namespace, rest.rpartition("/")[0]))
    return found if isinstance(found, Ingress) else None


def _addresses(item: EndpointSlice, serves: Callable[[str], bool]) -> Iterator[Address]:
    for endpoint in item.endpoints:
        for host in endpoint.addresses:
            if item.address_type in {"IPv4", "IPv6"} and serves(host):
                yield from (Address(host, port.port) for port in item.ports if port.port)


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address, on which a backend can be started."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _paths_to_try(paths: Iterable[HTTPIngressPath]) -> Iterator[str]:
    written = [entry.path or "/" for entry in paths]
    yield from (_INSTEAD.get(path, path) for path in written)
    yield from (_AFTERWARDS[path] for path in written if path in _AFTERWARDS)
