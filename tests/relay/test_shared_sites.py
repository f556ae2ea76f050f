"""Domains that share the hosts of one operator: what one does to its records must not touch the others' mail."""

from pathlib import Path

from tests.delivering import delivering, eventually, story
from tests.nameserver import NameServer
from tests.relay.test_delivery_ways import ZONE, Ahead, direct, ways
from tests.sink import Sink

_WITHOUT_GMAIL = "\n".join(line for line in ZONE.splitlines() if not line.startswith("gmail.example"))
_MOVED = _WITHOUT_GMAIL + "\ngmail.example. 300 IN MX 10 mx.thief.example.\nmx.thief.example. 300 IN A 127.0.0.3\n"
_NULL = _WITHOUT_GMAIL + "\ngmail.example. 300 IN MX 0 .\n"
_NO_ADDRESS = "odd.example. 300 IN MX 10 nowhere.google.com.\nnowhere.google.com. 300 IN TXT x\n"


@story
async def test_a_domain_that_moves_away_does_not_take_the_mail_of_others_along(tmp_path: Path) -> None:
    clock = Ahead()
    with NameServer(ZONE) as zone, Sink() as sink:
        async with delivering(direct(tmp_path, sink.port, zone), clock, ways=ways(tmp_path)) as room:
            await room.send("a@gmail.example")
            await room.send("b@workspace.example")
            await room.until(2, "Delivery")

            zone.change(_MOVED)
            clock.ahead = 3600.0
            await eventually(lambda: not any(one.active for one in room.courier.stats()))
            await room.send("c@workspace.example")
            delivered = (await room.until(3, "Delivery"))[2]

            assert delivered.remote.startswith("mx1.google.com[127.0.0.1]")


@story
async def test_a_domain_that_takes_no_mail_any_more_bounces_its_own_recipients_only(tmp_path: Path) -> None:
    clock = Ahead()
    with NameServer(ZONE) as zone, Sink() as sink:
        async with delivering(direct(tmp_path, sink.port, zone), clock, ways=ways(tmp_path)) as room:
            await room.send("a@gmail.example")
            await room.send("b@workspace.example")
            await room.until(2, "Delivery")

            zone.change(_NULL)
            clock.ahead = 400.0  # DNS is to be asked anew, where domains queue is remembered
            await eventually(lambda: not any(one.active for one in room.courier.stats()))
            await room.send("c@gmail.example", "d@workspace.example")
            await room.until(4)

            assert room.summary()["c@gmail.example"] == ["Bounce"]
            assert room.summary()["d@workspace.example"] == ["Delivery"]


@story
async def test_a_domain_whose_name_servers_fail_delays_nobody_else(tmp_path: Path) -> None:
    clock = Ahead()
    with NameServer(ZONE.replace("gmail.example", "servfail.example")) as zone, Sink() as sink:
        zone.servfail = "nothing yet"
        async with delivering(direct(tmp_path, sink.port, zone), clock, ways=ways(tmp_path)) as room:
            await room.send("a@servfail.example")
            await room.send("b@workspace.example")
            await room.until(2, "Delivery")

            zone.servfail = "servfail"
            clock.ahead = 3600.0
            await eventually(lambda: not any(one.active for one in room.courier.stats()))
            await room.send("c@workspace.example")
            await room.until(3)

            assert room.summary()["c@workspace.example"] == ["Delivery"]


@story
async def test_exchangers_without_an_address_are_a_bounce_also_at_a_known_operator(tmp_path: Path) -> None:
    with NameServer(_NO_ADDRESS) as zone, Sink() as sink:
        async with delivering(direct(tmp_path, sink.port, zone), ways=ways(tmp_path)) as room:
            await room.send("a@odd.example")

            (bounce,) = await room.until(1, seconds=3)

            assert room.summary()["a@odd.example"] == ["Bounce"]
            assert bounce.enhanced == "5.4.4"


@story
async def test_who_writes_to_dead_domains_keeps_nobody_else_waiting_for_dns(tmp_path: Path) -> None:
    async with NameServer(ZONE).open() as zone:
        with Sink() as sink:
            settings = direct(tmp_path, sink.port, zone, dns_timeout_seconds=2)
            async with delivering(settings, ways=ways(tmp_path), stop_seconds=0.1) as room:
                for number in range(300):
                    await room.send(f"a@d{number}.silent.example", sender="acme|x-authuser|flood")

                sent_at = room.clock.unix()
                await room.send("b@half.example", sender="acme|x-authuser|quiet")
                await room.until(1, "Delivery")

                assert room.clock.unix() - sent_at < 1.5
