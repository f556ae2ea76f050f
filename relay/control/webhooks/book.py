"""The endpoints of webhooks as rows of the state, read seldom.

The secret stays in clear, because calls are signed with it: the state database is its owner's only.
"""

from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, delete, insert, select

from relay.control.audit.chain import Act
from relay.control.state import schema
from relay.control.state.writer import Writer
from relay.control.webhooks.views import WebhookKey
from relay.tree import Principal


class WebhookBook(Writer):
    """The table. Read and written with `await`."""

    async def all(self) -> list[WebhookKey]:
        """Every endpoint, the oldest first."""
        return await self._database.run(_load)

    async def add(self, key: WebhookKey, principal: Principal, act: Act) -> None:
        wanted = insert(schema.webhook).values(asdict(key))
        await self._audited(lambda connection, _now: connection.execute(wanted), principal, act)

    async def remove(self, webhook_id: str, principal: Principal, act: Act) -> None:
        wanted = delete(schema.webhook).where(schema.webhook.c.id == webhook_id)
        await self._audited(lambda connection, _now: connection.execute(wanted), principal, act)


def _load(connection: Connection) -> list[WebhookKey]:
    rows = connection.execute(select(schema.webhook).order_by(schema.webhook.c.created_at, schema.webhook.c.id))
    return [WebhookKey(**_values(row._asdict())) for row in rows]


def _values(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in WebhookKey.__struct_fields__}
