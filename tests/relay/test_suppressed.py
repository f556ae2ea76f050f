"""The suppression list in memory and in the state: who is on it, until when, and that nobody else is."""

import asyncio
import sqlite3
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from relay.account import Account
from relay.clock import SteppedClock
from relay.control.audit.chain import Act
from relay.control.errors import StateFailure
from relay.control.state import database
from relay.control.state.database import default_url
from relay.control.state.memory import State
from relay.control.suppression.rows import Wanted
from relay.control.suppression.suppressed import EVERYBODY, Blocked, Reason, Suppressed, Suppression
from tests.blank import opened_state
from tests.builders import ADMIN

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOW = START.timestamp()
ACT = Act("suppression.add", "shop", "a@x.example")
FOR_GOOD = Blocked(Reason.UNSUBSCRIBE, None)


def row(address: str = "a@x.example", account: str = "shop", days: float | None = None, **more: object) -> Suppression:
    ends_at = None if days is None else START + timedelta(days=days)
    return Suppression(account, address, Reason.UNSUBSCRIBE, ends_at=ends_at, **more)  # type: ignore[arg-type]


def test_an_address_is_found_in_any_case_and_only_for_its_account() -> None:
    listed = Suppressed([row()])

    assert listed.find("shop", "A@X.Example", NOW) == FOR_GOOD
    assert listed.find("other", "a@x.example", NOW) is None
    assert listed.find("shop", "b@x.example", NOW) is None


def test_a_row_of_all_accounts_holds_for_each() -> None:
    listed = Suppressed([Suppression(EVERYBODY, "trap@x.example", Reason.TRAP)])

    assert listed.find("shop", "trap@x.example", NOW) == Blocked(Reason.TRAP, None)
    assert listed.find("other", "trap@x.example", NOW) is not None
    listed.remove(EVERYBODY, "trap@x.example")
    assert listed.find("shop", "trap@x.example", NOW) is None


def test_a_row_ends_at_its_end_and_not_a_minute_earlier() -> None:
    listed = Suppressed([row(days=30)])
    end = (START + timedelta(days=30)).timestamp()

    assert listed.find("shop", "a@x.example", end - 1) == Blocked(Reason.UNSUBSCRIBE, START + timedelta(days=30))
    assert listed.find("shop", "a@x.example", end) is None
    assert listed.own("shop", "a@x.example") is not None


KEYS = st.tuples(st.sampled_from(["shop", "other", EVERYBODY]), st.sampled_from([f"{n}@x.example" for n in range(9)]))


@given(st.lists(st.tuples(KEYS, st.sampled_from(Reason), st.one_of(st.none(), st.integers(1, 400)), st.booleans())))
def test_it_is_a_map_like_any_other(steps: list[tuple[tuple[str, str], Reason, int | None, bool]]) -> None:
    listed, expected = Suppressed(), {}
    for (account, address), reason, days, is_removed in steps:
        ends_at = None if days is None else START + timedelta(days=days)
        if is_removed:
            assert listed.remove(account, address) == (expected.pop((account, address), None) is not None)
        else:
            listed.put(Suppression(account, address, reason, ends_at=ends_at))
            expected[account, address] = Blocked(reason, ends_at)

    assert len(listed) == len(expected)
    for number in range(9):
        address = f"{number}@x.example"
        for account in ("shop", "other"):
            found = expected.get((account, address)) or expected.get((EVERYBODY, address))
            assert listed.find(account, address, NOW) == found


def test_a_hundred_thousand_rows_take_two_megabytes() -> None:
    listed = Suppressed()
    tracemalloc.start()
    for number in range(100_000):
        listed.put(Suppression("shop", f"user{number}@example.org", Reason.HARD_BOUNCE))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(listed) == 100_000
    assert used < 2_500_000
    assert sum(listed.find("shop", f"other{number}@example.org", NOW) is not None for number in range(10_000)) == 0


