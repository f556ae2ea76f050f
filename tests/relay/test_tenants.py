"""Tenants of a platform: named by one header, each with a standing of its own, paused without touching the others."""

import smtplib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from relay.account import Account
from relay.cli import run
from relay.control.client import ControlClient, ControlError
from relay.tenants.views import TenantHeaderOrder, TenantOrder
from tests.builders import Installation, until
from tests.sink import Sink


@dataclass
class House:
    """A running relay with a platform's account `app` and another one, and where its mail arrives."""

    installation: Installation
    sink: Sink
    relay: ControlClient

    def send(self, to: str, tenant: str = "", header: str = "X-Tenant") -> None:
        named = f"{header}: {tenant}\r\n" if tenant else ""
        with smtplib.SMTP("127.0.0.1", self.installation.submission, timeout=30) as smtp:
            smtp.login("app", "secret")
            content = f"From: app@app.example\r\n{named}Subject: x\r\n\r\nx\r\n"
            smtp.sendmail("app@app.example", to, content)

    def arrived(self, to: str) -> bytes:
        mails = self.sink.wait_until(lambda: to in self.sink.addresses())
        return next(mail.content for mail in mails if to in mail.recipients)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Sink() as sink:
        installation = Installation(tmp_path_factory.mktemp("tenants"))
        installation.write(sink.port, model="none")
        installation.add_account(Account("app", domains=("app.example",)), "app")
        installation.add_account(Account("other"), "other")
        with installation.running(), installation.client() as relay:
            relay.set_tenant_header("app", TenantHeaderOrder())
            yield House(installation, sink, relay)


def test_a_paused_tenant_s_mail_lies_and_the_others_goes_on(house: House) -> None:
    house.relay.pause_tenant("app", "T17", TenantOrder(reason="list looks bought"))

    house.send("lies@d.example", "t17")
    house.send("goes@d.example", "t18")
    house.send("plain@d.example")
    house.arrived("goes@d.example")
    house.arrived("plain@d.example")
    until(lambda: [row.tenant for row in house.relay.tenants("app").tenants] == ["t17"])  # what went leaves the spool
    (one,) = house.relay.tenants("app").tenants
    assert (one.tenant, one.sender, one.waiting) == ("t17", "app|tenant|t17", 1)
    assert (one.paused_by, one.reason) == ("admin", "list looks bought")
    assert "lies@d.example" not in house.sink.addresses()
    house.relay.resume_tenant("app", "t17")

    content = house.arrived("lies@d.example")
    assert b"x-tenant" not in content.lower()
    until(lambda: house.relay.tenants("app").tenants == [])


def test_a_header_can_have_another_name_and_is_taken_back_by_its_undo(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAILWEIR_CONFIG", str(house.installation.config))

    assert run(["tenant", "header", "other", "X-Shop-Id"]) == 0
    said = capsys.readouterr().out
    named = house.relay.tenants("other").header
    undo = said.partition("undo: mailweir ")[2].split()
    assert run(undo) == 0

    assert "X-Shop-Id names the tenants of other" in said
    assert named == "X-Shop-Id"
    assert house.relay.tenants("other").header == ""
    assert not next(one for one in house.relay.accounts() if one.name == "other").shared_host


def test_a_dry_run_pauses_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAILWEIR_CONFIG", str(house.installation.config))

    assert run(["tenant", "pause", "app", "t99", "--dry-run"]) == 0
    assert "would pause tenant t99 of app" in capsys.readouterr().out
    assert run(["tenant", "ls", "app"]) == 0

    assert "header: X-Tenant" in (shown := capsys.readouterr().out)
    assert "t99" not in shown


@pytest.mark.parametrize(
    ("account", "tenant", "said"),
    [("other", "t1", "no header names tenants"), ("app", " ", "tenant = ' '"), ("nobody", "t1", "nobody")],
)
def test_what_is_no_tenant_is_not_paused(house: House, account: str, tenant: str, said: str) -> None:
    with pytest.raises(ControlError, match=said):
        house.relay.pause_tenant(account, tenant)


@pytest.mark.parametrize("header", ["Subject", "X Tenant", "X-Tenant~^(.+)$", "MAIL FROM", "X-Tenant!keep"])
def test_what_cannot_name_tenants_is_refused(house: House, header: str) -> None:
    with pytest.raises(ControlError, match="header = "):
        house.relay.set_tenant_header("app", TenantHeaderOrder(header=header))
