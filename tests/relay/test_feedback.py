"""Feedback-ID and the tokens of unsubscribe links: what they say, and to whom they say nothing."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.account import Account
from relay.delivery.headers import reference
from relay.reception.case import identified
from relay.resellers.brand import NO_BRANDS
from relay.returns.feedback import TOKEN_CHARACTERS, FeedbackHeaders, UnsubscribeTokens, Wish, mailed_token
from relay.settings import Dkim, Headers, Settings, Web
from relay.tree import SenderId
from tests.relay.test_identity import SERVER

SECRET = b"s" * 32
WISH = Wish("shop", "anna@elsewhere.example", "mw1.4711")
SHOP = Account("shop", reseller="isp", list_unsubscribe=True)
SENDER = SenderId("shop", "mailfrom", "news@shop.example")
MAIL = replace(SERVER, account=SHOP, mail_from="news@shop.example", content=b"Subject: x\r\n\r\nbody\r\n")
TOKENS = UnsubscribeTokens(SECRET)
REF = reference(SECRET, "mw1.7", "shop", SENDER.key)
CFBL = Headers(feedback_id="", cfbl_address="fbl@relay.example")
DKIM = Dkim(domain="Relay.example")


def headers(**more: object) -> FeedbackHeaders:
    web = Web(public_url=str(more.pop("public_url", "https://relay.example")))
    return FeedbackHeaders(Settings(dir=Path("/tmp"), web=web, **more), SECRET, NO_BRANDS)  # type: ignore[arg-type]


def test_a_token_says_what_it_was_made_of_and_only_to_us() -> None:
    token = TOKENS.token(WISH)

    assert TOKENS.wish(token) == WISH
    assert UnsubscribeTokens(SECRET).wish(token) == WISH
    assert UnsubscribeTokens(b"t" * 32).wish(token) is None
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    raw = base64.urlsafe_b64decode(token + "==")
    assert not any(part in raw for part in (b"shop", b"anna", b"elsewhere", b"mw1.4711"))


def test_a_token_that_is_altered_anywhere_is_none_of_ours() -> None:
    raw = base64.urlsafe_b64decode(TOKENS.token(WISH) + "==")
    for at in range(len(raw)):
        altered = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        assert TOKENS.wish(base64.urlsafe_b64encode(altered).rstrip(b"=").decode()) is None


@given(st.text(max_size=TOKEN_CHARACTERS + 5))
def test_any_other_text_is_no_token(text: str) -> None:
    assert TOKENS.wish(text) is None
    assert TOKENS.wish(TOKENS.token(WISH) + text[:1]) in (None, WISH)


@given(st.emails())
def test_every_address_comes_back_in_lower_case(address: str) -> None:
    assert TOKENS.wish(TOKENS.token(replace(WISH, address=address))) == replace(WISH, address=address.lower())


def test_the_longest_address_fits_token_and_header_line() -> None:
    longest = f"{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 63}.{'d' * 61}"
    account = replace(SHOP, name="a" * 64)
    mail = replace(MAIL, account=account, recipients=(longest,))

    by_mail = Headers(unsubscribe_address=f"{'u' * 64}@{'d' * 63}.{'d' * 63}.example")
    found = headers(public_url="https://" + "p" * 190, headers=by_mail)
    [lines] = found.own(mail, SENDER, "n" * 16 + ".9999999999999")

    assert max(len(line) for line in lines.splitlines()) <= 998
    [token] = re.findall(rb"/u/([^>]+)>", lines)
    assert TOKENS.wish(token.decode()) == Wish(account.name, longest, "n" * 16 + ".9999999999999")


def test_each_recipient_has_its_own_link() -> None:
    own = headers().own(replace(MAIL, recipients=("a@x.example", "B@x.example")), SENDER, "mw1.7")

    assert [line.count(b"\r\n") for line in own] == [2, 2]
    assert all(line.endswith(b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n") for line in own)
    tokens = [re.match(rb"List-Unsubscribe: <https://relay\.example/u/([^>]+)>\r\n", line) for line in own]
    wishes = [TOKENS.wish(token[1].decode()) for token in tokens if token]
    assert wishes == [Wish("shop", "a@x.example", "mw1.7"), Wish("shop", "b@x.example", "mw1.7")]


@pytest.mark.parametrize(
    ("mail", "sender", "url"),
    [
        (replace(MAIL, account=Account("shop")), SENDER, "https://relay.example"),
        (MAIL, SENDER, ""),
        (replace(MAIL, mail_from=""), SENDER, "https://relay.example"),
        (MAIL, SenderId("shop", "forwarded", "192.0.2.1"), "https://relay.example"),
        (replace(MAIL, content=b"x-mailweir-unsubscribe:\r\n No\r\n" + MAIL.content), SENDER, "https://relay.example"),
    ],
    ids=["not asked for", "no public URL", "bounce", "forwarded", "sender says no"],
)
def test_no_link_where_none_belongs(mail: object, sender: SenderId, url: str) -> None:
    assert headers(public_url=url).own(mail, sender, "mw1.7") == []  # type: ignore[arg-type]


def test_a_senders_word_counts_in_the_header_only() -> None:
    for content in (
        b"Subject: x\r\n\r\nX-Mailweir-Unsubscribe: no\r\n",
        b"X-Mailweir-Unsubscribe: yes\r\n\r\nx\r\n",
        b"\r\nX-Mailweir-Unsubscribe: no\r\n\r\nx\r\n",
    ):
        assert len(headers().own(replace(MAIL, content=content), SENDER, "mw1.7")) == 1


def test_the_senders_word_is_taken_out_of_the_mail_and_nothing_else() -> None:
    content = (
        b"X-AuthUser: bob@x.example\r\nX-Mailweir-Unsubscribe: no\r\nSubject: x\r\nX-MAILWEIR-unsubscribe: no\r\n\r\nX"
    )
    host = replace(SHOP, shared_host=True)

    _, kept = identified(replace(MAIL, account=host, content=content))
    assert kept == b"Subject: x\r\n\r\nX"

    _, kept = identified(replace(MAIL, account=replace(host, list_unsubscribe=False), content=content))
    assert kept == content.partition(b"\r\n")[2]


def test_feedback_id_is_stable_per_sender_and_names_nobody() -> None:
    [line] = headers().offered(MAIL, SENDER, REF)

    assert re.fullmatch(rb"Feedback-ID: ([a-z2-7]{10}:){3}mailweir\r\n", line)
    assert headers().offered(MAIL, SENDER, REF) == [line]
    assert b"shop" not in line
    assert b"isp" not in line
    sender, account, reseller, name = line.split(b" ")[1].strip().split(b":")
    [other] = headers().offered(MAIL, replace(SENDER, value="b@shop.example"), REF)
    assert other.split(b" ")[1].strip().split(b":")[1:] == [account, reseller, name]
    assert sender not in other
    [lone] = headers().offered(replace(MAIL, account=replace(SHOP, reseller="")), SENDER, REF)
    assert lone.split(b":")[3] == b"0"
    [foreign] = FeedbackHeaders(Settings(dir=Path("/tmp")), b"t" * 32, NO_BRANDS).offered(MAIL, SENDER, REF)
    assert sender not in foreign
    assert account not in foreign


def test_feedback_id_carries_the_operators_name_or_is_left_out() -> None:
    assert headers(headers=Headers(feedback_id="")).offered(MAIL, SENDER, REF) == []
    [line] = headers(headers=Headers(feedback_id="MyRelay01")).offered(MAIL, SENDER, REF)
    assert line.endswith(b":MyRelay01\r\n")
    for wrong in ("four", "sixteencharacter", "with:colon"):
        with pytest.raises(ValueError, match="feedback_id"):
            Headers(feedback_id=wrong)


def test_cfbl_fields_say_where_complaints_go_and_which_message_it_is() -> None:
    [lines] = headers(headers=CFBL, dkim=DKIM).offered(MAIL, SENDER, REF)

    assert lines == f"CFBL-Address: fbl@relay.example; report=arf\r\nCFBL-Feedback-ID: {REF}\r\n".encode()
    for mail, sender in (
        (replace(MAIL, mail_from=""), SENDER),
        (MAIL, SenderId("shop", "forwarded", "192.0.2.1")),
    ):
        assert headers(headers=CFBL, dkim=DKIM).offered(mail, sender, REF) == []
    assert headers(headers=Headers(feedback_id="")).offered(MAIL, SENDER, REF) == []


@pytest.mark.parametrize("domain", ["", "other.example", "mail.relay.example"])
def test_a_cfbl_address_that_no_signature_of_ours_vouches_for_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match=r"headers\.cfbl_address = 'fbl@relay\.example' must lie in dkim\.domain"):
        headers(headers=CFBL, dkim=Dkim(domain=domain))


def test_a_mailto_stands_behind_the_link_and_its_mail_says_the_same() -> None:
    by_mail = Headers(unsubscribe_address="off@relay.example")
    [both] = headers(headers=by_mail).own(MAIL, SENDER, "mw1.7")
    [alone] = headers(headers=by_mail, public_url="").own(MAIL, SENDER, "mw1.7")

    found = re.fullmatch(
        rb"List-Unsubscribe: <https://relay\.example/u/([^>]+)>,\r\n <mailto:off@relay\.example\?subject=([^>]+)>\r\n"
        rb"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        both,
    )
    assert found
    assert re.fullmatch(rb"List-Unsubscribe: <mailto:off@relay\.example\?subject=[^>]+>\r\n", alone)
    token = found[1].decode()
    for subject in (
        found[2],
        b"=?utf-8?B?%b?=\r\n =?utf-8?b?%b?=" % tuple(map(base64.b64encode, (found[2][:30], found[2][30:]))),
        b"Re: " + found[2][:60] + b"\r\n " + found[2][60:],
    ):
        assert mailed_token(b"From: a@b.example\r\nSubject: " + subject + b"\r\n\r\nx\r\n") == token
    for content in (b"", b"Subject: unsubscribe\r\n\r\nx", b"From: a\r\n\r\nSubject: " + found[2], b"\xff" * 50):
        assert mailed_token(content) == ""


def test_a_public_url_is_https_or_this_very_machine() -> None:
    for right in ("", "https://mail.example.org", "https://x.example:8443/relay/", "http://127.0.0.1:8027"):
        assert Web(public_url=right).public_url == right
    for wrong in ("http://mail.example.org", "mail.example.org", "https://x.example/a b", "https://x>y", "ftp://x"):
        with pytest.raises(ValueError, match="public_url"):
            Web(public_url=wrong)
