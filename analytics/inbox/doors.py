"""What the query API answers about the inboxes: mail that is brought, cases. For people of the whole installation."""

import asyncio
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from analytics.inbox.cases import CaseOrder, Cases
from analytics.inbox.intake import MAILBOXES, Intake
from analytics.serving.ask import Unanswerable
from analytics.serving.doors import Answer, require
from relay.tree import Principal, Role

_MAX_BYTES = 33 * 1024 * 1024


class InboxDoors:
    """One method per route."""

    def __init__(self, intake: Intake, cases: Cases) -> None:
        self._intake, self._cases = intake, cases

    def table(self) -> Sequence[tuple[str, str, Answer]]:
        """Method, path, answer."""
        return [
            ("POST", "/v1/inbox/{mailbox}", self.bring),
            ("GET", "/v1/cases/{id}", self.show),
            ("POST", "/v1/cases/{id}", self.change),
        ]

    async def bring(self, principal: Principal, request: Request) -> Response:
        require(principal, Role.OPERATOR, "bring mail")
        mailbox, asked = request.path_params["mailbox"], request.query_params
        if mailbox not in MAILBOXES:
            raise Unanswerable(f"mailbox {mailbox!r}: must be one of {', '.join(MAILBOXES)}")
        raw, is_dry = await _content(request), asked.get("dry_run") == "true"
        origin = asked.get("origin", "") or principal.id
        return _json(await asyncio.to_thread(self._intake.take, raw, mailbox, origin, dry_run=is_dry))

    async def show(self, principal: Principal, request: Request) -> Response:
        require(principal, Role.ABUSE, "read people's mail")
        return _json(await asyncio.to_thread(self._cases.show, request.path_params["id"]))

    async def change(self, principal: Principal, request: Request) -> Response:
        require(principal, Role.ABUSE, "close cases")
        try:
            order = msgspec.json.decode(await _content(request), type=CaseOrder)
        except msgspec.DecodeError as error:
            raise Unanswerable(f"the body is not what it should be: {error}") from None
        case_id = request.path_params["id"]
        return _json(await asyncio.to_thread(self._cases.change, case_id, order, principal.id))


async def _content(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise Unanswerable(f"a mail is at most {_MAX_BYTES} bytes")
    return bytes(body)


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
