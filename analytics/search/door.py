"""The doors of the query API for searches: answer one, stream the whole of one or of a table, give one up."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime

import msgspec
import pyarrow as pa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from analytics.search.finding import Asked, every, find
from analytics.search.tables import TableAsked, rows_of
from analytics.serving.answers import ARROW, Refused, arrow, arrow_stream, body, json
from analytics.serving.ask import Stop
from analytics.serving.running import Running
from analytics.warehouse import Warehouse
from relay.clock import Clock
from relay.tree import Principal

# Has a question answered in a thread, as long as somebody waits for it and `Stop` is not set.
Answering = Callable[[Request, Callable[[Stop], pa.Table], Stop | None], Awaitable[pa.Table]]


class SearchOrder(msgspec.Struct, forbid_unknown_fields=True):
    """A search. `id` lets its author end it; with `table` instead of `query` a stream is of that table."""

    query: str = ""
    account: str = ""
    limit: int = 500
    id: str = ""
    table: str = ""
    since: datetime | None = None
    until: datetime | None = None


class SearchDoor:
    """Answers searches in the scope of whoever asks."""

    def __init__(self, warehouse: Warehouse, clock: Clock, running: Running, answer: Answering) -> None:
        self._warehouse, self._clock, self._running, self._answer = warehouse, clock, running, answer

    def table(self) -> Sequence[tuple[str, str, Callable[[Principal, Request], Awaitable[Response]]]]:
        """Method, path, answer."""
        return [
            ("POST", "/v1/search", self.find),
            ("POST", "/v1/stream", self.stream),
            ("POST", "/v1/stop/{id}", self.stop),
        ]

    async def find(self, principal: Principal, request: Request) -> Response:
        """One answer; the schema's metadata says how far it came."""
        order = await body(request, SearchOrder)
        asked = self._asked(principal, order)
        with self._running.started(principal.id, order.id) as stop:
            return arrow(await self._answer(request, lambda stop: _found(self._warehouse, asked, stop), stop))

    async def stream(self, principal: Principal, request: Request) -> Response:
        """All of it, piece by piece; whoever goes away ends it."""
        order = await body(request, SearchOrder)
        stop = Stop()
        tables = self._tables(principal, order, stop)
        # the first piece now: a query that cannot be read is an answer, not a broken stream
        first = await run_in_threadpool(lambda: next(tables))
        return StreamingResponse(_ending(arrow_stream(_from(first, tables)), stop), media_type=ARROW)

    async def stop(self, principal: Principal, request: Request) -> Response:
        """End a question of one's own."""
        return json({"stopped": self._running.stop(principal.id, request.path_params["id"])})

    def _tables(self, principal: Principal, order: SearchOrder, stop: Stop) -> Iterator[pa.Table]:
        if not order.table:
            return every(self._warehouse, self._asked(principal, order), stop)
        if order.query:
            raise Refused(422, "a stream is of a `query` or of a `table`, not of both")
        asked = TableAsked(order.table, principal.scope, order.account, order.since, order.until)
        return rows_of(self._warehouse, asked, self._clock.now(), stop)

    def _asked(self, principal: Principal, order: SearchOrder) -> Asked:
        return Asked(order.query, principal.scope, self._clock.now(), order.account, order.limit)


def _found(warehouse: Warehouse, asked: Asked, stop: Stop) -> pa.Table:
    found = find(warehouse, asked, stop)
    told = {
        "since": found.since.isoformat(),
        "until": found.until.isoformat(),
        "searched_from": found.searched_from.isoformat(),
        "is_complete": "yes" if found.is_complete else "no",
    }
    return found.table.replace_schema_metadata(told)


def _from(first: pa.Table, others: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from others


def _ending(pieces: Iterator[bytes], stop: Stop) -> Iterator[bytes]:
    try:
        yield from pieces
    finally:  # also when nobody reads on
        stop.set()
