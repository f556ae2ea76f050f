"""Calls endpoints when the warehouse learns of something: a thread with an event loop of its own.

It learns from the ingested journals and not from the control API: they are complete, in order, survive restarts of
both processes, and cost the relay nothing. Nothing here may hold up ingestion, or one endpoint another.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from analytics.warehouse import Warehouse
from analytics.webhooks import sources
from analytics.webhooks.outbox import Call, Event, Outbox
from analytics.webhooks.payload import payload
from analytics.webhooks.sending import Answer, Sender
from relay.clock import Clock
from relay.control.client import ControlClient, ControlError
from relay.control.webhooks.conditions import RELEASED
from relay.control.webhooks.views import WebhookKey
from relay.events import WebhookCall
from relay.settings import Webhooks
from relay.spool.journal import Journal

_log = logging.getLogger("mailweir.webhooks")

_ENDPOINTS_SECONDS = 10.0  # how old the list of endpoints may be while calls wait
_TICK_SECONDS = 1.0  # retries are looked for so often; news wake it at once
_OVERLAP = timedelta(hours=1)  # records of other nodes may come late
_BODIES_MAX = 2_000


class Caller:
    """Runs from `start` to `close`. `relay` gives a client of the control API."""

    def __init__(
        self,
        warehouse: Warehouse,
        journal: Journal,
        clock: Clock,
        settings: Webhooks,
        relay: Callable[[], ControlClient],
    ) -> None:
        self._warehouse, self._journal, self._clock = warehouse, journal, clock
        self._settings, self._relay = settings, relay
        self._outbox = Outbox(settings.interval_minutes * 60)
        self._seen: dict[str, datetime] = {}
        self._bodies: dict[str, bytes] = {}
        self._endpoints: list[WebhookKey] | None = None
        self._has_news, self._listed_unix = False, 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None
        self._is_stopping = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def wake(self) -> None:
        """Say that something was ingested; from any thread."""
        if self._loop is not None and self._news is not None and not self._is_stopping:
            self._loop.call_soon_threadsafe(self._news.set)

    def close(self) -> None:
        """Let calls that are under way finish; what waits is found again at the next start."""
        self.wake()
        self._is_stopping = True
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        sender, calls = Sender(self._settings), set[asyncio.Task[None]]()
        try:
            while not self._is_stopping:
                try:
                    await self._look()
                    for call in self._outbox.due(self._clock.unix()):
                        task = asyncio.create_task(self._call(sender, call))
                        calls.add(task)
                        task.add_done_callback(calls.discard)
                except Exception:  # the loop of all calls: what waits is still there, and the next look tries again
                    _log.exception("webhooks not looked at")
                await self._rest()
            if calls:
                await asyncio.wait(calls)
        finally:
            await sender.close()

    async def _rest(self) -> None:
        """Wait for news or the next tick."""
        assert self._news is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TICK_SECONDS):
                await self._news.wait()
                self._has_news = True
                self._news.clear()

    async def _look(self) -> None:
        """Take in what happened. Nothing before the first news: until then the log of calls may lack the last ones."""
        is_first, now = self._endpoints is None, self._clock.now()
        if self._outbox.waiting and self._clock.unix() >= self._listed_unix + _ENDPOINTS_SECONDS:
            await self._list()  # one that was removed is not called any more
        if not self._has_news or (is_first and not await self._list()):
            return
        since = now - (sources.LOOK_BACK if is_first else _OVERLAP)
        found = await asyncio.to_thread(sources.events, self._warehouse, since)
        unheard = [event for event in found if event.id not in self._seen]
        if unheard and not is_first:
            await self._list()  # an endpoint is called for what happened since it was added: so ask now
        made = await asyncio.to_thread(sources.made, self._warehouse, since) if is_first else []
        for event in unheard:
            self._seen[event.id] = event.happened_at
            for silence in self._outbox.hear(event, made):
                self._note(silence.call, Answer(0, silence.why, 0.0), is_final=True)
        self._seen = {name: at for name, at in self._seen.items() if at >= since - _OVERLAP}
        self._has_news = False

    async def _list(self) -> bool:
        """Ask the relay which endpoints there are; without an answer those known until now stay."""

        def ask() -> list[WebhookKey]:
            with self._relay() as relay:
                return relay.webhook_keys()

        try:
            self._endpoints = await asyncio.to_thread(ask)
        except ControlError as error:
            _log.debug("endpoints not listed error=%s", error)
            return False
        self._listed_unix = self._clock.unix()
        self._outbox.listen(self._endpoints)
        return True

    async def _call(self, sender: Sender, call: Call) -> None:
        try:
            body = await asyncio.to_thread(self._body, call.event)
            at_unix = self._clock.unix()
            answer = await sender.call(call.endpoint, body, call.event.id, call.attempt, at_unix)
        except Exception as error:  # whatever it is, it is this call's; the others go on
            _log.exception("webhook not called webhook=%s event=%s", call.endpoint.id, call.event.id)
            answer = Answer(0, f"{type(error).__name__}: see the log of analytics", 0.0)
        is_final = self._outbox.done(call, self._clock.unix(), is_delivered=answer.is_delivered)
        self._note(call, answer, is_final=is_final)

    def _body(self, event: Event) -> bytes:
        known = self._bodies.get(event.id)
        if known is None:
            evidence = msgspec.json.decode(event.evidence, type=dict[str, object])
            message = sources.message_of(self._warehouse, event, evidence)
            known = payload(event, message, self._release_url(event))
            if len(self._bodies) >= _BODIES_MAX:
                self._bodies.pop(next(iter(self._bodies)))
            self._bodies[event.id] = known
        return known

    def _release_url(self, event: Event) -> str:
        if not event.decision_id or event.condition == RELEASED:
            return ""
        try:
            with self._relay() as relay:
                return relay.release_link(event.decision_id).url
        except ControlError:
            return ""  # the relay is down, and the call is more urgent than its link

    def _note(self, call: Call, answer: Answer, *, is_final: bool) -> None:
        endpoint, event = call.endpoint, call.event
        level = logging.INFO if answer.is_delivered or not call.attempt else logging.WARNING
        what = endpoint.id, event.id, event.condition, call.attempt, answer.code, answer.error
        _log.log(level, "webhook=%s event=%s condition=%s attempt=%d code=%d error=%s", *what)
        self._journal.append(
            WebhookCall(
                **self._journal.stamp(),
                webhook=endpoint.id,
                url=endpoint.url,
                account=event.account,
                reseller=event.reseller,
                sender=event.sender,
                event_id=event.id,
                condition=event.condition,
                attempt=call.attempt,
                code=answer.code,
                error=answer.error,
                seconds=round(answer.seconds, 4),
                is_delivered=answer.is_delivered,
                is_final=is_final,
            )
        )
