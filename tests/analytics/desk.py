"""The control API of the state alone, over a real database, served in a thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relay.account import Account
from relay.clock import Clock
from relay.control.api import build_desk
from relay.control.client import ControlClient
from relay.control.desk import Desk
from relay.control.questions import Questions
from relay.control.serving import serve
from relay.control.webhooks.commands import WebhookDesk
from relay.control.webhooks.routes import WebhookRoutes
from relay.control.webhooks.views import ReleaseLink
from tests.blank import opened_state
from tests.builders import ADMIN


@contextmanager
def control(folder: Path, clock: Clock) -> Iterator[str]:
    """Serve it while the block runs; give its URL. The state has the account acme and no decisions."""
    loop, up, stop, urls = asyncio.new_event_loop(), threading.Event(), asyncio.Event(), list[str]()

    async def run() -> None:
        state = await opened_state(folder, clock)
        try:
            if "acme" not in state.accounts:
                await state.add_account(Account("acme"), ADMIN)
            questions = Questions(state, None, None, clock)  # type: ignore[arg-type]  # no question about mail is asked
            routes = WebhookRoutes(WebhookDesk(state, clock), questions, lambda decision: ReleaseLink(url=""))
            app = build_desk(Desk(state, clock, lambda account: (0, 0)), ADMIN, routes.table())
            async with serve(app, "127.0.0.1", 0) as port:
                urls.append(f"http://127.0.0.1:{port}")
                up.set()
                await stop.wait()
        finally:
            await state.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert up.wait(20)
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def client(url: str) -> ControlClient:
    return ControlClient(url, "any")
