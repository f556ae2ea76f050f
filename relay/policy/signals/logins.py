"""From how many new networks each login is used: /24 of IPv4, /48 of IPv6; new is what was first seen within 24 h.

A password that was stolen is often used from many places at once. Networks are remembered for 30 days, at most NETWORKS
of a login; what is usual a day is learnt (a company's phones change networks), and nobody is judged on its first days,
when every network is new. Pure of clocks; must never decide anything: see unusual.py.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network

import msgspec

from relay.places.place import NOWHERE, PlaceOf, nowhere
from relay.policy.signals.counters import Table
from relay.policy.signals.origins import NOT_ROAMING, Origins, Roaming
from relay.policy.signals.signal import ZERO

_log = logging.getLogger("mailweir.policy")

NETWORKS = 64
_DAY_HOURS, _REMEMBERED_HOURS = 24, 30 * 24
_LEARNT_DAYS = 3
_WEIGHT = 0.2  # of the last day in what is usual: five days' memory
_KEPT_SECONDS = 40 * 86_400.0


class _Login(msgspec.Struct, array_like=True, gc=False):
    since_hour: int
    day: int
    usual: float = 0.0
    networks: dict[str, tuple[int, int]] = {}  # network -> hour first and last seen
    origins: Origins | None = None  # where no file knows places


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Login).decode


class Logins:
    """At most `capacity` logins; the one not used for longest leaves first. A counters.Source.

    `place_of`: where an address is, as far as the operator's files know.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self._logins: OrderedDict[str, _Login] = OrderedDict()
        self._dirty: set[str] = set()
        self._capacity = capacity
        self.place_of: PlaceOf = nowhere

    def ask(self, place_of: PlaceOf) -> None:
        """Ask another one where addresses are, from the next use on."""
        self.place_of = place_of

    def table(self) -> Table:
        """Where logins are kept."""
        return Table("login", self, _KEPT_SECONDS)

    def note(self, login: str, client_ip: str, now_unix: float) -> Roaming:
        """Count one message sent with a login from an address."""
        hour, network = int(now_unix // 3_600), _network(client_ip)
        known = self._logins.get(login)
        if known is None:
            known = self._logins[login] = _Login(hour, hour // _DAY_HOURS)
            if len(self._logins) > self._capacity:
                gone, _ = self._logins.popitem(last=False)
                self._dirty.discard(gone)
        first, last = known.networks.get(network, (hour, -1))
        if last != hour:
            self._logins.move_to_end(login)
            self._dirty.add(login)
            _turn(known, hour)
            known.networks[network] = (first, hour)
            if len(known.networks) > NETWORKS:
                del known.networks[min(known.networks, key=lambda one: known.networks[one][1])]
            self._place(known, client_ip, hour)
        if len(known.networks) == 1 or hour - known.since_hour < _LEARNT_DAYS * _DAY_HOURS:
            return NOT_ROAMING
        origins = known.origins
        if origins is None:
            return Roaming(_fresh(known, hour), known.usual or ZERO)
        abroad = origins.abroad(self.place_of(client_ip), hour)
        return Roaming(_fresh(known, hour), known.usual or ZERO, origins.news(hour), abroad)

    def _place(self, known: _Login, client_ip: str, hour: int) -> None:
        if (place := self.place_of(client_ip)) != NOWHERE:
            if known.origins is None:
                known.origins = Origins()
            known.origins.note(place, hour)

    def dirty(self) -> list[tuple[str, bytes]]:
        rows = [(login, _encode(self._logins[login])) for login in self._dirty if login in self._logins]
        self._dirty.clear()
        return rows

    def load(self, rows: Iterable[tuple[str, bytes]]) -> int:
        corrupt = 0
        for login, row in rows:
            try:
                self._logins[login] = _decode(row)
            except (msgspec.DecodeError, UnicodeError) as error:
                corrupt += 1
                _log.warning("login row unreadable login=%r error=%s", login, error)
        return corrupt


def _turn(known: _Login, hour: int) -> None:
    """Where a day is over: learn how many networks were new in it, forget those long unused."""
    day = hour // _DAY_HOURS
    if day == known.day:
        return
    if (known.day + 1) * _DAY_HOURS > known.since_hour + _DAY_HOURS:  # the first day's are all new
        begin = known.day * _DAY_HOURS
        fresh = sum(begin <= first < begin + _DAY_HOURS for first, _ in known.networks.values())
        known.usual += _WEIGHT * (fresh - known.usual)
    known.usual *= (1 - _WEIGHT) ** min(day - known.day - 1, 30)  # days without mail had no new ones
    known.day = day
    oldest = hour - _REMEMBERED_HOURS
    known.networks = {network: seen for network, seen in known.networks.items() if seen[1] > oldest}


def _fresh(known: _Login, hour: int) -> int:
    return sum([first > hour - _DAY_HOURS for first, _ in known.networks.values()])


@lru_cache(maxsize=10_000)
def _network(client_ip: str) -> str:
    """
    >>> _network("192.0.2.7"), _network("2001:db8::1"), _network("unknown")
    ('192.0.2.0/24', '2001:db8::/48', 'unknown')
    """
    try:
        return str(ip_network(f"{client_ip}/{48 if ':' in client_ip else 24}", strict=False))
    except ValueError:  # a door that knows no address
        return client_ip
