"""What every route of the control API reads from a request. Raises Invalid for what does not fit."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from relay.control.errors import Invalid
from relay.tree import Principal

_B = TypeVar("_B")
_MAX_BODY_BYTES = 1_048_576
_MAX_LIMIT = 10_000

Answer = Callable[[Principal, Request], Awaitable[object]]
Routes = Sequence[tuple[str, str, Answer, int]]  # method, path, answer, status of success


async def body(request: Request, type_: type[_B]) -> _B:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _MAX_BODY_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {_MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(content or b"{}", type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"the request's JSON does not fit: {error}") from None


def limit(request: Request, default: int) -> int:
    text = request.query_params.get("limit", str(default))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MAX_LIMIT:
        raise Invalid(f"limit = {text!r}: must be a number from 1 to {_MAX_LIMIT}")
    return int(text)
