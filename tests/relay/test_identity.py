"""Who really sent it: the witnesses, their order, and who is not believed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.account import Account
from relay.envelope import Submission
from relay.front.identity import identify
from relay.front.witnesses import VALUE_BYTES

SERVER = Submission(
    account=Account("hosting", shared_host=True),
    credential="srv1",
    client_ip="192.0.2.7",
    helo="web1.hosting.example",
    tls="TLSv1.3",
    door="smtp",
    mail_from="alice@site.example",
    recipients=("x@elsewhere.example",),
    content=b"",
    received_at=datetime(2026, 11, 24, tzinfo=UTC),
)
SHOP = replace(SERVER, account=Account("shop"), helo="app.shop.example")
PLAIN = b"From: alice@site.example\r\nSubject: hello\r\n"


def named(block: bytes, submission: Submission = SERVER) -> tuple[str, str, str]:
    identity = identify(submission, block)
    return identity.sender.kind, identity.sender.value, identity.source


def without(block: bytes, submission: Submission = SERVER) -> bytes:
    start, kept = 0, b""
    for begin, stop in identify(submission, block).spans:
        kept, start = kept + block[start:begin], stop
    return kept + block[start:]


@pytest.mark.parametrize(
    ("block", "kind", "value"),
    [
        (b"X-AuthUser: bob@site.example\r\n", "x-authuser", "bob@site.example"),
        (b"X-Authuser:BOB@Site.Example\r\n", "x-authuser", "bob@site.example"),
        (b"X-AuthUser: uid1001@web1.hosting.example\r\n", "x-authuser", "uid1001@web1.hosting.example"),
        (b"x-authuser:\r\n\t <bob@site.example>\r\n", "x-authuser", "bob@site.example"),
        (b"X-Authenticated-Sender: web1.hosting.example: bob@site.example\r\n", "x-authsender", "bob@site.example"),
        (b"X-Authenticated-Sender: bob@site.example\r\n", "x-authsender", "bob@site.example"),
        (b"X-Authenticated-Id: bob\r\n", "x-authid", "bob"),
        (b"X-PPP-Vhost: site.example\r\n", "vhost", "site.example"),
        (b"", "mailfrom", "alice@site.example"),
    ],
)
def test_each_panels_header_names_the_end_sender(block: bytes, kind: str, value: str) -> None:
    assert named(block + PLAIN)[:2] == (kind, value)
    assert named(PLAIN + block)[:2] == (kind, value)


RECEIVED = (
    b"Received: from [10.0.0.5] (pc.site.example [10.0.0.5])\r\n"
    b"\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\r\n"
    b"\t(Authenticated sender: Bob@Site.Example)\r\n"
    b"\tby web1.hosting.example (Postfix) with ESMTPSA id 4XyZ\r\n"
    b"\tfor <x@elsewhere.example>; Tue, 24 Nov 2026 12:00:00 +0000 (UTC)\r\n"
)
BY_UID = (
    b"Received: by web1.hosting.example (Postfix, from userid 1001)\r\n\tid 4XyZ; Tue, 24 Nov 2026 12:00:00 +0000\r\n"
)


def test_postfix_names_the_login_in_its_received_line() -> None:
    assert named(RECEIVED + PLAIN) == ("received", "bob@site.example", "Received")


def test_postfix_names_the_unix_user_in_its_received_line() -> None:
    assert named(BY_UID + PLAIN)[:2] == ("received", "uid1001@web1.hosting.example")


def test_a_received_line_counts_only_if_the_connected_server_wrote_it() -> None:
    elsewhere = replace(SERVER, helo="mx.other.example")

    assert named(RECEIVED + PLAIN, elsewhere)[0] == "mailfrom"
    assert named(BY_UID + PLAIN, elsewhere)[0] == "mailfrom"


def test_only_the_first_received_line_is_looked_at() -> None:
    relayed = b"Received: from a by web1.hosting.example (Postfix) with ESMTP id 1; now\r\n"

    assert named(relayed + RECEIVED + PLAIN)[0] == "mailfrom"


def test_a_login_that_the_customer_wrote_into_its_helo_loses_against_postfix() -> None:
    forged = RECEIVED.replace(b"[10.0.0.5]", b"x (Authenticated sender: ceo@site.example) by web1.hosting.example", 1)

    assert named(forged + PLAIN)[1] == "bob@site.example"


_FORGED = "(Authenticated sender: ceo@site.example) by web1.hosting.example (Postfix)"


@pytest.mark.parametrize("written", [f'for <"{_FORGED}"@d.example>', f"(envelope-from <{_FORGED}>)", f"for {_FORGED}"])
def test_a_login_that_the_customer_wrote_into_an_address_names_nobody(written: str) -> None:
    for_whom = written.encode() + b"; Tue, 24 Nov 2026 12:00:00 +0000 (UTC)\r\n"
    bare = (
        b"Received: from localhost (localhost [127.0.0.1])\r\n\tby web1.hosting.example (Postfix) with ESMTP id 4\r\n\t"
    )
    genuine = RECEIVED[: RECEIVED.index(b"for <")]

    assert named(bare + for_whom + PLAIN)[0] == "mailfrom"
    assert named(genuine + for_whom + PLAIN)[1] == "bob@site.example"


def test_a_body_without_a_header_names_nobody_and_is_left_whole() -> None:
    body = b"\r\nX-AuthUser: ceo@site.example\r\n\r\nX-AuthUser: ceo@site.example\r\n"

    assert named(body)[0] == "mailfrom"
    assert without(body) == body
    assert without(body, SHOP) == body


def test_the_top_most_header_wins_and_all_are_cut() -> None:
    block = b"X-AuthUser: bob@site.example\r\n" + PLAIN + b"X-AuthUser: forged@victim.example\r\n"

    assert named(block)[1] == "bob@site.example"
    assert without(block) == PLAIN


def test_an_empty_top_most_header_does_not_let_a_forged_one_below_it_speak() -> None:
    block = b"X-AuthUser: \r\n" + PLAIN + b"X-AuthUser: forged@victim.example\r\n"

    assert named(block)[:2] == ("mailfrom", "alice@site.example")


@pytest.mark.parametrize("empty", [b"", b" ", b"\t\r\n \t", b"<>", b" < > ", b"\x01\x02", b"\xe2\x80\x8b"])
def test_an_empty_value_never_becomes_a_key(empty: bytes) -> None:
    for name in (b"X-AuthUser", b"X-Authenticated-Sender", b"X-Authenticated-Id", b"X-PPP-Vhost"):
        kind, value, _ = named(name + b":" + empty + b"\r\n" + PLAIN)
        assert (kind, value) == ("mailfrom", "alice@site.example")


def test_the_witnesses_have_an_order() -> None:
    blocks = [
        b"X-AuthUser: a\r\n",
        b"X-Authenticated-Sender: b\r\n",
        b"X-Authenticated-Id: c\r\n",
        RECEIVED,
        b"X-PPP-Vhost: e\r\n",
    ]
    said: list[str] = []
    while blocks:
        said.append(
            named(b"".join(reversed(blocks)) + PLAIN, replace(SERVER, auth_param="d" if len(said) < 4 else ""))[1]
        )
        blocks.pop(0)

    assert said == ["a", "b", "c", "d", "e"]


def test_the_auth_parameter_is_a_witness_of_a_shared_host() -> None:
    assert named(PLAIN, replace(SERVER, auth_param="alice@web1.hosting.example"))[:2] == (
        "auth",
        "alice@web1.hosting.example",
    )
    assert named(RECEIVED + PLAIN, replace(SERVER, auth_param="alice@web1.hosting.example"))[0] == "auth"
    assert named(RECEIVED + PLAIN, replace(SERVER, auth_param="<>"))[0] == "received"


def test_an_account_with_one_owner_is_believed_no_header_and_they_are_cut() -> None:
    block = b"X-AuthUser: forged@victim.example\r\nX-Authenticated-Id: forged\r\n" + PLAIN

    assert named(block, replace(SHOP, auth_param="forged"))[:2] == ("mailfrom", "alice@site.example")
    assert without(block, SHOP) == PLAIN


def test_the_null_sender_without_identity_is_its_credential() -> None:
    for submission in (SHOP, SERVER):
        identity = identify(replace(submission, mail_from=""), PLAIN)
        assert (identity.sender.kind, identity.sender.value) == ("credential", "srv1")
        assert not identity.is_named


def test_the_null_sender_of_an_allowed_network_is_visible_as_unknown() -> None:
    identity = identify(replace(SHOP, mail_from="", credential=""), PLAIN)

    assert (identity.sender.kind, identity.sender.value) == ("unknown", "192.0.2.7")
    assert not identity.is_named


def test_a_bounce_made_on_a_panel_is_named_by_its_header() -> None:
    identity = identify(replace(SERVER, mail_from=""), b"X-AuthUser: bounce@web1.hosting.example\r\n" + PLAIN)

    assert identity.sender.key == "hosting|x-authuser|bounce@web1.hosting.example"
    assert identity.is_named


@pytest.mark.parametrize(
    ("mail_from", "value"),
    [
        ("Alice@Site.Example", "alice@site.example"),
        ("alice+news-4711@site.example", "alice@site.example"),
        ("prvs=1234abcd56=alice@site.example", "alice@site.example"),
        ("list-bounces+bob=other.example@site.example", "list-bounces@site.example"),
        ("+@site.example", "+@site.example"),
        ("postmaster", "postmaster"),
    ],
)
def test_addresses_made_for_one_message_do_not_make_a_sender_each(mail_from: str, value: str) -> None:
    assert named(PLAIN, replace(SHOP, mail_from=mail_from))[:2] == ("mailfrom", value)


@pytest.mark.parametrize(
    ("block", "script"),
    [
        (b"X-PHP-Originating-Script: 33:mailer.php\r\n", "33:mailer.php"),
        (b"X-PHP-Originating-Script: 33:a.php(12) : eval()'d code\r\n", "33:a.php"),
        (b"X-PHP-Script: site.example/wp-content/x.php for 192.0.2.9\r\n", "site.example/wp-content/x.php"),
        (b"X-Source-Dir: site.example:/public_html/wp\r\n", "site.example:/public_html/wp"),
        (b"", ""),
    ],
)
def test_the_script_is_evidence_and_never_an_identity(block: bytes, script: str) -> None:
    sender = identify(SERVER, block + PLAIN).sender

    assert (sender.kind, sender.script) == ("mailfrom", script)
    assert sender.key == "hosting|mailfrom|alice@site.example"
    assert without(block + PLAIN) == block + PLAIN


def test_folded_identity_headers_are_cut_whole_and_neighbours_stay() -> None:
    block = (
        b"A: 1\r\nX-AuthUser: bob\r\n\t@site\r\n .example\r\nX-Authenticated-Id: 7\r\n"
        b"X-AuthUsers: stay\r\nX-PPP-Vhost: v\r\nB: X-AuthUser: stay\r\n"
    )

    assert without(block) == b"A: 1\r\nX-AuthUsers: stay\r\nB: X-AuthUser: stay\r\n"


def test_the_last_header_is_cut_with_its_line_end_and_the_body_is_not_looked_at() -> None:
    content = PLAIN + b"X-AuthUser: bob@site.example\r\n\r\nX-AuthUser: quoted in the body\r\n"

    expected = PLAIN + b"\r\nX-AuthUser: quoted in the body\r\n"
    assert without(content) == expected
    [(begin, stop)] = identify(SERVER, content[: content.index(b"\r\n\r\n")]).spans
    assert content[:begin] + content[stop:] == expected


@given(st.binary(max_size=400), st.binary(max_size=400), st.text(max_size=300), st.booleans())
def test_whatever_is_written_the_key_is_short_printable_and_never_empty(
    value: bytes, more: bytes, mail_from: str, is_shared: bool
) -> None:
    folded = [text.replace(b"\r", b"").replace(b"\n", b"\r\n\t") for text in (value, more)]
    block = b"X-AuthUser:" + folded[0] + b"\r\nReceived:" + folded[1] + b"\r\n" + PLAIN
    submission = replace(SERVER if is_shared else SHOP, mail_from=mail_from)

    identity = identify(submission, block)

    sender = identity.sender
    assert sender.value
    assert sender.value.isprintable()
    assert sender.value == sender.value.strip()
    assert len(sender.value.encode()) <= VALUE_BYTES
    assert all(0 <= begin < stop for begin, stop in identity.spans)
    assert identify(submission, without(block, submission)).spans == []


def test_a_megabyte_of_identity_headers_costs_no_more_than_its_length() -> None:
    block = b"X-AuthUser: bob\r\n" * 60_000

    identity = identify(SERVER, block)

    assert (identity.sender.value, len(identity.spans)) == ("bob", 60_000)


HOSTED = replace(SERVER, account=replace(SERVER.account, domains=("site.example", "hosting.example")))
ABROAD = replace(HOSTED, mail_from="carol@other.example")
TRACE = b"X-Forwarded-For: fwd@site.example carol@private.example\r\n"


@pytest.mark.parametrize("submission", [SERVER, SHOP])
@pytest.mark.parametrize("address", ["SRS0=Xk3Q=TT=o.example=carol@site.example", "srs1=a=b==c@site.example"])
def test_mail_with_a_rewritten_envelope_sender_is_forwarded(submission: Submission, address: str) -> None:
    identity = identify(replace(submission, mail_from=address), PLAIN)

    assert (identity.sender.kind, identity.sender.value, identity.source) == ("forwarded", "192.0.2.7", "SRS")
    assert (identity.is_forwarded, identity.is_named) == (True, True)


@pytest.mark.parametrize("header", [TRACE, b"X-Forwarded-To: a@b.example\r\n", b"x-forwarded-encrypted: i=1\r\n"])
def test_mail_of_a_foreign_domain_with_a_forwarders_header_is_forwarded(header: bytes) -> None:
    assert named(header + PLAIN, ABROAD)[:2] == ("forwarded", "192.0.2.7")
    assert named(PLAIN + header, ABROAD)[:2] == ("forwarded", "192.0.2.7")


def test_forwarding_is_not_guessed_from_one_sign_alone() -> None:
    body = PLAIN + b"\r\n" + TRACE

    assert named(PLAIN, ABROAD)[0] == "mailfrom"
    assert named(body, ABROAD)[0] == "mailfrom"
    assert named(TRACE + PLAIN, replace(ABROAD, mail_from="a@news.site.example"))[0] == "mailfrom"
    assert named(TRACE + PLAIN, replace(SERVER, mail_from="carol@other.example"))[0] == "mailfrom"
    assert named(TRACE + PLAIN, replace(HOSTED, mail_from=""))[0] == "credential"


def test_a_customer_does_not_escape_his_name_by_signs_of_forwarding() -> None:
    forged = replace(ABROAD, mail_from="SRS0=Xk3Q=TT=other.example=x@site.example")

    assert named(b"X-AuthUser: bob@site.example\r\n" + TRACE + PLAIN, forged)[:2] == ("x-authuser", "bob@site.example")
    assert named(RECEIVED + TRACE + PLAIN, forged)[:2] == ("received", "bob@site.example")
    assert named(TRACE + PLAIN, replace(forged, auth_param="bob@site.example"))[0] == "auth"


@pytest.mark.parametrize(
    ("said", "value"),
    [("forward+fwd@Site.example", "fwd@site.example"), ("forward+@", "192.0.2.7"), ("forward+", "192.0.2.7")],
)
def test_the_server_says_itself_that_mail_is_forwarded_and_by_whom(said: str, value: str) -> None:
    assert named(f"X-AuthUser: {said}\r\n".encode() + PLAIN) == ("forwarded", value, "X-AuthUser")


def test_a_bound_credential_names_the_sender_whatever_the_headers_say() -> None:
    block = b"X-AuthUser: forged@victim.example\r\n" + PLAIN
    for submission in (SERVER, SHOP, replace(SHOP, mail_from="SRS0=a=b=c=d@site.example")):
        bound = replace(submission, end_sender="Printer@Site.Example")
        assert named(block, bound)[:2] == ("credential-bound", "printer@site.example")
        assert without(block, bound) == PLAIN
        assert identify(bound, block).is_named
