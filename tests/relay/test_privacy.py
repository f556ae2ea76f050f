"""An address is found and replaced as a whole, in every table of the state, and the audit log's chain still holds."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from relay.clock import SystemClock
from relay.control.audit import chain as audit
from relay.control.audit.chain import Act
from relay.control.audit.views import AuditEntry
from relay.control.errors import Forbidden, Invalid
from relay.control.state import schema
from relay.control.state.database import default_url
from relay.control.state.memory import State
from relay.control.suppression.suppressed import Reason, Suppression
from relay.policy.decisions.decision import Effect, Proposal
from relay.privacy.desk import PrivacyDesk
from relay.privacy.forgotten import Forgotten, NoAddress, token_of
from relay.privacy.views import ForgetOrder, Forgot
from relay.resellers.brand import Brand
from relay.saved.views import SavedQuestion
from relay.settings import Settings
from relay.spool.traces import SpoolTraces
from relay.tree import Principal, Role
from relay.users.user import User
from tests.blank import opened_state
from tests.builders import ADMIN, Account
from tests.delivering import delivering, delivery_settings, story

ANN, KEY = "ann@x.example", b"k" * 32
TOKEN = token_of(KEY, ANN)
OPEN, PAST = f"acme|mailfrom|{ANN}", f"shop|mailfrom|{ANN}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Ann@X.Example", TOKEN),
        (f"acme|mailfrom|{ANN}", f"acme|mailfrom|{TOKEN}"),
        (f"to <{ANN}>, {ANN}; {ANN}.", f"to <{TOKEN}>, {TOKEN}; {TOKEN}."),
        (f"a={ANN}&b", f"a={TOKEN}&b"),
        (f"jo{ANN} x.{ANN} {ANN}.org {ANN}x {ANN}-y", None),
    ],
)
def test_the_whole_address_is_replaced_and_no_part_of_another(before: str, after: str | None) -> None:
    forgotten = Forgotten.of(ANN, TOKEN)

    assert forgotten.replace(before) == (before if after is None else after)
    assert forgotten.is_in(before) == (after is not None)


@given(st.text("ab.@x- <>,|=", max_size=40))
def test_what_was_replaced_once_is_not_found_again(around: str) -> None:
    forgotten = Forgotten.of("a@b.x", TOKEN)
    once = forgotten.replace(f"{around}a@b.x{around}")

    assert forgotten.replace(once) == once


@pytest.mark.parametrize("address", ["ann", "@x.example", "ann@", "a b@x.example", "ann@x.example, bob@x.example", ""])
def test_what_is_no_whole_address_is_refused(address: str) -> None:
    with pytest.raises(NoAddress):
        Forgotten.of(address, TOKEN)


def test_without_the_key_nobody_makes_the_same_name() -> None:
    assert token_of(b"other", ANN) != TOKEN
    assert token_of(KEY, " ANN@x.example") == TOKEN


class _NoMail:
    """A spool that knows nobody."""

    async def find(self, *_: object) -> SpoolTraces:
        return SpoolTraces(0, 0, 0, 0)

    async def replace(self, *_: object) -> None: ...


async def _furnished(folder: Path) -> State:
    state = await opened_state(folder, SystemClock())
    now = datetime.now(UTC)
    await state.add_account(Account("acme", contact=ANN), ADMIN)
    for number in range(3):
        await state.note(
            ADMIN, Act("label", "acme", f"mw1.{number}", {"why": f"asked by {ANN}" if number == 1 else ""})
        )
    began = now - timedelta(days=5)
    for sender, ends_at in ((OPEN, None), (PAST, now - timedelta(days=3))):
        account = sender.partition("|")[0]
        await state.decide(Proposal("dana", account, sender, Effect.HOLD, "by_hand", "a test", began, ends_at), ADMIN)
    rows = [Suppression("acme", ANN, Reason.UNSUBSCRIBE), Suppression("acme", "bob@x.example", Reason.UNSUBSCRIBE, ANN)]
    await state.suppression.put(rows, ADMIN, Act("suppression.add", "acme", ANN, {"reason": "unsubscribe"}))
    return state


def _desk(state: State, folder: Path) -> PrivacyDesk:
    with closing(sqlite3.connect(folder / "counters.sqlite")) as counters, counters:
        counters.execute("CREATE TABLE usage (key TEXT PRIMARY KEY, row BLOB, written_unix REAL)")
        counters.execute("INSERT INTO usage VALUES (?, x'00', 0)", (OPEN,))
    return PrivacyDesk(Settings(dir=folder), state, _NoMail(), SystemClock(), KEY)  # type: ignore[arg-type]


async def _tables_with(state: State, wanted: str) -> set[str]:
    """The tables in whose texts something stands."""

    def read(connection: Connection) -> set[str]:
        tables = schema.metadata.sorted_tables
        return {table.name for table in tables if wanted in repr(connection.execute(select(table)).all()).lower()}

    return await state.run(read)


async def _told(folder: Path, **order: bool) -> tuple[Forgot, set[str], set[str], list[AuditEntry], bool]:
    """What the desk said, the tables with the address and with the token, the log, and whether its chain holds."""
    state = await _furnished(folder)
    try:
        heads = {head.digest for head in await state.audit_heads()}
        done = await _desk(state, folder).forget(ADMIN, ForgetOrder(address=ANN.upper(), **order))
        log = [*reversed(await state.audit_log(100))]
        redacted = await state.audit_redactions()
        shown = {row.proposal.sender for row in state.decisions(limit=None)}
        assert shown == ({OPEN, PAST} if order.get("dry_run") else {OPEN, PAST.replace(ANN, TOKEN)})
        assert [row.id for row in state.decisions(limit=None)] == ["mw1-d2", "mw1-d1"]
        whole = audit.first_broken(log, redacted=redacted) is None and heads <= {row.digest for row in log}
        assert (audit.first_broken(log) is None) == (not redacted)
        return done, await _tables_with(state, ANN), await _tables_with(state, TOKEN), log, whole
    finally:
        await state.close()


def test_a_dry_run_lists_what_is_found_and_changes_nothing(tmp_path: Path) -> None:
    done, with_address, with_token, log, whole = asyncio.run(_told(tmp_path, dry_run=True))

    assert msgspec.json.decode(msgspec.json.encode(done), type=Forgot) == done  # the names of tables are plain text
    found = {(trace.what, trace.fate, trace.count) for trace in done.traces}
    assert {
        ("account", "kept", 1),
        ("sender", "kept", 1),
        ("sender", "replaced", 1),
        ("decision", "kept", 1),
        ("decision", "replaced", 1),
        ("suppression", "kept", 1),
        ("suppression", "replaced", 1),
        ("audit", "replaced", 5),
        ("rows", "kept", 1),
    } == found
    assert all(trace.why for trace in done.traces if trace.fate == "kept")
    assert {"account", "sender", "decision", "suppression", "audit"} == with_address
    assert (set(), 7, True) == (with_token, len(log), whole)


def test_what_is_past_gets_a_keyed_name_and_the_log_still_proves_itself(tmp_path: Path) -> None:
    done, with_address, with_token, log, whole = asyncio.run(_told(tmp_path))

    assert done.token == TOKEN
    assert {"account", "sender", "decision", "suppression"} == with_address  # what is in force, and was named
    assert {"sender", "decision", "suppression", "audit"} == with_token
    assert whole
    assert (log[-1].command, log[-1].target) == ("forget", TOKEN)
    assert f"asked by {TOKEN}" in [row.detail.get("why") for row in log]


def test_a_row_that_was_changed_by_hand_still_shows_after_a_person_was_forgotten(tmp_path: Path) -> None:
    asyncio.run(_told(tmp_path))
    with closing(sqlite3.connect(tmp_path / "state.sqlite")) as connection, connection:
        changed = connection.execute("UPDATE audit SET target = 'x' WHERE target LIKE '%forgotten-%' AND sequence < 8")
        assert changed.rowcount

    async def broken() -> AuditEntry | None:
        state = await State.open(default_url(tmp_path), "mw1", SystemClock())
        try:
            return audit.first_broken([*reversed(await state.audit_log(100))], redacted=await state.audit_redactions())
        finally:
            await state.close()

    assert asyncio.run(broken()) is not None


def test_contacts_brands_and_who_signs_in_are_kept_and_named(tmp_path: Path) -> None:
    async def told() -> tuple[set[str], str, str, int, bool]:
        state, now = await State.open(default_url(tmp_path), "mw1", SystemClock()), datetime.now(UTC)
        await state.add_reseller("north", ADMIN, ANN)
        await state.branding.set("north", Brand(reply_to=ANN), ADMIN, Act("reseller.brand", "", "north"))
        user = await state.users.add(User(ANN, Role.VIEWER), ADMIN)
        token, _ = await state.users.begin_session(user, timedelta(hours=1), "here")
        saved = SavedQuestion(kind="search", name="q", text="x", saved_at=now)
        await state.saved.put(saved, user.principal, Act("saved.put", "", ANN))
        done = await _desk(state, tmp_path).forget(ADMIN, ForgetOrder(address=ANN))
        await state.close()
        state = await State.open(default_url(tmp_path), "mw1", SystemClock())
        found = state.resellers["north"].contact, state.brands.of_reseller("north").reply_to
        asked, is_known = len(await state.saved.all(ANN)), state.users.principal_of(token) is not None
        await state.close()
        return {one.what for one in done.traces if one.fate == "kept"}, *found, asked, is_known

    kept = {"reseller", "brand", "user", "session", "saved_question", "rows"}
    assert asyncio.run(told()) == (kept, ANN, ANN, 1, True)


def test_a_sender_that_is_stopped_meanwhile_stays_stopped(tmp_path: Path) -> None:
    late = f"late|mailfrom|{ANN}"
    stop = Proposal("dana", "late", late, Effect.HOLD, "by_hand", "a test", datetime.now(UTC), None)

    async def senders() -> list[set[str]]:
        state = await _furnished(tmp_path)
        forgetting = _desk(state, tmp_path).forget(ADMIN, ForgetOrder(address=ANN))
        await asyncio.gather(forgetting, state.decide(stop, ADMIN))  # at its first await
        shown = {row.proposal.sender for row in state.decisions(limit=None)}
        await state.close()
        state = await State.open(default_url(tmp_path), "mw1", SystemClock())
        kept = {row.proposal.sender for row in state.decisions(limit=None)}
        await state.close()
        return [shown, kept]

    assert asyncio.run(senders()) == [{OPEN, late, PAST.replace(ANN, TOKEN)}] * 2


def test_his_suppression_goes_when_that_is_asked_for_and_only_his(tmp_path: Path) -> None:
    async def forgotten() -> tuple[bool, bool]:
        state = await _furnished(tmp_path)
        try:
            await _desk(state, tmp_path).forget(ADMIN, ForgetOrder(address=ANN, suppression=True))
            found = state.suppression.find("acme", ANN), state.suppression.find("acme", "bob@x.example")
            return found[0] is None, found[1] is not None
        finally:
            await state.close()

    assert asyncio.run(forgotten()) == (True, True)


@pytest.mark.parametrize(
    ("who", "address", "error"),
    [(Principal("op", Role.OPERATOR), ANN, Forbidden), (ADMIN, "everybody", Invalid)],
)
def test_only_an_admin_forgets_and_only_whole_addresses(
    tmp_path: Path, who: Principal, address: str, error: type[Exception]
) -> None:
    async def attempt() -> None:
        state = await _furnished(tmp_path)
        try:
            await _desk(state, tmp_path).forget(who, ForgetOrder(address=address))
        finally:
            await state.close()

    with pytest.raises(error):
        asyncio.run(attempt())


@story
async def test_the_spool_forgets_what_has_gone_and_leaves_what_waits(tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, 1)) as parts:
        (waiting,) = await parts.store("Ann@x.example", due_unix=4e9)

        def remember(connection: sqlite3.Connection, _change: object) -> None:
            for number in (waiting.id, 900):
                connection.execute(
                    "INSERT INTO origin VALUES (?, 'a@a.example', 'acme', '', 's', ?, 0)",
                    (number, f"{ANN}\nb@b.example"),
                )

        await parts.spool._call(remember)
        forgotten = Forgotten.of(ANN, TOKEN)
        before = await parts.spool.traces.find(ANN, forgotten.is_in)
        await parts.spool.traces.replace(ANN, forgotten.is_in, forgotten.replace)
        after = await parts.spool.traces.find(ANN, forgotten.is_in)

        assert (SpoolTraces(1, 0, 1, 0), SpoolTraces(1, 0, 0, 0)) == (before, after)
        origin = parts.spool.origins.find(900)
        assert origin is not None
        assert origin.recipients == (TOKEN, "b@b.example")
        kept = parts.spool.origins.find(waiting.id)
        assert kept is not None
        assert kept.recipients[0] == ANN
