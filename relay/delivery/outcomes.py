"""What became of each recipient: its record, its place in the spool, its retry. Who hears of it: telling.py."""

import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from relay.clock import Clock
from relay.delivery.byhand import ByHand
from relay.delivery.pauses import Pauses
from relay.delivery.queues import Parcel, expires_at, reports_delay_at, retry_seconds, with_try_at
from relay.delivery.replies import Category, Outcome, OwnReply, classify
from relay.delivery.telling import Late, News, Teller
from relay.dsn_options import SUCCESS, notify_of
from relay.events import Bounce, Deferral, Delivery, Expiration, Record
from relay.notices.addressee import Addressee
from relay.reply import Reply
from relay.sandbox.addresses import lies_in
from relay.settings import Settings
from relay.spool.digests import DigestLine
from relay.spool.journal import Journal
from relay.spool.store import Spool, SpooledMessage, SpooledRecipient

_log = logging.getLogger("mailweir.delivery")


class Way(NamedTuple):
    """Over which connection a recipient was tried. `passes_dsn`: the next hop now answers for what the sender asked."""

    remote: str
    source: str
    tls: str
    passes_dsn: bool = False


NO_WAY = Way("", "", "")


class Tally(NamedTuple):
    """How many recipients of a parcel ended how."""

    delivered: int
    deferred: int
    bounced: int


