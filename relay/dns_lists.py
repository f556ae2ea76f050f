"""What a DNS list's answer means: listed, clean, refused, parked or unknown; codes by rules/dnslists.toml. Pure.

Shared by content, which asks about links while a message waits, and by analytics, which watches our own addresses and
our customers' domains. Nothing here asks DNS.
"""

import importlib.resources
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Literal

import msgspec

_ANY = "*"
_PACKAGED = "dnslists.toml"
# Spamhaus, and others since: the question was refused, for an open resolver, a quota or a mistyped zone.
_REFUSALS = IPv4Network("127.255.255.0/24")
_LOOPBACK = IPv4Network("127.0.0.0/8")  # RFC 5782 section 2.3: every answer of a list lies in it

Kind = Literal["ip", "domain"]


class Said(StrEnum):
    """Five different things. Only `listed` is a listing; the last three say nothing of who was asked about."""

    LISTED = "listed"
    CLEAN = "clean"
    REFUSED = "refused"  # the list does not serve us
    PARKED = "parked"  # the zone answers everything, or as no list does: nobody keeps it any more
    UNKNOWN = "unknown"  # no answer, a failure, or a code that is not in the table


class Weight(StrEnum):
    """What a code is worth; see rules/dnslists.toml."""

    SOURCE = "source"
    POLICY = "policy"
    ABUSED = "abused"
    NEW = "new"
    NOTHING = "nothing"
    REFUSED = "refused"


class Code(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer a list gives."""

    id: str
    answer: str
    weight: Weight
    meaning: str
    quarantine: bool = False

    def fits(self, answer: IPv4Address) -> bool:
        if self.answer.startswith("bit "):
            return answer in IPv4Network("127.0.0.0/24") and bool(int(answer) & 0xFF & int(self.answer[4:]))
        first, _, last = self.answer.partition("-")
        return IPv4Address(first) <= answer <= IPv4Address(last or first)


class DnsList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One list. `zone`: its name in settings and records; `asked_zone`: what is asked, with a key of ours in it."""

    name: str
    zone: str
    kind: Kind
    codes: tuple[Code, ...]
    keyed: str = ""
    terms: bool = False
    test: str = ""
    removal: str = ""
    asked_zone: str = ""

    def meaning(self, answers: Sequence[str]) -> tuple[Said, tuple[Code, ...]]:
        """Tell what A records mean, and which codes they are.

        >>> zen = shipped()["zen.spamhaus.org", "ip"]
        >>> said, codes = zen.meaning(["127.0.0.3"])
        >>> said.value, codes[0].id, zen.meaning(["127.255.255.254"])[0].value, zen.meaning(["203.0.113.7"])[0].value
        ('listed', 'css', 'refused', 'parked')
        """
        addresses = [IPv4Address(answer) for answer in answers]
        if any(address in _REFUSALS for address in addresses):
            return Said.REFUSED, ()
        if any(address not in _LOOPBACK for address in addresses):
            return Said.PARKED, ()
        codes = tuple(dict.fromkeys(code for address in addresses for code in self._codes(address)))
        if any(code.weight is Weight.REFUSED for code in codes):
            return Said.REFUSED, ()
        known = tuple(code for code in codes if code.weight is not Weight.NOTHING)
        if known:
            return Said.LISTED, known
        return (Said.CLEAN if codes or not addresses else Said.UNKNOWN), ()

    def _codes(self, address: IPv4Address) -> list[Code]:
        """Of bits all that are set, of ranges the first that holds it."""
        fitting = [code for code in self.codes if code.fits(address)]
        return fitting if all(code.answer.startswith("bit ") for code in fitting) else fitting[:1]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    list: tuple[DnsList, ...] = ()


Book = Mapping[tuple[str, Kind], DnsList]


@cache
def shipped() -> Book:
    """The packaged table."""
    text = importlib.resources.files("relay.rules").joinpath(_PACKAGED).read_text("utf-8")
    return _book(text, _PACKAGED)


def with_table(path: Path | None) -> Book:
    """The packaged table with an operator's own over it. Raises ValueError, OSError."""
    if path is None:
        return shipped()
    return {**shipped(), **_book(path.read_text("utf-8"), str(path))}


def chosen(book: Book, zones: Iterable[str], kind: Kind, keys: Mapping[str, str]) -> list[DnsList]:
    """The lists of some zones, those nobody has described answering as most do."""
    found = []
    for zone in dict.fromkeys(zone.strip(".").lower() for zone in zones):
        known = _known(book, zone, kind)
        key = keys.get(known.name, "")
        asked = known.keyed.format(key=key) if known.keyed and key and known.zone == zone else zone
        found.append(msgspec.structs.replace(known, zone=zone, asked_zone=asked))
    return found


def not_agreed(zones: Iterable[str], kind: Kind, agreed: Iterable[str], keys: Mapping[str, str]) -> dict[str, str]:
    """Zone -> name, of lists whose terms somebody has to read first."""
    allowed = {*agreed, *(name for name, key in keys.items() if key)}
    lists = chosen(shipped(), zones, kind, {})
    return {one.zone: one.name for one in lists if one.terms and one.name not in allowed}


def _known(book: Book, zone: str, kind: Kind) -> DnsList:
    """Also for a zone that has the operator's key in it already."""
    if found := book.get((zone, kind)):
        return found
    for one in book.values():
        if one.kind == kind and one.keyed and zone.endswith(one.keyed.removeprefix("{key}")):
            return one
    return book[_ANY, kind]


def _book(text: str, name: str) -> dict[tuple[str, Kind], DnsList]:
    try:
        lists = msgspec.convert(tomllib.loads(text), type=_File).list
        for one in lists:
            for code in one.codes:
                code.fits(IPv4Address("127.0.0.2"))
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise ValueError(f"{name}: {error}; see rules/dnslists.toml for how a list is written") from None
    return {(one.zone, one.kind): one for one in lists}
