"""What analytics says of addresses: one version at a time, half the mail while it lasts, forgotten by itself."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import BandRow, NewBands
from relay.delivery.egress.bands import Bands
from tests.relay.test_control_api import START, Room, with_room
from tests.relay.test_egress import NOW, anything, egress, source
from tests.relay.test_egress_api import furnish, of

HOUR = 3_600.0


def test_newer_version_replaces_all_of_an_older_one_and_never_the_other_way() -> None:
    bands = Bands()

    assert bands.take(5, {("ip1", "google"): ("bad", 12.0)}, NOW + HOUR)
    assert not bands.take(5, {}, NOW + HOUR)
    assert not bands.take(4, {("ip2", "google"): ("bad", 12.0)}, NOW + HOUR)
    assert (bands.is_low("ip1", "google", NOW), bands.is_low("ip2", "google", NOW)) == (True, False)
    assert bands.take(6, {}, NOW + HOUR)
    assert (bands.is_low("ip1", "google", NOW), bands.version) == (False, 6)


def test_it_ends_by_itself_and_others_stand_for_rare_destinations() -> None:
    bands = Bands()
    bands.take(1, {("ip1", "others"): ("poor", 40.0)}, NOW + HOUR)

    assert bands.is_low("ip1", "rare.example", NOW)
    assert not bands.is_low("ip1", "rare.example", NOW + HOUR)
    assert list(bands.low(NOW + HOUR)) == []


def test_version_survives_a_restart() -> None:
    before, after = Bands(), Bands()
    before.take(7, {("ip1", "google"): ("bad", 12.0)}, NOW + HOUR)
    before.dirty()
    before.take(8, {("ip2", "google"): ("bad", 9.0)}, NOW + HOUR)
    rows = dict(before.dirty())

    after.load((key, row) for key, row in rows.items() if row)

    assert rows["ip1|google"] == b""  # gone from the file too
    assert (after.version, after.is_low("ip2", "google", NOW), after.is_low("ip1", "google", NOW)) == (8, True, False)


def test_address_that_is_poor_at_a_destination_gets_half_of_its_mail_there() -> None:
    room = egress(source(1), source(2))
    room.bands.take(1, {("ip1", "google"): ("poor", 40.0)}, NOW + HOUR)

    def turns(destination: str, now: float) -> Counter[str]:
        chosen = (room.choose("fair", destination, now, anything) for _ in range(30))
        return Counter(one.name for one in chosen if one)

    assert turns("google", NOW) == {"ip1": 10, "ip2": 20}
    assert turns("yahoo", NOW) == {"ip1": 15, "ip2": 15}
    assert turns("google", NOW + 2 * HOUR) == {"ip1": 15, "ip2": 15}


def row(address: str, band: str = "bad") -> BandRow:
    return BandRow(address=address, destination="google", band=band, score=12, low=8, high=20, n=900)  # type: ignore[arg-type]


def test_bands_are_taken_shown_and_audited_when_something_changes(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await furnish(room)

        def new(version: int, *rows: BandRow) -> NewBands:
            return NewBands(version=version, rows=list(rows), ends_at=START + timedelta(hours=3))

        first = await room.ask(of(lambda egress: egress.set_bands(new(1, row("127.0.0.2"), row("127.0.0.3", "good")))))
        again = await room.ask(of(lambda egress: egress.set_bands(new(2, row("127.0.0.2")))))
        older = await room.ask(of(lambda egress: egress.set_bands(new(1))))
        shown = await room.ask(lambda relay: EgressCalls(relay).source("ip1"))
        audited = [one for one in await room.ask(lambda relay: relay.audit()) if one.command == "egress.bands"]

        assert (first.taken, first.low) == (True, {"ip1": ["google (bad)"]})  # type: ignore[attr-defined]
        assert (again.taken, older.taken, older.version) == (True, False, 2)  # type: ignore[attr-defined]
        assert [(one.destination, one.kind) for one in shown.troubles] == [("google", "bad")]
        assert [one.detail["low"] for one in audited] == ["ip1 at google (bad)"]

    with_room(tmp_path, work)


@pytest.mark.parametrize("token", ["viewer-token", "abuse-token", "reseller-token"])
def test_bands_are_an_operators_to_set(tmp_path: Path, token: str) -> None:
    async def work(room: Room) -> None:
        new = NewBands(version=1, rows=[], ends_at=START)

        assert (await room.refusal(of(lambda egress: egress.set_bands(new)), token)).status == 403

    with_room(tmp_path, work)
