"""Reading mail: what the recipient would see, from any bytes, in bounded time."""

import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.content.features import host_of, measure, registered_domain, shown_elsewhere
from relay.content.html import Link, read_page
from relay.content.message import Reading, read
from relay.content.structure import structure_of
from relay.content.text import decode_header, fold
from relay.content.tokens import words_of
from relay.events import Features


def mail(body: str, *headers: str) -> bytes:
    return "\r\n".join([*headers, "", body.replace("\n", "\r\n")]).encode()


def features(reading: Reading, mail_from: str = "") -> Features:
    return measure(reading, words_of(reading.text), mail_from)


HTML = "Content-Type: text/html; charset=utf-8"


def test_the_best_texts_of_nested_parts_are_read() -> None:
    content = mail(
        "preamble\n--a\nContent-Type: multipart/alternative; boundary=b\n\n"
        "--b\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n"
        "Gr=FC=DFe aus=20\nKöln\n--b\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n"
        "PGI+SGVsbG88L2I+IHdvcmxk\n--b--\n"
        "--a\nContent-Type: application/pdf; name=invoice.pdf\nContent-Transfer-Encoding: base64\n\nQUJD\n--a--\n",
        'Content-Type: multipart/mixed; boundary="a"',
    )

    reading = read(content)

    assert reading.shape == "mixed(alternative(plain,html),pdf)"
    assert reading.visible.split() == ["Hello", "world"]
    assert "Grüße" in reading.plain
    assert [attachment.name for attachment in reading.attachments] == ["invoice.pdf"]
    assert features(reading).attachment_types == ["pdf"]


def test_a_boundary_inside_a_longer_one_does_not_part() -> None:
    content = mail(
        "--ab\n\nfirst\n--abc\nstill first\n--ab\n\nsecond\n--ab--\n", "Content-Type: multipart/mixed; boundary=ab"
    )

    reading = read(content)

    assert reading.shape == "mixed(plain,plain)"
    assert "still first" in reading.plain


def test_an_empty_part_and_a_missing_end_are_read() -> None:
    reading = read(mail("--x\n\n--x\n\nlast words", "Content-Type: multipart/mixed; boundary=x"))

    assert "last words" in reading.plain


def test_header_words_are_decoded_and_their_gap_dropped() -> None:
    assert decode_header(b" =?utf-8?q?Ihre_?=\r\n =?iso-8859-1?b?R3L232U=?=") == "Ihre Größe"
    assert decode_header(b"=?none") == "=?none"
    assert decode_header(b"=?utf-8?q?a=1B[2J=07=0D=0ABcc:_x=C2=9B1m?=") == "a [2J Bcc: x 1m"  # what steers a terminal


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("V\u200bi\u200bagra", "Viagra"),
        ("ve\u00adri\u00adfy", "verify"),
        ("Раураl", "Paypal"),
        ("ｆｒｅｅ ｍｏｎｅｙ", "free money"),
        ("Привет, мир", "Привет, мир"),
        ("می‌خواهم", "میخواهم"),
    ],
)
def test_text_is_folded_to_what_a_reader_sees(written: str, seen: str) -> None:
    assert seen == fold(written + " x")[0].removesuffix(" x")


def test_only_broken_and_mixed_words_are_counted() -> None:
    assert fold("fr\u200bee mo\u200bney Раypаl")[1:] == (2, 1)
    assert fold("Привет \u200eمرحبا free")[1:] == (0, 0)


def test_hidden_html_is_not_text_but_is_measured() -> None:
    good = "quarterly report agenda " * 40
    content = mail(f'<p>buy pills</p><div style="display: none">{good}</div><style>p{{}}</style><!-- {good} -->', HTML)

    reading = read(content)

    assert reading.visible.split() == ["buy", "pills"]
    assert features(reading).hidden_html_share > 0.9


def test_a_hidden_preview_line_is_harmless() -> None:
    reading = read(mail('<div style="display:none">Your order is on its way</div><p>Hello</p>', HTML))

    assert features(reading).hidden_html_share == 0


def test_a_preview_line_filled_up_with_what_nobody_sees_is_harmless() -> None:
    padding = "&#847;&zwnj;&nbsp;" * 150

    reading = read(mail(f'<div style="display:none">Your order is on its way{padding}</div><p>Hello</p>', HTML))

    assert features(reading).hidden_html_share == 0
    assert reading.visible.split() == ["Hello"]


