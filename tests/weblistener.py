"""An open web listener on loopback for tests, and what came through it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import httpx2
from argon2 import PasswordHasher
from starlette.routing import Route

from relay.account import Account, Credential
from relay.clock import SystemClock
from relay.envelope import Submission
from relay.front.auth import Authenticator
from relay.front.bearer import bearer_of
from relay.front.doorway import Doorway
from relay.front.tls import ensure_certificate
from relay.front.web.messages import Messages
from relay.front.web.server import PublicWeb
from relay.reply import Reply
from relay.settings import Settings
from relay.spool.idempotency import Answered
from relay.spool.large import LargeFiles

T = TypeVar("T")
ACME, OTHER = Account("acme"), Account("other")
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")
BEARER = {"Authorization": f"Bearer {bearer_of('srv1', 'secret')}"}
OTHER_BEARER = {"Authorization": f"Bearer {bearer_of('srv2', 'secret')}"}
LETTER = {"from": "Ann <a@acme.example>", "to": ["x@d.example"], "subject": "hi", "text": "hello"}


@dataclass
class Listener:
    """What tests see. `reply`: given to every message; `gate`: the receiver waits for it."""

    port: int = 0
    web: PublicWeb | None = None
    way: Doorway | None = None
    received: list[Submission] = field(default_factory=list)
    failures: list[tuple[str, bytes, str]] = field(default_factory=list)
    refusals: list[tuple[str, str, Submission | None]] = field(default_factory=list)
    reply: Reply | Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    kept: dict[tuple[str, str], Answered] = field(default_factory=dict)
    scheme: str = "http"

    def client(self, headers: dict[str, str] | None = None) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=f"{self.scheme}://127.0.0.1:{self.port}",
            headers=BEARER if headers is None else headers,
            verify=False,
            trust_env=False,
            timeout=10,
        )

    async def receive(self, submission: Submission) -> Reply:
        """Stand where the receiver stands; what it keeps, it keeps as the spool does."""
        self.arrived.set()
        await self.gate.wait()
        self.received.append(submission)
        if isinstance(self.reply, Exception):
            raise self.reply
        reply = self.reply or Reply(250, "2.0.0", f"queued as mw1.{len(self.received)}")
        if submission.once and reply.is_success:
            once, account = submission.once, submission.account.name
            until = (submission.received_at + timedelta(hours=24)).timestamp()
            self.kept[account, once.key] = Answered(account, once.key, once.digest, once.answer(reply), until)
        return reply


@asynccontextmanager
async def opened(tmp_path: Path, **sections: dict[str, object]) -> AsyncIterator[Listener]:
    """`sections`: settings, as web={...}, smtp={...}."""
    listener, clock = Listener(), SystemClock()
    listener.gate.set()
    sections["web"] = {"listen": "127.0.0.1:0", **sections.get("web", {})}
    settings = Settings(dir=tmp_path, **sections)  # type: ignore[arg-type]
    authenticator = Authenticator(
        {"srv1": Credential("srv1", "acme", HASH), "srv2": Credential("srv2", "other", HASH)}, clock
    )
    way = Doorway(
        settings=settings.smtp,
        hostname="relay.example",
        clock=clock,
        tls=ensure_certificate(None, None, tmp_path / "tls", "relay.example"),
        authenticator=authenticator,
        account_of_ip=lambda ip: ACME,  # every address is on the allowlist
        account_of_name={"acme": ACME, "other": OTHER}.get,
        credential_of=lambda login: None,
        is_trusted=lambda ip: False,
        receive=listener.receive,
        open_large=LargeFiles(tmp_path / "large", ()).open,
        on_refusal=lambda stage, reply, submission: listener.refusals.append((stage, str(reply), submission)),
        on_auth_failure=lambda ip, login, mechanism: listener.failures.append((ip, login, mechanism)),
    )
    messages = Messages(way, settings.web, lambda account, key, now_unix: listener.kept.get((account, key)))
    routes = [Route("/v1/messages", messages.post, methods=["POST"])]
    listener.web = PublicWeb(settings, routes, way.tls if settings.web.tls else None)
    listener.way = way
    listener.scheme = "https" if settings.web.tls else "http"
    listener.port = await listener.web.open()
    try:
        yield listener
    finally:
        listener.gate.set()
        await listener.web.close()
        await messages.close()
        authenticator.close()


def run(
    tmp_path: Path, story: Callable[[Listener], "asyncio.Future[T] | object"], **sections: dict[str, object]
) -> object:
    """Open a listener and run a coroutine function with it."""

    async def whole() -> object:
        async with opened(tmp_path, **sections) as listener:
            return await story(listener)  # type: ignore[misc]

    return asyncio.run(whole())
