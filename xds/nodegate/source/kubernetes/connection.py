"""The connection to an API server: which one, as whom, and requests over HTTP.

``configuration`` says which; requests go through aiohttp directly, because watches are to be read as bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

import aiohttp
import structlog

from nodegate.errors import SourceError
from nodegate.settings import KubernetesAccess
from nodegate.source.kubernetes.answers import Interrupted, Refused, Untrusted, refusal
from nodegate.source.kubernetes.configuration import Configuration, read_configuration

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 10.0
_UNAUTHORIZED = 401
_DEAD_AFTER_MILLISECONDS = 30_000
_GOODBYE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Credentials:
    """What was read of a configuration; secrets never show in ``repr``. ``trust`` changes when certificates do."""

    server: str
    trust: bytes
    chosen: str
    authorization: str
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | None

    def __repr__(self) -> str:
        return f"_Credentials({self.server}, {self.chosen})"

    def equal(self, other: _Credentials) -> bool:
        """Whether a server would take them for the same."""
        return (self.server, self.trust, self.authorization) == (other.server, other.trust, other.authorization)


class Answer:
    """A successful answer whose body can be read."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        with _as_interrupted():
            async for chunk in self._response.content.iter_any():
                yield chunk

    async def read(self) -> bytes:
        """Return the whole body."""
        with _as_interrupted():
            return await self._response.read()


class Connection:
    """Requests to one API server. Made by :func:`connect`."""

    def __init__(self, access: KubernetesAccess, credentials: _Credentials) -> None:
        self._access = access
        self._credentials = credentials
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._session = self._new_session(credentials)
        self._retired: list[aiohttp.ClientSession] = []
        self._renewing = asyncio.Lock()
        self._generation = 0

    @property
    def server(self) -> str:
        """The server's URL."""
        return self._credentials.server

    @property
    def chosen(self) -> str:
        """Which server was chosen and why, for people."""
        return f"{self._credentials.server} ({self._credentials.chosen})"

    @asynccontextmanager
    async def get(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Answer]:
        """Ask for a path; see :class:`nodegate.source.kubernetes.informer.Api`."""
        async with self._request("GET", path, query) as answer:
            yield answer

    async def send(self, method: str, path: str, query: Mapping[str, str], body: bytes, content_type: str) -> bytes:
        """Send a body and return the answer's; raises as :meth:`get` does.

        Where the credentials are refused, they are read anew and it is sent once more: a token may have expired.
        """
        request = (method, path, query, body, content_type)
        try:
            return await self._send(*request)
        except Refused as why:
            if why.status != _UNAUTHORIZED:
                raise
        await self.renew()
        return await self._send(*request)

    async def _send(self, method: str, path: str, query: Mapping[str, str], body: bytes, content_type: str) -> bytes:
        headers = {"Content-Type": content_type}
        async with self._request(method, path, query, data=body, headers=headers) as answer:
            return await answer.read()

    async def renew(self) -> None:
        """Read the configuration anew; one that cannot be read now leaves everything as it is."""
        before = self._generation
        async with self._renewing:
            if self._generation != before:
                return  # somebody else just has
            try:
                credentials = await _load(self._access)
            except SourceError as error:
                log.warning(str(error))
                return
            before_that = self._credentials
            if credentials.trust != before_that.trust:
                await self._replace_session(credentials)
            self._credentials = credentials
            self._generation += 1
            if not credentials.equal(before_that):  # those that are as they were are read again at every refusal
                log.info("There are new credentials for the Kubernetes API.", server=self.chosen)

    async def close(self) -> None:
        """Close every connection."""
        for session in (*self._retired, self._session):
            await session.close()
        self._retired.clear()
        await _until_closed(self._sockets)

    async def _replace_session(self, credentials: _Credentials) -> None:
        """Make new connections with new certificates; watches that are open end by themselves."""
        for session in self._retired:
            await session.close()
        self._retired = [self._session]
        self._session = self._new_session(credentials)

    def _new_session(self, credentials: _Credentials) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=credentials.tls or True, limit=0, socket_factory=self._lively_socket)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, connect=CONNECT_SECONDS)
        # Compressed, a list of 5,000 EndpointSlices costs both sides more time than a cluster's network does.
        agent = {"User-Agent": "nodegate", "Accept": "application/json", "Accept-Encoding": "identity"}
        return aiohttp.ClientSession(connector=connector, timeout=timeout, headers=agent, max_line_size=65_536)

    def _lively_socket(self, address: tuple[Any, ...]) -> socket.socket:
        made = _lively_socket(address)
        self._sockets.add(made)
        return made

    @asynccontextmanager
    async def _request(self, method: str, path: str, query: Mapping[str, str], **more: Any) -> AsyncIterator[Answer]:
        credentials = self._credentials
        headers = {"Authorization": credentials.authorization} if credentials.authorization else {}
        with _as_interrupted():
            response = await self._session.request(
                method,
                credentials.server + path,
                params=dict(query),
                headers=headers | more.pop("headers", {}),
                proxy=credentials.proxy,
                server_hostname=credentials.server_name,
                allow_redirects=False,
                **more,
            )
        async with response:
            if response.status >= 300:  # a redirect is no answer either: credentials are for this server
                with _as_interrupted():
                    raise refusal(response.status, response.headers, await response.read())
            yield Answer(response)


