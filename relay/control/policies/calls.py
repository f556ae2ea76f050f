"""The control API's calls for policies, as methods of its client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from relay.control.accounts.calls import quoted
from relay.control.policies.views import PolicyDone, PolicyOrder, PolicyView, RollbackOrder, VersionView

_T = TypeVar("_T")


class PolicyCalls(ABC):
    """What ControlClient inherits; each call is one request."""

    def policy(self, version: str = "") -> PolicyView:
        """The policy in force, or a version."""
        return self._get(f"/v1/policy/versions/{quoted(version)}" if version else "/v1/policy", PolicyView)

    def policy_versions(self) -> list[VersionView]:
        """All versions, youngest first."""
        return self._get("/v1/policy/versions", list[VersionView])

    def apply_policy(self, order: PolicyOrder) -> PolicyDone:
        """Answers when the relay judges by it. Raises ControlError for a wrong one."""
        return self._post("/v1/policy", order, PolicyDone)

    def rollback_policy(self, order: RollbackOrder) -> PolicyDone:
        return self._post("/v1/policy/rollback", order, PolicyDone)

    @abstractmethod
    def _get(self, path: str, answer: type[_T], query: Mapping[str, str] | None = None) -> _T: ...

    @abstractmethod
    def _post(self, path: str, order: msgspec.Struct, answer: type[_T]) -> _T: ...
