"""Values that people write, checked at the edge: names, logins, domains, networks. Raises Invalid with the fix."""

import re
import shlex
from ipaddress import IPv4Network, IPv6Network, ip_network

from relay.account import EVERY_DOMAIN
from relay.control.errors import Invalid
from relay.settings import SHORTEST_PREFIX

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LOGIN = re.compile(r"[!-~]{1,255}")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
_MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 in the clothes of IPv6 (RFC 4291 2.5.5.2)
_END_SENDER_BYTES = 255  # as front/identity.py cuts a value


def checked_name(name: str, what: str) -> str:
    return _matching(_NAME, name, f"{what} name", "letters, digits and . _ @ - , at most 64")


def checked_login(login: str) -> str:
    return _matching(_LOGIN, login, "login", "printable ASCII without spaces, at most 255")


def checked_domain(name: str) -> str:
    return _matching(_DOMAIN, name.lower().rstrip("."), "domain", "it like example.org, internationalised ones as xn--")


def checked_account_domain(name: str) -> str:
    """A domain of an account; `*` says that it may send as anybody, and hears of each failure itself."""
    return name if name == EVERY_DOMAIN else checked_domain(name)


def checked_sender_domain(text: str) -> str:
    """A domain, or `*.d` (also written `.d`) for all below it."""
    below = text.startswith(("*.", "."))
    name = checked_domain(text.removeprefix("*").removeprefix("."))
    return f"*.{name}" if below else name


def checked_end_sender(text: str) -> str:
    """The value of an identity, lower-case; it stands in the sender's key, whose parts `|` divides."""
    value = text.strip().lower()
    if not value.isprintable() or len(value.encode()) > _END_SENDER_BYTES:
        raise Invalid(f"end sender {text!r}: write printable text, at most {_END_SENDER_BYTES} bytes")
    return value


def checked_network(text: str) -> IPv4Network | IPv6Network:
    """A network that may be let in without a password: none that is half the world."""
    network = bound_network(text)
    shortest = SHORTEST_PREFIX[network.version]
    if network.prefixlen < shortest:
        raise Invalid(f"{network} would make this an open relay; at most a /{shortest} can be allowed")
    return network


def bound_network(text: str) -> IPv4Network | IPv6Network:
    """Any network; one of IPv4-mapped addresses as that of IPv4 it is, which is how clients are looked up."""
    try:
        network = ip_network(text.strip())
    except ValueError as error:
        raise Invalid(f"{text!r} is not a network: {error}. Write it like 192.0.2.0/24 or 192.0.2.7") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        assert mapped is not None
        return IPv4Network((mapped, network.prefixlen - _MAPPED.prefixlen))
    return network


def shell(*words: str) -> str:
    """The command line of these words, fit to be pasted.

    >>> shell("limit", "rm", "sender", "acme|mailfrom|a@b.example")
    "mailweir limit rm sender 'acme|mailfrom|a@b.example'"
    """
    return f"mailweir {shlex.join(words)}"


def _matching(pattern: re.Pattern[str], value: str, what: str, rule: str) -> str:
    if not pattern.fullmatch(value):
        raise Invalid(f"{what} {value!r}: write {rule}")
    return value
