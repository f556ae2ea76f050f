"""Which endpoint is to be called for which event, and when. Pure: events, endpoints and results in, calls out.

Of a condition and a sender an endpoint hears once an interval. What is not called is logged too, so that a restart
which goes through the same events again knows from the log of calls what was done about each.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from relay.control.webhooks.views import WebhookKey

RETRY_MINUTES = (2, 3, 6, 10, 15)  # as Postal does (spec 2.13); then it is given up
WAITING_MAX = 1_000  # of one endpoint; what comes beyond is not called, and the log says so
_TOLD_MAX = 10 * WAITING_MAX  # conditions and senders that are remembered; then those whose interval is over leave
_AT_ONCE = 2  # calls of one endpoint: a slow one keeps only its own waiting


@dataclass(frozen=True, slots=True)
class Event:
    """Something to call endpoints for. `id` is a decision's id, or node:boot:seq of an alarm."""

    id: str
    happened_at: datetime
    condition: str
    text: str
    account: str
    reseller: str
    sender: str
    decision_id: str = ""
    ends_at: datetime | None = None
    evidence: str = "{}"  # JSON


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is due: of this endpoint, for this event, the attempt-th time."""

    endpoint: WebhookKey
    event: Event
    attempt: int


@dataclass(frozen=True, slots=True)
class Silence:
    """A call that will not be made, its attempt 0, and why."""

    call: Call
    why: str


@dataclass(frozen=True, slots=True)
class Made:
    """A call that was made, as the log has it; attempt 0: it was decided not to make it."""

    webhook: str
    event_id: str
    attempt: int
    called_unix: float
    is_final: bool


@dataclass(slots=True)
class _Queue:
    """What waits for one endpoint: (due, order, event, attempt)."""

    due: list[tuple[float, int, Event, int]] = field(default_factory=list)
    in_flight: int = 0
    told: dict[tuple[str, str], datetime] = field(default_factory=dict)


class Outbox:
    """The calls that wait, in memory; nothing is lost with it that the warehouse does not know."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval = interval_seconds
        self._queues: dict[str, _Queue] = {}
        self._endpoints: dict[str, WebhookKey] = {}
        self._order = 0

    @property
    def waiting(self) -> int:
        return sum(len(queue.due) for queue in self._queues.values())

    def listen(self, endpoints: Iterable[WebhookKey]) -> None:
        """Take the endpoints there are; what waits for one that is gone is dropped."""
        self._endpoints = {endpoint.id: endpoint for endpoint in endpoints}
        self._queues = {name: self._queues.get(name, _Queue()) for name in self._endpoints}

    def hear(self, event: Event, made: Sequence[Made] = ()) -> list[Silence]:
        """Queue the calls of an event, but those that were `made`; return those that will not be made, to be logged."""
        silences = []
        for endpoint in self._endpoints.values():
            if _wants(endpoint, event):
                before = [one for one in made if (one.webhook, one.event_id) == (endpoint.id, event.id)]
                why = self._take_up(endpoint, event, before) if before else self._take(endpoint, event)
                if why:
                    silences.append(Silence(Call(endpoint, event, 0), why))
        return silences

    def due(self, now_unix: float) -> Iterator[Call]:
        """Yield what is to be called now; each is in flight until `done`."""
        for name, queue in self._queues.items():
            while queue.due and queue.due[0][0] <= now_unix and queue.in_flight < _AT_ONCE:
                _, _, event, attempt = heapq.heappop(queue.due)
                queue.in_flight += 1
                yield Call(self._endpoints[name], event, attempt)

    def done(self, call: Call, now_unix: float, *, is_delivered: bool) -> bool:
        """Note how a call went; return whether it was the last one of its event."""
        queue = self._queues.get(call.endpoint.id)
        if queue is not None:
            queue.in_flight -= 1
        if is_delivered or call.attempt > len(RETRY_MINUTES) or queue is None:
            return True
        return not self._put(
            call.endpoint.id, now_unix + RETRY_MINUTES[call.attempt - 1] * 60, call.event, call.attempt + 1
        )

    def _take(self, endpoint: WebhookKey, event: Event) -> str:
        """Queue the first call; return why not."""
        told, key = self._queues[endpoint.id].told, _key(event)
        last = told.get(key)
        if last is not None and (event.happened_at - last).total_seconds() < self._interval:
            return f"the same was told at {last:%H:%M:%S} UTC; once in {self._interval / 60:g} min"
        if len(told) >= _TOLD_MAX:
            limit = event.happened_at.timestamp() - self._interval
            for old in [one for one, at in told.items() if at.timestamp() < limit]:
                del told[old]
        told[key] = event.happened_at
        if not self._put(endpoint.id, event.happened_at.timestamp(), event, 1):
            return f"{WAITING_MAX} calls wait for this endpoint"
        return ""

    def _take_up(self, endpoint: WebhookKey, event: Event, before: Sequence[Made]) -> str:
        """Go on where the last run ended; return why not, where that is news."""
        last = max(before, key=lambda one: one.attempt)
        if last.attempt:
            told = self._queues[endpoint.id].told
            told[_key(event)] = max(told.get(_key(event), event.happened_at), event.happened_at)
        if last.is_final or last.attempt > len(RETRY_MINUTES):
            return ""
        due = last.called_unix + RETRY_MINUTES[last.attempt - 1] * 60
        return "" if self._put(endpoint.id, due, event, last.attempt + 1) else f"{WAITING_MAX} calls wait"

    def _put(self, name: str, due: float, event: Event, attempt: int) -> bool:
        queue = self._queues[name]
        if len(queue.due) >= WAITING_MAX:
            return False
        self._order += 1
        heapq.heappush(queue.due, (due, self._order, event, attempt))
        return True


def _wants(endpoint: WebhookKey, event: Event) -> bool:
    if endpoint.account not in ("", event.account) or event.happened_at < endpoint.created_at:
        return False
    return not endpoint.conditions or event.condition in endpoint.conditions


def _key(event: Event) -> tuple[str, str]:
    return event.condition, event.sender or event.account
