"""The content pool: hands messages to the workers in batches, and sees to it that every message gets an answer.

A worker that dies or hangs is replaced, its messages are tried again alone; a message that was there at two deaths is
poison and gets an answer without a score. Runs in the main process; must never import numpy.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from relay.content.model_files import find_model
from relay.content.processes import Template, WorkerLink
from relay.content.protocol import (
    ContentRequest,
    ContentResult,
    CustomerKey,
    KeyChange,
    ModelError,
    Setup,
    extra_seconds,
    framed,
    unscored,
)

__all__ = ["ContentPool", "ModelError", "PoolStats"]

_BATCH = 16  # the arithmetic gains nothing beyond; 50 connections never fill 64
_BATCH_BYTES = 2_000_000  # a few large messages together would hit the time limit meant for one
_BATCH_SIGNATURES = 64  # those behind a message with a signature for each recipient would wait for all of them
_STRIKES = 2
_RETRY_SECONDS = 0.2  # between two tries to start a process, doubling
_LONGEST_RETRY_SECONDS = 5.0
_WITHOUT_WORKERS_SECONDS = 5.0  # then messages are answered unscored instead of waiting on

_log = logging.getLogger("mailweir.content")


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Workers alive, messages waiting, workers replaced and messages answered since the start."""

    workers: int
    queued: int
    restarts: int
    scored: int


@dataclass(eq=False, slots=True)
class _Job:
    request: ContentRequest
    answer: asyncio.Future[ContentResult]
    strikes: int = 0


