"""How the query API reads requests and writes answers: JSON in, Arrow or JSON out, RFC 9457 problems."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import TypeVar

import msgspec
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response

ARROW = "application/vnd.apache.arrow.stream"
MAX_BODY_BYTES = 262_144
_T = TypeVar("_T")


class Refused(Exception):
    """The request is answered by a problem with this status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


async def body(request: Request, kind: type[_T]) -> _T:
    """The request's JSON. Raises Refused."""
    raw = await content(request, MAX_BODY_BYTES)
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise Refused(422, f"the body is not what it should be: {error}") from None


async def content(request: Request, limit: int) -> bytes:
    """The request's bytes. Raises Refused."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > limit:
            raise Refused(413, f"a request is at most {limit} bytes")
    return bytes(found)


def arrow(table: pa.Table) -> Response:
    return Response(b"".join(arrow_stream(iter([table]))), media_type=ARROW)


def arrow_stream(tables: Iterator[pa.Table]) -> Iterator[bytes]:
    """Tables of one schema as the pieces of one Arrow stream."""
    sink = _Pieces()
    first = next(tables)
    with pa.ipc.new_stream(sink, first.schema) as stream:
        stream.write_table(first)
        yield sink.taken()
        for table in tables:
            stream.write_table(table)
            yield sink.taken()
    yield sink.taken()


def json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def problem(status: int, detail: str) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    described = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(msgspec.json.encode(described), status, headers, "application/problem+json")


class _Pieces:
    """A file that is written by Arrow and taken away piece by piece."""

    closed = False

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += bytes(data)
        return len(data)

    def flush(self) -> None: ...

    def taken(self) -> bytes:
        found, self._held = bytes(self._held), bytearray()
        return found
