"""The control API's calls for the audit log, as methods of its client."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from relay.control.audit.views import AuditEntry, AuditHead, ChainPart, JobRun

_T = TypeVar("_T")


class AuditCalls(ABC):
    """What ControlClient inherits; each call is one request."""

    def audit(self, limit: int = 200) -> list[AuditEntry]:
        """The last rows, youngest first."""
        return self._get("/v1/audit", list[AuditEntry], {"limit": str(limit)})

    def audit_heads(self) -> list[AuditHead]:
        return self._get("/v1/audit/heads", list[AuditHead])

    def audit_chain(self, after: AuditHead, wanted: str = "") -> ChainPart:
        """Have the rows behind `after` checked; ask again while it `has_more`."""
        query = {"node": after.node, "after": str(after.sequence), "digest": after.digest, "wanted": wanted}
        return self._get("/v1/audit/chain", ChainPart, query)

    def note_job(self, run: JobRun) -> JobRun:
        """Have it written that the caller ran a job of analytics."""
        return self._post("/v1/audit/jobs", run, JobRun)

    @abstractmethod
    def _get(self, path: str, answer: type[_T], query: Mapping[str, str] | None = None) -> _T: ...

    @abstractmethod
    def _post(self, path: str, order: msgspec.Struct, answer: type[_T]) -> _T: ...
