"""MTA-STS (RFC 8461) as text: the TXT record that announces a policy, the policy file, and which hosts it lets in.

Pure: nothing here asks DNS or the web; mta_sts_cache.py decides when to.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

MAX_POLICY_BYTES = 64 * 1024  # RFC 8461 section 3.3
_MAX_AGE_SECONDS = 31_557_600  # RFC 8461 section 3.2: a year
_ID = re.compile(r"[A-Za-z0-9]{1,32}")


class Mode(StrEnum):
    """What to do with hosts that the policy does not fit."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


class Policy(msgspec.Struct, frozen=True):
    """The policy of a domain. `hosts`: names of its exchangers, lower-case, a leading `*.` stands for one label."""

    mode: Mode
    max_age_seconds: int
    hosts: tuple[str, ...]

    def allows(self, name: str) -> bool:
        """Tell whether an exchanger's name is one of the policy's (RFC 8461 section 4.1).

        >>> Policy(Mode.ENFORCE, 1, ("*.example.com",)).allows("mx1.example.com")
        True
        >>> Policy(Mode.ENFORCE, 1, ("*.example.com",)).allows("a.mx1.example.com")
        False
        """
        name = name.lower().removesuffix(".")
        return any(
            pattern == name or (pattern.startswith("*.") and pattern[1:] == name[name.find(".") :])
            for pattern in self.hosts
        )


def announced_id(texts: Sequence[str]) -> str:
    """Return the id in the TXT records at _mta-sts.domain; "" when no policy, or more than one, is announced."""
    found = [text for text in texts if re.match(r"v=STSv1[ \t]*(;|$)", text)]
    if len(found) != 1:  # RFC 8461 section 3.1
        return ""
    for field in found[0].split(";")[1:]:
        key, _, value = field.strip(" \t").partition("=")
        if key == "id":
            return value if _ID.fullmatch(value) else ""
    return ""


def parse_policy(raw: bytes) -> Policy:
    """Return the policy in a file. Raises ValueError saying what is wrong with it.

    >>> parse_policy(b"version: STSv1\\nmode: enforce\\nmx: *.example.com\\nmax_age: 86400\\n").hosts
    ('*.example.com',)
    """
    fields: dict[str, str] = {}
    hosts: list[str] = []
    for line in raw.decode("utf-8").replace("\r\n", "\n").split("\n"):
        key, colon, value = line.partition(":")
        if not colon:
            if line.strip():
                raise ValueError(f"a line without a colon: {line[:40]!r}")
            continue
        key, value = key.strip(), value.strip()
        if key == "mx":
            hosts.append(value.lower().removesuffix("."))
        else:
            fields.setdefault(key, value)  # of repeated fields the first counts
    if fields.get("version") != "STSv1":
        raise ValueError(f"its version is {fields.get('version', '')[:40]!r}, not STSv1")
    mode = Mode(fields.get("mode", ""))
    if mode is not Mode.NONE and not hosts:
        raise ValueError("it names no mx")
    return Policy(mode, _max_age(fields.get("max_age", "")), tuple(hosts))


def _max_age(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise ValueError(f"its max_age is {text[:40]!r}, not a number of seconds")
    return min(int(text), _MAX_AGE_SECONDS)
