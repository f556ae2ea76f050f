"""How long we wait for whom, and how we meet whom."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from relay.clock import SystemClock
from relay.delivery.handshake import Handshake, Manners, Unreachable, manners_towards
from relay.delivery.routing.destinations import Host
from relay.delivery.routing.routes import Routes
from relay.delivery.tls.memory import BrokenTls
from relay.delivery.wire import Deadlines
from relay.settings import Delivery, Route, Settings
from tests.delivering import story


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (300, Deadlines(connect=60, command=300, data=120, piece=180, final_dot=600)),
        (15, Deadlines(connect=15, command=15, data=15, piece=75, final_dot=75)),
    ],
)
def test_one_setting_scales_all_deadlines_below_those_of_the_standards(seconds: float, expected: Deadlines) -> None:
    assert Deadlines.of(seconds) == expected


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that answers no connection: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            waiting.append(client)
        yield listener.getsockname()[1]
        for client in waiting:
            client.close()


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("has_spare", "patience", "least"), [(True, 3600, 0.2), (False, 1, 1.0)])
@story
async def test_nobody_waits_long_for_an_address_that_has_a_spare(
    silent_port: int, monkeypatch: pytest.MonkeyPatch, has_spare: bool, patience: float, least: float
) -> None:
    monkeypatch.setattr("relay.delivery.handshake._SPARE_SECONDS", 0.2)
    handshake = Handshake(Delivery(timeout_seconds=patience), SystemClock())
    started = time.monotonic()

    with pytest.raises(Unreachable, match="timed out") as caught:
        await handshake.open(Host("mx", "127.0.0.1", silent_port, has_spare), Manners("me", "none"))

    assert time.monotonic() - started >= least
    assert not caught.value.is_connected


@story
async def test_a_silent_greeting_is_given_up() -> None:
    ended = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()  # until we have given up
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    handshake = Handshake(Delivery(timeout_seconds=1), SystemClock())

    with pytest.raises(Unreachable, match="timed out while greeting") as caught:
        await handshake.open(Host("mx", "127.0.0.1", port), Manners("me", "none"))

    assert caught.value.is_connected
    server.close()
    await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize(
    ("route", "provider", "settings", "tls", "is_verified"),
    [
        ({}, "", "opportunistic", "opportunistic", False),
        ({}, "required", "opportunistic", "required", False),
        ({}, "", "required", "required", False),
        ({"tls": "none"}, "required", "required", "none", False),
        ({"tls": "verified"}, "", "none", "required", True),
        ({"mode": "smarthost", "tls": "required"}, "", "none", "required", True),
        ({"user": "u", "tls": "required"}, "", "none", "required", True),
        ({"mode": "sink"}, "required", "required", "none", False),
    ],
)
def test_a_route_says_more_of_tls_than_a_provider_and_that_more_than_the_settings(
    route: dict[str, str], provider: str, settings: str, tls: str, is_verified: bool
) -> None:
    delivery = Delivery.model_validate({"tls": settings})
    routes = Routes(Settings(route=[Route.model_validate({"domain": "a.example", "host": "b.example", **route})]))

    manners = manners_towards(routes.target("a.example"), delivery, "me", provider)

    assert (manners.tls, manners.is_verified) == (tls, is_verified)


def test_broken_tls_is_known_for_three_days_and_over_a_restart() -> None:
    memory, later = BrokenTls(), BrokenTls()

    memory.note("192.0.2.1:25", 1000.0)
    later.load(memory.dirty())

    assert later.is_broken("192.0.2.1:25", 1000.0 + 3 * 86_400 - 1)
    assert not later.is_broken("192.0.2.1:25", 1000.0 + 3 * 86_400)
    assert not later.is_broken("192.0.2.2:25", 1000.0)
    assert (memory.dirty(), later.load([("x", b"?")])) == ([], 1)
