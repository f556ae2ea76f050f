"""The control API's calls for tenants, as methods of its client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from relay.control.accounts.calls import quoted
from relay.tenants.views import TenantDone, TenantHeaderOrder, TenantOrder, TenantsView

_T = TypeVar("_T")


class TenantCalls(ABC):
    """What ControlClient inherits; each call is one request."""

    def tenants(self, account: str) -> TenantsView:
        """Tenants that are paused or stopped, or have mail that waits."""
        return self._get(f"/v1/accounts/{quoted(account)}/tenants", TenantsView)

    def set_tenant_header(self, account: str, order: TenantHeaderOrder) -> TenantDone:
        return self._post(f"/v1/accounts/{quoted(account)}/tenants/header", order, TenantDone)

    def pause_tenant(self, account: str, tenant: str, order: TenantOrder | None = None) -> TenantDone:
        """Let one tenant's mail lie, new mail too."""
        path = f"/v1/accounts/{quoted(account)}/tenants/{quoted(tenant)}/pause"
        return self._post(path, order or TenantOrder(), TenantDone)

    def resume_tenant(self, account: str, tenant: str, order: TenantOrder | None = None) -> TenantDone:
        path = f"/v1/accounts/{quoted(account)}/tenants/{quoted(tenant)}/resume"
        return self._post(path, order or TenantOrder(), TenantDone)

    @abstractmethod
    def _get(self, path: str, answer: type[_T], query: Mapping[str, str] | None = None) -> _T: ...

    @abstractmethod
    def _post(self, path: str, order: msgspec.Struct, answer: type[_T]) -> _T: ...
