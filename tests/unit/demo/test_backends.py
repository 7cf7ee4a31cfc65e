"""The demo's backends answer what Istio's BookInfo answers."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from nodegate.demo.backends import APPS, Address, listen_here, serving
from nodegate.errors import UsageError


def free(host: str = "127.0.0.1") -> Address:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return Address(host, probe.getsockname()[1])


@contextlib.asynccontextmanager
async def asking(name: str) -> AsyncIterator[tuple[aiohttp.ClientSession, Address]]:
    address = free()
    async with serving(APPS[name](address), address), aiohttp.ClientSession(f"http://{address}") as session:
        yield session, address


async def test_details_answers_the_book_with_the_number_that_was_asked_for() -> None:
    """The same fields as BookInfo's details service."""
    async with asking("details") as (session, address), session.get("/details/7") as answer:
        book = await answer.json()
        assert (book["id"], book["author"], book["ISBN-13"]) == (7, "William Shakespeare", "123-1234567890")
        assert answer.headers["x-backend"] == str(address)


@pytest.mark.parametrize("path", ["/", "/details", "/details/one", "/details/1/2"])
async def test_details_knows_books_by_number_and_nothing_else(path: str) -> None:
    """Everything else is 404: a wrong route shows at once."""
    async with asking("details") as (session, _), session.get(path) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("path", ["/", "/productpage", "/detailsx"])
async def test_productpage_answers_every_path_with_the_page(path: str) -> None:
    """The page names the path it answers."""
    async with asking("productpage") as (session, _), session.get(path) as answer:
        assert answer.content_type == "text/html"
        assert f"<code>{path}</code>" in await answer.text()


async def test_productpage_shows_a_path_as_text_and_never_as_html() -> None:
    """A path with markup is escaped."""
    async with asking("productpage") as (session, _), session.get("/%3Cscript%3E") as answer:
        assert "<script>" not in await answer.text()


@pytest.mark.parametrize("name", ["details", "productpage"])
async def test_every_backend_says_it_is_well(name: str) -> None:
    """/health is for whoever wants to know whether it runs."""
    async with asking(name) as (session, _), session.get("/health") as answer:
        assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_an_address_in_use_is_refused_with_its_name() -> None:
    """The demo has to say which of its addresses is taken."""
    address = free()
    with listen_here(address), pytest.raises(UsageError, match=f"listen on {address}: Address already in use"):
        async with serving(APPS["details"](address), address):
            pass


async def test_a_backend_that_ended_frees_its_address() -> None:
    """Starting again at once works."""
    address = free()
    for _ in range(2):
        async with serving(APPS["details"](address), address):
            pass
