"""Sends one message through the node's own SMTP door, then tells from the journal what became of it."""

import contextlib
import secrets
import smtplib
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from ipaddress import ip_address

import click

from relay.account import EVERY_DOMAIN
from relay.control import explain
from relay.control.client import ControlClient
from relay.control.views import AccountView, NewCredential
from relay.events import Action, Attempt, Deferral, Delivery, Judged, Reception, Record
from relay.running.ports import reachable
from relay.settings import Settings, split_listen

_POLL_SECONDS = 0.2
_TIMEOUT_SECONDS = 30.0
_REFUSED_SECONDS = 2.0


class TestFailed(Exception):
    """The message could not be handed in; the text says why."""

    __test__ = False


@dataclass(frozen=True, slots=True)
class Test:
    """What to send, and as whom: `login` with `password`, else a one-time login of `account`."""

    __test__ = False

    to: str
    mail_from: str
    account: str
    login: str
    password: str
    subject: str
    text: str
    wait_seconds: float


def run(settings: Settings, test: Test) -> int:
    """Send, print the story, and return 0 when every recipient was delivered. Raises TestFailed, ControlError."""
    with _login(settings, test) as (login, password, account):
        message = _message(settings, test, account)
        reply = _submit(settings, login, password, message, test.to)
    click.echo(f"the door said: {reply}")
    is_taken = reply.startswith("2")  # a refused one has its record at once, and a mistyped recipient none
    wait_seconds = test.wait_seconds if is_taken else min(test.wait_seconds, _REFUSED_SECONDS)
    records = _follow(settings, str(message["Message-ID"]), wait_seconds)
    explain.tell(records)
    if not records and is_taken:
        click.echo(f"nothing of it in {settings.journal_dir} yet; later: mailweir why MESSAGE")
    return 0 if _is_delivered(records) else 1


@contextlib.contextmanager
def _login(settings: Settings, test: Test) -> Iterator[tuple[str, str, AccountView | None]]:
    if test.login:
        yield test.login, test.password, None
        return
    with ControlClient.of(settings) as relay:
        account = _chosen(relay.accounts(), test.account)
        login = f"send-test-{secrets.token_hex(6)}"
        secret = relay.add_credential(account.name, NewCredential(login=login))
        try:
            yield login, secret.password, account
        finally:
            relay.revoke_credential(login)


def _chosen(accounts: Sequence[AccountView], name: str) -> AccountView:
    found = [account for account in accounts if not name or account.name == name]
    match found:
        case [account]:
            return account
        case []:
            raise TestFailed(f"there is no account {name}".rstrip() + "; add one with: mailweir account add NAME")
        case _:
            raise TestFailed(f"say which account: --account {'|'.join(account.name for account in found[:10])}")


def _message(settings: Settings, test: Test, account: AccountView | None) -> EmailMessage:
    own = [name for name in account.domains if name != EVERY_DOMAIN] if account else []
    domain = own[0] if own else settings.node.hostname
    message = EmailMessage()
    message["From"] = test.mail_from or f"postmaster@{domain}"
    message["To"] = test.to
    message["Subject"] = test.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{secrets.token_hex(12)}@{settings.node.hostname}>"
    message.set_content(test.text)
    return message


def _submit(settings: Settings, login: str, password: str, message: EmailMessage, to: str) -> str:
    """Hand the message in; return the door's last reply, also when that is a refusal."""
    host, port = _door(settings)
    try:
        with smtplib.SMTP(host, port, settings.node.hostname, _TIMEOUT_SECONDS) as door:
            door.starttls(context=_tls(host))
            door.login(login, password)
            door.mail(str(message["From"]))
            code, reply = door.rcpt(to)
            if code < 300:
                code, reply = door.data(message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
            return f"{code} {reply.decode(errors='replace')}"
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        raise TestFailed(f"the SMTP door at {host}:{port} refused: {error.smtp_code} {text}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise TestFailed(f"the SMTP door at {host}:{port} does not work: {error}") from None


def _door(settings: Settings) -> tuple[str, int]:
    for address in (*settings.smtp.submission, *settings.smtp.listen):
        host, port = split_listen(address)
        return reachable(host), port
    raise TestFailed("there is no door with STARTTLS: name one in smtp.submission")


def _tls(host: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ip_address(host).is_loopback:  # our own self-signed certificate, and nobody in between
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _follow(settings: Settings, message_id: str, wait_seconds: float) -> list[Record]:
    """Read the journal until the message has an outcome, or the time is over."""
    deadline = time.monotonic() + wait_seconds
    records: list[Record] = []
    queue_id = ""
    while True:
        records = explain.story(settings.journal_dir, queue_id or message_id)
        queue_id = next((record.message_id for record in records if isinstance(record, Reception)), queue_id)
        if _is_settled(records) or time.monotonic() > deadline:
            return records
        time.sleep(_POLL_SECONDS)


def _is_settled(records: Sequence[Record]) -> bool:
    if any(isinstance(record, Judged) and record.action is not Action.ACCEPT for record in records):
        return True
    return any(isinstance(record, Attempt) for record in records)


def _is_delivered(records: Sequence[Record]) -> bool:
    attempts = [record for record in records if isinstance(record, Attempt) and not isinstance(record, Deferral)]
    return bool(attempts) and all(isinstance(record, Delivery) for record in attempts)
