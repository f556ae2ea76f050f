"""How much one client address may ask of us: connections at once, connections a minute, errors a minute.

Rates are smoothed by GCRA (ITU-T I.371, virtual scheduling): one number per address. Bounded: idle addresses are
forgotten. An IPv6 client is its /64, which a customer has for nothing.
"""

from collections import Counter, OrderedDict
from ipaddress import IPv6Address, ip_address

from relay.reply import Reply
from relay.settings import Smtp

ADDRESSES = 50_000  # of each table; the one not heard of for longest leaves first
_CONNECTION_BURST_SECONDS = 10.0
_ERROR_BURST_SECONDS = 60.0

BUSY = Reply(421, "4.7.0", "too many connections from your address")
HASTY = Reply(421, "4.7.0", "too many new connections from your address, slow down")
ERRONEOUS = Reply(421, "4.7.0", "too many errors from your address, try again later")


class Gcra:
    """`per_minute` events per key, with bursts of what falls due in `burst_seconds`."""

    def __init__(self, per_minute: float, burst_seconds: float, keys: int = ADDRESSES) -> None:
        self._interval, self._burst, self._keys = 60.0 / per_minute, burst_seconds, keys
        self._due: OrderedDict[str, float] = OrderedDict()

    def pace(self, per_minute: float) -> None:
        """Change the rate; what an address has used already stays used."""
        self._interval = 60.0 / per_minute

    def take(self, key: str, now: float) -> bool:
        """Count an event; False, and nothing counted, when it comes too early."""
        due = max(self._due.get(key, now), now)
        if due - now > self._burst:
            return False
        self._due[key] = due + self._interval
        self._due.move_to_end(key)
        if len(self._due) > self._keys:
            self._due.popitem(last=False)
        return True

    def is_open(self, key: str, now: float) -> bool:
        """Tell whether `take` would succeed."""
        return self._due.get(key, now) - now <= self._burst


class Guard:
    """The counts of all client addresses. `now` is any clock's seconds, always the same one's."""

    def __init__(self, settings: Smtp) -> None:
        self._per_address: Counter[str] = Counter()
        self._at_once = settings.max_connections_per_address
        self._connections = Gcra(settings.connections_per_minute, _CONNECTION_BURST_SECONDS)
        self._errors = Gcra(settings.errors_per_minute, _ERROR_BURST_SECONDS)

    def take_up(self, settings: Smtp) -> None:
        """Hold to other numbers from now on; who is inside stays."""
        self._at_once = settings.max_connections_per_address
        self._connections.pace(settings.connections_per_minute)
        self._errors.pace(settings.errors_per_minute)

    def enter(self, address: str, now: float) -> Reply | None:
        """Note a connection; return why it is not welcome, if so. Whoever entered must `leave`."""
        if self._per_address[address] >= self._at_once:
            return BUSY
        if not self._errors.is_open(address, now):
            return ERRONEOUS
        if not self._connections.take(address, now):
            return HASTY
        self._per_address[address] += 1
        return None

    def leave(self, address: str) -> None:
        """Note that a connection is over."""
        self._per_address[address] -= 1
        if self._per_address[address] <= 0:
            del self._per_address[address]

    def erred(self, address: str, now: float) -> bool:
        """Count an error; tell whether the address has made too many."""
        return not self._errors.take(address, now)


def client_key(ip: str) -> str:
    """Return what stands for a client in counts: its address, of IPv6 its /64."""
    if ":" not in ip:
        return ip
    return str(IPv6Address(int(IPv6Address(ip_address(ip))) >> 64 << 64))
