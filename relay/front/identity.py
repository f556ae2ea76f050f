"""Who really sent it: the end sender behind a credential, from the witnesses in their order (spec 2.2).

Only accounts marked `shared_host` are believed what they write; a customer behind them may forge any header below the
one their server adds, so the top-most alone counts. Must never make a key of an empty value: all mail without an
identity would share it, and one abuser would stop everybody.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from relay.envelope import Submission
from relay.tree import SenderId

VALUE_BYTES = 255
RECEIVED_LENGTH = 2_000  # characters of the first Received line; a longer one was not written by Postfix

# Names as they stand in spec 2.2 and in the panels; compared without case (Nodemailer writes X-Authuser)
_HEADERS = b"X-AuthUser|X-Authenticated-(?:Sender|Id)|X-PPP-Vhost|X-PHP-(?:Originating-)?Script|X-Source-Dir|Received"
_FIELD = rb"(" + _HEADERS + rb")[ \t]*:([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)"
_first_field = re.compile(_FIELD, re.IGNORECASE).match
# begins with a plain LF, which the engine finds by memchr; with ^ it would look at every byte
_later_fields = re.compile(rb"\n" + _FIELD, re.IGNORECASE).finditer

# Script headers stay in the message: evidence for whoever gets it, and no login. The others name logins.
_CUT = frozenset((b"x-authuser", b"x-authenticated-sender", b"x-authenticated-id", b"x-ppp-vhost"))

_CPANEL_SENDER = re.compile(r"[^\s:]+:\s+(\S+)")  # `X-Authenticated-Sender: host: user@domain`
_POSTFIX_LOGIN = re.compile(r"\(Authenticated sender: ([^\s()]+)\) by (\S+)")
_POSTFIX_UID = re.compile(r"by (\S+) \(Postfix, from userid (\d+)\)")
_BATV = re.compile(r"prvs=[0-9a-z]+=")
_SRS = re.compile(r"srs[01][=+-]")


@dataclass(frozen=True, slots=True)
class Identity:
    """The end sender, the witness that named it, and the (start, end) bytes of the headers to cut before delivery."""

    sender: SenderId
    source: str
    spans: list[tuple[int, int]]

    @property
    def is_named(self) -> bool:
        """Tell whether an end sender is known; if not, the whole credential or address stands for it."""
        return self.sender.kind not in ("credential", "unknown")


@dataclass(frozen=True, slots=True)
class _Witness:
    kind: str
    source: str
    value: Callable[[Submission, dict[bytes, str]], str]


def identify(submission: Submission, header_block: bytes) -> Identity:
    """Name the end sender of a message. `header_block` is its content up to the empty line, or further."""
    topmost: dict[bytes, str] = {}
    spans = []
    for field, start in _fields(header_block):
        name = field[1].lower()
        if name not in topmost:
            topmost[name] = field[2].decode("utf-8", "replace")
        if name in _CUT:
            spans.append((start, field.end() + 2))
    script = _script(topmost)
    for witness in _SHARED_HOST if submission.account.shared_host else _OWN_HOST:
        value = _normalised(witness.value(submission, topmost))
        if value:
            sender = SenderId(submission.account.name, witness.kind, value, script)
            return Identity(sender, witness.source, spans)
    raise AssertionError("a client has an address")


def _fields(block: bytes) -> Iterator[tuple[re.Match[bytes], int]]:
    """Yield the fields that say something about identity, top first, each with the place of its first byte."""
    end = block.find(b"\r\n\r\n")
    end = len(block) if end < 0 else end
    if first := _first_field(block, 0, end):
        yield first, 0
    for field in _later_fields(block, 0, end):
        yield field, field.start() + 1


def _header(name: bytes) -> Callable[[Submission, dict[bytes, str]], str]:
    return lambda _, topmost: topmost.get(name, "")


def _cpanel_sender(_: Submission, topmost: dict[bytes, str]) -> str:
    value = topmost.get(b"x-authenticated-sender", "").strip()
    found = _CPANEL_SENDER.fullmatch(value)
    return found[1] if found else value


def _received(submission: Submission, topmost: dict[bytes, str]) -> str:
    """Read Postfix's first Received line, if the host that says it wrote it is the one that is connected."""
    line = " ".join(topmost.get(b"received", "")[:RECEIVED_LENGTH].split())
    helo = submission.helo.lower()
    if found := _POSTFIX_UID.match(line):
        return f"uid{found[2]}@{found[1]}" if found[1].lower() == helo else ""
    # the last one: what stands in front of it was said by the customer in its HELO
    logins = _POSTFIX_LOGIN.findall(line)
    return logins[-1][0] if logins and logins[-1][1].lower() == helo else ""


def _mail_from(submission: Submission, _: dict[bytes, str]) -> str:
    """Reduce addresses made for one message (BATV, VERP, SRS) to the mailbox behind them; else each is a new sender."""
    local, at, domain = submission.mail_from.strip("<>").lower().rpartition("@")
    local = _BATV.sub("", local, count=1)
    if _SRS.match(local):
        local = "srs"
    return f"{local.split('+', 1)[0] or local}{at}{domain}"


def _script(topmost: dict[bytes, str]) -> str:
    """Return the PHP file that called mail(): the path where the header has it, else `uid:file`."""
    path = topmost.get(b"x-php-script", "").split(" for ", 1)[0]
    file = topmost.get(b"x-php-originating-script", "").split("(", 1)[0]
    return _printable(path.strip() or file.strip() or topmost.get(b"x-source-dir", "").strip())


def _normalised(value: str) -> str:
    return _printable(value.strip().strip("<>").lower())


def _printable(value: str) -> str:
    """Drop what does not print, make one space of many, and cut at VALUE_BYTES."""
    value = " ".join(value.split())
    if not value.isprintable():
        value = "".join(sign for sign in value if sign.isprintable()).strip()
    if len(value) * 4 <= VALUE_BYTES:
        return value
    return value.encode("utf-8", "replace")[:VALUE_BYTES].decode("utf-8", "ignore").strip()


_OWN_HOST = (
    _Witness("mailfrom", "MAIL FROM", _mail_from),
    _Witness("credential", "credential", lambda submission, _: submission.credential),
    _Witness("unknown", "client address", lambda submission, _: submission.client_ip),
)
_SHARED_HOST = (
    _Witness("x-authuser", "X-AuthUser", _header(b"x-authuser")),
    _Witness("x-authsender", "X-Authenticated-Sender", _cpanel_sender),
    _Witness("x-authid", "X-Authenticated-Id", _header(b"x-authenticated-id")),
    _Witness("auth", "AUTH=", lambda submission, _: submission.auth_param),
    _Witness("received", "Received", _received),
    _Witness("vhost", "X-PPP-Vhost", _header(b"x-ppp-vhost")),
    *_OWN_HOST,
)
