"""What the query API does for a backup: the warehouse stands still, and goes on."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from analytics.backup.standstill import Standstill
from analytics.serving.answers import json
from analytics.serving.doors import Answer, require
from relay.tree import Principal, Role


class BackupDoors:
    """One method per route."""

    def __init__(self, standstill: Standstill) -> None:
        self._standstill = standstill

    def table(self) -> Sequence[tuple[str, str, Answer]]:
        """Method, path, answer."""
        return [("POST", "/v1/backup/begin", self.begin), ("POST", "/v1/backup/end", self.end)]

    async def begin(self, principal: Principal, request: Request) -> Response:
        require(principal, Role.ADMIN, "take backups")
        await asyncio.to_thread(self._standstill.begin)
        return json({"status": "still"})

    async def end(self, principal: Principal, request: Request) -> Response:
        require(principal, Role.ADMIN, "take backups")
        return json({"held": self._standstill.end()})