@pytest.mark.parametrize(
    "inner",
    [
        '<div style="font-size:14px">See you on Friday</div>',
        '<table><tr><td style="padding:0;font-size:1em"><b>See you</b> on Friday</td></tr></table>',
        '<font size="2">See you on Friday</font>',
    ],
)
def test_a_cell_without_a_font_size_hides_only_what_gets_none_again(inner: str) -> None:
    """Templates lay columns out so: between them no gap, in each of them text of a size of its own."""
    content = mail(f'<div style="font-size:0;padding:0">gap <i>hidden</i>{inner}</div>', HTML)

    assert read(content).visible.split() == ["See", "you", "on", "Friday"]


def test_a_class_gives_a_size_only_where_there_is_a_style_sheet() -> None:
    cell = '<div style="font-size: 0px"><p class="text">See you</p></div><p>Hello</p>'

    assert read(mail(cell, HTML)).visible.split() == ["Hello"]
    assert read(mail(f"<style>.text{{font-size:14px}}</style>{cell}", HTML)).visible.split() == ["See", "you", "Hello"]


def test_many_words_without_a_size_are_hidden_text() -> None:
    good = "<p>quarterly report agenda</p>" * 40

    reading = read(mail(f'<div style="font-size:0">{good}<div style="font-size:0pt">{good}</div></div>buy pills', HTML))

    assert reading.visible.split() == ["buy", "pills"]
    assert features(reading).hidden_html_share > 0.9


@pytest.mark.parametrize(
    "headers", ["Content-Type: text/plain", "Content-Type: multipart/mixed; boundary=lost", "X-Mailer: a script"]
)
def test_a_page_sent_as_plain_text_is_read_and_nothing_of_it_is_hidden(headers: str) -> None:
    """Scripts forget the type, or the boundary; whose mail program shows the source sees all of it."""
    page = '<!DOCTYPE html>\n<html><body><p style="display:none">pills</p><a href="https://shop.example/1">Order</a></body>'

    reading = read(mail(page, headers))

    assert reading.visible.split() == ["pills", "Order"]
    assert [link.url for link in reading.links] == ["https://shop.example/1"]
    assert features(reading).hidden_html_share == 0


def test_of_many_multiparts_without_a_boundary_no_more_is_read_than_of_many_texts() -> None:
    inner = "Content-Type: multipart/mixed; boundary=lost\n\ntext number {}\n"
    body = "".join(f"--x\n{inner.format(number)}" for number in range(150))

    reading = read(mail(f"{body}--x--\n", "Content-Type: multipart/mixed; boundary=x"))

    assert reading.parts == 151
    assert [line for line in reading.plain.splitlines() if line] == [f"text number {number}" for number in range(3)]


@pytest.mark.parametrize(
    ("text", "url", "shown"),
    [
        ("www.paypal.com", "http://203.0.113.9/login", "paypal.com"),
        ("https://www.paypal.com/signin", "https://paypal.com.evil.example/", "paypal.com"),
        ("paypal.com", "https://www.paypal.com/", ""),
        ("invoice.pdf", "https://files.example/1", ""),
        ("click here", "https://evil.example/", ""),
    ],
)
def test_a_link_that_names_another_domain_is_seen(text: str, url: str, shown: str) -> None:
    assert shown == shown_elsewhere(Link(url, text))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("HTTPS://User:pw@Shop.Example:8443/a?b#c", "shop.example"),
        ("//cdn.example/x", "cdn.example"),
        ("http://[2001:db8::1]/", "[2001:db8::1]"),
        ("http:\\\\evil.example\\x", "evil.example"),
        ("mailto:a@b.example", ""),
        ("javascript:alert(1)", ""),
    ],
)
def test_the_host_of_odd_urls(url: str, host: str) -> None:
    assert host == host_of(url).rstrip("]") + ("]" if host.endswith("]") else "")


def test_registered_domains_know_public_suffixes() -> None:
    assert registered_domain("a.b.example.co.uk") == "example.co.uk"
    assert registered_domain("203.0.113.9") == "203.0.113.9"


def test_sender_features() -> None:
    content = mail(
        "hi",
        'From: "billing@paypal.com" <x@evil.example>',
        "Reply-To: y@gmail.com",
        "Received: a",
        "Received: b",
        "X-Mailer: PHP/8",
    )

    found = features(read(content), "bounce@mailer.example")

    assert (
        found.display_name_address,
        found.reply_to_differs,
        found.from_aligned,
        found.received_headers,
    ) == (True, True, False, 2)
    assert (found.has_date, found.has_message_id, found.mailer) == (False, False, "PHP/8")


