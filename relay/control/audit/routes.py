"""The routes of the control API for the audit log."""

from starlette.requests import Request

from relay.control.audit.desk import AuditDesk
from relay.control.audit.views import AuditEntry, AuditHead, ChainPart, JobRun
from relay.control.errors import Invalid
from relay.control.requests import Routes, body, limit
from relay.tree import Principal


class AuditRoutes:
    """One method per route: request in, typed answer out."""

    def __init__(self, desk: AuditDesk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [
            ("GET", "/v1/audit", self.newest, 200),
            ("GET", "/v1/audit/heads", self.heads, 200),
            ("GET", "/v1/audit/chain", self.chain, 200),
            ("POST", "/v1/audit/jobs", self.ran, 201),
        ]

    async def newest(self, principal: Principal, request: Request) -> list[AuditEntry]:
        return await self._desk.newest(principal, limit(request, 200))

    async def heads(self, principal: Principal, request: Request) -> list[AuditHead]:
        return await self._desk.heads(principal)

    async def chain(self, principal: Principal, request: Request) -> ChainPart:
        query = request.query_params
        after = query.get("after", "0")
        if not after.isascii() or not after.isdigit():
            raise Invalid(f"after = {after!r}: give the number of a row, 0 for the beginning")
        head = AuditHead(node=query.get("node", ""), sequence=int(after), digest=query.get("digest", ""))
        return await self._desk.part(principal, head, query.get("wanted", ""))

    async def ran(self, principal: Principal, request: Request) -> JobRun:
        return await self._desk.ran(principal, await body(request, JobRun))
