"""Letters in fields become mail that every reader takes for what was meant, and nothing else."""

import base64
import email
import email.policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.front.data import canonical
from relay.front.web.draft import Draft, draft_of_json
from relay.reply import PermanentError
from relay.settings import Smtp

SMTP = Smtp()
MINIMAL: dict[str, Any] = {"from": "a@acme.example", "to": "x@d.example", "text": "hello"}
_ANY = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\x85"), max_size=150)


def draft(**fields: Any) -> Draft:
    return draft_of_json(msgspec.json.encode(MINIMAL | fields), SMTP)


def parsed(**fields: Any) -> EmailMessage:
    message = email.message_from_bytes(draft(**fields).content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert message.defects == []
    return message


def refusal(**fields: Any) -> str:
    with pytest.raises(PermanentError) as caught:
        draft(**fields)
    return str(caught.value)


def test_both_texts_and_an_attachment_arrive_as_they_were_given() -> None:
    picture = bytes(range(256)) * 500
    message = parsed(
        subject="Grüße aus Zürich",
        text="Hallo Jörg",
        html="<p>Hallo <b>Jörg</b></p>",
        attachments=[{"name": "Übersicht.png", "type": "image/png", "content": base64.b64encode(picture).decode()}],
    )

    assert message["Subject"] == "Grüße aus Zürich"
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content() == "Hallo Jörg\r\n"
    assert html.get_content() == "<p>Hallo <b>Jörg</b></p>\r\n"
    (attached,) = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("Übersicht.png", "image/png")
    assert attached.get_content() == picture
    assert message.get_content_type() == "multipart/mixed"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"text": "x"}, "text/plain"),
        ({"text": None, "html": "x"}, "text/html"),
        ({"text": "x", "html": "y"}, "multipart/alternative"),
        ({"text": None, "attachments": [{"name": "a", "content": ""}]}, "multipart/mixed"),
    ],
)
def test_no_part_stands_for_what_is_not_there(fields: dict[str, Any], kind: str) -> None:
    assert parsed(**fields).get_content_type() == kind


def test_blind_recipients_are_in_the_envelope_only() -> None:
    made = draft(cc=["c@d.example"], bcc=["Secret <b@d.example>"])

    assert made.recipients == ("x@d.example", "c@d.example", "b@d.example")
    assert b"b@d.example" not in made.content
    assert b"bcc" not in made.content.lower()
    assert b"secret" not in made.content.lower()


def test_the_envelope_may_differ_from_the_header() -> None:
    made = draft(envelope_from="", envelope_to=["z@d.example"], cc=["c@d.example"])

    assert (made.mail_from, made.recipients) == ("", ("z@d.example",))
    assert b"To: x@d.example\r\nCc: c@d.example\r\n" in made.content


def test_a_recipient_is_refused_alone() -> None:
    made = draft(to=["x@d.example", "broken", "y@d.example", "x@d.example", "<z@d.example"])

    assert made.recipients == ("x@d.example", "y@d.example")
    assert [(each.address, each.status) for each in made.results] == [
        ("x@d.example", "queued"),
        ("broken", "refused"),
        ("y@d.example", "queued"),
        ("<z@d.example", "refused"),
    ]
    assert b"broken" not in made.content


def test_recipients_beyond_the_limit_may_come_again() -> None:
    made = draft(bcc=[f"x{number}@d.example" for number in range(120)])

    assert len(made.recipients) == SMTP.max_recipients
    assert [each.status for each in made.results[-21:]] == ["deferred"] * 21
    assert made.results[-1].reply == "452 4.5.3 too many recipients"
    assert refusal(bcc=["x@d.example"] * 1001).startswith("554 5.5.3")


@pytest.mark.parametrize("sign", ["\r", "\n", "\r\n", "\0", "\x0b", "\x0c", "\x85", "\u2028", "\x1b"])
@pytest.mark.parametrize(
    "field",
    [
        *("from", "to", "cc", "bcc", "reply_to", "subject", "envelope_from", "envelope_to"),
        *("header name", "header value", "attachment name", "attachment type"),
    ],
)
def test_no_field_begins_a_header_of_its_own(field: str, sign: str) -> None:
    evil = f"a{sign}Bcc: evil@x.example"
    attachment = {"name": "a", "content": "", "type": "text/plain"}
    fields: dict[str, Any] = {
        "header name": {"headers": {evil: "x"}},
        "header value": {"headers": {"X-A": evil}},
        "attachment name": {"attachments": [attachment | {"name": evil}]},
        "attachment type": {"attachments": [attachment | {"type": f"text/plain{sign}X: y"}]},
        "envelope_to": {"envelope_to": [evil]},
    }

    assert refusal(**fields.get(field, {field: f"{evil} <a@b.example>"})).startswith("554 5.6.0")


