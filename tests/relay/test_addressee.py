"""Who hears of a failure: never a stranger whose address was forged."""

import pytest

from relay.account import Account, IdentityRule
from relay.notices.addressee import Told, addressee, contact_of

ACME = Account("acme", contact="desk@acme.example", domains=("acme.example",))
HOST = Account("host", contact="desk@host.example", shared_host=True)


def told(mail_from: str, account: Account | None = ACME, sender: str = "", **more: bool) -> Told:
    more = {"is_stopped": False, **more}
    return addressee(mail_from, sender or f"acme|mailfrom|{mail_from}", account, **more).told


@pytest.mark.parametrize("mail_from", ["joe@acme.example", "joe@ACME.example", "b+1@news.acme.example"])
def test_a_sender_of_the_accounts_domain_is_told(mail_from: str) -> None:
    assert told(mail_from) is Told.SENDER


@pytest.mark.parametrize("mail_from", ["joe@other.example", "joe@notacme.example", "joe@acme.example.evil.example"])
def test_a_foreign_envelope_sender_is_not_told_but_the_contact(mail_from: str) -> None:
    assert told(mail_from) is Told.DIGEST


def test_an_account_that_may_send_as_anybody_hears_of_each_failure_itself() -> None:
    assert told("joe@other.example", Account("acme", domains=("*",))) is Told.SENDER
    assert told("joe@other.example", Account("acme")) is Told.NOBODY


def test_a_login_of_the_account_that_is_the_envelope_sender_is_told() -> None:
    assert told("joe@other.example", is_login=True) is Told.SENDER


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("x-authuser", Told.SENDER),  # the customer's server says who logged in
        ("credential-bound", Told.SENDER),
        ("mailfrom", Told.DIGEST),  # nobody but the client says so
        ("forwarded", Told.DIGEST),
        ("unknown", Told.DIGEST),
    ],
)
def test_an_identity_is_believed_only_where_another_than_the_client_names_it(kind: str, expected: Told) -> None:
    assert told("Joe@other.example", HOST, f"host|{kind}|joe@other.example") is expected
    assert told("jim@other.example", HOST, f"host|{kind}|joe@other.example") is Told.DIGEST


def test_a_renamed_rule_on_mail_from_is_no_identity() -> None:
    host = Account("host", contact="desk@host.example", identity_rules=(IdentityRule("box", "MAIL FROM"),))

    assert told("joe@other.example", host, "host|box|joe@other.example") is Told.DIGEST


def test_nobody_is_told_of_a_stopped_senders_mail_but_the_contact() -> None:
    found = addressee("joe@acme.example", "acme|mailfrom|joe@acme.example", ACME, is_stopped=True)

    assert (found.told, found.is_stopped) == (Told.DIGEST, True)
    assert told("joe@acme.example", Account("acme", domains=("acme.example",), is_suspended=True)) is Told.NOBODY


def test_a_null_sender_and_a_removed_account_are_told_nothing() -> None:
    assert told("") is Told.NOBODY
    assert told("joe@acme.example", None) is Told.NOBODY


@pytest.mark.parametrize(
    ("contact", "address"),
    [
        ("desk@acme.example", "desk@acme.example"),
        ("The desk <desk@acme.example>", "desk@acme.example"),
        ("call 555-1234", ""),
        ("desk@acme.example\r\nBcc: x@y.example", "desk@acme.example"),
        ("", ""),
    ],
)
def test_only_a_contact_that_is_an_address_gets_a_digest(contact: str, address: str) -> None:
    assert contact_of(Account("acme", contact=contact)) == address
