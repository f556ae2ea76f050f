"""Egress sources and pools in the state: the same after a restart, taken back whole, and in force at once."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from relay.account import Account
from relay.clock import SteppedClock
from relay.control.audit.chain import Act
from relay.control.errors import Conflict, NotFound, StateFailure
from relay.control.state import database
from relay.control.state.database import default_url
from relay.control.state.memory import State
from relay.delivery.egress.egress import Egress
from relay.delivery.egress.sources import EgressSource, SourceState
from tests.relay.test_control_state import ADMIN, START, with_state

ONE = EgressSource("ip1", "192.0.2.1", "out1.example.org", is_warming=True)
TWO = EgressSource("ip2", "2001:db8::2")


async def furnish(state: State, _clock: SteppedClock) -> None:
    await state.egress.add_source(ONE, ADMIN)
    await state.egress.add_source(TWO, ADMIN)
    await state.egress.put_pool("suspect", {"ip2": 3}, ADMIN)
    await state.egress.put_pool("own", {"ip1": 1, "ip2": 2}, ADMIN)


def test_sources_pools_and_an_accounts_own_pool_survive_a_restart(tmp_path: Path) -> None:
    kept: list[State] = []

    async def fill(state: State, clock: SteppedClock) -> None:
        await furnish(state, clock)
        await state.egress.change_source(
            EgressSource("ip2", "2001:db8::2", "", SourceState.QUARANTINED, False, START),
            ADMIN,
            Act("ip.quarantine", "", "ip2"),
        )
        await state.add_account(Account("acme", pool="own"), ADMIN)
        kept.append(state)

    async def check(state: State, _clock: SteppedClock) -> None:
        assert state.egress.sources == kept[0].egress.sources
        assert state.egress.sources["ip1"].is_warming
        assert state.egress.sources["ip2"].state is SourceState.QUARANTINED
        assert state.egress.pools == {"suspect": {"ip2": 3}, "own": {"ip1": 1, "ip2": 2}}
        assert state.accounts["acme"].pool == "own"
        assert [row.command for row in await state.audit_log(10)][::-1] == [
            *("ip.add", "ip.add", "pool.set", "pool.set", "ip.quarantine", "account.add"),
        ]

    with_state(tmp_path, fill)
    with_state(tmp_path, check)


def test_a_state_of_before_egress_keeps_its_accounts(tmp_path: Path) -> None:
    engine = create_engine(default_url(tmp_path))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(database.__file__).parent.parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.execute(
            text(
                "INSERT INTO account (name, shared_host, contact, is_suspended, created_at, identity_rules,"
                " normalises_line_ends) VALUES ('big', TRUE, 'ops@big.example', FALSE, :at, '[]', FALSE)"
            ),
            {"at": START.replace(tzinfo=None)},
        )
    engine.dispose()

    async def check(state: State, clock: SteppedClock) -> None:
        assert state.accounts == {"big": Account("big", "", True, "ops@big.example", created_at=START)}
        assert (state.egress.sources, state.egress.pools) == ({}, {})
        await furnish(state, clock)

    with_state(tmp_path, check)


def test_a_change_is_in_force_before_it_is_committed_and_a_failed_one_is_taken_back(tmp_path: Path) -> None:
    async def work(state: State, clock: SteppedClock) -> None:
        egress, told = Egress("relay.example"), []
        state.egress.feed(egress)
        state.egress.on_changed = lambda: told.append(len(egress.members("fair")))
        await furnish(state, clock)
        adding = asyncio.ensure_future(state.egress.add_source(EgressSource("ip3", "192.0.2.3"), ADMIN))
        await asyncio.sleep(0)
        assert [one.name for one in egress.members("fair")] == ["ip1", "ip2", "ip3"]
        await adding

        breaker = sqlite3.connect(tmp_path / "state.sqlite")
        breaker.execute("DROP TABLE audit")
        breaker.close()
        with pytest.raises(StateFailure):
            await state.egress.put_pool("fair", {"ip3": 1}, ADMIN)
        with pytest.raises(StateFailure):
            await state.egress.remove_source("ip3", ADMIN)
        assert "fair" not in state.egress.pools
        assert [one.name for one in egress.members("fair")] == ["ip1", "ip2", "ip3"]
        assert told[-4:] == [1, 3, 2, 3]

    with_state(tmp_path, work)


def test_what_exists_is_missing_or_in_use_is_refused(tmp_path: Path) -> None:
    refused: list[tuple[type[Exception], str, Callable[[State], Awaitable[object]]]] = [
        (Conflict, "'ip1'", lambda state: state.egress.add_source(EgressSource("ip1", "192.0.2.9"), ADMIN)),
        (Conflict, "'ip1'", lambda state: state.egress.add_source(EgressSource("ip9", "192.0.2.1"), ADMIN)),
        (NotFound, "'ip9'", lambda state: state.egress.put_pool("good", {"ip9": 1}, ADMIN)),
        (Conflict, "suspect, own", lambda state: state.egress.remove_source("ip2", ADMIN)),
        (NotFound, "'ip9'", lambda state: state.egress.remove_source("ip9", ADMIN)),
    ]

    async def work(state: State, clock: SteppedClock) -> None:
        await furnish(state, clock)
        for error, named, order in refused:
            with pytest.raises(error, match=named):
                await order(state)
        assert list(state.egress.sources) == ["ip1", "ip2"]

    with_state(tmp_path, work)