def with_state(folder: Path, work: Callable[[State, SteppedClock], Awaitable[None]], start: datetime = START) -> None:
    async def run() -> None:
        clock = SteppedClock(start)
        state = await opened_state(folder, clock)
        try:
            await work(state, clock)
        finally:
            await state.close()

    asyncio.run(run())


def test_the_list_outlives_a_restart_and_its_rows_end(tmp_path: Path) -> None:
    async def fill(state: State, _clock: SteppedClock) -> None:
        rows = [row("A@x.example"), row("b@x.example", days=30, evidence="5.1.1"), row("c@x.example", "other")]
        await state.suppression.put(rows, ADMIN, ACT)
        assert [entry.command for entry in await state.audit_log(5)] == ["suppression.add"]

    async def check(state: State, clock: SteppedClock) -> None:
        assert state.suppression.find("shop", "a@x.example") == FOR_GOOD
        assert state.suppression.find("shop", "b@x.example") is not None
        assert state.suppression.find("shop", "c@x.example") is None
        found = await state.suppression.rows(Wanted(account="shop"))
        assert [(one.address, one.evidence, one.created_at) for one in found] == [
            ("a@x.example", "", START),
            ("b@x.example", "5.1.1", START),
        ]
        clock.advance(30 * 86_400)
        assert state.suppression.find("shop", "b@x.example") is None
        assert [one.address for one in await state.suppression.rows(Wanted(account="shop"))] == ["a@x.example"]
        await state.suppression.remove("shop", ["A@x.example"], ADMIN, ACT)
        assert state.suppression.find("shop", "a@x.example") is None

    async def check_removed(state: State, _clock: SteppedClock) -> None:
        assert state.suppression.find("shop", "a@x.example") is None
        assert state.suppression.own("shop", "b@x.example") is None
        assert state.suppression.find("other", "c@x.example") is not None

    with_state(tmp_path, fill)
    with_state(tmp_path, check)
    with_state(tmp_path, check_removed, START + timedelta(days=500))


def test_pages_of_rows_are_complete_and_chosen(tmp_path: Path) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        rows = [row(f"{n}@x.example", account) for n in range(5) for account in ("shop", "acme", EVERYBODY)]
        rows.append(Suppression("shop", "trap@x.example", Reason.TRAP))
        await state.suppression.put(rows, ADMIN, ACT)
        seen: list[tuple[str, str]] = []
        while page := await state.suppression.rows(Wanted(after=seen[-1] if seen else None, limit=4)):
            seen += [(one.account, one.address) for one in page]

        assert seen == sorted((one.account, one.address) for one in rows)
        assert len(await state.suppression.rows(Wanted(account=EVERYBODY))) == 5
        [trap] = await state.suppression.rows(Wanted(reason=Reason.TRAP))
        assert trap.address == "trap@x.example"
        assert len(await state.suppression.rows(Wanted(address="0@x.example"))) == 3

    with_state(tmp_path, work)


def test_what_could_not_be_committed_is_not_in_force(tmp_path: Path) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        await state.suppression.put([row("old@x.example", days=9)], ADMIN, ACT)
        before = state.suppression.find("shop", "old@x.example")
        with sqlite3.connect(tmp_path / "state.sqlite") as connection:
            connection.execute("ALTER TABLE suppression RENAME TO lost")

        with pytest.raises(StateFailure):
            await state.suppression.put([row("new@x.example"), row("old@x.example")], ADMIN, ACT)
        with pytest.raises(StateFailure):
            await state.suppression.remove("shop", ["old@x.example"], ADMIN, ACT)

        assert state.suppression.find("shop", "new@x.example") is None
        assert state.suppression.find("shop", "old@x.example") == before
        assert len(state.suppression) == 1

    with_state(tmp_path, work)


