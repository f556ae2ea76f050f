"""The control API's calls for resellers, accounts, logins, networks, limits, suppressions, as its client's methods."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

import msgspec

from relay.control.accounts.views import (
    AccountAdded,
    AccountChange,
    AccountChanged,
    AccountView,
    CredentialView,
    LimitOrder,
    LimitView,
    NetworkView,
    NewAccount,
    NewCredential,
    NewNetwork,
    NewReseller,
    NoLimits,
    Order,
    ResellerView,
    Rotation,
    Secret,
)
from relay.control.suppression.views import SuppressionChanged, SuppressionOrder, SuppressionRemoval, SuppressionView

_T = TypeVar("_T")
_PLAINLY, _USUAL_ROTATION = Order(), Rotation()


class AccountCalls(ABC):
    """What ControlClient inherits; each call is one request."""

    def accounts(self) -> list[AccountView]:
        return self._get("/v1/accounts", list[AccountView])

    def account(self, name: str) -> AccountView:
        return self._get(f"/v1/accounts/{quoted(name)}", AccountView)

    def add_account(self, new: NewAccount) -> AccountAdded:
        return self._post("/v1/accounts", new, AccountAdded)

    def change_account(self, name: str, change: AccountChange) -> AccountChanged:
        body = msgspec.json.encode(change)
        return self._ask("PATCH", f"/v1/accounts/{quoted(name)}", AccountChanged, body=body)

    def suspend_account(self, name: str, order: Order = _PLAINLY) -> AccountChanged:
        return self._post(f"/v1/accounts/{quoted(name)}/suspend", order, AccountChanged)

    def resume_account(self, name: str, order: Order = _PLAINLY) -> AccountChanged:
        return self._post(f"/v1/accounts/{quoted(name)}/resume", order, AccountChanged)

    def remove_account(self, name: str, order: Order = _PLAINLY) -> AccountChanged:
        return self._post(f"/v1/accounts/{quoted(name)}/remove", order, AccountChanged)

    def restore_account(self, name: str, order: Order = _PLAINLY) -> AccountChanged:
        return self._post(f"/v1/accounts/{quoted(name)}/restore", order, AccountChanged)

    def credentials(self, account: str = "") -> list[CredentialView]:
        return self._get("/v1/credentials", list[CredentialView], {"account": account})

    def add_credential(self, account: str, new: NewCredential) -> Secret:
        return self._post(f"/v1/accounts/{quoted(account)}/credentials", new, Secret)

    def rotate_credential(self, login: str, order: Rotation = _USUAL_ROTATION) -> Secret:
        return self._post(f"/v1/credentials/{quoted(login)}/rotate", order, Secret)

    def revoke_credential(self, login: str, order: Order = _PLAINLY) -> Secret:
        body = msgspec.json.encode(order)
        return self._ask("DELETE", f"/v1/credentials/{quoted(login)}", Secret, body=body)

    def networks(self, account: str = "") -> list[NetworkView]:
        return self._get("/v1/networks", list[NetworkView], {"account": account})

    def allow(self, account: str, new: NewNetwork) -> NetworkView:
        return self._post(f"/v1/accounts/{quoted(account)}/networks", new, NetworkView)

    def disallow(self, order: NewNetwork) -> NetworkView:
        return self._post("/v1/networks/remove", order, NetworkView)

    def limits(self, account: str = "") -> list[LimitView]:
        return self._get("/v1/limits", list[LimitView], {"account": account})

    def set_limits(self, order: LimitOrder) -> LimitView:
        return self._post("/v1/limits", order, LimitView)

    def remove_limits(self, order: NoLimits) -> LimitView:
        return self._post("/v1/limits/remove", order, LimitView)

    def resellers(self) -> list[ResellerView]:
        return self._get("/v1/resellers", list[ResellerView])

    def add_reseller(self, new: NewReseller) -> ResellerView:
        return self._post("/v1/resellers", new, ResellerView)

    def suspend_reseller(self, name: str, order: Order = _PLAINLY) -> ResellerView:
        return self._post(f"/v1/resellers/{quoted(name)}/suspend", order, ResellerView)

    def resume_reseller(self, name: str, order: Order = _PLAINLY) -> ResellerView:
        return self._post(f"/v1/resellers/{quoted(name)}/resume", order, ResellerView)

    def suppressions(
        self, account: str | None = None, *, address: str = "", reason: str = "", after: str = "", limit: int = 200
    ) -> list[SuppressionView]:
        """Rows in force, in the order of account and address; account "": those that hold for all, None: all rows."""
        query = {"address": address, "reason": reason, "after": after, "limit": str(limit)}
        query |= {"global": "1"} if account == "" else {"account": account or ""}
        return self._get("/v1/suppressions", list[SuppressionView], query)

    def suppress(self, order: SuppressionOrder) -> SuppressionChanged:
        return self._post("/v1/suppressions", order, SuppressionChanged)

    def unsuppress(self, order: SuppressionRemoval) -> SuppressionChanged:
        return self._post("/v1/suppressions/remove", order, SuppressionChanged)

    def _get(self, path: str, answer: type[_T], query: Mapping[str, str] | None = None) -> _T:
        return self._ask("GET", path, answer, query={name: value for name, value in (query or {}).items() if value})

    def _post(self, path: str, body: msgspec.Struct, answer: type[_T]) -> _T:
        return self._ask("POST", path, answer, body=msgspec.json.encode(body))

    @abstractmethod
    def _ask(
        self,
        method: str,
        path: str,
        answer: type[_T],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> _T:
        """Send one request. Raises ControlError."""


def quoted(part: str) -> str:
    """A part of a path, its slashes too."""
    return quote(part, safe="")
