"""DNS lists, asked of a real rbldnsd: eight conditions told apart, and only a listing seen twice counts."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from dnslib import DNSRecord
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from analytics.listings.rounds import Rounds
from analytics.listings.standing import CONFIRM, Standing, advance, due_at
from analytics.listings.subjects import Addresses
from analytics.reputation.run import compute
from relay.clock import SteppedClock
from relay.control.client import ControlClient
from relay.dns_lists import Said, chosen, shipped, with_table
from relay.events import Features, Listing, decode
from relay.settings import Dnsbl
from relay.spool.journal import Journal
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story
from tests.builders import until
from tests.rbldnsd import ADDRESS_ZONES, DOMAIN_ZONES, PROGRAM, Lists, rbldnsd

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="rbldnsd is not installed")
ADDRESS = "192.0.2.9"
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def lists() -> Iterator[Lists]:
    with rbldnsd() as server:
        yield server


@dataclass
class Watch:
    """Rounds on a fake clock; `step` lets time pass, asks and ingests, and returns the new records."""

    room: Room
    settings: Dnsbl
    start: datetime = START
    clock: SteppedClock = field(init=False)
    taken: int = 0

    def __post_init__(self) -> None:
        self.clock = SteppedClock(self.start)
        self.begin()

    def begin(self) -> None:
        def nobody() -> ControlClient:
            return ControlClient("http://127.0.0.1:9", "x")

        self.journal = Journal(self.room.folder.path, "analytics", "mw1", self.clock)
        addresses = Addresses(self.settings.addresses, nobody)
        self.rounds = Rounds(self.settings, self.room.warehouse, self.journal, self.clock, addresses, 0.7)

    def step(self, passed: timedelta = timedelta()) -> dict[tuple[str, str], Listing]:
        self.clock.advance(passed.total_seconds())
        self.journal = Journal(self.room.folder.path, "analytics", "mw1", self.clock)
        self.rounds._journal = self.journal
        self.journal.start()
        self.rounds.run()
        self.journal.close()
        found = {}
        for file in sorted(self.room.folder.path.glob("*.jsonl")):
            for line in file.read_bytes().splitlines():
                record = decode(line)
                assert isinstance(record, Listing)
                found[record.address, record.zone] = record
        self.room.ingest.run()
        return found


def settings(lists: Lists, *zones: str, **other: object) -> Dnsbl:
    return Dnsbl.model_validate({"zones": zones, "addresses": [ADDRESS], "nameservers": [lists.address], **other})


def test_eight_conditions_of_a_list_are_told_apart(room: Room, lists: Lists) -> None:
    watch = Watch(room, settings(lists, *ADDRESS_ZONES))

    found = watch.step()

    said = {zone: (found[ADDRESS, zone].status, found[ADDRESS, zone].answer) for zone in ADDRESS_ZONES}
    assert said == {
        "listed.test": ("listed", "127.0.0.3"),
        "clean.test": ("clean", ""),
        "everything.test": ("parked", "lists everything: its test point that must not be listed is: 127.0.0.2"),
        "empty.test": ("unknown", "lists nothing: its test point that must be listed is not"),
        "quota.test": ("refused", "refuses us: 127.255.255.254"),
        "refused.test": ("refused", "refuses us: REFUSED"),
        "expired.test": ("unknown", "fails: SERVFAIL"),
        "silent.test": ("unknown", "does not answer: no answer"),
    }
    assert len(set(said.values())) == 8
    assert {zone: found["ip4", zone].status for zone in ("listed.test", "clean.test")} == dict.fromkeys(
        ("listed.test", "clean.test"), "healthy"
    )


def mail_from(room: Room, address: str, count: int = 60) -> None:
    story = Story("20261124T090000Z-7")
    room.bring(
        *(
            record
            for number in range(1, count + 1)
            for record in (story.reception(number, 0, score=0.01), story.delivery(number, 0, 1, source=address))
        )
    )


def points(room: Room, now: datetime) -> str:
    compute(room.warehouse, now)
    return str(room.value("SELECT points FROM reputation_now WHERE entity_kind = 'ip'"))


DEAD = [zone for zone in ADDRESS_ZONES if zone not in ("listed.test", "clean.test")]


@pytest.mark.parametrize("zone", DEAD)
def test_dead_list_changes_no_reputation(room: Room, lists: Lists, zone: str) -> None:
    mail_from(room, ADDRESS)
    watch = Watch(room, settings(lists, zone))

    for _ in range(3):
        watch.step(20 * MINUTE)

    assert points(room, watch.clock.now()) == "{}"
    assert watch.rounds.in_force() == []


def test_listing_costs_reputation_when_seen_twice_ten_minutes_apart(room: Room, lists: Lists) -> None:
    mail_from(room, ADDRESS)
    watch = Watch(room, settings(lists, "listed.test", "silent.test"))

    first = watch.step()[ADDRESS, "listed.test"]
    before = points(room, watch.clock.now())
    early = watch.step(5 * MINUTE)
    second = watch.step(6 * MINUTE)[ADDRESS, "listed.test"]

    assert (first.status, first.confirmed, before) == ("listed", False, "{}")
    assert (ADDRESS, "listed.test") not in early  # not asked yet: five minutes prove nothing
    assert (second.confirmed, second.codes, second.weight) == (True, ["listed"], 0.8)
    assert second.since_at == START
    assert '"listing":1.609' in points(room, watch.clock.now())
    assert [one.zone for one in watch.rounds.in_force()] == ["listed.test"]


def test_listing_ends_when_clean_twice_and_not_when_the_list_dies(room: Room) -> None:
    with rbldnsd() as own:
        watch = Watch(room, settings(own, "listed.test"))
        watch.step()
        watch.step(11 * MINUTE)
        assert watch.rounds.in_force()
        own.change("listed.test", "")  # now it lists nothing, not even its test point
        until(lambda: not lists_test_point(own), 30, lambda: "rbldnsd did not reload")
        dead = watch.step(20 * MINUTE)[ADDRESS, "listed.test"]
        own.change("listed.test", "127.0.0.2\n")
        until(lambda: lists_test_point(own), 30, lambda: "rbldnsd did not reload")
        once = watch.step(20 * MINUTE)[ADDRESS, "listed.test"]
        twice = watch.step(11 * MINUTE)[ADDRESS, "listed.test"]

    assert (dead.status, dead.confirmed) == ("unknown", True)
    assert (once.status, once.confirmed) == ("clean", True)
    assert (twice.status, twice.confirmed) == ("clean", False)
    assert watch.rounds.in_force() == []
    assert watch.rounds.clean(watch.clock.now()) == {ADDRESS}


def lists_test_point(server: Lists) -> bool:
    host, _, port = server.address.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1)
        asking.sendto(DNSRecord.question("2.0.0.127.listed.test").pack(), (host, int(port)))
        return bool(DNSRecord.parse(asking.recv(512)).rr)


def test_new_process_goes_on_where_the_last_one_stopped(room: Room, lists: Lists) -> None:
    watch = Watch(room, settings(lists, "listed.test"))
    watch.step()
    watch.begin()

    second = watch.step(11 * MINUTE)[ADDRESS, "listed.test"]
    watch.begin()
    third = watch.step(2 * MINUTE)

    assert second.confirmed
    assert third == {}
    assert [one.codes[0].id for one in watch.rounds.in_force()] == ["listed"]


def test_domains_are_asked_about_at_first_sight_and_daily(room: Room, lists: Lists) -> None:
    story = Story()
    seen = Features(link_domains=["www.bad.example", "good.example"], from_domain="mail.broken.example")
    room.bring(story.reception(1, features=seen))
    watch = Watch(room, settings(lists, domain_zones=list(DOMAIN_ZONES), addresses=[]), START + MINUTE)

    first = watch.step()
    again = watch.step(MINUTE)
    confirmed = watch.step(10 * MINUTE)
    later = watch.step(20 * 60 * MINUTE)

    said = {name: record.status for (name, zone), record in first.items() if zone == "bad.dom"}
    assert said == {"domain": "healthy", "bad.example": "listed", "broken.example": "listed", "good.example": "clean"}
    assert {name for name, zone in first if zone == "all.dom"} == {
        "domain"
    }  # it lists all: nobody is asked about there
    assert again == {}
    weights = {name: (record.confirmed, record.weight) for (name, _), record in confirmed.items() if name != "domain"}
    assert weights == {"bad.example": (True, 0.8), "broken.example": (True, 0.3)}
    assert {name for name, zone in later if name != "domain"} == set()


def test_silent_list_is_asked_its_test_points_only_and_then_left_alone(room: Room) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        many = [f"192.0.2.{number}" for number in range(1, 30)]
        watch = Watch(room, Dnsbl(zones=["z.test"], addresses=many, nameservers=[server]))

        found = watch.step()
        watch.step(2 * MINUTE)
        silent.setblocking(False)
        asked = set()
        while True:
            try:
                asked.add(str(DNSRecord.parse(silent.recv(512)).q.qname))
            except BlockingIOError:
                break

    assert {record.status for (name, _), record in found.items() if name != "ip4"} == {"unknown"}
    assert asked == {"2.0.0.127.z.test.", "1.0.0.127.z.test."}


ANSWERS = st.lists(st.tuples(st.sampled_from(list(Said)), st.integers(1, 40)), max_size=30)


@given(ANSWERS)
def test_listing_is_confirmed_by_two_equal_answers_ten_minutes_apart_and_by_nothing_else(
    answers: list[tuple[Said, int]],
) -> None:
    standing: Standing | None = None
    now = START
    for said, minutes in answers:
        now += timedelta(minutes=minutes)
        before, standing = standing, advance(standing, said, now)
        if said not in (Said.LISTED, Said.CLEAN):
            assert standing.is_confirmed == (before is not None and before.is_confirmed)
            continue
        is_twice = before is not None and before.said is said and now - before.since_at >= CONFIRM
        was = before is not None and before.is_confirmed
        assert standing.is_confirmed == ((said is Said.LISTED) if is_twice else was)


def test_next_look_is_jittered_by_a_tenth_and_decides_soon() -> None:
    quiet, fresh = Standing(Said.CLEAN, START, START), Standing(Said.LISTED, START, START)

    waits = [due_at(quiet, f"192.0.2.{number}", timedelta(minutes=15)) for number in range(50)]

    assert due_at(None, "x", MINUTE) is None
    assert due_at(fresh, "x", timedelta(days=1)) == START + CONFIRM
    assert all(wait and 13.5 * MINUTE <= wait - START <= 16.5 * MINUTE for wait in waits)
    assert len(set(waits)) > 40


@pytest.mark.parametrize(
    ("given", "zone"),
    [
        ({"zones": ["zen.spamhaus.org"]}, "zen.spamhaus.org"),
        ({"zones": ["key.zen.dq.spamhaus.net"]}, "zen.dq.spamhaus.net"),
        ({"domain_zones": ["multi.surbl.org"]}, "multi.surbl.org"),
        ({"domain_zones": ["multi.uribl.com"], "agreed": ["surbl"]}, "multi.uribl.com"),
    ],
)
def test_list_with_terms_is_off_until_somebody_agrees(given: dict[str, object], zone: str) -> None:
    with pytest.raises(ValidationError, match=zone + r" is free for little mail only"):
        Dnsbl.model_validate(given)


def test_list_with_terms_is_asked_once_agreed_or_with_a_key() -> None:
    assert Dnsbl(zones=["zen.spamhaus.org"], agreed=["spamhaus"]).zones
    assert Dnsbl(domain_zones=["multi.uribl.com"], agreed=["uribl"], zones=["bl.spamcop.net"]).zones
    assert Dnsbl(zones=["zen.spamhaus.org"], keys={"spamhaus": "s3cret"}).zones


def test_key_is_asked_with_and_stands_in_no_record() -> None:
    (zen,) = chosen(shipped(), ["zen.spamhaus.org"], "ip", {"spamhaus": "s3cret"})

    assert (zen.zone, zen.asked_zone) == ("zen.spamhaus.org", "s3cret.zen.dq.spamhaus.net")
    assert "s3cret" not in repr(Dnsbl(zones=["zen.spamhaus.org"], keys={"spamhaus": "s3cret"}))


@pytest.mark.parametrize(
    ("zone", "kind", "answers", "said", "ids"),
    [
        ("zen.spamhaus.org", "ip", ["127.0.0.2", "127.0.0.9"], Said.LISTED, ["sbl", "drop"]),
        ("zen.spamhaus.org", "ip", ["127.0.0.11"], Said.LISTED, ["pbl"]),
        ("zen.spamhaus.org", "ip", ["127.255.255.252"], Said.REFUSED, []),
        ("zen.spamhaus.org", "ip", ["127.0.0.77"], Said.UNKNOWN, []),
        ("zen.spamhaus.org", "ip", ["127.0.0.3", "203.0.113.1"], Said.PARKED, []),
        ("dbl.spamhaus.org", "domain", ["127.0.1.104"], Said.LISTED, ["dbl-abused"]),
        ("dbl.spamhaus.org", "domain", ["127.0.1.255"], Said.CLEAN, []),
        ("multi.surbl.org", "domain", ["127.0.0.72"], Said.LISTED, ["surbl-phish", "surbl-abuse"]),
        ("multi.uribl.com", "domain", ["127.0.0.1"], Said.REFUSED, []),
        ("own.example", "ip", ["127.0.0.1"], Said.UNKNOWN, []),
        ("own.example", "ip", ["127.0.0.10"], Said.LISTED, ["policy"]),
        ("own.example", "ip", [], Said.CLEAN, []),
    ],
)
def test_codes_mean_what_the_table_says(zone: str, kind: str, answers: list[str], said: Said, ids: list[str]) -> None:
    (one,) = chosen(shipped(), [zone], kind, {})  # type: ignore[arg-type]

    meant, codes = one.meaning(answers)

    assert (meant, [code.id for code in codes]) == (said, ids)


def test_table_of_ones_own_goes_over_the_packaged_one(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        '[[list]]\nname = "own"\nzone = "own.example"\nkind = "ip"\n'
        'codes = [{ id = "worst", answer = "127.0.0.5", weight = "source", quarantine = true, meaning = "worst" }]\n'
    )

    (one,) = chosen(with_table(path), ["own.example"], "ip", {})
    path.write_text('[[list]]\nname = "own"\n')

    assert one.meaning(["127.0.0.5"])[1][0].quarantine
    with pytest.raises(ValueError, match=r"own.toml: .*see rules/dnslists.toml"):
        with_table(path)
