"""Reload: what can change at run time is taken up, the rest is named, and a wrong file changes nothing."""

import signal
import smtplib
from pathlib import Path

import pytest

from relay.account import Account
from relay.control.client import ControlError
from relay.control.views import ReloadOrder
from relay.running.reload import plan
from relay.settings import Content, Limits, Settings, SettingsError, Smtp, load
from tests.builders import Installation, until
from tests.sink import Sink


def changed(site: Installation, old: str, new: str) -> None:
    text = site.config.read_text()
    assert old in text
    site.config.write_text(text.replace(old, new))


def send(site: Installation, number: int, sender: str = "a") -> str:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
        smtp.login("srv1", "secret")
        smtp.mail(f"{sender}@acme.example")
        smtp.rcpt(f"r{number}@d.example")
        code, text = smtp.data(f"Subject: {number}\r\n\r\nhello\r\n".encode())
        return f"{code} {text.decode()}"


def announced_size(smtp: smtplib.SMTP) -> str:
    smtp.ehlo()
    return smtp.esmtp_features["size"]


def logged(site: Installation) -> str:
    return (site.folder / "process.log").read_text()


def test_keys_that_can_change_are_taken_up_and_the_others_named() -> None:
    old = Settings()
    new = Settings(
        limits=Limits(rcpts_per_hour=7),
        smtp=Smtp(listen=["127.0.0.1:9"], max_recipients=500),
        content=Content(timeout_seconds=9),
    )

    found = plan(old, new)

    assert found.taken_up == ("smtp.max_recipients", "limits.rcpts_per_hour")
    assert found.needs_restart == ("smtp.listen", "content.timeout_seconds")
    assert (found.settings.limits.rcpts_per_hour, found.settings.smtp.max_recipients) == (7, 500)
    assert found.settings.smtp.listen == old.smtp.listen


def test_a_change_is_told_from_what_to_what_and_a_secret_is_not_shown() -> None:
    old = Settings(delivery={"smarthost_password": "sesame 1"})  # type: ignore[arg-type]
    new = Settings(limits=Limits(rcpts_per_hour=7), delivery={"smarthost_password": "sesame 2"})  # type: ignore[arg-type]

    told = {change.key: (change.before, change.after) for change in plan(old, new).changes}

    assert told["limits.rcpts_per_hour"] == (str(old.limits.rcpts_per_hour), "7")
    assert told["delivery.smarthost_password"] == ("(not shown)", "(not shown)")


def test_what_other_programs_read_and_what_is_the_same_is_not_mentioned() -> None:
    found = plan(Settings(), Settings(dashboard={"listen": "127.0.0.1:9"}))  # type: ignore[arg-type]

    assert (found.taken_up, found.needs_restart) == ((), ())


@pytest.mark.parametrize(("before", "after"), [("none", "shipped"), ("shipped", "none")])
def test_a_relay_begins_or_ends_to_score_at_start_only(before: str, after: str) -> None:
    found = plan(Settings(content=Content(model=before)), Settings(content=Content(model=after)))

    assert found.needs_restart == ("content.model",)
    assert found.settings.content.model == before


def test_a_wrong_password_setting_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "mailweir.toml"
    file.write_text("[delivery]\nsmarthost_password = 12345678\n")

    with pytest.raises(SettingsError) as caught:
        load(file)

    assert "delivery.smarthost_password" in str(caught.value)
    assert "12345678" not in str(caught.value)


def test_a_running_relay_takes_up_limits_and_sizes_and_keeps_sessions(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, "[limits]\nrcpts_per_hour = 1\nnewcomer_rcpts_per_hour = 0\n", model="none")
        site.add_account(Account("acme"), "srv1")
        with site.running() as process, site.client() as client, smtplib.SMTP("127.0.0.1", site.smtp) as inside:
            size_before = announced_size(inside)
            replies = [send(site, number) for number in range(2)]
            changed(site, "\nrcpts_per_hour = 1\n", "\nrcpts_per_hour = 1000\n")
            changed(site, "[smtp]\n", "[smtp]\nmax_size_bytes = 1000000\n")
            changed(site, f'submission = ["127.0.0.1:{site.submission}"]', 'submission = ["127.0.0.1:1"]')
            tried = client.reload(ReloadOrder(dry_run=True))
            replies += [send(site, number, "b") for number in range(2)]
            done = client.reload(ReloadOrder())
            audited = [row for row in client.audit(limit=9) if row.command == "reload"]
            replies += [send(site, number, "c") for number in range(2)]
            with smtplib.SMTP("127.0.0.1", site.smtp) as later:
                sizes = [size_before, announced_size(inside), announced_size(later)]
            changed(site, "\nrcpts_per_hour = 1000\n", "\nrcpts_per_hour = 1\n")
            process.send_signal(signal.SIGHUP)
            until(lambda: logged(site).count("reloaded model=") == 2)
            replies += [send(site, number, "d") for number in range(2)]

    assert ["delayed until" in reply for reply in replies] == [False, True, False, True, False, False, False, True]
    assert sizes == ["26214400", "26214400", "1000000"]
    assert tried.taken_up == done.taken_up == ["smtp.max_size_bytes", "limits.rcpts_per_hour"]
    assert done.needs_restart == ["smtp.submission"]
    assert [(row.principal, row.detail["limits.rcpts_per_hour"]) for row in audited] == [("admin", "1 -> 1000")]
    assert "smtp.submission: needs a restart" in logged(site)


def test_a_wrong_file_changes_nothing_and_says_key_value_and_fix(tmp_path: Path) -> None:
    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, "[limits]\nrcpts_per_hour = 1\n", model="none")
        site.add_account(Account("acme"), "srv1")
        with site.running(), site.client() as client:
            right = site.config.read_text()
            wrong = right.replace("rcpts_per_hour = 1", "rcpts_per_hour = 1000\nrcpts_per_day = -3")
            no_certificate = right.replace("rcpts_per_hour = 1", "rcpts_per_hour = 1000").replace(
                "[smtp]\n", f'[smtp]\ntls_certificate = "{tmp_path}/none.pem"\n'
            )
            errors = []
            for text in (wrong, no_certificate):
                site.config.write_text(text)
                with pytest.raises(ControlError) as caught:
                    client.reload(ReloadOrder())
                errors.append(caught.value)
                site.config.write_text(right)  # the client reads it too
            replies = [send(site, number) for number in range(2)]

    assert [error.status for error in errors] == [422, 422]
    assert "limits.rcpts_per_day = -3" in errors[0].detail
    assert "It is: recipients per end sender in any 24 hours" in errors[0].detail
    assert f"smtp.tls_certificate = {tmp_path}/none.pem: No such file" in errors[1].detail
    assert ["delayed until" in reply for reply in replies] == [False, True]
    assert "limits.rcpts_per_day = -3" in logged(site)
