"""What operators have paused: mail of a destination, an account or an end sender that stays in the queue untouched.

Pure. Asked for each parcel, so without any pause it costs one truth test.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Paused(StrEnum):
    """What a pause is about; its key is the domain of the addresses, the account, or the sender's key."""

    DESTINATION = "destination"
    ACCOUNT = "account"
    SENDER = "sender"


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused what, when and why."""

    kind: Paused
    key: str
    author: str
    reason: str
    since: datetime


class Pauses:
    """Those in force; false while there is none."""

    def __init__(self, pauses: Iterable[Pause] = ()) -> None:
        self._by_key = {(pause.kind, pause.key): pause for pause in pauses}

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def __iter__(self) -> Iterator[Pause]:
        return iter(tuple(self._by_key.values()))

    def is_paused(self, destination: str, account: str, sender: str) -> bool:
        return self.on(destination, account, sender) is not None

    def on(self, destination: str, account: str, sender: str) -> Pause | None:
        """Return the pause that keeps such mail here, the widest first."""
        known = self._by_key
        return (
            known.get((Paused.DESTINATION, destination))
            or known.get((Paused.ACCOUNT, account))
            or known.get((Paused.SENDER, sender))
        )

    def get(self, kind: Paused, key: str) -> Pause | None:
        return self._by_key.get((kind, key))

    def put(self, kind: Paused, key: str, pause: Pause | None) -> None:
        """Set a pause; None: lift it."""
        if pause is None:
            self._by_key.pop((kind, key), None)
        else:
            self._by_key[kind, key] = pause
