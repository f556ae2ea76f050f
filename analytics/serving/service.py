"""The query API: questions in, Arrow streams out, and the door for complaints. Errors are RFC 9457 problem documents.

Questions run in a few threads, each with a cursor of its own, so that one heavy question does not stop the others and
nothing stops the ingestion. One whose asker goes away is interrupted, or never begun. The same named question of many
askers is asked once (remembered.py); the header Age says how old an answer is, in whole seconds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from analytics.complaints import Complaints, NewComplaint
from analytics.inbox.cases import NoSuchCase
from analytics.jobs import JobRuns, NoSuchJob
from analytics.reports.feeds import Feed, Feeds
from analytics.search.door import SearchDoor
from analytics.serving.answers import ARROW, Refused, arrow, arrow_stream, body, content, json, problem
from analytics.serving.ask import (
    GivenUp,
    OutOfScope,
    Stop,
    TooLong,
    Unanswerable,
    UnknownQuery,
    ask,
    ask_freely,
    span_seconds,
)
from analytics.serving.doors import Answer
from analytics.serving.openapi import described
from analytics.serving.remembered import Asked, Remembered
from analytics.serving.running import Running
from analytics.serving.threads import QueryThreads
from analytics.serving.warming import first_questions
from analytics.warehouse import Warehouse
from relay import __version__
from relay.clock import Clock
from relay.control.audit.views import JobRun
from relay.control.tokens import principal_of
from relay.tree import Principal, Role, Scope

_log = logging.getLogger("mailweir.query")

_MAX_FILE_BYTES = 100 * 1024 * 1024  # as much as a report may be unpacked
_HOW_TO_COME_IN = (
    "present `Authorization: Bearer TOKEN`; this node's tokens are the files below `tokens` in its data folder"
)


@dataclass(frozen=True, slots=True)
class Doors:
    """What the API reaches beside the warehouse: complaints, files of reports, the order to run a job now, and `more`:
    method, path and answer of other rooms.

    `noted` has the relay write into the audit log that the bearer of a token ran a job; `session` tells whose session a
    token is. Both may take as long as the relay takes to answer.
    """

    complaints: Complaints
    feeds: Feeds
    run_job: Callable[[str], tuple[str, str]]
    noted: Callable[[str, JobRun], None]
    session: Callable[[str], Principal | None]
    more: Sequence[tuple[str, str, Answer]] = ()


class QueryApi:
    """Answers for one warehouse. `behind` counts the journal files that wait for ingestion."""

    def __init__(
        self,
        warehouse: Warehouse,
        tokens: Mapping[str, Principal],
        clock: Clock,
        behind: Callable[[], int],
        doors: Doors,
    ) -> None:
        self._warehouse, self._tokens, self._clock, self._behind = warehouse, tokens, clock, behind
        self._complaints, self._feeds, self._run_job = doors.complaints, doors.feeds, doors.run_job
        self._noted = doors.noted
        self._session, self._more = doors.session, doors.more
        self._threads = QueryThreads()
        self._remembered = Remembered(self._threads.begin)
        self._running = Running()
        self._search = SearchDoor(warehouse, clock, self._running, self._answer)

    def app(self) -> Starlette:
        """Make the ASGI application."""
        table = [*self.table(), *self._search.table(), *self._more]
        return Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/openapi.json", described(table)),
                *(Route(path, self._guarded(answer), methods=[method]) for method, path, answer in table),
            ],
            exception_handlers={404: _missing, 405: _missing},
        )

    def table(self) -> Sequence[tuple[str, str, Answer]]:
        """Method, path and answer of this module's own doors."""
        return [
            ("POST", "/q/{name}", self._named),
            ("POST", "/sql", self._free),
            ("POST", "/v1/complaints", self._complain),
            ("POST", "/v1/feeds/{kind}", self._feed),
            ("POST", "/v1/jobs/{name}/run", self._job),
        ]

    def close(self) -> None:
        self._threads.close()

    async def _healthz(self, _request: Request) -> Response:
        query = "SELECT max(ingested_at) AS last_at FROM ingested_file"
        table = await self._in_thread(lambda: self._warehouse.table(query))
        last_at = table.column(0)[0].as_py()
        return json({"status": "ok", "version": __version__, "last_ingest_at": last_at, "behind_files": self._behind()})

    async def warm(self) -> None:
        """Ask what dashboards ask first, one after the other; for a start, when nobody waits for it yet."""
        for name, params in first_questions(self._clock.now()):
            try:
                await self._answered(name, params, Scope(), asyncio.Event().wait)
            except (Unanswerable, duckdb.Error, RuntimeError) as error:  # of a process that is stopped already, too
                _log.info("not warmed query=%s error=%s", name, error)
                return

    async def _named(self, principal: Principal, request: Request) -> Response:
        params = await body(request, dict[str, Any])
        found, age = await self._answered(request.path_params["name"], params, principal.scope, request.receive)
        return Response(found, media_type=ARROW, headers={"Age": str(int(age))})

    async def _answered(
        self, name: str, params: dict[str, Any], scope: Scope, gone: Callable[[], Awaitable[Any]]
    ) -> tuple[bytes, float]:
        """A named question's answer, and its age in seconds."""
        now, behind = self._clock.now(), self._behind()

        def question(stop: Stop) -> bytes:
            return b"".join(arrow_stream(iter([ask(self._warehouse, name, params, scope, now, behind, stop)])))

        whose, span = (scope.reseller, scope.account), span_seconds(name, params, now)
        key = name, repr(sorted(params.items())), whose
        line = name, repr(sorted((one, value) for one, value in params.items() if one != "since")), whose
        asked = Asked(name, key, span, question, line if "since" in params else None, now.timestamp() - span)
        return await self._remembered.answer(asked, gone)

    async def _free(self, principal: Principal, request: Request) -> Response:
        if principal.id != "notebook" and not principal.role.includes(Role.ADMIN):
            raise Refused(403, "free questions need the token of the notebook or of the admin")
        asked = await body(request, dict[str, str])
        text, scope = asked.get("sql", ""), principal.scope
        with self._running.started(principal.id, asked.get("id", "")) as stop:
            return arrow(await self._answer(request, lambda stop: ask_freely(self._warehouse, text, scope, stop), stop))

    async def _complain(self, principal: Principal, request: Request) -> Response:
        if not principal.role.includes(Role.ABUSE):
            raise Refused(403, f"{principal.id} has the role {principal.role}; complaints need {Role.ABUSE}")
        if principal.scope != Scope():  # it names whichever sender it likes
            raise Refused(403, f"{principal.id} sees a part of this installation only, and may not bring complaints")
        new = await body(request, NewComplaint)
        return json(await self._in_thread(lambda: self._complaints.take(new)), 202)

    async def _feed(self, principal: Principal, request: Request) -> Response:
        if not principal.role.includes(Role.OPERATOR) or principal.scope != Scope():
            raise Refused(403, f"{principal.id} may not bring reports: it needs {Role.OPERATOR} and the whole tree")
        kind, asked = request.path_params["kind"], request.query_params
        if kind not in list(Feed):
            raise Refused(404, f"there is no feed {kind!r}; there are: {', '.join(Feed)}")
        raw = await content(request, _MAX_FILE_BYTES)
        name, is_dry = asked.get("name", ""), asked.get("dry_run") == "true"
        return json(
            # not in the threads of the questions: a large report takes seconds
            await asyncio.to_thread(self._feeds.take, Feed(kind), raw, name=name, author=principal.id, dry_run=is_dry)
        )

    async def _job(self, principal: Principal, request: Request) -> Response:
        if not principal.role.includes(Role.OPERATOR) or principal.scope != Scope():
            raise Refused(403, f"{principal.id} may not run jobs: it needs {Role.OPERATOR} and the whole tree")
        name = request.path_params["name"]
        try:
            # not in the threads of the questions: a job may take minutes
            error, detail = await asyncio.to_thread(self._run_job, name)
        except NoSuchJob as missing:
            raise Refused(404, str(missing)) from None
        except JobRuns as busy:
            raise Refused(409, str(busy)) from None
        _log.info("job run by hand job=%s principal=%s error=%s", name, principal.id, error)
        await asyncio.to_thread(self._noted, _token_of(request), JobRun(job=name, error=error))
        return json({"job": name, "error": error, "detail": detail})

    async def _answer(
        self, request: Request, question: Callable[[Stop], pa.Table], stop: Stop | None = None
    ) -> pa.Table:
        """Answer a search or a SELECT in a thread while the asker waits. Raises GivenUp when he went away: his body
        is read, so the next thing that can come from him is that."""
        stop = stop or Stop()
        working = self._threads.begin(question, stop, is_dear=True)
        answer, gone = asyncio.wrap_future(working), asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not (answer.done() or working.cancel()):
                stop.set()
                await asyncio.wait({answer})
        finally:
            gone.cancel()
        if answer.cancelled() or working.cancelled():
            raise GivenUp("given up before it was begun: nobody waits for the answer")
        return answer.result()

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.wrap_future(self._threads.begin(lambda _stop: work(), Stop(), is_dear=False))

    def _guarded(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return await answer(await self._authenticate(request), request)
            except Refused as refused:
                return problem(refused.status, str(refused))
            except Unanswerable as error:
                return problem(_STATUS.get(type(error), 422), str(error))
            except Exception:  # one broken question must not end as a bare text
                _log.exception("question failed path=%s", request.url.path)
                return problem(500, "analytics could not answer this; its log says why")

        return endpoint

    async def _authenticate(self, request: Request) -> Principal:
        token = _token_of(request)
        if not token:
            raise Refused(401, f"there is no token in the request: {_HOW_TO_COME_IN}")
        principal = principal_of(self._tokens, token) or await asyncio.to_thread(self._session, token)
        if principal is None:
            raise Refused(401, f"nobody gave out this token, or its session is over: {_HOW_TO_COME_IN}")
        return principal


_STATUS: dict[type[Unanswerable], int] = {
    UnknownQuery: 404,
    OutOfScope: 403,
    TooLong: 504,
    GivenUp: 503,
    NoSuchCase: 404,
}


def _token_of(request: Request) -> str:
    """The token in a request, "" where there is none."""
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    return presented.strip() if scheme.lower() == "bearer" else ""


async def _missing(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return problem(status, f"there is no {request.method} {request.url.path}; try /healthz, /q/NAME, /sql")