def upgraded(connection: Connection, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent.parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def test_both_spellings_of_one_domain_are_one_row(tmp_path: Path) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        await state.suppression.put([row("ann@MÜNCHEN.example"), row("bob@xn--mnchen-3ya.example")], ADMIN, ACT)
        for name in ("ann", "bob"):
            for domain in ("münchen.example", "XN--mnchen-3ya.example"):
                assert state.suppression.find("shop", f"{name}@{domain}") == FOR_GOOD
                assert len(await state.suppression.rows(Wanted(address=f"{name}@{domain}"))) == 1
        await state.suppression.put([row("ann@xn--mnchen-3ya.example", days=1)], ADMIN, ACT)
        assert len(state.suppression) == 2
        await state.suppression.remove("shop", ["bob@münchen.example"], ADMIN, ACT)
        assert state.suppression.find("shop", "bob@xn--mnchen-3ya.example") is None
        assert [one.address for one in await state.suppression.rows(Wanted())] == ["ann@xn--mnchen-3ya.example"]
        assert state.suppression.find("shop", "ann@munchen.example") is None

    with_state(tmp_path, work)


@pytest.mark.parametrize("address", ["ann@\u2603\u200b..example", "anné@x.example", "a@-ü.example"])
def test_an_address_that_dns_cannot_name_stays_as_it_is_and_another_is_another(address: str) -> None:
    listed = Suppressed([row(address)])

    assert listed.find("shop", address.upper().replace("É", "é"), NOW) == FOR_GOOD
    assert listed.find("shop", f"x{address}", NOW) is None


def test_rows_in_both_spellings_become_the_one_that_holds_longer(tmp_path: Path) -> None:
    engine = create_engine(default_url(tmp_path))
    with engine.begin() as connection:
        upgraded(connection, "0013")
        insert = text("INSERT INTO suppression VALUES ('shop', :address, 'by_hand', :evidence, :at, :ends_at)")
        for name, unicode_days, ascii_days in (("a", None, 5), ("b", 5, None), ("c", 9, 5), ("d", 5, 9), ("e", 5, 0)):
            for domain, days in (("münchen.example", unicode_days), ("xn--mnchen-3ya.example", ascii_days)):
                ends_at = None if days is None else (START + timedelta(days=days)).replace(tzinfo=None)
                values = {"address": f"{name}@{domain}", "evidence": domain, "at": START.replace(tzinfo=None)}
                if days != 0:
                    connection.execute(insert, values | {"ends_at": ends_at})
        connection.execute(insert, values | {"address": "f@plain.example", "ends_at": None})
    engine.dispose()

    async def check(state: State, _clock: SteppedClock) -> None:
        rows = await state.suppression.rows(Wanted())
        assert {one.address.partition("@")[2] for one in rows} == {"xn--mnchen-3ya.example", "plain.example"}
        assert [one.address[0] + one.evidence[0] for one in rows] == ["am", "bx", "cm", "dx", "em", "fx"]
        assert len(state.suppression) == 6

    with_state(tmp_path, check)


def test_a_state_of_the_version_before_keeps_its_accounts(tmp_path: Path) -> None:
    engine = create_engine(default_url(tmp_path))
    with engine.begin() as connection:
        upgraded(connection, "0006")
        connection.execute(
            text(
                "INSERT INTO account (name, shared_host, contact, is_suspended, created_at, identity_rules, "
                "normalises_line_ends, pool) VALUES ('shop', TRUE, 'a@x.example', FALSE, :at, '[]', FALSE, '')"
            ),
            {"at": START.replace(tzinfo=None)},
        )
    engine.dispose()

    async def check(state: State, _clock: SteppedClock) -> None:
        shop = Account("shop", shared_host=True, contact="a@x.example", created_at=START)
        assert state.accounts == {"shop": shop}
        assert not shop.list_unsubscribe
        assert len(state.suppression) == 0
        await state.suppression.put([row()], ADMIN, ACT)

    with_state(tmp_path, check)