class Bookkeeper:
    """Settles parcels. Knows which recipients are in flight."""

    def __init__(
        self,
        *,
        spool: Spool,
        journal: Journal,
        settings: Settings,
        clock: Clock,
        on_outcome: Callable[[SpooledRecipient, Record], None],
        submit_dsn: Callable[[bytes, str, SpooledMessage], Awaitable[None]],
        audience: Callable[[SpooledMessage], Addressee],
        pauses: Pauses,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._spool, self._journal, self._settings, self._clock = spool, journal, settings, clock
        self._on_outcome, self.by_hand = on_outcome, ByHand(pauses)
        self._teller = Teller(
            spool=spool,
            settings=settings,
            clock=clock,
            submit_dsn=submit_dsn,
            audience=audience,
            spawn=spawn,
            finish=self._finish,
            postpone=self._postpone,
            leave=self._leave,
        )
        self._random = random.Random()  # noqa: S311 - jitter
        self._in_flight: dict[int, Parcel] = {}
        self.on_left: Callable[[SpooledRecipient], None] = lambda _recipient: None
        self.on_deferred: Callable[[SpooledRecipient, float], None] = lambda _recipient, _due: None
        self.on_released: Callable[[int], None] = lambda _bytes: None
        self.on_first_attempt: Callable[[float], None] = lambda _seconds: None

    def take_up(self, settings: Settings) -> None:
        self._settings = settings
        self._teller.take_up(settings)

    def is_in_flight(self, number: int) -> bool:
        """Tell whether somebody has it in hand: a connection, or an operator."""
        return number in self._in_flight or self.by_hand.is_claimed(number)

    def begin(self, parcel: Parcel) -> bool:
        """A parcel was taken from its queue. False: somebody has ordered that nothing of it is tried; drop it."""
        if self.by_hand and not self._may_go(parcel):
            return False
        for recipient in parcel.recipients:
            self._in_flight[recipient.id] = parcel
        if not parcel.has_waited and parcel.recipients[0].attempts == 0:
            parcel.has_waited = True
            self.on_first_attempt(self._clock.unix() - parcel.message.received_at.timestamp())
        return True

    def claim(self, ids: Iterable[int]) -> set[int]:
        """Have no try of these begin; return those of which none is under way."""
        return self.by_hand.claim(number for number in ids if number not in self._in_flight)

    def bounce(self, claimed: Sequence[SpooledRecipient], reply: OwnReply, rule: str) -> None:
        """Fail claimed recipients of one message without a try, and tell whom it concerns."""
        parcel, now = Parcel(claimed[0].message, claimed, None), self._clock.now()
        news = []
        for recipient in claimed:
            self._in_flight[recipient.id] = parcel
            facts = self._facts(recipient, reply, recipient.destination, NO_WAY, now)
            record = Bounce(**{**facts, "attempt": recipient.attempts}, category=reply.category, rule=rule)
            news.append(News(recipient, reply, record))
        self._teller.failed(parcel, news)
        self._free(parcel)

    def _may_go(self, parcel: Parcel) -> bool:
        """Put aside what is paused: the spool keeps it, and no attempt is counted."""
        for recipient in self.by_hand.sift(parcel):
            self._postpone(recipient, self._clock.unix(), None)
        if not parcel.recipients:
            self._free(parcel)
        return bool(parcel.recipients)

    def undo(self, parcel: Parcel) -> None:
        """It goes back there."""
        for recipient in parcel.recipients:
            self._in_flight.pop(recipient.id, None)

    def drop(self, parcel: Parcel) -> None:
        """Its recipients go on in other parcels."""
        self._free(parcel)

    def release(self, parcel: Parcel) -> None:
        """It leaves memory without an outcome: the spool keeps it."""
        self._free(parcel)
        for recipient in parcel.recipients:
            self.on_left(recipient)

    def forget(self, sender: str) -> None:
        """What of this sender is in flight ends before its final dot, and is not queued again."""
        for parcel in self._in_flight.values():
            if parcel.message.sender == sender:
                parcel.is_forgotten = True

    def postpone(self, parcel: Parcel, due_unix: float) -> None:
        """Nobody may send it before then: the spool keeps it, and no attempt is counted."""
        self._free(parcel)
        for recipient in parcel.recipients:
            self._postpone(recipient, due_unix, None)

    def settle(self, parcel: Parcel, destination: str, way: Way, *, has_other_source: bool = False) -> Tally:
        """Record the replies of a parcel, one per recipient.

        has_other_source: what was refused because of our address alone may go from another one.
        """
        delivered = deferred = 0
        failed: list[News] = []
        late: list[Late] = []
        relayed: list[News] = []
        now = self._clock.now()
        for recipient, reply in zip(parcel.recipients, parcel.replies, strict=True):
            assert reply is not None
            facts = self._facts(recipient, reply, destination, way, now)
            if reply.is_success:
                delivered += 1
                record = Delivery(**facts)
                if recipient.dsn and not way.passes_dsn and SUCCESS in (notify_of(recipient.dsn) or ()):
                    relayed.append(News(recipient, reply, record))
                else:
                    self._finish(recipient, record)
            elif reply.is_permanent and not (has_other_source and _blames_us(reply)):
                outcome = classify(reply)
                bounce = Bounce(**facts, **_judged(outcome), is_hard=outcome.is_hard)
                failed.append(News(recipient, reply, bounce))
            elif now >= expires_at(recipient.message.waits_since, self._settings.delivery):
                failed.append(News(recipient, reply, Expiration(**facts)))
            else:
                deferred += 1
                if self._defer(recipient, classify(reply), facts, now):
                    late.append(Late(recipient, reply))
        if failed:
            self._teller.failed(parcel, failed)
        if relayed:
            self._teller.relayed(parcel, relayed)
        if late:
            self._teller.late(parcel, late)
        self._free(parcel)
        return Tally(delivered, deferred, len(failed))

    def _facts(
        self, recipient: SpooledRecipient, reply: Reply, destination: str, way: Way, now: datetime
    ) -> dict[str, Any]:
        message = recipient.message
        return {
            **self._journal.stamp(),
            "message_id": message.message_id,
            "account": message.account,
            "reseller": message.reseller,
            "sender": message.sender,
            "recipient_id": recipient.id,
            "recipient": recipient.address,
            "destination": destination,
            "attempt": recipient.attempts + 1,
            "received_at": message.received_at,
            "queued_seconds": (now - message.received_at).total_seconds(),
            "remote": way.remote,
            "source": way.source,
            "tls": way.tls,
            "code": reply.code,
            "enhanced": reply.enhanced,
            "text": reply.text,
            "sandbox": lies_in(recipient.destination, self._settings.sandbox.domain),
        }

    def _finish(self, recipient: SpooledRecipient, record: Record, line: DigestLine | None = None) -> None:
        self._spool.finish(recipient, record, line)
        self._leave(recipient)
        self._tell(recipient, record)

    def _tell(self, recipient: SpooledRecipient, record: Record) -> None:
        try:
            self._on_outcome(recipient, record)
        except Exception:  # who listens must not break a delivery: the outcome is in the spool's hands already
            _log.exception("outcome not heard message=%s", recipient.message.message_id)

    def _leave(self, recipient: SpooledRecipient) -> None:
        self._in_flight.pop(recipient.id, None)
        self.on_left(recipient)

    def _free(self, parcel: Parcel) -> None:
        parcel.drop_content()
        if parcel.kept_bytes:
            self.on_released(parcel.kept_bytes)
            parcel.kept_bytes = 0

    def _defer(self, recipient: SpooledRecipient, outcome: Outcome, facts: dict[str, Any], now: datetime) -> bool:
        """Put a recipient off; tell whether its sender should hear of the delay."""
        settings = self._settings.delivery
        wait = retry_seconds(
            recipient.attempts + 1,
            settings,
            self._random.random(),
            is_greylisted=outcome.category is Category.GREYLISTED,
        )
        # the last try comes when the lifetime ends, not hours before it
        due_at = min(now + timedelta(seconds=wait), expires_at(recipient.message.waits_since, settings))
        report_at = reports_delay_at(recipient.message.waits_since, settings)
        if report_at is not None and not self._teller.hears_of_delay(recipient):
            report_at = None
        due_at = with_try_at(report_at, due_at, now, settings)
        record = Deferral(**facts, **_judged(outcome), due_at=due_at)
        self._postpone(recipient, due_at.timestamp(), record)
        self._tell(recipient, record)
        return report_at is not None and now >= report_at

    def _postpone(self, recipient: SpooledRecipient, due_unix: float, record: Record | None) -> None:
        self._spool.defer(recipient, due_unix, record)
        self.by_hand.unclaim((recipient.id,))
        self._leave(recipient)
        self.on_deferred(recipient, due_unix)


def _blames_us(reply: Reply) -> bool:
    return classify(reply).category is Category.REPUTATION_BLOCK


def _judged(outcome: Outcome) -> dict[str, Any]:
    return {"category": outcome.category, "rule": outcome.rule}
