"""One call of an endpoint to try it: signed like any other, from here, and in no log."""

import asyncio
import time
from datetime import UTC, datetime

from analytics.webhooks.outbox import Event
from analytics.webhooks.payload import Message, payload
from analytics.webhooks.sending import Answer, Sender
from relay.control.webhooks.views import WebhookKey
from relay.settings import Settings

TEST = "webhook_test"  # the condition of a test call: no receiver should act on it


def call_once(settings: Settings, key: WebhookKey) -> Answer:
    """Call it once and say how it went, at the latest after webhooks.timeout_seconds."""
    now = datetime.now(UTC)
    event = Event(f"test-{int(time.time())}", now, TEST, "a test; nothing happened", key.account, "", "")

    async def call() -> Answer:
        sender = Sender(settings.webhooks)
        try:
            return await sender.call(key, payload(event, Message()), event.id, 1, time.time())
        finally:
            await sender.close()

    return asyncio.run(call())
