"""Puts addresses on the suppression lists for what came back: at once in memory, committed in batches.

Bounces heard in delivery come one by one and must not wait; reports come from analytics by the control API. A crash
loses the last fraction of a second of the first kind: the next bounce of the address does it again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from relay.clock import Clock
from relay.control.audit.chain import Act
from relay.control.errors import StateFailure
from relay.control.state.memory import State
from relay.control.suppression.suppressed import Reason, Suppression
from relay.events import Bounce, Suppressed
from relay.evidence.rule import Evidence, row_after
from relay.policy.decisions.decision import AUTOMATIC
from relay.settings import Suppression as Settings
from relay.spool.journal import Journal
from relay.tree import Principal, Role

_log = logging.getLogger("mailweir.suppression")

_RELAY = Principal(AUTOMATIC, Role.ADMIN)
_GATHER_SECONDS = 0.2
_AT_ONCE = 500


class Suppressing:
    """Applies the rule for one relay. `is_outage`: whether a destination's refusals count for nobody now."""

    def __init__(
        self,
        state: State,
        journal: Journal,
        clock: Clock,
        settings: Callable[[], Settings],
        is_outage: Callable[[str], bool],
        is_spared: Callable[[str], bool] = lambda _address: False,
    ) -> None:
        """`is_spared`: addresses that never come on a list by themselves."""
        self._state, self._journal, self._clock, self._settings = state, journal, clock, settings
        self._is_outage, self._is_spared = is_outage, is_spared
        self._waiting: deque[Evidence] = deque()
        self._something = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Commit what waits."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._flush()

    def bounced(self, record: Bounce) -> None:
        """Hear of a bounce in delivery."""
        if not record.is_hard or not record.account or self._is_outage(record.destination):
            return
        said = f"{record.code} {record.text}"
        self._waiting.append(
            Evidence(
                record.account, record.recipient, Reason.HARD_BOUNCE, record.message_id, record.enhanced, said, True
            )
        )
        self._something.set()

    async def take(self, evidence: Iterable[Evidence], principal: Principal) -> int:
        """Suppress what the rule says; return how many addresses, after the commit. Twice changes nothing.

        Raises StateFailure.
        """
        rows = self._rows(evidence)
        if rows:
            acts = [_act(*of, [*rows]) for of in dict.fromkeys((row.account, row.reason) for row in rows)]
            await self._state.suppression.put([*rows], principal, acts)
        for row, message_id in rows.items():
            self._journal.append(self._record(row, message_id))
            _log.info("suppressed account=%s reason=%s message=%s", row.account, row.reason, message_id)
        return len(rows)

    def _rows(self, evidence: Iterable[Evidence]) -> dict[Suppression, str]:
        """The rows to put, with the message that shows each; of one account and address the last."""
        now, settings = self._clock.now(), self._settings()
        found: dict[tuple[str, str], tuple[Suppression, str]] = {}
        for one in evidence:
            if self._is_spared(one.address):
                continue
            known = self._state.suppression.own(one.account, one.address)
            row = row_after(one, known, settings, now) if self._state.has_known(one.account) else None
            key = one.account, one.address.lower()
            if row is not None and (key not in found or row.ends_at is None):
                found[key] = row, one.message_id
        return dict(found.values())

    async def _run(self) -> None:
        while True:
            await self._something.wait()
            await self._clock.sleep(_GATHER_SECONDS)
            self._something.clear()
            await self._flush()

    async def _flush(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
            try:
                await self.take(batch, _RELAY)
            except StateFailure as error:  # the next bounce of the address tries again
                _log.error("bounces suppress nobody addresses=%d: %s", len(batch), error)

    def _record(self, row: Suppression, message_id: str) -> Suppressed:
        return Suppressed(
            **self._journal.stamp(),
            message_id=message_id,
            account=row.account,
            reseller=self._state.reseller_of(row.account),
            recipient=row.address,
            reason=row.reason.value,
            why=row.evidence,
            ends_at=row.ends_at,
        )


def _act(account: str, reason: Reason, rows: Sequence[Suppression]) -> Act:
    """One row of the audit log for each account and reason; the list itself says when each came, and why."""
    own = [row for row in rows if (row.account, row.reason) == (account, reason)]
    target = own[0].address if len(own) == 1 else f"{len(own)} addresses"
    return Act(f"suppression.{reason}", account, target, {} if len(own) == 1 else {"first": own[0].address})
