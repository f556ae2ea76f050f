"""The query API for Python: questions by name, answers as Arrow tables or pandas frames. Synchronous.

QueryError           analytics refused or could not answer; the text says why
+-- AnalyticsDown    it does not answer at all; mail flows without it
"""

import io
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import httpx2
import msgspec
import pandas as pd
import pyarrow as pa

from relay.control.accounts.calls import quoted
from relay.control.client import base_url
from relay.privacy.views import Trace
from relay.settings import Settings

_TIMEOUT_SECONDS = 30.0


class QueryError(Exception):
    """Analytics refused; `status` as in HTTP, the text fit for a page."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class AnalyticsDown(QueryError):
    """Analytics does not answer."""


class QueryClient:
    """Asks one analytics process. Usable from several threads; close it, or use it in a `with`."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        token_file: Path | None = None,
    ) -> None:
        self._url, self._token, self._token_file = base_url.rstrip("/"), token, token_file
        self._http = httpx2.Client(
            base_url=self._url,
            timeout=httpx2.Timeout(timeout_seconds, connect=2.0),
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # never used, as the relay's client's
            trust_env=False,
        )

    @classmethod
    def of(
        cls, settings: Settings, name: str = "dashboard", *, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> "QueryClient":
        """The client of this node's analytics, with the token file of `name`: read when the first question is asked,
        as the node's first start makes it."""
        url = base_url(settings.analytics.listen)
        return cls(url, "", timeout_seconds=timeout_seconds, token_file=settings.tokens_dir / f"{name}.token")

    def __enter__(self) -> "QueryClient":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def health(self) -> dict[str, Any]:
        """status, version, last_ingest_at, behind_files; needs no token."""
        return cast(dict[str, Any], msgspec.json.decode(self._ask("GET", "/healthz")))

    def table(self, name: str, **params: object) -> pa.Table:
        """Answer the question `name` (analytics/queries/named.py). Instants may be given as datetime."""
        return self._named(name, params)[0]

    def frame(self, name: str, **params: object) -> pd.DataFrame:
        """The same as a frame; instants are aware UTC. `.attrs["age_seconds"]`: a dear answer is given again."""
        table, age_seconds = self._named(name, params)
        frame = _frame(table)
        frame.attrs["age_seconds"] = age_seconds
        return frame

    def sql(self, text: str, *, id: str = "") -> pd.DataFrame:
        """Answer one free SELECT; needs the token of the notebook or the admin. `.attrs["truncated"]`: rows kept.

        `id` is one's own, for `stop`."""
        table = _table(self._ask("POST", "/sql", {"sql": text, "id": id}))
        frame = _frame(table)
        if table.schema.metadata and b"truncated" in table.schema.metadata:
            frame.attrs["truncated"] = int(table.schema.metadata[b"truncated"])
        return frame

    def search(self, query: str, *, account: str = "", limit: int = 500, id: str = "") -> pd.DataFrame:
        """Answer a search (docs/search.md), newest first. `.attrs`: is_complete, searched_from, since, until."""
        table = _table(self._ask("POST", "/v1/search", {"query": query, "account": account, "limit": limit, "id": id}))
        frame = _frame(table)
        told = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        frame.attrs |= {key: datetime.fromisoformat(told[key]) for key in ("since", "until", "searched_from")}
        frame.attrs["is_complete"] = told.get("is_complete") == "yes"
        return frame

    def stop(self, id: str) -> bool:
        """Give up the question that was asked with this id; tell whether it still ran."""
        return bool(msgspec.json.decode(self._ask("POST", f"/v1/stop/{quoted(id)}"))["stopped"])

    @contextmanager
    def stream(self, **order: object) -> Iterator[pa.RecordBatchReader]:
        """All rows of a `query` or a `table` (`since`, `until`, `account`), batch by batch, never all in memory."""
        body = msgspec.json.encode({key: _plain(value) for key, value in order.items() if value is not None})
        try:
            with self._http.stream("POST", "/v1/stream", content=body, headers=self._headers()) as response:
                if not response.is_success:
                    raise _error(response.status_code, response.read())
                yield pa.ipc.open_stream(_Body(response.iter_bytes()))
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise self._down() from None
        except (httpx2.HTTPError, pa.ArrowInvalid, OSError) as error:
            raise AnalyticsDown(503, f"analytics at {self._url} broke off: {error!r}") from None

    def complaint(self, **complaint: str) -> dict[str, Any]:
        """Report a complaint: message_id or sender, recipient, provider, feedback_type."""
        return cast(dict[str, Any], msgspec.json.decode(self._ask("POST", "/v1/complaints", complaint)))

    def run_job(self, name: str) -> dict[str, Any]:
        """Have a job run now and wait for its end: job, error ("" when it went well), detail."""
        return cast(dict[str, Any], msgspec.json.decode(self._ask("POST", f"/v1/jobs/{quoted(name)}/run")))

    def backup(self, step: str) -> dict[str, Any]:
        """Have the warehouse stand still (`begin`), or go on (`end`: held, whether it stood still until now)."""
        return cast(dict[str, Any], msgspec.json.decode(self._ask("POST", f"/v1/backup/{step}")))

    def privacy(self, door: str, **order: object) -> list[Trace]:
        """Forget an address (`forgotten`: address, token) or `purge` (days or account); what was found and its fate."""
        return msgspec.json.decode(self._ask("POST", f"/v1/{door}", order), type=_Traced).traces

    def feed(self, kind: str, raw: bytes, *, name: str = "", dry_run: bool = False) -> dict[str, Any]:
        """Bring a file of reports; the answer is feeds.Taken: status new, known or refused, reason, fresh, says."""
        asked = urlencode({"name": name[:255], "dry_run": "true" if dry_run else "false"})
        return cast(dict[str, Any], msgspec.json.decode(self._ask("POST", f"/v1/feeds/{kind}?{asked}", raw)))

    def bring(self, raw: bytes, mailbox: str, *, origin: str = "", dry_run: bool = False) -> dict[str, Any]:
        """Bring a mail that was collected elsewhere; the answer is intake.Brought: status new, known or refused."""
        asked = urlencode({"origin": origin[:100], "dry_run": "true" if dry_run else "false"})
        return cast(dict[str, Any], msgspec.json.decode(self._ask("POST", f"/v1/inbox/{quoted(mailbox)}?{asked}", raw)))

    def case(self, case_id: str) -> dict[str, Any]:
        """A case with its text; the answer is cases.CaseView."""
        return cast(dict[str, Any], msgspec.json.decode(self._ask("GET", f"/v1/cases/{quoted(case_id)}")))

    def change_case(self, case_id: str, status: str, *, why: str = "", dry_run: bool = False) -> dict[str, Any]:
        """Close a case, or open it again; the answer is cases.CaseDone."""
        order = {"status": status, "why": why, "dry_run": dry_run}
        return cast(dict[str, Any], msgspec.json.decode(self._ask("POST", f"/v1/cases/{quoted(case_id)}", order)))

    def _named(self, name: str, params: Mapping[str, object]) -> tuple[pa.Table, int]:
        plain = {key: _plain(value) for key, value in params.items() if value is not None}
        response = self._respond("POST", f"/q/{name}", plain)
        return _table(response.content), int(response.headers.get("age", "0"))

    def _ask(self, method: str, path: str, body: object = None) -> bytes:
        return self._respond(method, path, body).content

    def _respond(self, method: str, path: str, body: object = None) -> httpx2.Response:
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        try:
            response = self._http.request(method, path, content=content, headers=self._headers())
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise self._down() from None
        except httpx2.HTTPError as error:
            raise AnalyticsDown(503, f"analytics at {self._url} broke off: {error!r}") from None
        if not response.is_success:
            raise _error(response.status_code, response.content)
        return response

    def _down(self) -> AnalyticsDown:
        return AnalyticsDown(
            503, f"analytics at {self._url} does not answer; mail flows without it. Is `mailweir up` running?"
        )

    def _headers(self) -> dict[str, str]:
        if not self._token and self._token_file:
            try:
                self._token = self._token_file.read_text().strip()
            except FileNotFoundError:
                pass  # nothing was started here yet; the answer will say so
            except OSError as error:
                raise QueryError(401, f"the token cannot be read: {error}") from None
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}


class _Traced(msgspec.Struct):
    traces: list[Trace]


class _Body(io.RawIOBase):
    """An answer's bytes as they come, for Arrow to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._left) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._left += piece
        end = len(self._left) if size < 0 else size
        found, self._left = self._left[:end], self._left[end:]
        return found


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _table(content: bytes) -> pa.Table:
    try:
        with pa.ipc.open_stream(content) as stream:
            return stream.read_all()
    except pa.ArrowInvalid as error:
        raise QueryError(502, f"this is no answer of analytics: {error}") from None


def _frame(table: pa.Table) -> pd.DataFrame:
    return cast(pd.DataFrame, table.to_pandas())


def _error(status: int, content: bytes) -> QueryError:
    try:
        return QueryError(status, str(msgspec.json.decode(content, type=dict[str, Any])["detail"]))
    except (msgspec.DecodeError, KeyError):
        return QueryError(status, f"HTTP {status}: {content[:200].decode(errors='replace')}")
