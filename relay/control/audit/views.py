"""What the control API says of the audit log."""

from datetime import datetime

import msgspec

AuditDetail = dict[str, str | int | float | bool | None]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the audit log. `digest` is SHA-256 over the digest of the node's row before it and all of this one."""

    node: str
    sequence: int
    logged_at: datetime
    principal: str
    role: str
    command: str
    account: str
    target: str
    detail: AuditDetail = {}
    digest: str = ""


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    """The last row of a node's chain; `text` is what an operator keeps."""

    node: str
    sequence: int
    digest: str

    @property
    def text(self) -> str:
        return f"{self.node}:{self.sequence}:{self.digest}"


class ChainPart(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/audit/chain: a part of a node's chain, checked.

    `reached` is its last sound row (None: there is none), `broken` the first row that does not fit, with `why`.
    `has_more`: ask again from `reached` on. `met`: the row with the digest asked for lies in this part.
    """

    rows: int
    reached: AuditHead | None
    broken: AuditEntry | None = None
    why: str = ""
    has_more: bool = False
    met: bool = False


class JobRun(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/audit/jobs: a job of analytics that the asker has run by hand; `error` is "" where it did not fail."""

    job: str
    error: str = ""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What `mailweir audit verify` found: a line for each node, and what is missing."""

    is_whole: bool
    lines: list[str]
