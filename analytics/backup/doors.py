"""What the query API does for a backup: the warehouse stands still, and goes on."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from analytics.answers import json
from analytics.ask import OutOfScope
from analytics.backup.standstill import Standstill
from relay.tree import Principal, Role, Scope

Answer = Callable[[Principal, Request], Awaitable[Response]]


class BackupDoors:
    """One method per route."""

    def __init__(self, standstill: Standstill) -> None:
        self._standstill = standstill

    def table(self) -> Sequence[tuple[str, str, Answer]]:
        """Method, path, answer."""
        return [("POST", "/v1/backup/begin", self.begin), ("POST", "/v1/backup/end", self.end)]

    async def begin(self, principal: Principal, request: Request) -> Response:
        _require(principal)
        await asyncio.to_thread(self._standstill.begin)
        return json({"status": "still"})

    async def end(self, principal: Principal, request: Request) -> Response:
        _require(principal)
        return json({"held": self._standstill.end()})


def _require(principal: Principal) -> None:
    if not principal.role.includes(Role.ADMIN) or principal.scope != Scope():
        raise OutOfScope(f"{principal.id} may not take backups: it needs {Role.ADMIN} and the whole tree")
