"""Accounts without a running relay: opens the state itself, alone, hands the orders to the same API, and closes it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import httpx2

from relay.clock import SystemClock
from relay.control.client import ControlClient, ControlError, ControlUnreachable, answer_of
from relay.control.desk_calls import DeskCalls
from relay.control.state.database import default_url
from relay.control.state.lock import AlreadyRunning, acquire
from relay.policy.file import PolicyError
from relay.settings import Settings
from relay.tree import Principal, Role

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from relay.control.state.memory import State

_T = TypeVar("_T")

# Who may write the data folder may do everything: the audit log calls it so.
_FOLDER_OWNER = Principal("cli", Role.ADMIN)


def at_the_desk(settings: Settings, action: Callable[[DeskCalls], _T]) -> _T:
    """Do `action` through the running relay, or on its state when none runs. Raises ControlError, StateFailure."""
    try:
        with ControlClient.of(settings) as client:
            return action(client)
    except ControlError as error:
        # Nobody answers, or the relay of another folder does (401): ours does not run if its lock is free.
        if not isinstance(error, ControlUnreachable) and error.status != 401:
            raise
        try:
            with acquire(settings.dir), closing(_LocalDesk(settings)) as desk:
                return action(desk)
        except AlreadyRunning as running:
            raise ControlError(error.status, f"{running} - but {error}") from None


class _LocalDesk(DeskCalls):
    """Opens the state at the first request and keeps it: a long import would load it anew for each part."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._runner = settings, asyncio.Runner()
        self._opened: tuple[State, Starlette] | None = None

    def close(self) -> None:
        """Close the state; after the last request."""
        try:
            if self._opened is not None:
                self._runner.run(self._opened[0].close())
        finally:
            self._runner.close()

    def _ask(
        self,
        method: str,
        path: str,
        answer: type[_T],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> _T:
        return answer_of(self._runner.run(self._respond(method, path, query, body)), answer)

    async def _respond(
        self, method: str, path: str, query: Mapping[str, str] | None, body: bytes | None
    ) -> httpx2.Response:
        from relay.control.state.memory import State

        if self._opened is None:
            state = await State.open(default_url(self._settings.dir), self._settings.node.name, SystemClock())
            self._opened = state, self._app(state)
        state, app = self._opened
        if path.startswith("/v1/policy"):
            with contextlib.suppress(PolicyError):  # of another release: the very reason to apply one that fits
                await state.policies.settle(self._settings.policy)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://state") as client:
            return await client.request(method, path, params=query, content=body)

    def _app(self, state: "State") -> "Starlette":
        from relay.control.api import build_desk
        from relay.control.audit.desk import AuditDesk
        from relay.control.audit.routes import AuditRoutes
        from relay.control.desk import Desk
        from relay.control.policies.desk import PolicyDesk
        from relay.control.policies.routes import PolicyRoutes
        from relay.domains.routes import DomainRoutes
        from relay.domains.wiring import make_desk
        from relay.users.desk import UserDesk
        from relay.users.routes import UserRoutes

        clock = SystemClock()
        domains = DomainRoutes(make_desk(state, clock, lambda: self._settings))
        policy = PolicyRoutes(PolicyDesk(state.policies, lambda _policy: None))
        users = UserRoutes(UserDesk(state, clock, lambda: self._settings))
        more = [*AuditRoutes(AuditDesk(state)).table(), *policy.table(), *users.table(), *domains.table()]
        return build_desk(Desk(state, clock, self._in_spool), _FOLDER_OWNER, more)

    def _in_spool(self, account: str) -> tuple[int, int]:
        """How many messages of an account wait, and how many are held; none where no relay has run yet."""
        from relay.spool import census, index

        path = self._settings.dir / "spool" / "index.sqlite"
        if not path.exists():
            return 0, 0
        with closing(index.connect(path)) as connection:
            held = census.held_count(connection, account=account)
            return census.messages_of(connection, account) - held, held
