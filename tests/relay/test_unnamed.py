"""Mail that names no end user: when its alarm is raised, how often, and for whom not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from relay.account import Account
from relay.clock import SteppedClock
from relay.events import AlarmRaised
from relay.front.identity import identify
from relay.metrics import Metrics
from relay.reception.unnamed import UnnamedMail
from relay.settings import Settings
from relay.spool.journal import Journal
from tests.builders import journaled
from tests.relay.test_identity import PLAIN, SERVER, SHOP

NAMED = identify(SERVER, b"X-AuthUser: bob\r\n" + PLAIN)
UNNAMED = identify(replace(SERVER, mail_from=""), PLAIN)
NOON = 1_800_000_000.0
HOSTING = SERVER.account


def alarms(folder: Path, work: Callable[[UnnamedMail], None], metrics: Metrics | None = None) -> list[AlarmRaised]:
    """Return what stands in the journal afterwards."""
    journal = Journal(folder, "relay", "mw1", SteppedClock(datetime(2026, 11, 24, tzinfo=UTC)))
    journal.start()
    work(UnnamedMail(Settings(), journal, metrics or Metrics()))
    journal.close()
    return journaled(folder, AlarmRaised)


def test_twenty_messages_without_an_end_user_raise_one_alarm(tmp_path: Path) -> None:
    metrics = Metrics()

    def work(mail: UnnamedMail) -> None:
        for number in range(19):
            mail.note(HOSTING, UNNAMED, NOON + number)
        assert b'alarms_total{condition="no_sender_id"}' not in metrics.render()
        for number in range(40):
            mail.note(HOSTING, UNNAMED, NOON + 60 + number)

    [alarm] = alarms(tmp_path, work, metrics)

    assert (alarm.condition, alarm.account) == ("no_sender_id", "hosting")
    assert alarm.evidence == {"unnamed": 20, "seen": 20, "window_minutes": 60}
    assert alarm.text == (
        "20 of 20 messages of account hosting in the last hour name no end user (100 %); "
        "they share one limit and one standing"
    )
    assert b"mailweir_unnamed_total 59.0" in metrics.render()
    assert b'mailweir_alarms_total{condition="no_sender_id"} 1.0' in metrics.render()


def test_a_small_share_of_the_mail_raises_none(tmp_path: Path) -> None:
    def work(mail: UnnamedMail) -> None:
        for number in range(1_000):
            mail.note(HOSTING, UNNAMED if number % 25 == 0 else NAMED, NOON + number)

    assert alarms(tmp_path, work) == []


def test_slow_mail_raises_none(tmp_path: Path) -> None:
    def work(mail: UnnamedMail) -> None:
        for number in range(100):
            mail.note(HOSTING, UNNAMED, NOON + number * 200)

    assert alarms(tmp_path, work) == []


def test_the_next_alarm_comes_after_six_hours_and_other_accounts_have_their_own(tmp_path: Path) -> None:
    def work(mail: UnnamedMail) -> None:
        for minute in range(6 * 60 + 1):
            mail.note(HOSTING, UNNAMED, NOON + minute * 60)
            mail.note(replace(HOSTING, name="other"), UNNAMED, NOON + minute * 60)

    raised = [alarm.account for alarm in alarms(tmp_path, work)]

    assert raised == ["hosting", "other"]

    def on(mail: UnnamedMail) -> None:
        for minute in range(7 * 60):
            mail.note(HOSTING, UNNAMED, NOON + minute * 60)

    assert len(alarms(tmp_path / "longer", on)) == 2


def test_an_account_with_one_owner_has_nobody_to_name(tmp_path: Path) -> None:
    def work(mail: UnnamedMail) -> None:
        for _ in range(100):
            mail.note(SHOP.account, identify(replace(SHOP, mail_from=""), PLAIN), NOON)
            mail.note(Account("bare"), UNNAMED, NOON)

    assert alarms(tmp_path, work) == []
