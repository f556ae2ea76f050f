"""Names that are often imitated: in a display name, in a host, as a domain that looks alike."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from relay.content.features import registered_domain
from relay.content.rule_book import Brand as BrandRow
from relay.content.text import fold, latin_alike

_LEAST_FUZZY = 8  # shorter names have neighbours that are words or firms of their own
_LEAST_ALIKE = 5  # lng.com is no look-alike of ing.com
_LEAST_I_AS_L = 6  # appie.nl is a shop, paypai.com is none
_DIGITS = str.maketrans("01345@|", "oleasal")
_WORD = re.compile(r"[^\W_]+")


class Brand:
    """One name and the registered domains that are its own."""

    def __init__(self, row: BrandRow) -> None:
        self.name, self.domains = row.name, tuple(domain.lower() for domain in row.domains)
        self.words = tuple(_WORD.findall(row.name.lower()))
        self.joined = "".join(self.words)
        self._own = frozenset(map(registered_domain, self.domains))

    def rank(self, domain: str) -> int:
        """Its place in the list: the main domain stands first."""
        return self.domains.index(domain) if domain in self.domains else len(self.domains)

    def owns(self, host: str) -> bool:
        return registered_domain(host) in self._own


class Brands:
    """All names; every question is answered from sets made once, and remembered by host."""

    def __init__(self, rows: Iterable[BrandRow]) -> None:
        brands = [Brand(row) for row in rows]
        self._by_domain: dict[str, Brand] = {}
        for brand in brands:
            for domain in sorted(brand._own, key=brand.rank):
                self._by_domain.setdefault(domain, brand)  # of several names' domain the first owner
        self._by_first = {brand.words[0]: brand for brand in brands if brand.words}
        self._by_name = {brand.joined: brand for brand in brands}
        self._by_skeleton: dict[str, str] = {}
        for domain in self._by_domain:
            label = domain.partition(".")[0]
            if len(label) >= _LEAST_ALIKE:
                self._by_skeleton.setdefault(_skeleton(label), domain)
        self._by_lacking = {
            lacking: domain
            for skeleton, domain in self._by_skeleton.items()
            if len(skeleton) >= _LEAST_FUZZY
            for lacking in _lacking(skeleton)
        }
        self.resembling = lru_cache(maxsize=10_000)(self._resembling)
        self.in_host = lru_cache(maxsize=10_000)(self._in_host)

    def of_domain(self, domain: str) -> Brand | None:
        """Whose registered domain it is."""
        return self._by_domain.get(domain)

    def named(self, display_name: str, more: Sequence[str]) -> Brand | None:
        """The brand that a display name claims to be: its name, and around it nothing but words of `more`."""
        words = _WORD.findall(fold(display_name)[0].lower())[:8]
        for at, word in enumerate(words):
            brand = self._by_first.get(word)
            if brand and tuple(words[at : at + len(brand.words)]) == brand.words:
                rest = (*words[:at], *words[at + len(brand.words) :])
                return brand if all(other in more or other in _suffixes(brand) for other in rest) else None
        return None

    def _in_host(self, host: str, lures: tuple[str, ...]) -> Brand | None:
        """The brand whose whole domain, or whose name beside a word of `lures`, stands in a host that is another's."""
        if registered_domain(host) in self._by_domain:
            return None
        parts = set(re.split(r"[.-]", host[:255]))
        for part in parts:
            brand = self._by_name.get(part)
            if brand is None:
                continue
            is_whole = any(f"{domain}." in f"{host.replace('-', '.')}." for domain in brand.domains)
            if is_whole or not parts.isdisjoint(lures):
                return brand
        return None

    def _resembling(self, domain: str) -> str:
        """The domain of a brand that another one looks like, else ""."""
        if not domain or domain in self._by_domain:
            return ""
        label = domain.partition(".")[0]
        skeleton = _skeleton(label)
        if same := self._by_skeleton.get(skeleton):
            # the plain name under another suffix is most often the brand's own, or a namesake's
            return "" if label == same.partition(".")[0] else same
        if len(skeleton) + 1 < _LEAST_FUZZY:
            return ""
        if near := self._by_lacking.get(skeleton):
            return near
        longer = (one for one in _lacking(skeleton) if len(one) >= _LEAST_FUZZY and one in self._by_skeleton)
        return next((self._by_skeleton[one] for one in longer), "")


def _suffixes(brand: Brand) -> set[str]:
    """ "paypal.com" and "PayPal Inc" name the brand too."""
    return {domain.rpartition(".")[2] for domain in brand.domains} | {"inc", "ltd", "gmbh", "ag", "llc", "www"}


def _skeleton(label: str) -> str:
    """A label with what looks alike made equal: other scripts' letters, digits, doubled strokes, hyphens."""
    if label.startswith("xn--"):
        try:
            label = label[4:67].encode("ascii").decode("punycode")
        except (UnicodeError, ValueError):
            return label
        label = latin_alike(label)
    label = label.lower().replace("-", "").translate(_DIGITS)
    label = label.replace("rn", "m").replace("vv", "w").replace("cl", "d")
    return label.replace("i", "l") if len(label) >= _LEAST_I_AS_L else label


def _lacking(text: str) -> list[str]:
    return [text[:at] + text[at + 1 :] for at in range(1, len(text))]
