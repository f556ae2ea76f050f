"""Countries and autonomous systems that one login was used from, where the operator gave files that know them.

What is new is judged against how often this login was somewhere new: a traveller's next country is no news. Countries
are remembered as long as the login is. Pure of clocks; must never decide anything: see unusual.py.
"""

from typing import NamedTuple

import msgspec

from relay.places.place import Place

MOST = 64
_DAY_HOURS, _LEARNT_HOURS = 24, 72
_NAMED = 5


class Abroad(NamedTuple):
    """That a login is used from a country never seen for it: `place`, "" when it is not. On `days` days before it came
    from somewhere new `moves` times; `usual`: countries it was used from then."""

    place: str = ""
    days: int = 0
    moves: int = 0
    usual: tuple[str, ...] = ()


AT_HOME = Abroad()


class Roaming(NamedTuple):
    """New networks of a login in 24 h, and of a usual day; zeros while it is not known long enough. `news`: countries
    and autonomous systems new in these 24 h; `abroad`: whether this use is from a country never seen."""

    networks: int = 0
    usual: float = 0.0
    news: tuple[str, ...] = ()
    abroad: Abroad = AT_HOME


NOT_ROAMING = Roaming()


class Origins(msgspec.Struct, array_like=True, gc=False):
    """`days`: with mail from a known country, `day` the latest of them; `moves`: countries that came after the first.
    `countries`: hour first seen, days and moves until then. `systems`: hour first seen. `since`, `newest`: hours."""

    since: int = 0
    day: int = -1
    days: int = 0
    moves: int = 0
    newest: int = 0
    countries: dict[str, tuple[int, int, int]] = {}
    systems: dict[int, int] = {}

    def note(self, place: Place, hour: int) -> None:
        """Count a use from there."""
        country, day = place.country, hour // _DAY_HOURS
        self.since = self.since or hour
        if country:
            if day != self.day:
                self.day = day
                self.days += 1
            if country not in self.countries and len(self.countries) < MOST:
                self.countries[country] = (hour, self.days - 1, self.moves)
                self.moves += self.days > 1
                self.newest = hour
        if place.asn and place.asn not in self.systems:
            self.systems[place.asn] = self.newest = hour
            if len(self.systems) > MOST:
                del self.systems[next(iter(self.systems))]

    def abroad(self, place: Place, hour: int) -> Abroad:
        """Whether it is new that the login is used from there."""
        found = self.countries.get(place.country)
        if found is None or hour - found[0] >= _DAY_HOURS or not found[1]:
            return AT_HOME
        first, days, moves = found
        usual = [name for name, (since, *_) in self.countries.items() if since < first]
        return Abroad(str(place), days, moves, tuple(usual[:_NAMED]))

    def news(self, hour: int) -> tuple[str, ...]:
        """Name the countries and systems that are new within 24 h, a few of them."""
        if hour - self.newest >= _DAY_HOURS or self.newest - self.since < _LEARNT_HOURS:
            return ()
        fresh = hour - _DAY_HOURS
        countries = [name for name, (first, *_) in self.countries.items() if first > fresh]
        systems = [f"AS{number}" for number, first in self.systems.items() if first > fresh]
        return (*countries[-_NAMED:], *systems[-_NAMED:])
