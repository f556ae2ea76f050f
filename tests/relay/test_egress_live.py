"""Egress of a real relay process, steered from the command line: a warm-up holds, is remembered, and ends."""

import json
import shlex
import smtplib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.cli import run
from tests.builders import Installation, until
from tests.sink import Sink


def send(site: Installation, number: int) -> None:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=10) as smtp:
        smtp.login("srv1", "secret")
        smtp.sendmail("a@acme.example", f"x{number}@b.example", f"Subject: {number}\r\n\r\nhello\r\n")


def test_a_warm_up_holds_a_source_back_survives_kill_9_and_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(line: str) -> Any:
        capsys.readouterr()
        assert run(shlex.split(f"{line} --json")) == 0
        return json.loads(capsys.readouterr().out)

    def plan() -> Any:
        return next(plan for plan in ask("warmup show ip1")["plans"] if plan["provider"] == "others")

    site = Installation(tmp_path)
    with Sink() as sink:
        site.write(sink.port, model="none")
        site.add_account(Account("acme"), login="srv1")
        monkeypatch.setenv("MAILWEIR_CONFIG", str(site.config))
        process = site.start()
        try:
            site.wait_until_up(process)
            ask("ip add ip1 127.0.0.2 --ehlo out1.example.org --warm-up")
            send(site, 1)
            until(lambda: len(sink.messages) == 1)
            send(site, 2)
            send(site, 3)
            assert plan()["sent"] == 1
            until(lambda: plan()["wait_seconds"] > 1_000)
            until(lambda: _is_written(site))
        finally:
            process.kill()
            process.wait()
        with site.running():
            known = plan()
            assert (known["sent"], known["quota"], len(sink.messages)) == (1, 40, 1)
            assert known["wait_seconds"] > 1_000

            ask("warmup stop ip1")
            send(site, 4)
            until(lambda: "4" in {message.content.split(b"Subject: ")[1][:1].decode() for message in sink.messages})
            source = ask("ip show ip1")
        assert (source["is_warming"], source["troubles"]) == (False, [])


def _is_written(site: Installation) -> bool:
    connection = sqlite3.connect(site.data / "counters.sqlite")
    try:
        return connection.execute("SELECT count(*) FROM warmup WHERE key = 'ip1|others'").fetchone() == (1,)
    finally:
        connection.close()
