"""What replies mean."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.replies import Category, OwnReply, classify, parse_reply
from relay.reply import Reply

RULES = Path(__file__).resolve().parents[2] / "relay" / "rules" / "bounces.toml"

# The corpus has ten categories of its own, ours are finer
_COARSE = {
    Category.INVALID_RECIPIENT: "invalid-recipient",
    Category.BAD_DOMAIN: "invalid-recipient",
    Category.INACTIVE_MAILBOX: "invalid-recipient",
    Category.QUOTA_ISSUES: "mailbox-full",
    Category.TOO_BIG: "too-big",
    Category.CONTENT_BLOCK: "spam-content",
    Category.REPUTATION_BLOCK: "blocked",
    Category.RATE_LIMITED: "rate-limit",
    Category.TOO_MANY_RECIPIENTS: "rate-limit",
    Category.GREYLISTED: "rate-limit",
    Category.CONFIG_CUSTOMER: "policy-auth",
    Category.INVALID_SENDER: "policy-auth",
    Category.AUTHENTICATION_FAILED: "policy-auth",
    Category.POLICY_RELATED: "policy-auth",
    Category.PROTOCOL_ERRORS: "other",
    Category.UNCLASSIFIED: "other",
}


def _quoted() -> list[tuple[str, str]]:
    """(rule id, the reply quoted above it)."""
    return re.findall(r'^# (\d{3}.+)\n\[\[rule\]\]\nid = "([^"]+)"', RULES.read_text(), re.MULTILINE)


def test_every_rule_has_a_reply_above_it() -> None:
    assert RULES.read_text().count("[[rule]]") == len(_quoted())


@pytest.mark.parametrize(("reply", "rule"), _quoted())
def test_the_reply_above_a_rule_ends_there(reply: str, rule: str) -> None:
    assert rule == classify(parse_reply(reply.encode())).rule


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"250 2.0.0 Ok: queued as 4XYZ\r", Reply(250, "2.0.0", "Ok: queued as 4XYZ")),
        (b"550-5.1.1 no such\r\n550 5.1.1 user here\r", Reply(550, "5.1.1", "no such user here")),
        (b"550", Reply(550, "", "")),
        (b"550 #5.1.0 Address rejected.", Reply(550, "5.1.0", "Address rejected.")),
        (b"550 Empf\xe4nger unbekannt", Reply(550, "", "Empfänger unbekannt")),
        ("550 Empfänger unbekannt".encode(), Reply(550, "", "Empfänger unbekannt")),
        (b"550 5.1.1 no\x00such\x1b[31m user", Reply(550, "5.1.1", "no such [31m user")),
        (b"550 192.0.2.1 is listed", Reply(550, "", "192.0.2.1 is listed")),
    ],
)
def test_replies_are_read_whatever_their_bytes(raw: bytes, expected: Reply) -> None:
    assert expected == parse_reply(raw)


@pytest.mark.parametrize("raw", [b"", b"hello", b"25", b"999 odd", b"100 odd", b"-50 x", "２５０ ok".encode()])
def test_what_is_no_reply_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        parse_reply(raw)


@given(st.binary(max_size=3000))
def test_any_text_becomes_one_short_printable_line(noise: bytes) -> None:
    reply = parse_reply(b"550 " + noise)

    assert len(reply.text) <= 500
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", reply.text)
    classify(reply)


def test_only_an_address_that_does_not_exist_is_a_hard_bounce() -> None:
    hard = [b"550 5.1.1 User unknown", b"550 5.2.1 The email account is disabled.", b"550 5.1.2 unknown domain"]
    soft = [
        b"450 4.1.1 User unknown, try later",
        b"552 5.2.2 Mailbox full",
        b"550 5.7.1 Recipient address rejected: User unknown",
        b"550 5.7.1 blocked using zen.example",
        b"550 5.2.1 The user is receiving mail at a rate that prevents delivery",
    ]

    assert all(classify(parse_reply(raw)).is_hard for raw in hard)
    assert not any(classify(parse_reply(raw)).is_hard for raw in soft)


def test_an_address_is_given_up_for_words_and_code_together_never_for_one_alone() -> None:
    together = classify(parse_reply(b"550 5.1.1 This person has gone away from our house, there is no recipient"))
    words = classify(parse_reply(b"550 This person has gone away from our house, there is no recipient"))
    code = classify(parse_reply(b"550 5.1.1 Your message was too much for us today, many too fast"))
    unknown = classify(parse_reply(b"550 zzyzx qwrt"))

    assert (together.rule, together.category, together.is_hard) == ("words", Category.INVALID_RECIPIENT, True)
    assert (words.rule, words.category, words.is_hard) == ("words", Category.INVALID_RECIPIENT, False)
    assert not code.is_hard
    assert (unknown.category, unknown.is_hard, unknown.confidence) == (Category.UNCLASSIFIED, False, 0.0)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("550 Le destinataire est inconnu chez nous", Category.INVALID_RECIPIENT),
        ("552 El buzón del destinatario está lleno", Category.QUOTA_ISSUES),
        ("550 Ihre Nachricht wurde als Spam erkannt", Category.CONTENT_BLOCK),
        ("550 Ваш IP находится в чёрном списке", Category.REPUTATION_BLOCK),
        ("552 容量オーバーです", Category.QUOTA_ISSUES),
    ],
)
def test_words_that_no_rule_knows_are_judged_by_the_text_model(text: str, category: Category) -> None:
    outcome = classify(parse_reply(text.encode()))

    assert (outcome.rule, outcome.category) == ("words", category)
    assert 0.3 <= outcome.confidence < 1


def test_our_own_words_match_no_rule() -> None:
    own = OwnReply(451, "4.4.1", "user unknown, greylisted, blocked using zen", Category.NO_ANSWER)

    assert (classify(own).category, classify(own).rule) == (Category.NO_ANSWER, "own")


@pytest.mark.parametrize(("name", "least"), [("dev", 0.97), ("dev-eupl", 0.95)])
def test_most_real_replies_are_understood(corpora: Path, name: str, least: float) -> None:
    rows = [json.loads(line) for line in (corpora / "replies" / f"{name}.jsonl").read_text().splitlines()]

    def is_understood(row: dict[str, str]) -> bool:
        outcome = classify(parse_reply(row["text"].encode()))
        found = "relay-denied" if outcome.rule == "no-relay" else _COARSE.get(outcome.category, "network")
        return found in row["category_ok"]

    assert sum(map(is_understood, rows)) >= least * len(rows)
