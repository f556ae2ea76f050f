"""Policies as versions: applied at once, kept for good, rolled back, the same after a restart, and over the file's."""

import asyncio
import json
import smtplib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.account import Account
from relay.cli import run
from relay.clock import SystemClock
from relay.control.client import ControlError
from relay.control.policies.desk import PolicyDesk
from relay.control.policies.views import PolicyOrder, RollbackOrder
from relay.control.state.database import default_url
from relay.control.state.memory import State
from relay.control.views import HoldOrder, ReloadOrder
from relay.policy.file import PolicyError, differences, doubts, read, render
from relay.policy.verdict.steps import version_of
from relay.settings import Policy
from relay.tree import Principal, Role, Scope
from tests.builders import NO_LIMITS, Installation, until
from tests.sink import Sink

STRICT = "# holds nearly everything\n[policy]\nhold_score = 0.0001\nsuspect_score = 0.0001\n"
LOOSE = "[policy]\nhold_score = 0.95\n"
TEXT = b"Subject: Your order\r\n\r\nThank you for your order 4711. It was shipped today and will arrive on Friday.\r\n"


@given(st.floats(0, 1), st.integers(1, 10_000), st.floats(0.01, 0.99))
def test_what_is_rendered_reads_back_the_same(score: float, minutes: int, line: float) -> None:
    policy = Policy(hold_score=score, hold_minutes=minutes, spam_line=line)

    assert read(render(policy)) == policy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[policy]\nhold_score = 1.5\n", ["policy.hold_score = 1.5", "less than or equal to 1", "default 0.9"]),
        ("[policy]\nhold_scor = 0.5\n", ["policy.hold_scor = 0.5: unknown setting", "Did you mean 'hold_score'?"]),
        ("hold_score = 0.5\n", ["hold_score = 0.5: unknown setting", "It belongs below [policy]."]),
        ("[policy]\n[limits]\nrcpts_per_hour = 1\n", ["limits", "unknown setting"]),
        ("[policy\n", ["mine.toml: this is not TOML"]),
    ],
)
def test_a_wrong_file_is_told_by_key_value_and_fix(text: str, words: list[str]) -> None:
    with pytest.raises(PolicyError) as caught:
        read(text, "mine.toml")

    for word in words:
        assert word in str(caught.value)


def test_lines_that_contradict_each_other_are_doubtful_and_the_defaults_are_not() -> None:
    assert doubts(Policy()) == []
    assert len(doubts(Policy(suspect_score=0.95, hold_score=0.92, reject_score=0.91, spam_warn_line=0.5))) == 3


def test_differences_name_the_keys_that_differ_and_no_others() -> None:
    [change] = differences(Policy(), Policy(hold_minutes=5))

    assert (change.key, change.old, change.new) == ("hold_minutes", 1440, 5)
    assert change.meaning == "an automatic hold ends by itself after"


# ---- a running relay ----


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    site = Installation(tmp_path)
    site.write(1, NO_LIMITS)
    site.config.write_text(site.config.read_text().replace("[smtp]\n", "[smtp]\nauth_without_tls = true\n"))
    site.add_account(Account("acme"), "srv1")
    monkeypatch.setenv("MAILWEIR_CONFIG", str(site.config))
    return site


def send(site: Installation, who: str) -> str:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
        smtp.login("srv1", "secret")
        smtp.mail(f"{who}@acme.example")
        smtp.rcpt("r@d.example")
        code, text = smtp.data(f"From: {who}@acme.example\r\n".encode() + TEXT)
        return f"{code} {text.decode()}"


def test_an_applied_policy_judges_the_next_message_and_survives_a_restart(site: Installation) -> None:
    with site.running(), site.client() as client:
        before = client.policy()
        replies = [send(site, "a")]
        done = client.apply_policy(PolicyOrder(text=STRICT, note="a test"))
        replies.append(send(site, "b"))
        held = client.hold_sender("acme|mailfrom|c@acme.example", HoldOrder(reason="x"))
    with site.running(), site.client() as client:
        replies.append(send(site, "d"))
        after, versions = client.policy(), client.policy_versions()
        back = client.rollback_policy(RollbackOrder())
        replies.append(send(site, "e"))
        commands = [(row.command, row.target) for row in client.audit() if row.command.startswith("policy.")]

    assert [reply.endswith("(held)") for reply in replies] == [False, True, True, False]
    assert (before.version.origin, after.version.origin, back.origin) == ("file", "applied", "file")
    assert after.text == STRICT
    assert after.version.version == done.version == version_of(read(STRICT))
    assert [view.version for view in versions] == [done.version, before.version.version]
    assert done.undo == f"mailweir policy rollback {before.version.version}"
    assert held.decision.policy_version == done.version
    assert commands == [
        ("policy.rollback", before.version.version),
        ("policy.apply", done.version),
        ("policy.record", before.version.version),
    ]


def test_a_reload_leaves_an_applied_policy_in_force_and_says_so(site: Installation) -> None:
    with site.running(), site.client() as client:
        client.apply_policy(PolicyOrder(text=LOOSE))
        site.config.write_text(site.config.read_text() + "[policy]\nhold_score = 0.8\nhold_minutes = 7\n")
        reloaded = client.reload(ReloadOrder())
        overruled = client.policy().overruled
        client.rollback_policy(RollbackOrder())  # to the file as it was: now a version of its own
        again = client.policy()

    assert reloaded.taken_up == []
    assert reloaded.overruled == ["policy.hold_score", "policy.hold_minutes"]
    assert [(change.key, change.old, change.new) for change in overruled] == [
        ("hold_score", 0.8, 0.95),
        ("hold_minutes", 7, 1440),
    ]
    assert (again.version.origin, again.version.version) == ("applied", version_of(Policy()))


