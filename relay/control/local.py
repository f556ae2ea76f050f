"""Accounts without a running relay: opens the state file itself, alone, and closes it again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from relay.clock import SystemClock
from relay.control.accounts import Accounts
from relay.control.client import ControlClient, ControlError, ControlUnreachable
from relay.control.database import default_url
from relay.control.lock import AlreadyRunning, acquire
from relay.control.state import State
from relay.control.views import AccountAdded, AccountView, NewAccount, NewCredential, NewNetwork, Secret
from relay.settings import Settings
from relay.tree import Principal, Role

_T = TypeVar("_T")

# Who may write the data folder may do everything: the audit log calls it so.
_FOLDER_OWNER = Principal("cli", Role.ADMIN)


class AccountDesk(Protocol):
    """The commands on accounts, through the API or without a relay."""

    def accounts(self) -> list[AccountView]: ...
    def account(self, name: str) -> AccountView: ...
    def add_account(self, new: NewAccount) -> AccountAdded: ...
    def add_credential(self, account: str, new: NewCredential) -> Secret: ...
    def revoke_credential(self, login: str) -> Secret: ...
    def allow(self, account: str, new: NewNetwork) -> AccountView: ...


def at_the_desk(settings: Settings, action: Callable[[AccountDesk], _T]) -> _T:
    """Do `action` through the running relay, or on its state when none runs. Raises ControlError, Refusal."""
    try:
        with ControlClient.of(settings) as client:
            return action(client)
    except ControlError as error:
        # Nobody answers, or the relay of another folder does (401): ours does not run if its lock is free.
        if not isinstance(error, ControlUnreachable) and error.status != 401:
            raise
        try:
            with acquire(settings.dir):
                return action(_LocalDesk(settings))
        except AlreadyRunning as running:
            raise ControlError(error.status, f"{running} - but {error}") from None


class _LocalDesk:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def accounts(self) -> list[AccountView]:
        return self._now(lambda accounts: accounts.list(_FOLDER_OWNER))

    def account(self, name: str) -> AccountView:
        return self._now(lambda accounts: accounts.show(_FOLDER_OWNER, name))

    def add_account(self, new: NewAccount) -> AccountAdded:
        return self._later(lambda accounts: accounts.add(_FOLDER_OWNER, new))

    def add_credential(self, account: str, new: NewCredential) -> Secret:
        return self._later(lambda accounts: accounts.add_credential(_FOLDER_OWNER, account, new))

    def revoke_credential(self, login: str) -> Secret:
        return self._later(lambda accounts: accounts.revoke_credential(_FOLDER_OWNER, login))

    def allow(self, account: str, new: NewNetwork) -> AccountView:
        return self._later(lambda accounts: accounts.allow(_FOLDER_OWNER, account, new.network, dry_run=new.dry_run))

    def _now(self, ask: Callable[[Accounts], _T]) -> _T:
        async def answer(accounts: Accounts) -> _T:
            return ask(accounts)

        return self._later(answer)

    def _later(self, action: Callable[[Accounts], Awaitable[_T]]) -> _T:
        async def run() -> _T:
            state = await State.open(default_url(self._settings.dir), self._settings.node.name, SystemClock())
            try:
                return await action(Accounts(state))
            finally:
                await state.close()

        return asyncio.run(run())
