"""The tree in the state, in SQLite and in a real PostgreSQL: the same after a restart, whole or not at all."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from argon2 import PasswordHasher
from sqlalchemy import create_engine, text

from relay.account import Account, AllowedNetwork, Credential, IdentityRule
from relay.clock import SteppedClock
from relay.control.audit import chain as audit
from relay.control.errors import Conflict, NotFound, StateFailure
from relay.control.state import database, schema
from relay.control.state.database import default_url
from relay.control.state.logins import NOTE_SECONDS, Bindings
from relay.control.state.memory import State
from relay.control.state.rows_of_tree import Use
from relay.policy.limits.levels import Level, LimitSet
from relay.tree import Principal, Role
from tests.postgres import server

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ADMIN = Principal("root", Role.ADMIN)
OFFICE = AllowedNetwork(ip_network("192.0.2.0/24"), "acme")
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Makes empty databases, one per call; the server starts with the first."""
    with ExitStack() as stack:
        base: list[str] = []

        def fresh() -> str:
            if not base:
                base.append(stack.enter_context(server()))
            name = f"test{next(_numbers)}"
            engine = create_engine(_driven(f"{base[0]}postgres"), isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}"))
            engine.dispose()
            return f"{base[0]}{name}"

        yield fresh


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))])
def url(request: pytest.FixtureRequest, tmp_path: Path, postgres: Callable[[], str]) -> str:
    return default_url(tmp_path) if request.param == "sqlite" else postgres()