class ContentPool:
    """Reads, scores and signs messages in `workers` processes. `model`: name, path, or "none"."""

    def __init__(
        self,
        *,
        model: str,
        keys: dict[str, bytes],
        workers: int,
        timeout_seconds: float,
        customers: Iterable[CustomerKey] = (),
        rules: str = "none",
    ) -> None:
        self._model, self._keys, self._size, self._timeout_seconds = model, keys, workers, timeout_seconds
        self._rules = rules
        self._customers = {known.id: known for known in customers}
        self._missed: dict[tuple[str, str, str], CustomerKey | None] = {}
        self._template: Template | None = None
        self._links: set[WorkerLink] = set()
        self._free: deque[WorkerLink] = deque()
        self._batches: dict[WorkerLink, list[_Job]] = {}
        self._queue: deque[_Job] = deque()
        self._suspects: deque[_Job] = deque()
        self._kick_is_due = False
        self._is_running = False
        self._changing = asyncio.Lock()
        self._gap = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._restarts = self._scored = 0

    async def start(self) -> None:
        """Return when all workers are ready. Raises ModelError for a model that cannot be used."""
        self._is_running = True
        async with self._changing:
            self._template = await self._start_template(self._model)
            for link in await self._open(self._template, self._size):
                self._adopt(link)
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End all processes; messages still waiting get an answer without a score."""
        self._is_running = False
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        async with self._changing:
            self._free.clear()
            await asyncio.gather(*(link.end() for link in list(self._links)))
            if self._template:
                await self._template.stop()
        self._give_up("stopping")

    async def assess(self, request: ContentRequest) -> ContentResult:
        """Return what a worker found. Never raises for bad mail."""
        job = _Job(request, asyncio.get_running_loop().create_future())
        self._queue.append(job)
        self._schedule_kick()
        return await job.answer

    async def reload(self, model: str, rules: str | None = None) -> None:
        """Change to `model` and to `rules` (None: as they are) without losing a message. Raises ModelError; then those
        in use stay."""
        async with self._changing:
            in_use, self._rules = self._rules, self._rules if rules is None else rules
            try:
                template = await self._start_template(model)
            except BaseException:
                self._rules = in_use
                raise
            links = await self._open(template, self._size)
            old_template, old_links = self._template, set(self._links)
            self._template, self._model = template, model
            self._links.clear()
            self._free.clear()
            for link in links:
                self._adopt(link)
            await asyncio.gather(*(link.end() for link in old_links))
            if old_template:
                await old_template.stop()

    def change_keys(self, change: KeyChange) -> None:
        """Sign with these customers' keys from the next message on; what a worker has in hand is not disturbed."""
        for key_id in change.drop:
            self._customers.pop(key_id, None)
            self._missed[key_id] = None
        for put in change.put:
            self._customers[put.id] = self._missed[put.id] = put
        frame = framed(change)
        for link in self._links:
            link.tell(frame)

    def stats(self) -> PoolStats:
        return PoolStats(
            workers=len(self._links),
            queued=len(self._queue) + len(self._suspects),
            restarts=self._restarts,
            scored=self._scored,
        )

    def _schedule_kick(self) -> None:
        if not self._kick_is_due:  # once per turn of the loop: what arrives together goes out together
            self._kick_is_due = True
            asyncio.get_running_loop().call_soon(self._kick)

    def _kick(self) -> None:
        self._kick_is_due = False
        while self._free and (self._suspects or self._queue):
            link = self._free.popleft()
            if batch := [self._suspects.popleft()] if self._suspects else self._next_batch(1 + len(self._free)):
                self._batches[link] = batch
                requests = [job.request for job in batch]
                link.send(framed(requests), self._timeout_seconds + extra_seconds(requests))
            else:
                self._free.append(link)

    def _next_batch(self, free: int) -> list[_Job]:
        wanted = min(_BATCH, -(-len(self._queue) // free))
        batch: list[_Job] = []
        size_bytes = signatures = 0
        while (
            self._queue
            and len(batch) < wanted
            and (not batch or (size_bytes < _BATCH_BYTES and signatures < _BATCH_SIGNATURES))
        ):
            job = self._queue.popleft()
            if not job.answer.done():  # its session may have gone away
                batch.append(job)
                size_bytes += job.request.size_bytes
                signatures += job.request.signatures
        return batch

    def _on_results(self, link: WorkerLink, results: list[ContentResult]) -> None:
        for job, result in zip(self._batches.pop(link), results, strict=True):
            _answer(job, result)
        self._scored += len(results)
        if link in self._links:
            self._free.append(link)
        self._kick()

    def _on_lost(self, link: WorkerLink) -> None:
        batch = self._batches.pop(link, [])
        if link in self._free:
            self._free.remove(link)
        for job in batch:
            self._strike(job, "timeout" if link.has_timed_out else "poison")
        if link in self._links:
            self._links.discard(link)
            if self._is_running:
                self._restarts += 1
                _log.warning(
                    "worker lost pid=%d messages=%d timeout=%s", link.pid, len(batch), str(link.has_timed_out).lower()
                )
                self._gap.set()
        self._schedule_kick()

    def _strike(self, job: _Job, error: str) -> None:
        job.strikes += 1
        if job.strikes < _STRIKES and self._is_running:
            self._suspects.append(job)
        else:
            _log.error("message unscored error=%s bytes=%d", error, job.request.size_bytes)
            _answer(job, unscored(job.request, error))

    async def _start_template(self, model: str) -> Template:
        folder = "" if model == "none" else str(find_model(model))
        setup = Setup(folder, self._keys, self._timeout_seconds, [*self._customers.values()], self._rules)
        template = await Template.start(setup, on_lost=self._gap.set)
        _log.info("template started model=%s", template.model_id)
        return template

    async def _open(self, template: Template, count: int) -> list[WorkerLink]:
        """Fork `count` workers, together: each takes its moment to get ready. All or none; raises OSError."""
        opening = (WorkerLink.open(template, self._on_results) for _ in range(count))
        opened = await asyncio.gather(*opening, return_exceptions=True)
        links = [link for link in opened if isinstance(link, WorkerLink)]
        for error in opened:
            if isinstance(error, BaseException):
                await asyncio.gather(*(link.end() for link in links))
                await template.stop()
                raise error
        return links

    def _adopt(self, link: WorkerLink) -> None:
        link.on_lost = self._on_lost
        if link.lost.is_set():
            self._gap.set()
            return
        if self._missed:
            link.tell(framed(self._missed_keys()))
        self._links.add(link)
        self._free.append(link)
        self._schedule_kick()

    def _missed_keys(self) -> KeyChange:
        """What has changed since the first template was set up: a worker forked from any of them lacks no more.

        Bounded by the number of keys there ever were; one that has it already loses nothing by hearing it again.
        """
        put = [known for known in self._missed.values() if known is not None]
        return KeyChange(put, [key_id for key_id, known in self._missed.items() if known is None])

    async def _keep(self) -> None:
        """Replace what dies, for as long as the pool runs."""
        wait_seconds, since = _RETRY_SECONDS, 0.0
        now: Callable[[], float] = asyncio.get_running_loop().time
        while True:
            await self._gap.wait()
            self._gap.clear()
            since = since or now()
            try:
                await self._repair()
                wait_seconds, since = _RETRY_SECONDS, 0.0
            except Exception as error:  # whatever it is, the next try may do; without this loop mail would stand still
                _log.error("no content worker, next try in %.1f s: %s", wait_seconds, error)
                if not self._links and now() - since > _WITHOUT_WORKERS_SECONDS:
                    self._give_up("no content worker")
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(2 * wait_seconds, _LONGEST_RETRY_SECONDS)
                self._gap.set()

    async def _repair(self) -> None:
        async with self._changing:
            if self._template is None or self._template.is_lost:
                if self._template:
                    self._restarts += 1
                    lost, self._template = self._template, None
                    await lost.stop()
                self._template = await self._start_template(self._model)
            for link in await self._open(self._template, self._size - len(self._links)):
                self._adopt(link)

    def _give_up(self, error: str) -> None:
        for job in [*self._suspects, *self._queue]:
            _answer(job, unscored(job.request, error))
        self._suspects.clear()
        self._queue.clear()


def _answer(job: _Job, result: ContentResult) -> None:
    if not job.answer.done():
        job.answer.set_result(result)
