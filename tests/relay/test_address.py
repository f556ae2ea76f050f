"""Paths of MAIL and RCPT: what the grammar allows passes, everything else is refused with 5yz."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dsn_options import decode_xtext
from relay.front.address import parse_path
from relay.reply import PermanentError


@pytest.mark.parametrize(
    ("argument", "address", "parameters"),
    [
        ("<a@b.example>", "a@b.example", {}),
        ("<a@b.example> SIZE=10 BODY=8BITMIME", "a@b.example", {"SIZE": "10", "BODY": "8BITMIME"}),
        ("<a@b.example> SIZE=10 AUTH=alice+40web1", "a@b.example", {"SIZE": "10", "AUTH": "alice+40web1"}),
        ("<>", "", {}),
        ("<> SIZE=5", "", {"SIZE": "5"}),
        ('<"a b"@c.example>', None, {}),
        ('<"a.b"@c.example>', '"a.b"@c.example', {}),
        ("<a+tag=x@b.example>", "a+tag=x@b.example", {}),
        ("<user@[192.0.2.1]>", "user@[192.0.2.1]", {}),
        ("<müller@b.example>", "müller@b.example", {}),
    ],
)
def test_paths(argument: str, address: str | None, parameters: dict[str, str]) -> None:
    if address is None:
        with pytest.raises(PermanentError):
            parse_path(argument, may_be_empty=True)
    else:
        assert (address, parameters) == parse_path(argument, may_be_empty=True)


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "a@b.example",
        "<a@b.example",
        "<a",
        '<"a@b.example>',
        "<a@>",
        "<@b.example>",
        "<a>",
        "<postmaster>",
        "<a\t@b.example>",
        "<a\0@b.example>",
        "<a b@c.example>",
        "<a@[IPv6:zz]>",
        "<a@[127.0.0.1>",
        "<a@b..example>",
        "<@x.example:a@b.example>",
        "<@x,@y:a@b.example>",
        f"<a@{'x' * 64}.example>",
        f"<{'x' * 65}@b.example>",
        "<a@b.example> SI\x01ZE=1",
        "<a@-b.example>x",
        f"<a@{'x.' * 130}example>",
    ],
)
def test_malformed_paths_are_refused_for_good(argument: str) -> None:
    with pytest.raises(PermanentError) as caught:
        parse_path(argument, may_be_empty=False)
    assert caught.value.reply.is_permanent
    assert caught.value.reply.enhanced.startswith("5.")


def test_empty_path_is_no_recipient() -> None:
    with pytest.raises(PermanentError):
        parse_path("<>", may_be_empty=False)


@given(st.text(max_size=80))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        address, _ = parse_path(text, may_be_empty=True)
    except PermanentError:
        return
    assert not any(ord(character) <= 32 or character == ">" for character in address)


def test_xtext() -> None:
    assert decode_xtext("alice+40web1.example") == "alice@web1.example"
