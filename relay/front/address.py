"""The argument of MAIL and RCPT: a path and its parameters (RFC 5321 section 4.1.2). Raises PermanentError."""

import re
from ipaddress import ip_address

from relay.reply import PermanentError, Reply

_LOCAL_MAX, _LABEL_MAX, _DOMAIN_MAX = 64, 63, 255  # octets, RFC 5321 section 4.5.3.1, RFC 1035 section 2.3.4

# The common form first. The rare one: quoted local parts without spaces, UTF-8 (RFC 6531), address literals; source
# routes are obsolete (RFC 5321 appendix C). Parameters follow after a space.
_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REST = r">(?: +(\S.*))?"
_COMMON = re.compile(rf"<([{_ATEXT}]+(?:\.[{_ATEXT}]+)*@{_LABEL}(?:\.{_LABEL})*){_REST}", re.ASCII)
_UTEXT = rf"[\u0080-\U0010ffff{_ATEXT}]+"
_ULABEL = r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\u0080-\U0010ffff-]*[A-Za-z0-9\u0080-\U0010ffff])?"
_QUOTED = r'"(?:[^"\\\x00-\x20\x7f]|\\[\x21-\x7e])+"'
_RARE = re.compile(
    rf"<((?:{_UTEXT}(?:\.{_UTEXT})*|{_QUOTED})@(?:{_ULABEL}(?:\.{_ULABEL})*|\[[0-9A-Fa-fIPv:.]+\])){_REST}"
)
_INVISIBLE = re.compile("[\u0080-\u00a0\u2000-\u200f\u2028-\u202f\ufeff]")

_MALFORMED = Reply(553, "5.1.3", "malformed address")


def parse_path(argument: str, *, may_be_empty: bool) -> tuple[str, dict[str, str]]:
    """Return the address ("" for <>) and the parameters, names in upper case, values as sent.

    >>> parse_path("<a@b.example> SIZE=12", may_be_empty=False)
    ('a@b.example', {'SIZE': '12'})
    """
    found = _COMMON.fullmatch(argument) or _RARE.fullmatch(argument)
    if found:
        address, rest = found[1], found[2] or ""
        _check(address)
    elif may_be_empty and argument.startswith("<>"):
        address, rest = "", argument[2:].strip()
    else:
        raise PermanentError(_MALFORMED)
    return address, _parse_parameters(rest)


def _check(address: str) -> None:
    local, _, domain = address.rpartition("@")
    if len(local.encode("utf-8", "surrogateescape")) > _LOCAL_MAX or len(domain) > _DOMAIN_MAX:
        raise PermanentError(Reply(553, "5.1.3", "address too long"))
    if domain.startswith("["):
        _check_literal(domain[1:-1])
    elif any(len(label) > _LABEL_MAX for label in domain.split(".")) or _INVISIBLE.search(address):
        raise PermanentError(_MALFORMED)


def _check_literal(text: str) -> None:
    try:
        ip_address(text.removeprefix("IPv6:"))
    except ValueError:
        raise PermanentError(_MALFORMED) from None


def _parse_parameters(text: str) -> dict[str, str]:
    parameters = {}
    for word in text.split():
        name, _, value = word.partition("=")
        if not name.replace("-", "").isalnum():
            raise PermanentError(Reply(501, "5.5.4", "syntax error in parameters"))
        parameters[name.upper()] = value
    return parameters
