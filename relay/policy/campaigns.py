"""How many end senders send a text now: fingerprints of the last minutes, in a bounded window.

A campaign over hijacked accounts looks harmless from each account alone. Memory: at most `capacity` parts of
fingerprints (a message has five), of each the SENDERS last senders. Lost at a restart: the window is minutes long.
Pure of clocks: `now_unix` is passed in. Must never decide anything: see certain.py.
"""

from collections import OrderedDict
from dataclasses import dataclass

SENDERS = 64  # beyond, "64 or more" is enough to know
_CAPACITY = 50_000  # about 20 MB when each part has been sent by one sender


@dataclass(frozen=True, slots=True)
class Campaign:
    """End senders, this one too, that sent the `same` text or `nearly` the same within the window."""

    same: int = 0
    nearly: int = 0


class Campaigns:
    """Notes each message and answers how many senders sent its text within `seconds`."""

    def __init__(self, seconds: float = 600.0, capacity: int = _CAPACITY) -> None:
        self._seconds, self._capacity = seconds, capacity
        self._parts: OrderedDict[str, dict[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._parts)

    def take_up(self, seconds: float) -> None:
        """Look back so far from now on."""
        self._seconds = seconds

    def note(self, fingerprint: str, sender: str, now_unix: float) -> Campaign:
        """Count a message in. `fingerprint` as content/fingerprint.py writes it; "": its text is nobody's campaign."""
        if not fingerprint:
            return Campaign()
        same = self._seen(fingerprint[:16], sender, now_unix)
        # each band is told from the others by its place
        nearly = max(self._seen(f"{at}{fingerprint[at : at + 8]}", sender, now_unix) for at in (17, 25, 33, 41))
        while len(self._parts) > self._capacity:
            self._parts.popitem(last=False)
        return Campaign(same, max(same, nearly))

    def _seen(self, part: str, sender: str, now_unix: float) -> int:
        parts = self._parts
        senders = parts.get(part)
        if senders is None:
            parts[part] = {sender: now_unix}
            return 1
        parts.move_to_end(part)
        senders.pop(sender, None)  # the latest stands last
        senders[sender] = now_unix
        oldest = now_unix - self._seconds
        while len(senders) > SENDERS or senders[next(iter(senders))] < oldest:
            del senders[next(iter(senders))]
        return len(senders)
