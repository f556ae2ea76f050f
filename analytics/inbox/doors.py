"""What the query API answers about the inboxes: mail that is brought, cases. For people of the whole installation."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from analytics.inbox.cases import CaseOrder, Cases
from analytics.inbox.intake import MAILBOXES, Intake
from analytics.serving.answers import body, content, json
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
        raw, is_dry = await content(request, _MAX_BYTES), asked.get("dry_run") == "true"
        origin = asked.get("origin", "") or principal.id
        return json(await asyncio.to_thread(self._intake.take, raw, mailbox, origin, dry_run=is_dry))

    async def show(self, principal: Principal, request: Request) -> Response:
        require(principal, Role.ABUSE, "read people's mail")
        return json(await asyncio.to_thread(self._cases.show, request.path_params["id"]))

    async def change(self, principal: Principal, request: Request) -> Response:
        require(principal, Role.ABUSE, "close cases")
        order, case_id = await body(request, CaseOrder), request.path_params["id"]
        return json(await asyncio.to_thread(self._cases.change, case_id, order, principal.id))
