"""The state: in force at once, committed before the answer, the same after a restart, and audited."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from argon2 import PasswordHasher
from sqlalchemy import create_engine

from relay.account import Account, AllowedNetwork
from relay.clock import SteppedClock
from relay.control.audit import chain as audit
from relay.control.errors import Conflict, NotFound, StateFailure
from relay.control.state import schema
from relay.control.state.database import default_url
from relay.control.state.lock import AlreadyRunning, acquire
from relay.control.state.memory import State
from relay.control.tokens import PRINCIPALS, ensure_tokens, load, principal_of
from relay.policy.decisions.decision import Effect, Proposal, Standing
from relay.tree import Principal, Role
from tests.blank import opened_state

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ADMIN = Principal("root", Role.ADMIN)
SENDER = "acme|mailfrom|shop@acme.example"


def with_state(folder: Path, work: Callable[[State, SteppedClock], Awaitable[None]], start: datetime = START) -> None:
    async def run() -> None:
        clock = SteppedClock(start)
        state = await opened_state(folder, clock)
        try:
            await work(state, clock)
        finally:
            await state.close()

    asyncio.run(run())


def proposal(effect: Effect = Effect.HOLD, minutes: float | None = None, **more: object) -> Proposal:
    values = {"author": "relay", "account": "acme", "sender": SENDER, "rule": "spam_rate", "reason": "7 of 7 spam"}
    ends_at = None if minutes is None else START + timedelta(minutes=minutes)
    return Proposal(**{**values, "effect": effect, "starts_at": START, "ends_at": ends_at, **more})


def test_everything_is_the_same_after_a_restart(tmp_path: Path) -> None:
    account = Account(
        "acme",
        "isp",
        shared_host=True,
        contact="desk@acme.example",
        domains=("a.example", "b.example"),
        created_at=START,
    )
    network = AllowedNetwork(ip_network("2001:db8::/32"), "acme")
    hold = proposal(minutes=60.5, evidence={"spam": 7, "of": 7.5, "ids": ["mw1.1"], "x": "y"}, certainty=0.998)

    async def fill(state: State, _clock: SteppedClock) -> None:
        await state.add_account(account, ADMIN)
        await state.add_credential("web1", "acme", "secret", ADMIN)
        await state.allow_network(network, ADMIN)
        await state.decide(hold)

    async def check(state: State, clock: SteppedClock) -> None:
        assert state.accounts == {"acme": account}
        assert PasswordHasher().verify(state.credentials["web1"].hash, "secret")
        assert state.networks == [network]
        assert [(row.id, row.proposal) for row in state.decisions()] == [("mw1-d1", hold)]
        assert state.state_of(SENDER, clock.now()).standing is Standing.HELD
        assert (await state.decide(proposal())).id == "mw1-d2"

    with_state(tmp_path, fill)
    with_state(tmp_path, check)


def test_a_decision_is_in_force_before_the_first_await(tmp_path: Path) -> None:
    async def work(state: State, clock: SteppedClock) -> None:
        deciding = state.decide(proposal())
        before = state.state_of(SENDER, clock.now()).standing
        step = asyncio.ensure_future(deciding)
        await asyncio.sleep(0)  # one turn of the loop: far less than a commit takes

        assert (before, state.state_of(SENDER, clock.now()).standing) == (Standing.OK, Standing.HELD)
        await step

    with_state(tmp_path, work)


def test_a_hold_ends_by_itself_and_a_confirmed_one_does_not(tmp_path: Path) -> None:
    async def work(state: State, clock: SteppedClock) -> None:
        await state.decide(proposal(minutes=60))
        other = await state.decide(proposal(minutes=60, sender="acme|mailfrom|other@acme.example"))
        await state.decide(proposal(Effect.CONFIRM, sender=other.proposal.sender, supersedes=other.id))

        assert state.state_of(SENDER, clock.now()).standing is Standing.HELD
        clock.advance(3600)
        assert state.state_of(SENDER, clock.now()).standing is Standing.WATCH
        clock.advance(86_400)
        assert state.state_of(SENDER, clock.now()).standing is Standing.OK
        assert state.state_of(other.proposal.sender, clock.now()).standing is Standing.HELD

    with_state(tmp_path, work)


def test_a_clock_that_goes_back_does_not_leave_an_old_answer(tmp_path: Path) -> None:
    async def work(state: State, clock: SteppedClock) -> None:
        await state.decide(proposal(minutes=60))

        assert state.state_of(SENDER, START + timedelta(hours=2)).standing is Standing.WATCH
        assert state.state_of(SENDER, START).standing is Standing.HELD

    with_state(tmp_path, work)


def test_a_failed_commit_takes_the_change_back(tmp_path: Path) -> None:
    async def work(state: State, clock: SteppedClock) -> None:
        await state.decide(proposal())
        breaker = sqlite3.connect(tmp_path / "state.sqlite")
        breaker.execute("DROP TABLE audit")
        breaker.close()

        with pytest.raises(StateFailure, match="nothing was changed"):
            await state.decide(proposal(Effect.SUSPEND))
        with pytest.raises(StateFailure):
            await state.add_account(Account("acme"), ADMIN)
        assert state.state_of(SENDER, clock.now()).standing is Standing.HELD
        assert [row.id for row in state.decisions()] == ["mw1-d1"]
        assert not state.accounts

    with_state(tmp_path, work)

    rows = sqlite3.connect(tmp_path / "state.sqlite")
    assert rows.execute("SELECT count(*) FROM decision").fetchone() == (1,)
    rows.close()


def test_what_exists_or_is_missing_is_refused_clearly(tmp_path: Path) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        await state.add_account(Account("acme", domains=("a.example",)), ADMIN)
        await state.add_credential("web1", "acme", "x", ADMIN)

        with pytest.raises(Conflict, match="'acme'"):
            await state.add_account(Account("acme"), ADMIN)
        with pytest.raises(Conflict, match="'web1'"):
            await state.add_credential("web1", "acme", "y", ADMIN)
        with pytest.raises(Conflict, match=r"a\.example"):
            await state.add_domain("acme", "a.example", ADMIN)
        with pytest.raises(NotFound, match="'nobody'"):
            await state.add_credential("web2", "nobody", "y", ADMIN)
        with pytest.raises(NotFound, match="'web9'"):
            await state.revoke_credential("web9", ADMIN)

    with_state(tmp_path, work)


def test_a_revoked_login_stays_revoked(tmp_path: Path) -> None:
    async def revoke(state: State, _clock: SteppedClock) -> None:
        await state.add_account(Account("acme"), ADMIN)
        await state.add_credential("web1", "acme", "x", ADMIN)
        await state.revoke_credential("web1", ADMIN)
        assert state.credentials["web1"].is_revoked

    async def check(state: State, _clock: SteppedClock) -> None:
        assert state.credentials["web1"].is_revoked

    with_state(tmp_path, revoke)
    with_state(tmp_path, check)


def test_the_narrowest_network_names_the_account(tmp_path: Path) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        for name, network in (("wide", "192.0.2.0/24"), ("narrow", "192.0.2.128/25")):
            await state.add_account(Account(name), ADMIN)
            await state.allow_network(AllowedNetwork(ip_network(network), name), ADMIN)

        found = [state.account_of_ip(ip) for ip in ("192.0.2.1", "192.0.2.200", "::ffff:192.0.2.200", "198.51.100.1")]
        assert [account and account.name for account in found] == ["wide", "narrow", "narrow", None]

    with_state(tmp_path, work)


def test_every_change_has_an_audit_row_and_a_changed_row_shows(tmp_path: Path) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        await state.add_account(Account("acme"), ADMIN)
        await state.add_credential("web1", "acme", "x", ADMIN)
        await state.decide(proposal())

        log = (await state.audit_log(10))[::-1]
        expected = [("root", "account.add"), ("root", "credential.add"), ("relay", "decision.hold")]
        assert [(row.principal, row.command) for row in log] == expected
        assert audit.first_broken(log) is None

    with_state(tmp_path, work)
    forger = sqlite3.connect(tmp_path / "state.sqlite")
    forger.execute("UPDATE audit SET principal = 'somebody' WHERE sequence = 2")
    forger.commit()
    forger.close()

    async def check(state: State, _clock: SteppedClock) -> None:
        broken = audit.first_broken((await state.audit_log(10))[::-1])
        assert broken is not None
        assert broken.sequence == 2

    with_state(tmp_path, check)


def test_a_database_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"this is not a database, it is a text file of some length" * 100)

    with pytest.raises(StateFailure, match="not a database"):
        with_state(tmp_path, lambda state, clock: asyncio.sleep(0))


def test_a_state_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    with_state(tmp_path, lambda state, clock: asyncio.sleep(0))
    newer = sqlite3.connect(tmp_path / "state.sqlite")
    newer.execute("UPDATE alembic_version SET version_num = '9999'")
    newer.commit()

    with pytest.raises(StateFailure, match="newer version"):
        with_state(tmp_path, lambda state, clock: asyncio.sleep(0))

    assert newer.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    newer.close()


def test_the_migrations_make_what_the_schema_names(tmp_path: Path) -> None:
    with_state(tmp_path, lambda state, clock: asyncio.sleep(0))
    engine = create_engine(default_url(tmp_path))

    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    engine.dispose()

    assert differences == []


def test_tokens_are_made_once_readable_by_the_owner_only_and_name_their_principal(tmp_path: Path) -> None:
    ensure_tokens(tmp_path)
    tokens = load(tmp_path)
    ensure_tokens(tmp_path)

    assert load(tmp_path) == tokens
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "tokens").iterdir()} == {0o600}
    assert sorted(principal.id for principal in tokens.values()) == sorted(PRINCIPALS)
    assert all(principal_of(tokens, token) == principal for token, principal in tokens.items())
    assert principal_of(tokens, "") is None
    assert principal_of(tokens, next(iter(tokens))[:-1]) is None


def test_an_empty_token_file_admits_nobody(tmp_path: Path) -> None:
    ensure_tokens(tmp_path)
    (tmp_path / "tokens" / "admin.token").write_text("\n")

    tokens = load(tmp_path)

    assert "admin" not in {principal.id for principal in tokens.values()}
    assert principal_of(tokens, "") is None


def test_a_second_relay_on_the_same_folder_is_told_who_runs(tmp_path: Path) -> None:
    with acquire(tmp_path), pytest.raises(AlreadyRunning, match=str(os.getpid())), acquire(tmp_path):
        pass
    with acquire(tmp_path):
        pass