@pytest.mark.parametrize(
    "name", ["From", "bcc", "Content-Type", "Received", "DKIM-Signature", "X-Mailweir-Ref", "a b", ""]
)
def test_headers_that_are_not_the_clients_are_refused(name: str) -> None:
    assert refusal(headers={name: "x"}).startswith("554 5.6.0 headers")


def test_other_headers_stand_as_they_were_given() -> None:
    link = f"<https://acme.example/u/{'x' * 500}>, <mailto:u@acme.example>"
    message = parsed(headers={"List-Unsubscribe": link, "Message-ID": "<1@acme.example>", "X-Name": "Jörg"})

    assert str(message["List-Unsubscribe"]).replace("\r\n", "") == link
    assert message["Message-ID"] == "<1@acme.example>"
    assert message["X-Name"] == "Jörg"
    assert refusal(headers={"X-Long": "x" * 901}).startswith("554 5.6.0")


@pytest.mark.parametrize(
    "fields",
    [
        {"from": "nobody"},
        {"from": ""},
        {"from": "a@b.example, c@d.example"},
        {"reply_to": "nobody"},
        {"text": None},
        {"text": "a\0b"},
        {"to": []},
        {"attachments": [{"name": "a", "content": "%%%%"}]},
        {"attachments": [{"name": "a", "content": "YQ"}]},
        {"attachments": [{"name": "a", "content": "YQ==YQ=="}]},
        {"attachments": [{"name": "a", "content": "ä"}]},
        {"attachments": [{"name": "", "content": ""}]},
        {"attachments": [{"name": "a", "content": "", "type": "message/rfc822"}]},
        {"attachments": [{"name": "a", "content": "", "type": "text"}]},
        {"raw": "YQ=="},
        {"raw": "YQ==", "text": None, "subject": "x"},
        {"raw": "!", "text": None},
        {"surprise": 1},
        {"to": [3]},
    ],
)
def test_what_makes_no_sense_is_refused_for_good(fields: dict[str, Any]) -> None:
    assert refusal(**fields)[0] == "5"


def test_an_unknown_field_is_not_echoed() -> None:
    told = refusal(**{"<script>": 1})

    assert "script" not in told
    assert "envelope_to" in told


def test_addresses_outside_ascii_need_smtputf8() -> None:
    assert draft(to="jörg@d.example").is_smtputf8
    assert draft(**{"from": "a@bücher.example"}).is_smtputf8
    assert not draft(**{"from": "Jörg <a@acme.example>"}).is_smtputf8


def test_raw_mail_is_not_touched() -> None:
    content = b"Subject: x\r\n\r\n.dot\r\n..two\r\n.\r\n\xff8bit\r\n"
    made = draft(raw=base64.b64encode(content).decode(), text=None)

    assert made.content == content
    assert (made.mail_from, made.recipients) == ("a@acme.example", ("x@d.example",))


def test_raw_mail_may_begin_with_a_dot_and_lack_its_last_line_end() -> None:
    assert draft(raw=base64.b64encode(b".\r\nx").decode(), text=None).content == b".\r\nx\r\n"


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        (b"a\nb\r\n", "550 5.6.11"),
        (b"a\rb\r\n", "550 5.6.11"),
        (b"a\0b\r\n", "550 5.6.0"),
        (b"x\r\n" * 9_000_000, "552 5.3.4"),
    ],
    ids=["LF", "CR", "NUL", "size"],
)
def test_raw_mail_is_checked_as_data_is(content: bytes, reply: str) -> None:
    assert refusal(raw=base64.b64encode(content).decode(), text=None).startswith(reply)


@settings(max_examples=60, deadline=None)
@given(
    subject=_ANY,
    name=_ANY,
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300),
)
def test_whatever_is_written_is_read_again(subject: str, name: str, text: str) -> None:
    made = draft(
        subject=subject, text=text, to=[{"": "x@d.example"}.get(name.strip(), f'"{_quoted(name)}" <x@d.example>')]
    )
    message = email.message_from_bytes(made.content, policy=email.policy.default)

    assert made.content.isascii()
    assert canonical(made.content.replace(b"\r\n.", b"\r\n..")) == made.content
    assert max(map(len, made.content.split(b"\r\n"))) <= 998
    assert str(message["Subject"]) == subject.replace("\t", " ").strip()
    if made.results[0].status == "queued":
        # policy.default puts a space between the encoded words of a name (RFC 2047 section 6.2 says none)
        plain = email.message_from_bytes(made.content)
        ((shown, address),) = getaddresses([plain["To"]])
        assert (str(make_header(decode_header(shown))), address) == (" ".join(name.split()), "x@d.example")
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().replace("\r\n", "\n").removesuffix("\n") == _lines(text).removesuffix("\n")


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
