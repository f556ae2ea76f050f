"""What the web listener answers: JSON, and RFC 9457 problem documents that carry the reply SMTP would have given.

Never echoes what the client sent, but for recipients' addresses in a message's own answer.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from relay.reply import RelayError, Reply

_RETRY_SECONDS = 60
_next_instant = re.compile(r"next=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z").search
_queued = re.compile(r"queued as ([A-Za-z0-9.]+)(?: \((held|delayed))?").search
_encode = msgspec.json.Encoder().encode


class Fate(StrEnum):
    """What became of a message, or of one of its recipients."""

    QUEUED = "queued"
    HELD = "held"  # until a person looks at it
    DELAYED = "delayed"  # until the sender is below its limit again
    REFUSED = "refused"
    DEFERRED = "deferred"  # refused for now: a later request may bring it


class RecipientResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one recipient, with the reply RCPT would have given."""

    address: str
    status: Fate
    reply: str


class MessageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is on disk from now on."""

    id: str
    status: Fate
    reply: str
    recipients: list[RecipientResult]


class WebProblem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as RFC 9457 has it, with the SMTP reply in one and in its parts."""

    type: str
    title: str
    status: int
    detail: str
    reply: str
    code: int
    enhanced: str
    recipients: list[RecipientResult] = []


class WebRefusal(RelayError):
    """A request that is not carried out, where HTTP has a status of its own for it."""

    def __init__(self, status: HTTPStatus, reply: Reply, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reply)
        self.status, self.headers = status, dict(headers or {})


def json_answer(
    content: bytes, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with a JSON document."""
    return Response(content, status, dict(headers or {}), media_type="application/json")


def problem(
    error: RelayError, now: datetime | None = None, recipients: list[RecipientResult] | None = None
) -> Response:
    """Answer with a problem document. `now` tells how long a `next=` in the reply is away."""
    reply = error.reply
    if isinstance(error, WebRefusal):
        status, headers = error.status, error.headers
    else:
        status, headers = status_of(reply), {}
    if reply.is_transient:
        headers.setdefault("Retry-After", str(_retry_seconds(reply, now)))
    document = WebProblem(
        type="about:blank",
        title=status.phrase,
        status=status,
        detail=reply.text,
        reply=str(reply),
        code=reply.code,
        enhanced=reply.enhanced,
        recipients=recipients or [],
    )
    return Response(_encode(document), status, headers, media_type="application/problem+json")


def status_of(reply: Reply) -> HTTPStatus:
    """Return the HTTP status that says the same as a refusal."""
    if reply.is_transient:
        is_rate = reply.text.startswith("[RATE]") or _next_instant(reply.text)
        return HTTPStatus.TOO_MANY_REQUESTS if is_rate else HTTPStatus.SERVICE_UNAVAILABLE
    if reply.enhanced == "5.3.4":
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return HTTPStatus.FORBIDDEN if reply.enhanced.startswith("5.7.") else HTTPStatus.UNPROCESSABLE_ENTITY


def accepted(reply: Reply, recipients: list[RecipientResult]) -> bytes:
    """Return the document of an accepted message; `recipients` that wait get the message's own status."""
    # what is stored is never answered by an error: a reply without a queue id makes an answer without one
    queue_id, mark = found.groups() if (found := _queued(reply.text)) else ("", None)
    status = Fate(mark or Fate.QUEUED)
    shown = [
        RecipientResult(address=each.address, status=status, reply=each.reply) if each.status is Fate.QUEUED else each
        for each in recipients
    ]
    return _encode(MessageAnswer(id=queue_id, status=status, reply=str(reply), recipients=shown))


def _retry_seconds(reply: Reply, now: datetime | None) -> int:
    found = _next_instant(reply.text)
    if found is None or now is None:
        return _RETRY_SECONDS
    wait = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) - now
    return max(int(wait.total_seconds()) + 1, 1)
