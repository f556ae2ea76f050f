"""Customers' domains, at the desk and on the command line, with a real name server: proved, rotated, removed."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from relay.account import Account
from relay.cli import run
from relay.clock import SteppedClock
from relay.control.errors import Conflict, Forbidden, Invalid, NotFound
from relay.control.state.memory import State
from relay.delivery.egress.sources import EgressSource, SourceState
from relay.delivery.signing.algorithm import Algorithm
from relay.domains.checks import dkim_problem
from relay.domains.desk import DomainDesk
from relay.domains.keys import DkimKey
from relay.domains.records import txt_strings
from relay.domains.views import CheckReport, DomainOrder, DomainView, Finding, KeyState, NewDomain
from relay.domains.wiring import make_desk
from relay.settings import Delivery, Dnsbl, Lockdown, Node, Settings, Verp
from relay.tree import Principal, Role, Scope
from tests.blank import opened_state
from tests.builders import ADMIN
from tests.relay.test_control_state import START
from tests.zone import Zone, serving

ED = (Algorithm.ED25519,)
NAME = "acme.example"


@dataclass
class Room:
    state: State
    desk: DomainDesk
    clock: SteppedClock
    zone: Zone

    async def added(self, account: str = "acme", name: str = NAME, **options: Any) -> DomainView:
        return await self.desk.add(ADMIN, NewDomain(account=account, domain=name, algorithms=ED, **options))

    async def check(self, account: str = "acme", **options: Any) -> CheckReport:
        return await self.desk.check(ADMIN, NAME, DomainOrder(account=account, **options))

    def publish(self, view: DomainView) -> None:
        for record in view.records:
            self.zone.put(record.name, record.kind, record.value)

    def signing(self) -> list[tuple[str, str]]:
        return [(key.account, key.selector) for key in self.state.book.in_use()]

    def known(self, account: str = "acme") -> list[DkimKey]:
        return self.state.book.keys_of(account, NAME)


@pytest.fixture
def zone() -> Iterator[Zone]:
    with serving(Zone()) as made:
        yield made


def with_room(
    tmp_path: Path,
    zone: Zone,
    work: Callable[[Room], Coroutine[Any, Any, None]],
    verp: str = "",
    lockdown: Literal["on", "off"] = "on",
) -> None:
    settings = Settings(
        dir=tmp_path,
        node=Node(hostname="relay.example"),
        delivery=Delivery(nameservers=[f"127.0.0.1:{zone.port}"], dns_timeout_seconds=10),
        dnsbl=Dnsbl(addresses=["192.0.2.7"]),
        lockdown=Lockdown(mode=lockdown),
        verp=Verp(domain=verp),
    )

    async def run_all() -> None:
        clock = SteppedClock(START)
        state = await opened_state(tmp_path, clock)
        try:
            for name in ("acme", "evil"):
                await state.add_account(Account(name, "isp" if name == "acme" else ""), ADMIN)
            await work(Room(state, make_desk(state, clock, lambda: settings), clock, zone))
        finally:
            await state.close()

    asyncio.run(run_all())


def test_a_key_signs_after_its_record_was_seen_and_not_before(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        view = await room.added()
        before = await room.check()
        assert (before.is_ok, before.waiting, room.signing()) == (False, [view.keys[0].selector], [])
        room.publish(view)
        dry = await room.check(dry_run=True)
        assert (dry.activated, room.signing()) == ([view.keys[0].selector], [])
        seen = await room.check()
        assert seen.activated == [view.keys[0].selector]
        assert room.signing() == [("acme", view.keys[0].selector)]
        assert room.state.book.domain("acme", NAME).verified_at == START
        assert [entry.command for entry in await room.state.audit_log(3)] == [
            "domain.verify",
            "domain.dkim.active",
            "domain.add",
        ]

    with_room(tmp_path, zone, work)


def test_of_two_accounts_with_one_domain_the_one_whose_record_stands_there_signs(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        ours, theirs = await room.added(), await room.added("evil")
        assert ours.keys[0].selector != theirs.keys[0].selector
        room.publish(ours)
        for account in ("evil", "acme"):
            await room.check(account)

        assert room.signing() == [("acme", ours.keys[0].selector)]
        with pytest.raises(Conflict, match="acme, evil"):
            await room.check("")

    with_room(tmp_path, zone, work)


def test_a_new_key_takes_over_when_it_is_seen_and_the_old_record_must_stay_for_a_while(
    tmp_path: Path, zone: Zone
) -> None:
    async def work(room: Room) -> None:
        room.publish(await room.added())
        await room.check()
        room.clock.advance(60)
        old, order = room.known()[0], DomainOrder(algorithm=Algorithm.ED25519)
        rotated = await room.desk.rotate(ADMIN, NAME, order)
        assert await room.desk.rotate(ADMIN, NAME, order) == rotated
        await room.desk.look_again()
        assert room.signing() == [("acme", old.selector)]
        room.publish(rotated)
        report = await room.check()

        new = room.known()[1]
        assert (report.retired, report.activated) == ([old.selector], [new.selector])
        assert report.keep_until == room.clock.now() + timedelta(hours=48)
        assert room.signing() == [("acme", new.selector)]
        assert [key.pem == b"" for key in room.known()] == [True, False]
        shown = room.desk.show(ADMIN, NAME)
        assert [key.state for key in shown.keys] == [KeyState.RETIRED, KeyState.ACTIVE]
        assert shown.keys[0].keep_until == report.keep_until

    with_room(tmp_path, zone, work)


def test_the_hourly_look_finds_records_that_came_and_those_that_went(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        view = await room.added(return_path_host="bounce.acme.example")
        room.publish(view)
        await room.desk.look_again()
        proved = room.state.book.domain("acme", NAME)
        assert (len(room.signing()), proved.return_path_verified_at) == (1, START)
        zone.broken.add(view.records[0].name)
        await room.desk.look_again()
        assert len(room.signing()) == 1  # nobody knows: nothing changes
        zone.broken.clear()
        zone.records.clear()
        await room.desk.look_again()
        assert room.signing() == []
        assert room.state.book.domain("acme", NAME).return_path_verified_at is None

    with_room(tmp_path, zone, work)


def test_removing_a_domain_ends_its_signatures_and_the_undo_line_brings_it_back(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        view = await room.added()
        room.publish(view)
        await room.check()
        dry = await room.desk.remove(ADMIN, NAME, DomainOrder(dry_run=True))
        assert len(room.signing()) == 1
        removed = await room.desk.remove(ADMIN, NAME, DomainOrder())
        assert removed.undo == dry.undo == "mailweir domain add acme acme.example --algorithm ed25519"
        assert room.signing() == []
        with pytest.raises(NotFound, match="no account has the domain"):
            room.desk.show(ADMIN, NAME)
        back = await room.added()
        assert [key.selector for key in back.keys] == [view.keys[0].selector]
        await room.check()
        assert len(room.signing()) == 1

    with_room(tmp_path, zone, work)


def test_a_key_can_be_ended_and_is_then_forgotten(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        selector = (await room.added()).keys[0].selector
        await room.desk.end_key(ADMIN, NAME, DomainOrder(selector=selector))
        assert room.known()[0].pem == b""
        with pytest.raises(NotFound, match="no living key"):
            await room.desk.end_key(ADMIN, NAME, DomainOrder(selector=selector))

    with_room(tmp_path, zone, work)


def test_what_is_complete_is_ok_and_each_fault_is_named(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        room.publish(await room.added(return_path_host="bounce.acme.example"))
        zone.put("7.2.0.192.in-addr.arpa", "PTR", "relay.example.")
        zone.put("relay.example", "A", "192.0.2.7")
        report = await room.check()
        assert report.is_ok, report
        assert {line.finding for line in report.lines} == {Finding.OK}

        zone.put(NAME, "TXT", "v=spf1 ip4:198.51.100.1 -all")
        zone.put("_dmarc.acme.example", "TXT", "v=DMARC1; p=nonsense")
        zone.put("relay.example", "A", "192.0.2.8")
        zone.put("bounce.acme.example", "MX", "10 elsewhere.example.")
        zone.put("_mailweir.acme.example", "TXT", "v=mw1 auth=evil")
        report = await room.check()
        wrong = {line.what: line.text for line in report.lines if line.finding is Finding.WRONG}
        assert set(wrong) == {"SPF for 192.0.2.7", "DMARC", "FCrDNS of 192.0.2.7", "return path", "lockdown"}
        assert "fail by -all" in wrong["SPF for 192.0.2.7"]

        zone.records.clear()
        report = await room.check()
        missing = [line.what.split()[0] for line in report.lines if line.finding is Finding.MISSING]
        assert missing == ["DKIM", "SPF", "DMARC", "FCrDNS", "return", "lockdown"]

        zone.broken.update({NAME, "_dmarc.acme.example", "7.2.0.192.in-addr.arpa", "_mailweir.acme.example"})
        report = await room.check()
        unknown = {line.what.split()[0] for line in report.lines if line.finding is Finding.UNKNOWN}
        assert unknown == {"SPF", "DMARC", "FCrDNS", "lockdown"}

    with_room(tmp_path, zone, work)


def test_a_policy_of_the_organisation_counts_for_names_below_it(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        await room.added(name="news.acme.org")
        zone.put("_dmarc.acme.org", "TXT", "v=DMARC1; p=reject; sp=quarantine; adkim=s")
        report = await room.desk.check(ADMIN, "news.acme.org", DomainOrder())
        [line] = [line for line in report.lines if line.what == "DMARC"]
        assert line.finding is Finding.OK
        assert "policy quarantine" in line.text
        assert "strict" in line.text

    with_room(tmp_path, zone, work)


def test_roles_and_scope_hold(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        await room.added()
        with pytest.raises(Forbidden):
            await room.desk.add(Principal("v", Role.OPERATOR), NewDomain(account="acme", domain="b.example"))
        with pytest.raises(Forbidden):
            await room.desk.check(Principal("v", Role.VIEWER), NAME, DomainOrder())
        stranger = Principal("s", Role.ADMIN, Scope(account="evil"))
        with pytest.raises(NotFound):
            room.desk.show(stranger, NAME)
        with pytest.raises(NotFound):
            await room.desk.rotate(stranger, NAME, DomainOrder(account="acme"))
        assert room.desk.list(stranger) == []
        assert [view.domain for view in room.desk.list(Principal("r", Role.VIEWER, Scope(reseller="isp")))] == [NAME]
        with pytest.raises(Invalid, match="must lie below"):
            await room.added(return_path_host="bounce.elsewhere.example")

    with_room(tmp_path, zone, work)


OURS = "v=DKIM1; k=rsa; p=MIIBIjANBg"


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ([OURS], ""),
        (["k=rsa;p= MIIBI jANBg ;"], ""),
        (["p=MIIBIjANBg"], ""),
        ([OURS, "x"], "2 TXT records"),
        (["v=DKIM2; p=MIIBIjANBg"], "v= is not DKIM1"),
        (["v=DKIM1; p="], "revoked"),
        (["v=DKIM1; k=ed25519; p=MIIBIjANBg"], "another algorithm"),
        (["v=DKIM1; p=MIIBI"], "cut off"),
        (["v=DKIM1; p=AAAA"], "another key"),
        (["nonsense"], "revoked"),
    ],
)
def test_a_record_is_compared_as_verifiers_read_it(texts: list[str], problem: str) -> None:
    found = dkim_problem(texts, OURS)

    assert problem in found
    assert bool(problem) == bool(found)


def test_long_values_are_split_as_zone_files_want_them() -> None:
    assert txt_strings("x" * 600) == " ".join(f'"{"x" * length}"' for length in (255, 255, 90))


def test_the_command_line_works_before_the_first_start(
    tmp_path: Path, zone: Zone, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mailweir.toml"
    config.write_text(
        f'dir = "{tmp_path}/data"\n[node]\nhostname = "relay.example"\n[control]\nlisten = "127.0.0.1:1"\n'
        f'[delivery]\nnameservers = ["127.0.0.1:{zone.port}"]\ndns_timeout_seconds = 1\n'
    )

    def told(*words: str) -> tuple[int, str]:
        status = run(["--config", str(config), *words])
        return status, capsys.readouterr().out

    told("account", "add", "acme", "--no-login")
    told("account", "set", "acme", "--domain", NAME)
    assert "not signed" in told("domain", "ls")[1]
    added = told("domain", "add", "acme", NAME, "--json")[1]
    assert "PRIVATE" not in added
    for record in json.loads(added)["records"]:
        zone.put(record["name"], record["kind"], record["value"])
    status, text = told("domain", "check", NAME)
    assert status == 1  # the relay itself has no address
    assert "signs from now on" in text
    assert "signed with" in told("domain", "show", NAME)[1]
    assert "goes on signing" in told("domain", "dkim", "rotate", NAME)[1]
    assert told("domain", "rm", NAME)[0] == 0
    assert "acme.example" not in told("account", "show", "acme")[1]


def test_the_addresses_are_those_of_the_sources_that_receivers_see(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        sources = [("s1", "198.51.100.1"), ("s2", "2001:db8::1"), ("s3", "10.0.0.1"), ("s4", "198.51.100.4")]
        for name, address in sources:
            state = SourceState.RETIRED if name == "s4" else SourceState.ACTIVE
            room.state.egress.sources[name] = EgressSource(name, address, state=state)
        records = {record.name: record.value for record in (await room.added()).records}
        assert records[NAME] == "v=spf1 ip4:198.51.100.1 ip6:2001:db8::1 ip4:192.0.2.7 ~all"

    with_room(tmp_path, zone, work)


def test_a_return_path_may_lead_to_the_relays_own_host_for_bounces(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        zone.put("bounce.relay.example", "MX", "10 inbox.relay.example.")
        view = await room.added(return_path_host="bounce.acme.example")
        [record] = [record for record in view.records if record.name == "bounce.acme.example"]
        assert record.zone_line == "bounce.acme.example. 300 IN CNAME bounce.relay.example."
        room.publish(view)
        await room.check()
        assert room.state.book.domain("acme", NAME).return_path_verified_at == START
        zone.put("bounce.relay.example", "MX", "10 inbox.relay.example.", "20 elsewhere.example.")
        zone.records["bounce.acme.example", "CNAME"] = ["elsewhere.example."]
        zone.put("elsewhere.example", "MX", "10 other.example.")
        await room.check()
        assert room.state.book.domain("acme", NAME).return_path_verified_at is None

    with_room(tmp_path, zone, work, verp="bounce.relay.example")


def test_a_domain_without_any_record_is_not_proved_where_lockdown_is_off(tmp_path: Path, zone: Zone) -> None:
    async def work(room: Room) -> None:
        await room.added()

        await room.check()

        assert room.state.book.domain("acme", NAME).verified_at is None

    with_room(tmp_path, zone, work, lockdown="off")