def test_an_image_without_words_is_a_structure_token() -> None:
    reading = read(mail('<a href="https://x.example/"><img src="cid:1"></a>', HTML))

    assert {"image-only", "inline-image"} <= set(structure_of(features(reading), reading))


def test_the_same_words_have_the_same_digest_whatever_their_numbers() -> None:
    first, second, third = (
        features(read(mail(text))).body_digest for text in ("Order 123 is  here", "Order 987 is here", "Order is here")
    )

    assert first == second != third


HOSTILE = {
    "nested html": mail("<div>" * 60_000 + "x", HTML),
    "nested lists": mail("<ul><li>" * 40_000 + "x", HTML),
    "rules after blocks": mail("<hr><p>" * 40_000, HTML),
    "tables": mail("<table>" * 40_000, HTML),
    "open comments": mail("<!--" * 40_000, HTML),
    "styles": mail('<p style="font-size:' + " " * 30_000 + 'x">' + "a" * 30_000, HTML),
    "addresses": mail("a@" * 50_000 + " http://" * 20_000),
    "nested multiparts": mail(
        "--a\nContent-Type: multipart/mixed; boundary=a\n\n" * 2_000, "Content-Type: multipart/mixed; boundary=a"
    ),
    "many parts": mail("--a\n\n\n" * 50_000, "Content-Type: multipart/mixed; boundary=a"),
    "long header": mail("x", "Subject: " + "=?utf-8?b?" * 20_000),
    "many headers": mail("x", *["To: a@b.example"] * 50_000),
    "from": mail("x", "From: " + '"' + "\\" * 40_000, "Reply-To: " + "<" * 40_000),
    "charset": mail(
        "=41" * 9, "Content-Type: text/plain; charset=punycode", "Content-Transfer-Encoding: quoted-printable"
    ),
    "zlib charset": mail("x", "Content-Type: text/plain; charset=zlib"),
    "spaces": mail(" " * 100_000 + "\t" * 50_000),
    "no lines": b"a" * 300_000,
    "nul in charset": mail("x", "Content-Type: text/plain; charset=iso-8859-1\0"),
    "nothing": b"",
    "only crlf": b"\r\n\r\n",
    "nul": b"\0" * 1000,
}


@pytest.mark.parametrize("opening", ["<div>", "<ul><li>", "<b><p>"])
def test_of_blocks_nested_too_deep_text_links_and_what_is_hidden_are_still_told(opening: str) -> None:
    hidden = f'<div style="display:none">{"secret " * 40}</div>'
    shown = '<p>Dear <a href="https://x.example/">customer</a><hr>Yours</p>'

    reading = read(mail(opening * 2_000 + hidden + shown, HTML))

    assert reading.visible.split() == ["Dear", "customer", "Yours"]
    assert [link.url for link in reading.links] == ["https://x.example/"]
    assert reading.page.hidden_characters == 40 * len("secret")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_mail_is_read_in_bounded_time(content: bytes) -> None:
    reading = read(content)

    assert structure_of(features(reading), reading) is not None


def test_a_large_attachment_costs_no_more_than_a_small_one() -> None:
    data = "QUJD" * 19 + "\n"
    small, large = (
        mail(
            f"--a\nContent-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n{data * count}--a--",
            "Content-Type: multipart/mixed; boundary=a",
        )
        for count in (10, 100_000)
    )

    assert pytest.approx(read(small).attachments[0].size_bytes, abs=5) == 570
    tracemalloc.start()
    assert pytest.approx(read(large).attachments[0].size_bytes, abs=50) == 5_700_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000  # it is not decoded


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_are_read(content: bytes) -> None:
    reading = read(content)
    structure_of(features(reading), reading)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=500))
def test_any_html_is_read(markup: str) -> None:
    read_page(markup)


def test_damaged_real_mail_is_read(corpora: Path) -> None:
    rng = random.Random(3)
    for path in sorted(corpora.glob("bounces/msgs/*.eml"))[::4]:
        content = bytearray(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        for _ in range(20):
            at = rng.randrange(len(content))
            content[at : at + rng.randrange(4)] = rng.randbytes(rng.randrange(4))
        reading = read(bytes(content))
        structure_of(features(reading), reading)