def _driven(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def with_state(url: str, work: Callable[[State, SteppedClock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = SteppedClock(START)
        state = await State.open(url, "mw1", clock)
        try:
            await work(state, clock)
        finally:
            await state.close()

    asyncio.run(run())


def is_password(state: State, login: str, password: str, *, previous: bool = False) -> bool:
    known = state.credentials[login]
    return PasswordHasher().verify(known.previous_hash if previous else known.hash, password)


def test_the_tree_is_the_same_after_a_restart(url: str) -> None:
    account = Account(
        "acme",
        "isp",
        shared_host=True,
        domains=("a.example", "b.example"),
        identity_rules=(IdentityRule("site", "X-Site", r"^(\w+)", remove=False),),
        normalises_line_ends=True,
    )
    bindings = Bindings((ip_network("10.0.0.0/8"), ip_network("2001:db8::/48")), ("a.example", "*.b.example"), "cron")
    kept: list[State] = []

    async def fill(state: State, _clock: SteppedClock) -> None:
        await state.add_account(account, ADMIN, LimitSet(rcpts_per_hour=50, messages_per_hour=0))
        await state.add_credential("web1", "acme", "secret", ADMIN, bindings)
        await state.allow_network(OFFICE, ADMIN)
        await state.put_limits(Level.RESELLER, "isp", LimitSet(rcpts_per_day=9), ADMIN)
        await state.suspend_reseller("isp", True, ADMIN)
        kept.append(state)

    async def check(state: State, _clock: SteppedClock) -> None:
        assert state.accounts == kept[0].accounts == {"acme": replace(account, created_at=START)}
        assert state.credentials == kept[0].credentials
        assert (state.credentials["web1"].networks, state.credentials["web1"].end_sender) == (bindings[0], "cron")
        assert state.resellers == kept[0].resellers
        assert state.networks == [OFFICE]
        assert state.limits == {
            (Level.SENDERS, "acme"): LimitSet(rcpts_per_hour=50, messages_per_hour=0),
            (Level.RESELLER, "isp"): LimitSet(rcpts_per_day=9),
        }

    with_state(url, fill)
    with_state(url, check)


def test_a_state_of_the_first_version_keeps_its_data(url: str) -> None:
    engine = create_engine(_driven(url))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(database.__file__).parent.parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        at = {"at": START.replace(tzinfo=None) if engine.name == "sqlite" else START}
        for statement in (
            "INSERT INTO reseller VALUES ('isp', :at)",
            "INSERT INTO account VALUES ('big', 'isp', TRUE, 'ops@big.example', 5000, FALSE, :at)",
            "INSERT INTO account VALUES ('small', NULL, FALSE, '', NULL, TRUE, :at)",
            "INSERT INTO domain VALUES ('big', 'big.example', :at)",
            "INSERT INTO credential VALUES ('srv1', 'big', 'argon', :at, NULL)",
            "INSERT INTO credential VALUES ('old', 'big', 'argon', :at, :at)",
            "INSERT INTO network VALUES ('192.0.2.0/24', 'big', :at)",
        ):
            connection.execute(text(statement), at)
    engine.dispose()

    async def check(state: State, _clock: SteppedClock) -> None:
        big = Account("big", "isp", True, "ops@big.example", ("big.example",), created_at=START)
        assert state.accounts == {"big": big, "small": Account("small", is_suspended=True, created_at=START)}
        assert state.limits == {(Level.SENDERS, "big"): LimitSet(rcpts_per_hour=5000)}
        assert state.credentials["srv1"] == Credential("srv1", "big", "argon", created_at=START)
        assert state.credentials["old"].is_revoked
        assert not state.resellers["isp"].is_suspended
        assert state.account_of_ip("192.0.2.9") == big
        await state.add_credential("new", "big", "x", ADMIN)

    with_state(url, check)


def test_the_migrations_make_what_the_schema_names(url: str) -> None:
    with_state(url, lambda state, clock: asyncio.sleep(0))
    engine = create_engine(_driven(url))

    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    engine.dispose()

    assert differences == []


def test_a_rotated_login_has_two_passwords_and_never_three(url: str) -> None:
    async def rotate(state: State, clock: SteppedClock) -> None:
        await state.add_account(Account("acme"), ADMIN)
        await state.add_credential("web1", "acme", "first", ADMIN)
        await state.rotate_credential("web1", "second", timedelta(hours=24), ADMIN)
        clock.advance(3600)
        await state.rotate_credential("web1", "third", timedelta(hours=24), ADMIN)

    async def check(state: State, _clock: SteppedClock) -> None:
        assert is_password(state, "web1", "third")
        assert is_password(state, "web1", "second", previous=True)
        assert state.credentials["web1"].previous_until == START + timedelta(hours=25)
        await state.rotate_credential("web1", "fourth", timedelta(0), ADMIN)
        assert (state.credentials["web1"].previous_hash, state.credentials["web1"].previous_until) == ("", None)

    with_state(url, rotate)
    with_state(url, check)


def test_a_revoked_login_cannot_be_rotated_back_to_life(url: str) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        await state.add_account(Account("acme"), ADMIN)
        await state.add_credential("web1", "acme", "first", ADMIN)
        await state.revoke_credential("web1", ADMIN)

        with pytest.raises(Conflict, match="revoked"):
            await state.rotate_credential("web1", "second", timedelta(0), ADMIN)
        with pytest.raises(NotFound):
            await state.rotate_credential("web2", "second", timedelta(0), ADMIN)

    with_state(url, work)


def test_a_removed_account_is_gone_but_for_its_name(url: str) -> None:
    async def remove(state: State, _clock: SteppedClock) -> None:
        await state.add_account(Account("acme", "isp"), ADMIN)
        await state.add_credential("web1", "acme", "first", ADMIN)
        await state.allow_network(OFFICE, ADMIN)
        await state.remove_account("acme", ADMIN)
        assert state.account_of_ip("192.0.2.1") is None

    async def check(state: State, _clock: SteppedClock) -> None:
        assert state.account_of_name("acme") is None
        assert state.credentials["web1"].is_revoked
        assert state.networks == []
        assert state.reseller_of("acme") == "isp"
        with pytest.raises(Conflict, match="account restore acme"):
            await state.add_account(Account("acme"), ADMIN)
        commands = [entry.command for entry in await state.audit_log(20)]
        assert commands[:3] == ["network.disallow", "credential.revoke", "account.remove"]
        await state.restore_account("acme", ADMIN)
        assert state.account_of_name("acme") == Account("acme", "isp", created_at=START)
        assert state.credentials["web1"].is_revoked

    with_state(url, remove)
    with_state(url, check)


def test_a_suspended_reseller_suspends_its_accounts_and_no_other(url: str) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        for name, reseller in (("acme", "isp"), ("shop", "other")):
            await state.add_account(Account(name, reseller), ADMIN)
        await state.allow_network(OFFICE, ADMIN)

        def suspended() -> list[bool]:
            found = [state.account_of_name("acme"), state.account_of_ip("192.0.2.1"), state.account_of_name("shop")]
            return [account.is_suspended for account in found if account]

        await state.suspend_reseller("isp", True, ADMIN)
        assert suspended() == [True, True, False]
        assert not state.accounts["acme"].is_suspended
        await state.suspend_reseller("isp", False, ADMIN)
        assert suspended() == [False, False, False]

    with_state(url, work)


def test_a_failed_commit_takes_all_of_a_change_back(url: str) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        await state.add_account(Account("acme", "isp"), ADMIN)
        await state.add_credential("web1", "acme", "first", ADMIN)
        await state.allow_network(OFFICE, ADMIN)
        await state.put_limits(Level.ACCOUNT, "acme", LimitSet(rcpts_per_hour=9), ADMIN)
        before = (dict(state.accounts), dict(state.credentials), dict(state.limits), dict(state.resellers))
        engine = create_engine(_driven(url))
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE audit RENAME TO lost"))
        engine.dispose()
        credential = await state.new_credential("web2", "new", "x")

        for change in (
            state.add_account(Account("new", "third"), ADMIN, LimitSet(rcpts_per_hour=5), credential),
            state.rotate_credential("web1", "second", timedelta(hours=1), ADMIN),
            state.remove_account("acme", ADMIN),
            state.put_limits(Level.ACCOUNT, "acme", None, ADMIN),
            state.suspend_reseller("isp", True, ADMIN),
            state.disallow_network(OFFICE, ADMIN),
        ):
            with pytest.raises(StateFailure, match="nothing was changed"):
                await change

        assert (state.accounts, state.credentials, state.limits, state.resellers) == before
        assert state.account_of_ip("192.0.2.1") is not None
        assert not state.removed

    with_state(url, work)


def test_every_change_has_its_audit_row_and_the_chain_holds(url: str) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        await state.add_account(
            Account("acme"), ADMIN, LimitSet(rcpts_per_hour=5), await state.new_credential("web1", "acme", "x")
        )
        await state.rotate_credential("web1", "y", timedelta(hours=1), ADMIN)
        await state.add_reseller("isp", ADMIN)
        await state.put_limits(Level.SENDERS, "acme", None, ADMIN)

        log = (await state.audit_log(10))[::-1]
        assert [entry.command for entry in log] == [
            "account.add",
            "limit.set",
            "credential.add",
            "credential.rotate",
            "reseller.add",
            "limit.remove",
        ]
        assert audit.first_broken(log) is None
        assert not any("argon2" in str(entry.detail) for entry in log)

    with_state(url, work)


def test_last_uses_are_written_once_a_minute_and_at_the_stop(url: str) -> None:
    def written() -> object:
        engine = create_engine(_driven(url))
        with engine.connect() as connection:
            found = connection.execute(text("SELECT last_used_ip FROM credential")).scalar()
        engine.dispose()
        return found

    async def work(state: State, clock: SteppedClock) -> None:
        await state.add_account(Account("acme"), ADMIN)
        await state.add_credential("web1", "acme", "x", ADMIN)
        state.note_use("web1", "192.0.2.1")
        state.note_use("web1", "192.0.2.2")
        await asyncio.sleep(0)
        assert state.last_used["web1"] == Use(START, "192.0.2.2")
        assert written() == ""

        clock.advance(NOTE_SECONDS)
        assert state._noting is not None
        await state._noting
        assert written() == "192.0.2.2"

        state.note_use("web1", "192.0.2.3")

    async def check(state: State, _clock: SteppedClock) -> None:
        assert state.last_used["web1"] == Use(START + timedelta(seconds=NOTE_SECONDS), "192.0.2.3")

    with_state(url, work)
    with_state(url, check)
