"""Identity rules of accounts: how they are written, what is refused, and that no input makes them misbehave."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.account import IdentityRule
from relay.envelope import Submission
from relay.front.identity import identify
from relay.front.identity_plan import DEFAULT_RULES, LOGIN_HEADERS
from relay.front.identity_rules import check_rules, format_rule, parse_rule
from relay.front.witnesses import VALUE_BYTES
from tests.relay.test_identity import BY_UID, PLAIN, RECEIVED, SERVER, SHOP, named, without


def ruled(*texts: str, submission: Submission = SERVER) -> Submission:
    rules = tuple(parse_rule(text) for text in texts)
    check_rules(rules)
    return replace(submission, account=replace(submission.account, identity_rules=rules))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("x-authuser=X-AuthUser", IdentityRule("x-authuser", "X-AuthUser")),
        ("auth=AUTH=", IdentityRule("auth", "AUTH=")),
        ("from=mail from~^(.*)@", IdentityRule("from", "MAIL FROM", "^(.*)@")),
        ("site=X-Site~^(.+)=~$!keep", IdentityRule("site", "X-Site", "^(.+)=~$", remove=False)),
        ("u=From~<(.+)>!keep", IdentityRule("u", "From", "<(.+)>", remove=False)),
    ],
)
def test_a_rule_is_read_as_it_is_written(text: str, rule: IdentityRule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(format_rule(rule)) == rule


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("X-AuthUser", "KIND=SOURCE"),
        ("", "KIND=SOURCE"),
        ("=X-AuthUser", "kind ''"),
        ("Big=X-AuthUser", "kind 'Big'"),
        ("a|b=X-AuthUser", "kind 'a|b'"),
        ("forwarded=X-AuthUser", "given by the relay itself"),
        ("newcomers=X-AuthUser", "given by the relay itself"),
        ("credential=X-AuthUser", "without a named sender"),
        ("user=credential", "go with the sources"),
        ("x=X Auth", "neither a header name nor one of AUTH="),
        ("x=", "neither a header name"),
        ("x=X-A\r\nX-B", "neither a header name"),
        ("x=X-A~", "no pattern"),
        ("x=X-A~a", "has 0 groups"),
        ("x=X-A~(a)(b)", "has 2 groups"),
        ("x=X-A~(a", "missing )"),
        (r"x=X-A~(a)\1", "invalid escape"),
        ("x=X-A~(?:(a{999}){999})", "repetition size"),
        ("x=X-A~" + "(" + "a" * 600 + ")", "at most 500"),
        ("x=From~(.*)", "belongs to the message"),
        ("x=X-PHP-Script", "any script can write"),
    ],
)
def test_a_faulty_rule_is_refused_with_its_fault(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)):
        parse_rule(text)


def test_rules_that_contradict_each_other_are_refused() -> None:
    once = parse_rule("a=X-A")

    with pytest.raises(ValueError, match="further up"):
        check_rules([once, replace(once, kind="b")])
    with pytest.raises(ValueError, match="the opposite of !keep"):
        check_rules([once, parse_rule("a=x-a~(.*)!keep")])
    with pytest.raises(ValueError, match="at most 20"):
        check_rules([parse_rule(f"a=X-{number}") for number in range(21)])


def test_the_rules_order_decides_and_not_the_headers() -> None:
    submission = ruled("b=X-B", "a=X-A")

    assert named(b"X-A: 1\r\nX-B: 2\r\n" + PLAIN, submission) == ("b", "2", "X-B")
    assert named(b"X-A: 1\r\nX-B: \r\n" + PLAIN, submission) == ("a", "1", "X-A")


def test_the_rules_are_the_whole_order_and_the_credential_stands_for_the_rest() -> None:
    submission = ruled("a=X-A")

    assert named(b"X-AuthUser: bob\r\n" + PLAIN, submission) == ("credential", "srv1", "credential")
    assert not identify(submission, PLAIN).is_named


def test_a_pattern_picks_the_value_and_what_does_not_match_names_nobody() -> None:
    submission = ruled(r"site=X-Site~^(?i:host-\d+): *(\S+)", "m=MAIL FROM~@(.+)$")

    assert named(b"X-Site: HOST-7:\r\n\tShop.example\r\n" + PLAIN, submission)[:2] == ("site", "shop.example")
    assert named(b"X-Site: other\r\n" + PLAIN, submission)[:2] == ("m", "site.example")


def test_a_pattern_on_received_needs_the_connected_servers_line() -> None:
    submission = ruled(r"r=Received~\(Authenticated sender: (.*?)\)")

    assert named(RECEIVED + PLAIN, submission)[:2] == ("r", "bob@site.example")
    assert named(RECEIVED + PLAIN, replace(submission, helo="other.example"))[0] == "credential"
    assert named(BY_UID + RECEIVED + PLAIN, submission)[0] == "credential"


def test_a_kept_header_stays_and_others_are_cut() -> None:
    submission = ruled("a=X-A!keep", "b=X-B")
    block = b"X-A: 1\r\nX-B: 2\r\nX-AuthUser: 3\r\n"

    assert without(block + PLAIN, submission) == b"X-A: 1\r\n" + PLAIN


def test_an_account_with_one_owner_is_believed_no_header_of_its_rules() -> None:
    submission = ruled("a=X-A", "k=X-AuthUser!keep", submission=SHOP)
    block = b"X-A: forged\r\nX-AuthUser: forged\r\n"

    assert named(block + PLAIN, submission)[:2] == ("mailfrom", "alice@site.example")
    assert without(block + PLAIN, submission) == PLAIN


@pytest.mark.parametrize("block", [b"", RECEIVED, BY_UID, b"X-Authenticated-Sender: h: b@s\r\nX-PPP-Vhost: v\r\n"])
def test_the_usual_order_written_out_is_the_usual_order(block: bytes) -> None:
    written = ruled(*(format_rule(rule) for rule in DEFAULT_RULES))

    assert identify(written, block + PLAIN) == identify(SERVER, block + PLAIN)


def test_a_pattern_that_backtracks_elsewhere_takes_linear_time_here() -> None:
    submission = ruled("a=X-A~^((?:a+)+)$")

    assert named(b"X-A: " + b"a" * 1_900 + b"!\r\n" + PLAIN, submission)[0] == "credential"


def test_no_relay_without_patterns_loads_the_pattern_engine() -> None:
    script = "import relay.running.node, relay.front.identity_rules, sys; print('re2' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"False\n"


_NAMES = ("X-A", "X-AA", "X-AuthUser", "Received", "Subject")
_SOURCES = st.sampled_from([*_NAMES[:3], "AUTH=", "MAIL FROM", "Received", "credential", "client address"])
_PATTERNS = st.sampled_from(["", "(.*)", "^(.)", "(b+)$", r"([^@]*)@", "(x)?", "(.*?)"])


@st.composite
def _rules(draw: st.DrawFn) -> tuple[IdentityRule, ...]:
    found = []
    for number, source in enumerate(draw(st.lists(_SOURCES, max_size=5, unique=True))):
        kind = {"credential": "credential", "client address": "unknown"}.get(source, f"k{number}")
        found.append(IdentityRule(kind, source, draw(_PATTERNS), draw(st.booleans())))
    return tuple(found)


_VALUE = st.binary(max_size=40) | st.sampled_from([b"", b" ", b"<>", b"bob@site.example", b"a" * 300, b"\xff\x00\x1b"])
_FIELD = st.tuples(st.sampled_from(_NAMES), _VALUE.map(lambda value: value.replace(b"\r", b"").replace(b"\n", b"")))


@given(_rules(), st.lists(_FIELD, max_size=8), st.text(max_size=20), st.text(max_size=20), st.booleans())
def test_whatever_the_rules_and_headers_the_key_is_sound_and_whole_fields_are_cut(
    rules: tuple[IdentityRule, ...], fields: list[tuple[str, bytes]], mail_from: str, auth: str, is_shared: bool
) -> None:
    check_rules(rules)
    account = replace(SERVER.account, identity_rules=rules, shared_host=is_shared)
    submission = replace(SERVER, account=account, mail_from=mail_from, auth_param=auth)
    lines = [name.encode() + b": " + value + b"\r\n" for name, value in fields]

    identity = identify(submission, b"".join(lines))

    value = identity.sender.value
    assert value
    assert value.isprintable()
    assert len(value.encode()) <= VALUE_BYTES
    kept = {rule.source for rule in rules if not rule.remove} if is_shared else set()
    cut = ({rule.source for rule in rules if rule.remove} | set(LOGIN_HEADERS)) - kept - {"Received"}
    offsets = [sum(map(len, lines[:number])) for number in range(len(lines))]
    expected = [
        (start, start + len(line)) for start, line, (name, _) in zip(offsets, lines, fields, strict=True) if name in cut
    ]
    assert identity.spans == expected


@given(st.lists(st.sampled_from(["X-A", "X-B", "X-C"]), min_size=1, unique=True), st.lists(_FIELD, max_size=6))
def test_the_first_rule_whose_topmost_header_says_something_wins(
    order: list[str], fields: list[tuple[str, bytes]]
) -> None:
    submission = ruled(*(f"k{name[-1].lower()}={name}" for name in order))
    said = [*fields, ("X-B", b"one"), ("X-C", b""), ("X-C", b"below"), ("X-B", b"two")]
    block = b"".join(name.encode() + b":" + value + b"\r\n" for name, value in said)

    identity = identify(submission, block)

    topmost = dict(reversed(said))
    alone = {name: identify(ruled(f"k={name}"), name.encode() + b":" + topmost.get(name, b"")) for name in order}
    winner = next((name for name in order if alone[name].is_named), "credential")
    assert identity.source == winner
