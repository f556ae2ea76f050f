"""The doctor finds what is wrong, and says the fix."""

import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from analytics.cli import doctor
from analytics.doctor import Finding, Level, examine
from analytics.policies import policy_in_force
from relay.account import Account
from relay.cli import Context
from relay.clock import SystemClock
from relay.control.policies.views import PolicyOrder
from relay.control.tokens import ensure_tokens
from relay.control.views import ReloadOrder
from relay.events import AlarmRaised
from relay.settings import Policy
from relay.spool.journal import Journal
from tests.analytics.test_service import served
from tests.builders import Installation, until


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path)
    installation.write(1, "", model="none")
    return installation


def about(installation: Installation, subject: str) -> list[Finding]:
    return [finding for finding in examine(installation.config) if finding.text.startswith(subject + ":")]


def levels(installation: Installation, subject: str) -> list[Level]:
    return [finding.level for finding in about(installation, subject)]


def test_wrong_setting_is_named_and_ends_the_examination(installation: Installation) -> None:
    installation.config.write_text("[smtp]\nlisen = 5\n")

    (finding,) = examine(installation.config)

    assert finding.level is Level.FAIL
    assert "smtp.lisen" in finding.text
    assert "mailweir init" in finding.fix


def test_running_installation_is_well(installation: Installation) -> None:
    installation.add_account(Account("acme"))
    with installation.running(), served(installation):
        findings = list(examine(installation.config))

    assert [finding for finding in findings if finding.level is Level.FAIL] == []
    assert {finding.text.split(":")[0] for finding in findings} >= {"relay", "analytics", "disk", "journal"}


def test_an_unset_abuse_desk_is_a_warning_and_a_set_one_is_not(installation: Installation) -> None:
    before = levels(installation, "notices")
    config = installation.config.read_text()
    config = config.replace("[node]\n", '[node]\nabuse_contact = "abuse@relay.example"\n')
    installation.config.write_text(config.replace("[web]\n", '[web]\npublic_url = "https://mail.example"\n'))

    after = levels(installation, "notices")

    assert before == [Level.WARN, Level.WARN]
    assert after == [Level.OK]


def test_an_alarm_of_the_last_day_is_a_warning_with_its_words(installation: Installation) -> None:
    installation.add_account(Account("acme", shared_host=True))
    journal = Journal(installation.settings.journal_dir, "test", "mw1", SystemClock())
    journal.start()
    text = "20 of 20 messages of account acme in the last hour name no end user (100 %)"
    journal.append(AlarmRaised(**journal.stamp(), condition="no_sender_id", account="acme", reseller="", text=text))
    journal.close()

    with installation.running(), served(installation):
        until(lambda: about(installation, "alarm") != [], 30, lambda: "the alarm was not told")
        (alarm,) = about(installation, "alarm")

    assert (alarm.level, text in alarm.text) == (Level.WARN, True)
    assert "X-AuthUser" in alarm.fix


def test_what_does_not_run_is_a_failure_with_the_command(installation: Installation) -> None:
    (relay,), (analytics,) = about(installation, "relay"), about(installation, "analytics")

    assert (relay.level, analytics.level) == (Level.FAIL, Level.FAIL)
    assert "mailweir up" in relay.fix


def test_taken_port_is_named_with_its_holder(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", installation.smtp)):
        (finding,) = about(installation, "ports")

    assert finding.level is Level.FAIL
    assert f"smtp.listen: 127.0.0.1:{installation.smtp} is taken by" in finding.text
    assert f"process {os.getpid()}" in finding.text


def test_data_folder_that_everybody_may_look_into_is_a_warning(installation: Installation) -> None:
    folder = installation.settings.dir
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    is_open = about(installation, "folder")
    folder.chmod(0o750)
    is_closed = about(installation, "folder")

    assert [finding.level for finding in is_open] == [Level.OK, Level.WARN]
    assert f"chmod o-rwx {folder}" == is_open[-1].fix
    assert [finding.level for finding in is_closed] == [Level.OK]


def test_token_that_others_may_read_is_a_failure(installation: Installation) -> None:
    ensure_tokens(installation.data)
    assert levels(installation, "tokens") == [Level.OK]

    (installation.data / "tokens" / "admin.token").chmod(0o644)

    assert levels(installation, "tokens")[0] is Level.FAIL
    assert about(installation, "tokens")[0].fix.startswith("chmod 600")


def test_altered_model_is_a_failure(installation: Installation, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "card.json").write_text("{}")
    installation.write(1, "", model=str(folder))

    (finding,) = about(installation, "model")

    assert finding.level is Level.FAIL
    assert "card" in finding.text


def test_backlog_and_damaged_files_are_warnings(installation: Installation) -> None:
    journal = installation.settings.journal_dir
    (journal / "aside").mkdir(parents=True)
    assert levels(installation, "journal") == [Level.OK]

    waiting = journal / "relay-mw1-a-00000001.jsonl"
    waiting.touch()
    os.utime(waiting, (1, 1))
    (journal / "aside" / "relay-mw1-a-00000002.jsonl").touch()

    assert levels(installation, "journal") == [Level.WARN, Level.WARN]


def test_command_ends_with_1_when_something_fails(installation: Installation) -> None:
    result = CliRunner().invoke(doctor, [], obj=Context(installation.config))

    assert result.exit_code == 1
    assert "fail  relay: no answer" in result.output
    assert "fix: " in result.output


def test_an_applied_policy_is_named_with_what_the_file_says_in_vain_and_analytics_counts_by_it(
    installation: Installation,
) -> None:
    installation.add_account(Account("acme"))
    before = policy_in_force(installation.client)
    with installation.running(), installation.client() as client:
        usual = about(installation, "policy")
        client.apply_policy(PolicyOrder(text="[policy]\nhold_score = 0.95\n"))
        applied = about(installation, "policy")
        installation.config.write_text(installation.config.read_text() + "[policy]\nhold_score = 0.8\n")
        client.reload(ReloadOrder())
        vain = about(installation, "policy")
        in_force = policy_in_force(installation.client)

    assert [finding.level for finding in (*usual, *applied, *vain)] == [Level.OK, Level.OK, Level.WARN]
    assert "[policy] of mailweir.toml" in usual[0].text
    assert "applied by admin at" in applied[0].text
    assert "wins over [policy] of mailweir.toml, which says hold_score = 0.8 (in force: 0.95)" in vain[0].text
    assert "mailweir policy rollback" in vain[0].fix
    assert (before, in_force) == (None, Policy(hold_score=0.95))
