"""The audit log's chain: a row that was changed, taken out or put elsewhere shows; a cut end to who kept a head."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.cli import run
from relay.clock import SystemClock
from relay.control.audit import desk as audit_desk
from relay.control.audit.chain import Act
from relay.control.audit.desk import AuditDesk
from relay.control.errors import Forbidden
from relay.control.state.database import default_url
from relay.control.state.memory import State
from relay.tree import Principal, Role, Scope
from tests.builders import ADMIN, Installation
from tests.sink import Sink

ROWS = 12


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A node's folder with a log of ROWS rows, no relay running."""
    site = Installation(tmp_path)
    site.write(1)
    monkeypatch.setenv("MAILWEIR_CONFIG", str(site.config))
    monkeypatch.setattr(audit_desk, "PART_ROWS", 5)

    async def fill() -> None:
        state = await State.open(default_url(site.data), "mw1", SystemClock())
        for number in range(1, ROWS + 1):
            await state.note(ADMIN, Act("label", "acme", f"mw1.{number}", {"why": "a test", "share": 0.1 * number}))
        await state.close()

    asyncio.run(fill())
    return site


def tamper(site: Installation, *statements: str) -> None:
    with closing(sqlite3.connect(site.data / "state.sqlite")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = run(("audit", *words))
    shown = capsys.readouterr()
    assert not shown.err, shown.err
    return code, shown.out


def test_an_untouched_log_holds_and_so_does_one_that_grew_since_its_head_was_kept(
    site: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    _, head = said(capsys, "head")

    assert len(json.loads(said(capsys, "ls", "--json")[1])) == ROWS
    assert said(capsys, "verify") == (0, f"node mw1: {ROWS} rows, the chain holds; head {head}")
    assert head.startswith(f"mw1:{ROWS}:")
    assert said(capsys, "verify", "--from-head", head.strip())[0] == 0
    assert said(capsys, "verify", "--from-head", head.strip().rpartition(":")[2])[0] == 0


@pytest.mark.parametrize(
    ("statements", "row", "why"),
    [
        (["UPDATE audit SET principal = 'nobody' WHERE sequence = 7"], 7, "it was changed"),
        (['UPDATE audit SET detail = \'{"why": "other"}\' WHERE sequence = 1'], 1, "it was changed"),
        (["DELETE FROM audit WHERE sequence = 6"], 7, "row 6 is missing before it. The 5 rows before it hold"),
        (["DELETE FROM audit WHERE sequence BETWEEN 2 AND 5"], 6, "rows 2 to 5 are missing before it"),
        (
            ["DELETE FROM audit WHERE sequence = 6", "UPDATE audit SET sequence = sequence - 1 WHERE sequence > 6"],
            6,
            "it was changed, or is not the row that stood here",
        ),
        (
            [
                "UPDATE audit SET sequence = 100 WHERE sequence = 8",
                "UPDATE audit SET sequence = 8 WHERE sequence = 9",
                "UPDATE audit SET sequence = 9 WHERE sequence = 100",
            ],
            8,
            "it was changed, or is not the row that stood here",
        ),
    ],
)
def test_the_first_row_that_does_not_fit_is_named(
    site: Installation, capsys: pytest.CaptureFixture[str], statements: list[str], row: int, why: str
) -> None:
    tamper(site, *statements)

    code, told = said(capsys, "verify")

    assert code == 1
    assert f"node mw1: BROKEN at row {row} (" in told
    assert why in told


def test_a_cut_end_shows_only_to_who_kept_a_head(site: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    _, head = said(capsys, "head")
    tamper(site, f"DELETE FROM audit WHERE sequence > {ROWS - 2}")

    assert said(capsys, "verify")[0] == 0
    code, told = said(capsys, "verify", "--from-head", head.strip())
    assert code == 1
    assert "is not there: rows were cut off at the end, or all written anew" in told


def test_a_log_that_is_gone_altogether_shows_too(site: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    _, head = said(capsys, "head")
    tamper(site, "DELETE FROM audit")

    assert said(capsys, "verify", "--from-head", head.strip())[0] == 1


def test_a_running_relay_answers_the_same(site: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    with Sink() as sink:
        site.write(sink.port, model="none")
        with site.running():
            rows = json.loads(said(capsys, "ls", "--json", "--limit", "3")[1])
            whole = said(capsys, "verify")
            tamper(site, "UPDATE audit SET target = 'mw1.2' WHERE sequence = 9")
            broken = said(capsys, "verify", "--json")

    assert len(rows) == 3
    assert whole[0] == 0
    assert broken[0] == 1
    assert json.loads(broken[1])["is_whole"] is False


def test_who_sees_a_part_of_the_tree_only_may_not_verify(site: Installation) -> None:
    async def ask(principal: Principal) -> None:
        state = await State.open(default_url(site.data), "mw1", SystemClock())
        try:
            await AuditDesk(state).heads(principal)
        finally:
            await state.close()

    for principal in (Principal("isp", Role.ADMIN, Scope(reseller="isp")), Principal("notebook", Role.VIEWER)):
        with pytest.raises(Forbidden):
            asyncio.run(ask(principal))
    asyncio.run(ask(Principal("desk", Role.ABUSE)))
