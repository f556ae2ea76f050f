"""What the spool answers from its index, without changing anything: held mail, counts, lanes."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime

from relay.spool import census, digests, index
from relay.spool.commit import Committer
from relay.spool.digests import Due, Gathered
from relay.spool.entry import DestinationCount, HeldMessage, SpoolCounts, SpooledMessage, message_of
from relay.spool.survey import Survey

FEW = 20_000  # recipients that by_destination may look at while the event loop waits: some 10 ms


class Answers:
    """The asking half of the Spool; its attributes are set there."""

    _reader: sqlite3.Connection
    _committer: Committer
    _survey: Survey
    _node: str

    def lane(self, sender: str, destination: str) -> int | None:
        """The number of a lane, None while nothing of it was ever committed."""
        row = self._reader.execute(
            "SELECT id FROM lane WHERE sender = ? AND destination = ?", (sender, destination)
        ).fetchone()
        return int(row[0]) if row else None

    def number_of(self, message_id: str) -> int:
        """The number in a message's id; -1 when it is none of this node's."""
        node, _, number = message_id.rpartition(".")
        return int(number) if node == self._node and number.isascii() and number.isdigit() else -1

    def lane_of(self, lane: int) -> tuple[str, str] | None:
        """Sender and destination of a lane."""
        row = self._reader.execute("SELECT sender, destination FROM lane WHERE id = ?", (lane,)).fetchone()
        return (row[0], row[1]) if row else None

    def held(self, sender: str | None = None, account: str | None = None, limit: int = 500) -> list[HeldMessage]:
        """Parked messages, newest first; with the key of an account's newcomers, those parked under it."""
        return census.as_held(self._reader, census.held(self._reader, sender, account, limit), self._node)

    def messages_of(self, account: str) -> int:
        """How many messages of an account are in the spool, waiting or held. Looks at all of it: for rare questions."""
        return census.messages_of(self._reader, account)

    def held_of(self, message_ids: Iterable[str]) -> list[HeldMessage]:
        """Those of the messages that are parked, in the order given."""
        numbers = [self.number_of(message_id) for message_id in message_ids]
        return census.as_held(self._reader, census.held_of(self._reader, numbers), self._node)

    def held_message(self, message_id: str) -> SpooledMessage | None:
        """A parked message as the spool has it. Raises CorruptEntry."""
        rows = census.held_of(self._reader, [self.number_of(message_id)])
        return message_of(rows[0], self._node) if rows else None

    def held_count(self, *, sender: str = "", account: str = "") -> int:
        """How many parked messages a sender, an account's newcomers (by their key) or an account have."""
        return census.held_count(self._reader, sender=sender, account=account)

    def held_rules(self, sender: str) -> list[str]:
        """The rules that parked what is held of a sender, or of an account's newcomers."""
        return census.held_rules(self._reader, sender)

    def counts(self) -> SpoolCounts:
        """How full the spool is; costs tens of microseconds, however full."""
        messages, recipients, parked, damaged, oldest, alive = census.counts(self._reader)
        since = None if oldest is None else datetime.fromtimestamp(oldest, UTC)
        return SpoolCounts(messages, recipients, parked, since, alive, damaged, self._committer.failed_at)

    def by_destination(self) -> list[DestinationCount]:
        """What waits where, fullest first. Of a long queue it is the last survey, some seconds old."""
        is_short = index.get_meta(self._reader, "recipients") <= FEW
        rows = census.by_destination(self._reader) if is_short else self._survey.latest()
        return [DestinationCount(*row) for row in rows]

    def digests(self) -> list[Due]:
        """Every account that is to be told of failed mail."""
        return digests.waiting(self._reader)

    def digest(self, due: Due) -> Gathered:
        """What such an account is to be told."""
        return digests.gathered(self._reader, due)
