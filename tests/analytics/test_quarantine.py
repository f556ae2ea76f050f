"""A confirmed listing takes an address out of use through a real control API and brings it back, and no more."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics.listings.jobs import listing_jobs
from analytics.listings.quarantine import Quarantine
from analytics.listings.rounds import InForce
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import NewSource
from relay.delivery.egress.sources import SourceState
from relay.dns_lists import shipped
from relay.settings import Dnsbl
from relay.spool.journal import Journal
from tests.analytics.conftest import Room as WarehouseRoom
from tests.rbldnsd import PROGRAM, rbldnsd
from tests.relay.test_control_api import START, Room, with_room

ADDRESS, OTHER = "127.0.0.2", "127.0.0.3"
ZEN = shipped()["zen.spamhaus.org", "ip"]
SPAMCOP = shipped()["bl.spamcop.net", "ip"]
CODES = {code.id: code for code in (*ZEN.codes, *SPAMCOP.codes)}


def listed(code: str, address: str = ADDRESS) -> InForce:
    return InForce(address, "zen.spamhaus.org", START, (CODES[code],), "https://check.example/", True)


class Desk:
    """A Quarantine over a running relay with two sources."""

    def __init__(self, room: Room, warehouse: WarehouseRoom, is_on: bool = True) -> None:
        self.room, self.warehouse, self.alarms = room, warehouse, list[tuple[str, str, dict[str, Any]]]()
        self.quarantine = Quarantine(
            warehouse.warehouse,
            lambda: room.client("operator-token"),
            lambda *alarm: self.alarms.append(alarm),
            is_on=is_on,
        )
        self.now = START

    async def follow(self, *in_force: InForce, clean: tuple[str, ...] = ()) -> int:
        self.now += timedelta(minutes=1)
        return await asyncio.to_thread(self.quarantine.follow, list(in_force), set(clean), self.now)

    async def state(self, name: str = "ip1") -> SourceState:
        return (await self.room.ask(lambda relay: EgressCalls(relay).source(name))).state

    async def stand(self, verb: Any, name: str = "ip1") -> None:
        await self.room.ask(lambda relay: EgressCalls(relay).stand(name, verb))

    async def commands(self) -> list[str]:
        return [entry.command for entry in await self.room.ask(lambda relay: relay.audit())][::-1]


def play(tmp_path: Path, warehouse: WarehouseRoom, act: Callable[[Desk], Any], **how: Any) -> None:
    sources = how.pop("sources", (("ip1", ADDRESS), ("ip2", OTHER)))

    async def work(room: Room) -> None:
        for name, address in sources:
            new = NewSource(name=name, address=address, force=True)
            await room.ask(lambda relay, new=new: EgressCalls(relay).add_source(new))
        await act(Desk(room, warehouse, **how))

    (tmp_path / "relay").mkdir()
    with_room(tmp_path / "relay", work)


def test_listed_address_is_quarantined_once_and_comes_back_when_clean(tmp_path: Path, room: WarehouseRoom) -> None:
    async def act(desk: Desk) -> None:
        assert await desk.follow(listed("css")) == 1
        assert await desk.state() is SourceState.QUARANTINED
        assert await desk.follow(listed("css")) == 0
        assert await desk.follow() == 0  # the list died: nobody said clean
        assert await desk.state() is SourceState.QUARANTINED
        assert await desk.follow(clean=(ADDRESS,)) == 1
        assert await desk.state() is SourceState.ACTIVE
        assert (await desk.commands())[-2:] == ["ip.quarantine", "ip.activate"]
        assert (await desk.commands()).count("ip.quarantine") == 1
        newest, before = (await desk.room.ask(lambda relay: relay.audit()))[:2]
        assert (newest.principal, before.detail["zones"]) == ("analytics", "zen.spamhaus.org")
        assert "CSS" in str(before.detail["reason"])
        assert [alarm[0] for alarm in desk.alarms] == ["ip_listed", "ip_delisted"]
        assert "takes nothing new until it is clean" in desk.alarms[0][1]

    play(tmp_path, room, act)


def test_policy_listing_and_other_lists_are_told_only(tmp_path: Path, room: WarehouseRoom) -> None:
    async def act(desk: Desk) -> None:
        await desk.follow(listed("pbl"), listed("spamcop"))
        await desk.follow(listed("pbl"), listed("spamcop"))

        assert await desk.state() is SourceState.ACTIVE
        assert [alarm[0] for alarm in desk.alarms] == ["ip_listed"]
        await desk.follow(listed("pbl"), listed("sbl"))  # and then it is worse
        assert await desk.state() is SourceState.QUARANTINED

    play(tmp_path, room, act)


def test_last_active_source_stays_in_use(tmp_path: Path, room: WarehouseRoom) -> None:
    async def act(desk: Desk) -> None:
        await desk.follow(listed("css"))

        assert await desk.state() is SourceState.ACTIVE
        assert "no other active source" in desk.alarms[0][1]

    play(tmp_path, room, act, sources=(("ip1", ADDRESS),))


def test_setting_off_means_alarms_only(tmp_path: Path, room: WarehouseRoom) -> None:
    async def act(desk: Desk) -> None:
        await desk.follow(listed("css"))

        assert await desk.state() is SourceState.ACTIVE
        assert "dnsbl.quarantine is off" in desk.alarms[0][1]

    play(tmp_path, room, act, is_on=False)


def test_word_of_a_person_stands(tmp_path: Path, room: WarehouseRoom) -> None:
    async def act(desk: Desk) -> None:
        await desk.follow(listed("css"))
        await desk.stand("activate")
        assert await desk.follow(listed("css")) == 0
        assert await desk.state() is SourceState.ACTIVE

        await desk.stand("quarantine", "ip2")  # by hand: nothing of ours, so it is not lifted either
        await desk.follow(clean=(ADDRESS, OTHER))
        assert await desk.state("ip2") is SourceState.QUARANTINED

    play(tmp_path, room, act)


@pytest.mark.skipif(PROGRAM is None, reason="rbldnsd is not installed")
def test_listing_found_in_dns_takes_the_source_out_at_the_second_look(tmp_path: Path, room: WarehouseRoom) -> None:
    table = tmp_path / "own.toml"
    table.write_text(
        '[[list]]\nname = "own"\nzone = "clean.test"\nkind = "ip"\n'
        'codes = [{ id = "worst", answer = "127.0.0.2", weight = "source", quarantine = true, meaning = "spams" }]\n'
    )
    alarms = list[str]()

    async def act(desk: Desk) -> None:
        journal = Journal(tmp_path / "told", "analytics", "mw1", desk.room.clock)
        with rbldnsd() as lists:
            # 127.0.0.2 is what every list that is well has
            dnsbl = Dnsbl(
                zones=["clean.test", "silent.test"], addresses=[ADDRESS], nameservers=[lists.address], table=table
            )
            *_, job = listing_jobs(
                dnsbl,
                room.warehouse,
                journal,
                desk.room.clock,
                lambda condition, text, evidence: alarms.append(condition),
                lambda: desk.room.client("operator-token"),
            )
            states, said = [], []
            for minutes in (0, 5, 6):
                desk.room.clock.advance(minutes * 60)
                said.append(await asyncio.to_thread(job.action))
                states.append(await desk.state())

        assert said[0] == "1 listed, 1 unknown"
        assert states == [SourceState.ACTIVE, SourceState.ACTIVE, SourceState.QUARANTINED]
        assert "1 changed" in said[2]

    play(tmp_path, room, act)
    assert alarms == ["ip_listed"]
