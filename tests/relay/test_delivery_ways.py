"""Over which source, how fast, and under which operator's name mail leaves: a real courier, hosts and name server."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from relay.clock import SystemClock
from relay.delivery.egress.egress import Egress
from relay.delivery.egress.sources import EgressSource
from relay.delivery.shaping.providers import load_providers
from relay.delivery.shaping.shaper import Shaper
from relay.delivery.workshop import Ways
from relay.settings import Delivery, Settings
from tests.delivering import Delivering, delivering, delivery_settings, eventually, story
from tests.nameserver import NameServer
from tests.sink import Manner, Sink

ZONE = """
gmail.example.        300 IN MX 10 mx1.google.com.
workspace.example.    300 IN MX 10 mx1.google.com.
other.example.        300 IN MX 10 mx2.google.com.
half.example.         300 IN MX 10 mx1.google.com.
half.example.         300 IN MX 20 mx.half.example.
mx1.google.com.       300 IN A 127.0.0.1
mx2.google.com.       300 IN A 127.0.0.1
mx.half.example.      300 IN A 127.0.0.1
"""
FAST = """
[provider.google]
tls = "none"
"""


def direct(folder: Path, port: int, zone: NameServer, **delivery: Any) -> Settings:
    """Deliver by MX, to hosts on loopback."""
    return delivery_settings(
        folder,
        port,
        mode="direct",
        smarthost="",
        mx_port=port,
        nameservers=[zone.address],
        private_networks=["127.0.0.0/8"],
        mta_sts="off",
        tls="opportunistic",
        **delivery,
    )


def ways(folder: Path, *sources: EgressSource, pools: dict[str, dict[str, int]] | None = None, rules: str = "") -> Ways:
    path = folder / "providers.toml"
    path.write_text(FAST + rules)
    shaper = Shaper(load_providers(path, Delivery()))
    return Ways(shaper, Egress("relay.example", sources, pools), lambda parcel: parcel.message.mail_from)


def by(room: Delivering, name: str) -> Callable[[], int]:
    return lambda: sum(getattr(record, "destination", "") == name for record in room.records("Delivery"))


class Ahead(SystemClock):
    """A clock that can be put forward."""

    ahead = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)

    def unix(self) -> float:
        return super().unix() + self.ahead


ONE, TWO = EgressSource("one", "127.0.0.1"), EgressSource("two", "127.0.0.2")


@story
async def test_domains_of_one_mail_operator_are_one_destination_and_share_connections(tmp_path: Path) -> None:
    with NameServer(ZONE) as zone, Sink() as sink:
        async with delivering(direct(tmp_path, sink.port, zone), ways=ways(tmp_path)) as room:
            for number in range(6):
                await room.send(f"a{number}@gmail.example")
                await room.send(f"b{number}@workspace.example")
            await room.until(12, "Delivery")

            assert {"google"} == {record.destination for record in room.records("Delivery")}
            assert by(room, "google")() == 12
            assert [row.destination for row in room.courier.stats()] == ["google"]
        sessions_of = {mail.session: set[str]() for mail in sink.messages}
        for mail in sink.messages:
            sessions_of[mail.session].add(mail.recipients[0].split("@")[1])
        assert any(len(domains) == 2 for domains in sessions_of.values())


@story
async def test_other_hosts_of_the_operator_get_their_own_connections(tmp_path: Path) -> None:
    with NameServer(ZONE) as zone, Sink() as sink:
        async with delivering(direct(tmp_path, sink.port, zone), ways=ways(tmp_path)) as room:
            await room.send("a@gmail.example")
            await room.send("b@other.example")
            await room.until(2, "Delivery")

            remotes = {record.recipient: record.remote for record in room.records("Delivery")}
    assert remotes["a@gmail.example"].startswith("mx1.google.com")
    assert remotes["b@other.example"].startswith("mx2.google.com")


@story
async def test_a_domain_with_a_host_elsewhere_is_a_destination_of_its_own(tmp_path: Path) -> None:
    with NameServer(ZONE) as zone, Sink() as sink:
        async with delivering(direct(tmp_path, sink.port, zone), ways=ways(tmp_path)) as room:
            await room.send("a@half.example")
            (record,) = await room.until(1, "Delivery")

    assert record.destination == "half.example"


@story
async def test_a_shared_site_outlives_the_domain_it_was_found_by(tmp_path: Path) -> None:
    with NameServer(ZONE) as zone, Sink() as sink:
        clock = Ahead()
        async with delivering(direct(tmp_path, sink.port, zone), clock, ways=ways(tmp_path)) as room:
            await room.send("a@gmail.example")
            await room.until(1, "Delivery")
            await eventually(lambda: sink.open_sessions == 0)
            zone.change(ZONE.replace("gmail.example.        300 IN MX 10 mx1.google.com.", ""))
            clock.ahead = 3600.0  # what DNS said before holds no more
            await room.send("b@workspace.example")
            await room.send("c@gmail.example")
            await room.until(3)

    assert {"b@workspace.example": ["Delivery"], "c@gmail.example": ["Bounce"]}.items() <= room.summary().items()


@story
async def test_no_provider_gets_more_connections_than_its_row_says(tmp_path: Path) -> None:
    with NameServer(ZONE) as zone, Sink() as sink:
        settings, used = direct(tmp_path, sink.port, zone, connections=50), ways(tmp_path, ONE, TWO)
        async with delivering(settings, ways=used) as room:
            for number in range(40):
                await room.send(f"slow-0.02+{number}@{('gmail', 'other')[number % 2]}.example")
            await room.until(40, "Delivery")

        assert sink.most_open_sessions <= 5
        assert {"127.0.0.1", "127.0.0.2"} == {record.source for record in room.records("Delivery")}


@story
async def test_mail_leaves_from_the_sources_of_its_pool_under_their_names(tmp_path: Path) -> None:
    pools = {"good": {"one": 1}, "suspect": {"two": 1}}
    with Sink() as sink:
        settings = delivery_settings(tmp_path, sink.port)
        async with delivering(settings, ways=ways(tmp_path, ONE, TWO, pools=pools)) as room:
            for number in range(5):
                await room.send(f"g{number}@d.example", pool="good")
                await room.send(f"s{number}@d.example", pool="suspect")
            await room.until(10, "Delivery")

            sources = {(record.recipient[0], record.source) for record in room.records("Delivery")}
    assert {("g", "127.0.0.1"), ("s", "127.0.0.2")} == sources


@story
async def test_an_address_that_is_refused_rests_and_the_mail_goes_from_another(tmp_path: Path) -> None:
    blocked = Manner(greeting=b"220 sink.example ESMTP\r\n")
    with Sink(blocked) as sink:
        settings, used = delivery_settings(tmp_path, sink.port), ways(tmp_path, ONE, TWO)
        async with delivering(settings, ways=used) as room:
            now = room.clock.unix()
            used.egress.ip_states.blocked("one", "127.0.0.1", now)
            for number in range(4):
                await room.send(f"a{number}@d.example")
            await room.until(4, "Delivery")

            assert {"127.0.0.2"} == {record.source for record in room.records("Delivery")}


@story
async def test_a_5yz_about_our_address_is_tried_from_another_one_and_never_bounces_first(tmp_path: Path) -> None:
    text = "5.7.1 Service unavailable, Client host [127.0.0.1] blocked using zen.spamhaus.org"
    with Sink(Manner(refused_clients={"127.0.0.1": f"550 {text}".encode()})) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port), ways=ways(tmp_path, ONE, TWO)) as room:
            for number in range(4):
                await room.send(f"a{number}@d.example")
            await room.until(4, "Delivery")

            assert room.records("Bounce") == []
            assert {"127.0.0.2"} == {record.source for record in room.records("Delivery")}


@story
async def test_a_5yz_about_our_only_address_bounces(tmp_path: Path) -> None:
    text = "5.7.1 Service unavailable, Client host [127.0.0.1] blocked using zen.spamhaus.org"
    with Sink(Manner(refused_clients={"127.0.0.1": f"550 {text}".encode()})) as sink:
        async with delivering(delivery_settings(tmp_path, sink.port), ways=ways(tmp_path, ONE)) as room:
            await room.send("a@d.example")
            await room.until(1, "Bounce")

            assert room.records("Delivery") == []


@story
async def test_mail_for_a_suspended_destination_waits_on_disk_and_no_attempt_is_counted(tmp_path: Path) -> None:
    with Sink() as sink:
        name, used = "127.0.0.1", ways(tmp_path)
        async with delivering(delivery_settings(tmp_path, sink.port), ways=used) as room:
            now = room.clock.unix()
            used.shaper.suspend(name, "", now + 3600, "maintenance", "ops", now=now)
            await room.send("a@d.example")
            await eventually(lambda: any(lane.due_unix > now + 600 for lane in room.spool.waiting()))

            assert room.records() == []
            (lane,) = room.spool.waiting()
            (recipient,) = room.spool.page(lane.id, 1e12)
            assert recipient.attempts == 0


@story
async def test_a_resumed_destination_is_served_at_once(tmp_path: Path) -> None:
    with Sink() as sink:
        name, used = "127.0.0.1", ways(tmp_path)
        async with delivering(delivery_settings(tmp_path, sink.port), ways=used) as room:
            now = room.clock.unix()
            used.shaper.suspend(name, "", now + 30, "maintenance", "ops", now=now)
            await room.send("a@d.example")
            assert room.records() == []
            used.shaper.resume(name, "", now=room.clock.unix())
            room.courier.look_again(name)
            await room.until(1, "Delivery", seconds=5)


@story
async def test_a_rate_holds_from_the_first_message_and_over_all_connections(tmp_path: Path) -> None:
    with Sink() as sink:
        name, used = "127.0.0.1", ways(tmp_path)
        async with delivering(delivery_settings(tmp_path, sink.port), ways=used) as room:
            now = room.clock.unix()
            used.shaper.override(name, "", messages_per_minute=300, until=now + 60, why="slow", author="ops", now=now)
            for number in range(12):
                await room.send(f"a{number}@d.example")
            await room.until(12, "Delivery", seconds=20)

            assert room.clock.unix() - now > 1.0  # 12 at 5 a second


@story
async def test_a_reply_that_a_rule_knows_changes_the_pace_and_says_why(tmp_path: Path) -> None:
    with NameServer(ZONE) as zone, Sink() as sink:
        used = ways(tmp_path)
        async with delivering(direct(tmp_path, sink.port, zone), ways=used) as room:
            await room.send("reject-421-4.7.28@gmail.example")
            await room.until(1, "Deferral")

            effects = used.shaper.effects(room.clock.unix())
            assert list({effect.destination for effect in effects}) == ["google"]
            assert "4.7.28" in effects[0].reply
            await room.send("a@gmail.example", sender="acme|x-authuser|ann")
            await eventually(lambda: any(lane.due_unix > room.clock.unix() + 60 for lane in room.spool.waiting()))
            assert room.records("Delivery") == []


@story
async def test_an_idle_connection_leaves_its_place_to_domains_with_other_hosts(tmp_path: Path) -> None:
    hosts = [f"d{n}.example. 300 IN MX 1 m{n}.google.com.\nm{n}.google.com. 300 IN A 127.0.0.1" for n in range(40)]
    async with NameServer("\n".join(hosts)).open() as zone:
        with Sink() as sink:
            async with delivering(direct(tmp_path, sink.port, zone), ways=ways(tmp_path)) as room:
                began = room.clock.unix()
                for number in range(40):
                    await room.send(f"a@d{number}.example")
                await room.until(40, "Delivery", seconds=20)

                assert room.clock.unix() - began < 6.0  # 5 places, 2 s of rest each: 14 s
                assert sink.most_open_sessions <= 5
