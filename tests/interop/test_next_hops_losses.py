"""A relay that dies while a real Postfix takes its mail, and a Postfix that takes mail and bounces it later."""

from relay.control.waiting.views import PauseOrder
from tests.builders import until
from tests.interop.hops import Hops, Mailbox, letter
from tests.interop.postfix import Postfix

At = tuple[Postfix, Mailbox]

_ROUNDS, _LETTERS = 3, 60
_TO = "slow@asked.hop.example"  # 100 letters a second


def test_kill_9_while_it_delivers_loses_nothing_and_repeats_at_most_what_was_on_its_way(
    at_postfix: At, direct: Hops
) -> None:
    server, mailbox = at_postfix
    contents: list[bytes] = []
    killed_with_mail_left = 0

    for _ in range(_ROUNDS):
        _queue(direct, fresh := [letter() for _ in range(_LETTERS)])
        contents += fresh
        _wait_for_a_third(mailbox, fresh, server)
        direct.kill()
        until(lambda: "queue is empty" in server.queue(), 20, server.log)
        killed_with_mail_left += not all(mailbox.copies(content) for content in fresh)
        direct.start()
        until(lambda: not direct.is_waiting(_TO), 30, server.log)
    until(lambda: "queue is empty" in server.queue(), 20, server.log)

    copies = [len(mailbox.copies(content)) for content in contents]
    assert min(copies) == 1
    # a kill repeats what the hop took in the moments before, which is not noted yet; never what an earlier one repeated
    assert max(copies) <= 2
    assert killed_with_mail_left, "no kill fell into a delivery"


def _queue(direct: Hops, contents: list[bytes]) -> None:
    """Have so much mail waiting that its delivery, which starts now, takes longer than a look at the mailbox."""
    pause = PauseOrder(destination="asked.hop.example", reason="until all is there")
    with direct.installation.client() as client:
        client.pause_queue(pause)
        for content in contents:
            direct.send(content, _TO)
        client.resume_queue(pause)


def _wait_for_a_third(mailbox: Mailbox, contents: list[bytes], server: Postfix) -> None:
    until(lambda: sum(map(len, map(mailbox.copies, contents))) >= _LETTERS // 3, 20, server.log)


def test_a_bounce_that_comes_later_reaches_the_sender_by_way_of_our_inbox(at_postfix: At, direct: Hops) -> None:
    server, mailbox = at_postfix
    content = letter(author="isp@isp.example")

    direct.send(content, "late@plain.hop.example", "ann@plain.hop.example", login="isp")

    mailbox.wait(content, explain=server.log)
    until(lambda: direct.reports(content), 20, server.log)
    (forward,) = direct.reports(content)
    assert forward.recipients == ("isp@isp.example",)
    assert b"\r\nX-Mailweir-Loop: relay.example\r\n" in forward.content
    assert b"Reporting-MTA: dns; mx.postfix.example" in forward.content
    assert b"Final-Recipient: rfc822; late@plain.hop.example" in forward.content
    (inbound,) = direct.wait_for("Inbound", "late@plain.hop.example")
    assert inbound["report_type"] == "bounce"
    assert b"Return-Path: <b+" in mailbox.copies(content)[0]
    assert mailbox.owners(content) == ["ann@plain.hop.example"]
