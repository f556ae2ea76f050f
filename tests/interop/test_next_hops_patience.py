"""A real Postfix and a real Exim that say "not now" and "not so much": all mail arrives, and once."""

import re

import pytest

from tests.builders import until
from tests.interop import mx_exim
from tests.interop.exim import Exim
from tests.interop.hops import Hops, Mailbox, counted, letter
from tests.interop.postfix import Postfix

At = tuple[Postfix, Mailbox]
AtExim = tuple[Exim, Mailbox]


@pytest.mark.parametrize(
    ("name", "category"),
    [("grey-1", "Greylisted"), ("defer-3", ""), ("close-1", "")],
    ids=["greylists", "defers thrice", "closes the connection"],
)
def test_mail_is_tried_again_and_delivered_when_a_postfix(
    at_postfix: At, direct: Hops, name: str, category: str
) -> None:
    server, mailbox = at_postfix
    content, to = letter(), f"{name}@asked.hop.example"

    direct.send(content, to, "soon@asked.hop.example")

    mailbox.wait(content, 2, explain=server.log)
    (delivery,) = direct.wait_for("Delivery", to)
    deferrals = direct.records("Deferral", to)
    assert len(deferrals) == int(name[-1])
    assert {category} & {record["category"] for record in deferrals} or not category
    assert delivery["attempt"] == len(deferrals) + 1
    assert sorted([to, "soon@asked.hop.example"]) == mailbox.owners(content)


def test_surplus_recipients_follow_at_once_when_a_postfix_limits_them(at_postfix: At, direct: Hops) -> None:
    server, mailbox = at_postfix
    content, names = letter(), [f"r{number:02}@few.hop.example" for number in range(10)]

    direct.send(content, *names)

    mailbox.wait(content, len(names), explain=server.log)
    assert names == mailbox.owners(content)


def test_an_old_postfix_gets_what_it_can_take_and_the_rest_bounces(at_postfix: At, direct: Hops) -> None:
    server, mailbox = at_postfix
    plain, eight_bits, foreign = letter(), letter("Grüße\r\n".encode()), letter()

    direct.send(plain, "ann@old.hop.example")
    direct.send(eight_bits, "bob@old.hop.example", options=["BODY=8BITMIME"])
    direct.send(foreign, "jörg@old.hop.example", options=["SMTPUTF8"])

    mailbox.wait(plain, explain=server.log)
    bounces = [direct.wait_for("Bounce", f"{name}@old.hop.example")[0] for name in ("bob", "jörg")]
    assert [bounce["enhanced"] for bounce in bounces] == ["5.6.3", "5.6.7"]
    assert not mailbox.copies(eight_bits) + mailbox.copies(foreign)
    until(lambda: direct.reports(eight_bits) and direct.reports(foreign))


def test_a_message_that_is_too_large_for_a_postfix_bounces_and_a_small_one_does_not(
    at_postfix: At, direct: Hops
) -> None:
    server, mailbox = at_postfix
    large, small = letter((b"x" * 70 + b"\r\n") * 3000), letter()

    direct.send(large, "large@small.hop.example")
    direct.send(small, "ann@small.hop.example")

    mailbox.wait(small, explain=server.log)
    (bounce,) = direct.wait_for("Bounce", "large@small.hop.example")
    assert (bounce["code"], bounce["enhanced"]) == (552, "5.3.4")
    assert not mailbox.copies(large)


def test_nothing_is_lost_or_doubled_when_a_postfix_allows_two_connections(at_postfix: At, direct: Hops) -> None:
    server, mailbox = at_postfix
    contents = [letter() for _ in range(60)]

    for content in contents:
        direct.send(content, "ann@crowded.hop.example")

    until(lambda: all(mailbox.copies(content) for content in contents), 30, server.log)
    assert counted({content: mailbox.copies(content) for content in contents}) == (0, 0)


def test_connections_are_used_to_their_end_when_an_exim_limits_the_mails_on_each(at_exim: AtExim, direct: Hops) -> None:
    server, mailbox = at_exim
    contents, before = [letter() for _ in range(30)], server.log()

    for content in contents:
        direct.send(content, "ann@exim.hop.example")

    until(lambda: all(mailbox.copies(content) for content in contents), 30, server.log)
    assert counted({content: mailbox.copies(content) for content in contents}) == (0, 0)
    opened = len(re.findall(r"SMTP connection from \[127\.0\.0\.1\] \(TCP", server.log()[len(before) :]))
    assert opened >= len(contents) // mx_exim.MAILS_PER_CONNECTION
    assert opened < len(contents)
