"""What can name an end sender: header fields, AUTH=, Received, envelope, login. Each read as its writer means it.

Must never decide who is believed: that is the order in identity.py and identity_rules.py.
"""

import re
from collections.abc import Callable

from relay.envelope import Submission

VALUE_BYTES = 255
TEXT_LENGTH = 2_000  # characters of a field that are looked at; a longer Received was not written by Postfix

Topmost = dict[bytes, str]  # lower-case field name -> raw value of the top-most one
Reader = Callable[[Submission, Topmost], str]

_CPANEL_SENDER = re.compile(r"[^\s:]+:\s+(\S+)")  # `X-Authenticated-Sender: host: user@domain`
_POSTFIX_LOGIN = re.compile(r"\(Authenticated sender: ([^\s()]+)\) by (\S+)")
_POSTFIX_UID = re.compile(r"by (\S+) \(Postfix, from userid (\d+)\)")
_BATV = re.compile(r"prvs=[0-9a-z]+=")
# What a Received line goes on with behind the name of its writer: addresses, as the customer wrote them
_ADDRESSES = re.compile(r" (?:for|\(envelope-from) ")
_SRS = re.compile(r"<?srs[01][=+-]", re.IGNORECASE)


def header(name: bytes) -> Reader:
    """Read the top-most field of a name (lower case)."""
    return _cpanel_sender if name == b"x-authenticated-sender" else lambda _, topmost: topmost.get(name, "")


def received(submission: Submission, topmost: Topmost) -> str:
    """Read Postfix's first Received line, if the host that says it wrote it is the one that is connected."""
    line, helo = received_line(topmost), submission.helo.lower()
    if found := _POSTFIX_UID.match(line):
        return f"uid{found[2]}@{found[1]}" if found[1].lower() == helo else ""
    # the last one: what stands in front of it was said by the customer in its HELO
    logins = _POSTFIX_LOGIN.findall(line)
    return logins[-1][0] if logins and logins[-1][1].lower() == helo else ""


def received_line(topmost: Topmost) -> str:
    """Return the first Received field on one line, up to where the customer's own words begin."""
    line = " ".join(topmost.get(b"received", "")[:TEXT_LENGTH].split())
    return _ADDRESSES.split(line, maxsplit=1)[0]


def mail_from(submission: Submission, _: Topmost) -> str:
    """Reduce addresses made for one message (BATV, VERP, SRS) to the mailbox behind them; else each is a new sender."""
    local, at, domain = submission.mail_from.strip("<>").lower().rpartition("@")
    if local.startswith("prvs="):
        local = _BATV.sub("", local, count=1)
    if local.startswith("srs") and _SRS.match(local):
        local = "srs"
    return f"{local.split('+', 1)[0] or local}{at}{domain}"


def is_srs(address: str) -> bool:
    """Tell whether a forwarder has rewritten the envelope sender (SRS0, SRS1)."""
    return _SRS.match(address) is not None


def script(topmost: Topmost) -> str:
    """Return the PHP file that called mail(): the path where the header has it, else `uid:file`."""
    path = topmost.get(b"x-php-script", "").split(" for ", 1)[0]
    file = topmost.get(b"x-php-originating-script", "").split("(", 1)[0]
    return printable(path.strip() or file.strip() or topmost.get(b"x-source-dir", "").strip())


def normalised(value: str) -> str:
    """Make a value part of a key: lower case, printable, without angle brackets; "" when nothing is left."""
    return printable(value.strip().strip("<>").lower())


def printable(value: str) -> str:
    """Drop what does not print, make one space of many, and cut at VALUE_BYTES."""
    value = " ".join(value.split())
    if not value.isprintable():
        value = "".join(sign for sign in value if sign.isprintable()).strip()
    if len(value) * 4 <= VALUE_BYTES:
        return value
    return value.encode("utf-8", "replace")[:VALUE_BYTES].decode("utf-8", "ignore").strip()


def _cpanel_sender(_: Submission, topmost: Topmost) -> str:
    value = topmost.get(b"x-authenticated-sender", "").strip()
    found = _CPANEL_SENDER.fullmatch(value)
    return found[1] if found else value