@asynccontextmanager
async def connect(access: KubernetesAccess) -> AsyncIterator[Connection]:
    """Open the way to an API server, without asking it anything yet.

    Raises:
        SourceError: There is no configuration, or it cannot be read.
    """
    connection = Connection(access, await _load(access))
    log.info(
        "The Kubernetes API is the source.", server=connection.chosen, namespaces=", ".join(access.namespaces) or "all"
    )
    try:
        yield connection
    finally:
        await connection.close()


async def _until_closed(sockets: Iterable[socket.socket]) -> None:
    """Let connections whose watch was cut off end, which aiohttp does not wait for: their TLS says goodbye first."""
    left = [one for one in sockets if one.fileno() != -1]
    for one in left:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            while any(one.fileno() != -1 for one in left):  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0.01)


def _lively_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket that finds out by itself when the other side has vanished (Linux)."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MILLISECONDS)
    return made


class _as_interrupted:  # noqa: N801  # reads as a statement
    """Turn every failure of the network into Interrupted."""

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, aiohttp.ClientError | OSError):
            kind = Untrusted if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError) else Interrupted
            raise kind(f"{type(error).__name__}: {error}".rstrip(": ") + ".") from error


# --- Credentials ---------------------------------------------------------------------------------------------------


async def _load(access: KubernetesAccess) -> _Credentials:
    """Read what the operator chose, and the files that it names; raises SourceError when that cannot be."""
    read = await read_configuration(access)
    try:
        return _Credentials(
            server=read.server,
            trust=_digest(read.authority, read.certificate, read.key),
            chosen=read.chosen,
            authorization=f"Bearer {read.token}" if read.token else "",
            tls=_tls(read),
            server_name=read.server_name,
            proxy=read.proxy,
        )
    except (OSError, ValueError) as error:
        raise SourceError(
            f"The Kubernetes configuration cannot be used ({read.chosen}): {error}. Correct the files that it names."
        ) from error


def _digest(*files: str | None) -> bytes:
    return hashlib.sha256(b"".join(Path(file).read_bytes() + b"\0" for file in files if file)).digest()


def _tls(read: Configuration) -> ssl.SSLContext | None:
    if not read.server.startswith("https"):
        return None
    context = ssl.create_default_context(cafile=read.authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # clusters' own CAs often lack what RFC 5280 asks of them
    if not read.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if read.certificate:
        context.load_cert_chain(read.certificate, read.key)
    return context
