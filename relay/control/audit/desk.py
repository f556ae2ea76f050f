"""The audit log: its chain is asked part by part, so that no commit waits long; what others did is noted."""

from relay.control.access import require, require_whole_tree, sees
from relay.control.audit import chain as audit
from relay.control.audit.views import AuditEntry, AuditHead, ChainPart, JobRun
from relay.control.state.memory import State
from relay.tree import Principal, Role

PART_ROWS = 5_000  # some 0.1 s on the state's thread


class AuditDesk:
    """Every method takes its Principal first."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def newest(self, principal: Principal, limit: int) -> list[AuditEntry]:
        """The last rows, youngest first, cut to the asker's scope."""
        require(principal, Role.ABUSE)
        rows = await self._state.audit_log(limit)
        return [row for row in rows if sees(principal, row.account, self._state.reseller_of(row.account))]

    async def heads(self, principal: Principal) -> list[AuditHead]:
        """The last row of each node's chain."""
        _check(principal)
        return await self._state.audit_heads()

    async def part(self, principal: Principal, after: AuditHead, wanted: str = "") -> ChainPart:
        """Check the rows of a node behind `after` (sequence 0: from its first). `wanted`: a digest to look for."""
        _check(principal)
        rows = await self._state.audit_following(after.node, after.sequence, PART_ROWS)
        broken = audit.first_broken(rows, after)
        if broken is not None:  # or rewritten, which the whole log is asked for
            broken = audit.first_broken(rows, after, await self._state.audit_redactions())
        sound = rows if broken is None else rows[: rows.index(broken)]
        reached = _head(sound[-1]) if sound else after if after.sequence else None
        return ChainPart(
            rows=len(sound),
            reached=reached,
            broken=broken,
            why=_why(broken, reached.sequence if reached else 0) if broken else "",
            has_more=broken is None and len(rows) == PART_ROWS,
            met=any(row.digest == wanted for row in sound),
        )

    async def ran(self, principal: Principal, run: JobRun) -> JobRun:
        """Note a job of analytics, which has let the same person run it."""
        require(principal, Role.OPERATOR)
        require_whole_tree(principal, "run its jobs")
        await self._state.note(principal, audit.Act("job.run", "", run.job, {"error": run.error} if run.error else {}))
        return run


def _check(principal: Principal) -> None:
    require(principal, Role.ABUSE)
    require_whole_tree(principal, "verify its audit log")


def _head(row: AuditEntry) -> AuditHead:
    return AuditHead(node=row.node, sequence=row.sequence, digest=row.digest)


def _why(broken: AuditEntry, before: int) -> str:
    if broken.sequence == before + 1:
        return "it was changed, or is not the row that stood here"
    gap = f"row {before + 1} is" if broken.sequence == before + 2 else f"rows {before + 1} to {broken.sequence - 1} are"
    return f"{gap} missing before it"