def test_without_an_applied_one_the_file_decides_and_each_of_its_versions_is_kept(site: Installation) -> None:
    with site.running(), site.client() as client:
        site.config.write_text(site.config.read_text() + "[policy]\nhold_score = 0.8\n")
        reloaded = client.reload(ReloadOrder())
        versions = client.policy_versions()

    assert reloaded.taken_up == ["policy.hold_score"]
    assert [(view.version, view.origin) for view in versions] == [
        (version_of(Policy(hold_score=0.8)), "file"),
        (version_of(Policy()), "file"),
    ]


def test_a_wrong_policy_or_one_of_no_operator_changes_nothing(site: Installation) -> None:
    with site.running(), site.client() as client, site.client("dashboard") as desk:
        with pytest.raises(ControlError, match=r"policy\.certainty = 2") as wrong:
            client.apply_policy(PolicyOrder(text="[policy]\ncertainty = 2\n"))
        with pytest.raises(ControlError, match="operator") as forbidden:
            desk.apply_policy(PolicyOrder(text=LOOSE))
        tried = client.apply_policy(PolicyOrder(text=LOOSE, dry_run=True))
        same = client.apply_policy(PolicyOrder(text="[policy]\n"))
        again = client.apply_policy(PolicyOrder(text="[policy]\n"))
        versions = client.policy_versions()

    assert (wrong.value.status, forbidden.value.status) == (422, 403)
    assert [change.key for change in tried.changes] == ["hold_score"]
    assert tried.dry_run
    assert same.changes == []
    assert again.undo == ""
    assert [view.origin for view in versions] == ["applied", "file"]  # the same lines, now somebody's word


# ---- the command line, without a relay ----


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(("policy", *words)) == code
    shown = capsys.readouterr()
    return shown.out + shown.err


def test_the_command_line_applies_shows_compares_and_takes_back(
    site: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(LOOSE)

    assert "1 keys differ from the defaults" in said(capsys, "validate", str(file))
    assert "hold_score  0.9  0.95" in said(capsys, "diff", str(file))
    tried = said(capsys, "apply", str(file), "--dry-run")
    assert "would be in force" in tried
    assert "undo" not in tried
    applied = said(capsys, "apply", str(file), "--note", "fewer holds")
    assert "is in force\nundo: mailweir policy rollback " in applied
    shown = said(capsys, "show")
    assert "hold_minutes" in shown
    assert "1440 " in shown
    assert "1440." not in shown
    assert "in force; applied by cli at" in shown
    assert "fewer holds" in shown
    assert said(capsys, "show", "--toml") == LOOSE
    first = json.loads(said(capsys, "ls", "--json"))[-1]
    assert "hold_score  0.95  0.9" in said(capsys, "diff", first["version"])
    said(capsys, *applied.splitlines()[-1].removeprefix("undo: mailweir policy ").split())
    assert json.loads(said(capsys, "show", "--json"))["version"]["origin"] == "file"
    assert "no policy version 'ffff'" in said(capsys, "show", "ffff", code=1)
    file.write_text("[policy]\nhold_scor = 1\n")
    assert f"{file}: 1 wrong" in said(capsys, "validate", str(file), code=1)


def test_a_version_of_another_release_is_written_down_anew(site: Installation) -> None:
    async def work() -> list[tuple[str, str]]:
        state = await State.open(default_url(site.data), "mw1", SystemClock())
        try:
            await state.policies.settle(Policy())
            return [(row.version, row.note) for row in state.policies.rows]
        finally:
            await state.close()

    asyncio.run(work())
    with closing(sqlite3.connect(site.data / "state.sqlite")) as connection, connection:
        row = (2, "0123456789", "applied", "dana", "2026-01-01 00:00:00.000000", "", LOOSE)
        connection.execute("INSERT INTO policy_version VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    rows = asyncio.run(work())
    assert rows[2][0] == version_of(read(LOOSE))
    assert "reads 0123456789" in rows[2][1]
    assert len(asyncio.run(work())) == 3


def test_a_part_of_the_tree_may_not_change_the_policy_of_all(site: Installation) -> None:
    async def work() -> None:
        state = await State.open(default_url(site.data), "mw1", SystemClock())
        try:
            desk = PolicyDesk(state.policies, lambda _policy: None)
            await desk.apply(Principal("isp", Role.ADMIN, Scope(reseller="isp")), PolicyOrder(text=LOOSE))
        finally:
            await state.close()

    with pytest.raises(Exception, match="may not change its policy"):
        asyncio.run(work())


def test_replay_counts_what_another_policy_would_have_decided(
    site: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict, file = tmp_path / "strict.toml", tmp_path / "same.toml"
    strict.write_text(STRICT)
    file.write_text("[policy]\n")
    with Sink() as sink:
        site.config.write_text(site.config.read_text().replace('127.0.0.1:1"', f'127.0.0.1:{sink.port}"'))
        with site.running():
            for who in ("a", "a", "b"):
                assert send(site, who).startswith("250")
            until(lambda: len(list((site.data / "journal").glob("*.jsonl"))) > 0)

    assert "3 messages judged again, 0 otherwise" in said(capsys, "replay", str(file))
    told = json.loads(said(capsys, "replay", str(strict), "--json"))
    assert (told["judged"], told["changed"]) == (3, 3)
    assert {row["sender"]: row["messages"] for row in told["senders"]} == {
        "acme|mailfrom|a@acme.example": 2,
        "acme|mailfrom|b@acme.example": 1,
    }
    assert "0 messages judged again" in said(capsys, "replay", str(strict), "--since", "0s")
