"""How many end senders send a text now: fingerprints of the last minutes, in a bounded window.

A campaign over hijacked accounts looks harmless from each account alone. Memory: at most `capacity` parts of
fingerprints (a message has five), of each the SENDERS last senders. Lost at a restart: the window is minutes long.
Pure of clocks: `now_unix` is passed in. Must never decide anything: see certain.py.
"""

from dataclasses import dataclass

SENDERS = 64  # beyond, "64 or more" is enough to know
_PARTS = 5  # of a fingerprint
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
        # Two generations: what nobody has sent for one whole window leaves with its generation, without any order kept.
        self._parts: dict[str, dict[str, float]] = {}
        self._older: dict[str, dict[str, float]] = {}
        self._turns_at = 0.0

    def __len__(self) -> int:
        return len(self._parts) + len(self._older)

    def take_up(self, seconds: float) -> None:
        """Look back so far from now on."""
        self._seconds = seconds

    def note(self, fingerprint: str, sender: str, now_unix: float) -> Campaign:
        """Count a message in. `fingerprint` as content/fingerprint.py writes it; "": its text is nobody's campaign."""
        if not fingerprint:
            return Campaign()
        if now_unix >= self._turns_at or len(self._parts) + _PARTS > self._capacity // 2:
            self._older, self._parts, self._turns_at = self._parts, {}, now_unix + self._seconds
        same = self._seen(fingerprint[:16], sender, now_unix)
        # each band is told from the others by its place
        nearly = max(self._seen(f"{at}{fingerprint[at : at + 8]}", sender, now_unix) for at in (17, 25, 33, 41))
        return Campaign(same, max(same, nearly))

    def _seen(self, part: str, sender: str, now_unix: float) -> int:
        senders = self._parts.get(part)
        if senders is None:
            senders = self._older.pop(part, None)
            if senders is None:
                self._parts[part] = {sender: now_unix}
                return 1
            self._parts[part] = senders
        senders.pop(sender, None)  # the latest stands last
        senders[sender] = now_unix
        oldest = now_unix - self._seconds
        while len(senders) > SENDERS or senders[next(iter(senders))] < oldest:
            del senders[next(iter(senders))]
        return len(senders)
