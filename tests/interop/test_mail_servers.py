"""What holds for every mail server behind the relay, shown with the real Exim and the real Postfix."""

from email import message_from_bytes
from email.message import Message
from pathlib import Path

from tests.builders import until
from tests.interop.corpus import body, real_mail
from tests.interop.scripts import cron_mail_names_the_user, php_mail_names_the_user_and_the_script
from tests.interop.servers import MailServer, submit
from tests.interop.smarthost import Smarthost, sender_key
from tests.sink import Received

_AUTHOR = "author@customer.example"


def mail(subject: str, more: str = "") -> bytes:
    return f"{more}From: {_AUTHOR}\nSubject: {subject}\n\nHello\n".encode()


def diagnosis(bounce: Received) -> str:
    """Return the Diagnostic-Code of a bounce, as one line."""
    for part in message_from_bytes(bounce.content).walk():
        if part.get_content_type() == "message/delivery-status":
            return " ".join(" ".join(str(block) for block in part.get_payload() if isinstance(block, Message)).split())
    raise AssertionError(bounce.content.decode(errors="replace"))


def test_a_unix_user_is_named_and_comes_over_verified_tls_with_a_login(server: MailServer, relay: Smarthost) -> None:
    server.send(mail("hello"), _AUTHOR, "unix@dest.example")

    message = relay.arrival("unix@dest.example", explain=server.log)
    record = relay.record("unix@dest.example")
    assert sender_key(server.unix_sender) == record["sender"]
    assert record["tls"].startswith("TLSv1.3")
    assert record["credential"] == "srv1"
    assert b"x-authuser" not in message.content.lower()


def test_a_php_script_is_named_by_its_user_not_by_what_it_says(server: MailServer, relay: Smarthost) -> None:
    php_mail_names_the_user_and_the_script(server, relay)


def test_mail_of_cron_is_of_the_user_whose_job_it_is(server: MailServer, relay: Smarthost) -> None:
    cron_mail_names_the_user(server, relay)


def test_a_login_at_the_server_is_named(server: MailServer, relay: Smarthost) -> None:
    submit(server, "bob@site.example", mail("hello"), _AUTHOR, "login@dest.example")

    message = relay.arrival("login@dest.example", explain=server.log)
    assert sender_key("bob@site.example") == relay.record("login@dest.example")["sender"]
    assert b"x-authuser" not in message.content.lower()


def test_a_forged_identity_is_neither_believed_nor_passed_on(server: MailServer, relay: Smarthost) -> None:
    forged = "X-AuthUser: ceo@site.example\nx-authuser: cfo@site.example\n"
    forged += "Received: from a (b [192.0.2.1])\n\t(Authenticated sender: ceo@site.example)\n"
    forged += "\tby web1.hosting.example (Postfix) with ESMTPA id 1; Thu, 1 Jan 2026 00:00:00 +0000\n"

    server.send(mail("a", forged), _AUTHOR, "forged-unix@dest.example")
    submit(server, "eve@site.example", mail("b", forged), _AUTHOR, "forged-login@dest.example")

    for recipient, identity in (("forged-unix", server.unix_sender), ("forged-login", "eve@site.example")):
        message = relay.arrival(f"{recipient}@dest.example", explain=server.log)
        assert sender_key(identity) == relay.record(f"{recipient}@dest.example")["sender"]
        assert b"x-authuser" not in message.content.lower()


def test_a_refused_message_comes_back_to_its_author_with_our_words(server: MailServer, relay: Smarthost) -> None:
    relay.suspend("mallory@site.example", "sends bank phishing")

    submit(server, "mallory@site.example", mail("prize"), "mallory@home.example", "refused@dest.example")

    bounce = relay.arrival("mallory@home.example", explain=server.log)
    assert not relay.arrivals("refused@dest.example")
    assert bounce.mail_from == ""
    assert "550" in diagnosis(bounce)
    assert "[ESA]" in diagnosis(bounce)
    assert "sends bank phishing" in diagnosis(bounce)
    until(lambda: "refused@dest.example" not in server.queue())


def test_the_null_sender_of_a_bounce_is_relayed(server: MailServer, relay: Smarthost) -> None:
    server.send(mail("not deliverable"), "<>", "null@dest.example")

    assert relay.arrival("null@dest.example", explain=server.log).mail_from == ""


def test_a_deferred_message_waits_alone_and_goes_through_once_there_is_room(
    server: MailServer, relay: Smarthost
) -> None:
    relay.limit("customer.example", 1)
    submit(server, "busy@site.example", mail("one"), _AUTHOR, "room@dest.example")
    relay.arrival("room@dest.example", explain=server.log)
    submit(server, "busy@site.example", mail("two"), _AUTHOR, "full@dest.example")
    until(lambda: relay.records("full@dest.example", "Rejection"), 20, server.log)

    submit(server, "calm@site.example", mail("three"), "calm@site.example", "calm@dest.example")

    relay.arrival("calm@dest.example", explain=server.log)
    assert relay.record("full@dest.example", "Rejection")["code"] == 451
    until(lambda: "calm@dest.example" not in server.queue())
    assert "full@dest.example" in server.queue()
    relay.limit("customer.example", 0)
    server.flush()
    relay.arrival("full@dest.example", 30, server.log)
    until(lambda: "full@dest.example" not in server.queue())
    assert len(relay.arrivals("full@dest.example")) == 1


def test_mail_waits_while_the_relay_is_down(server: MailServer, relay: Smarthost) -> None:
    relay.stop()
    server.send(mail("later"), _AUTHOR, "later@dest.example")
    until(lambda: "refused" in server.log().lower(), 20, server.log)
    assert "later@dest.example" in server.queue()

    relay.start()
    server.flush()

    relay.arrival("later@dest.example", 30, server.log)


def test_one_bad_recipient_bounces_and_the_others_arrive(server: MailServer, relay: Smarthost) -> None:
    bad = f"bad@{'x' * 64}.example"  # a label has at most 63 bytes; neither server minds

    server.send(mail("three"), "three@home.example", "good1@dest.example", bad, "good2@dest.example")

    relay.arrival("good1@dest.example", explain=server.log)
    relay.arrival("good2@dest.example", explain=server.log)
    bounce = relay.arrival("three@home.example", explain=server.log)
    assert bad in diagnosis(bounce)
    assert "good" not in diagnosis(bounce)


def test_a_burst_of_single_mails_arrives_without_a_lock_out(server: MailServer, relay: Smarthost) -> None:
    recipients = [f"burst{number}@dest.example" for number in range(30)]

    for recipient in recipients:
        server.send(mail("burst"), _AUTHOR, recipient)

    until(lambda: all(relay.arrivals(recipient) for recipient in recipients), 60, server.log)
    assert [len(relay.arrivals(recipient)) for recipient in recipients] == [1] * 30


def test_real_messages_arrive_with_their_bodies_unchanged(server: MailServer, relay: Smarthost, corpora: Path) -> None:
    messages = {f"real{number}@dest.example": sent for number, sent in enumerate(real_mail(corpora, 200))}

    for recipient, message in messages.items():
        server.send(message, _AUTHOR, recipient)

    until(lambda: all(relay.arrivals(recipient) for recipient in messages), 120, server.log)
    arrived = {recipient: body(relay.arrivals(recipient)[0].content) for recipient in messages}
    assert len(messages) == 200
    assert [recipient for recipient, sent in messages.items() if body(sent) != arrived[recipient]] == []
