"""The command that forgets a person, as far as the relay knows him. Its audit row names him by the keyed name."""

import asyncio
import sqlite3
from collections.abc import Set
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from relay.clock import Clock
from relay.control.access import require, require_whole_tree
from relay.control.audit import chain as audit
from relay.control.audit.chain import REDACTION, Act
from relay.control.errors import Invalid
from relay.control.state.memory import State
from relay.policy.decisions.decision import Decision, Proposal
from relay.privacy import rows
from relay.privacy.forgotten import Forgotten, NoAddress, token_of
from relay.privacy.views import ForgetOrder, Forgot, Trace
from relay.settings import Settings
from relay.spool.traces import Traces
from relay.tree import Principal, Role

_WAITS = "mail that waits: it goes by itself within delivery.lifetime_hours, held mail within policy.hold_days"
_COUNTED = "what is counted of a sender's mail: goes by itself when he sends no more"


class PrivacyDesk:
    """Takes its Principal first."""

    def __init__(self, settings: Settings, state: State, spool: Traces, clock: Clock, secret: bytes) -> None:
        self._state, self._spool, self._clock, self._secret = state, spool, clock, secret
        self._node, self._counters = settings.node.name, settings.dir / "counters.sqlite"

    async def forget(self, principal: Principal, order: ForgetOrder) -> Forgot:
        """Replace an address wherever it is past; say what is kept and why. Raises Refusal."""
        require(principal, Role.ADMIN)
        require_whole_tree(principal, "forget people")
        try:
            forgotten = Forgotten.of(order.address, token_of(self._secret, order.address))
        except NoAddress as error:
            raise Invalid(str(error)) from None
        in_force = self._in_force()
        found = await self._state.run(
            lambda connection: rows.traces(connection, forgotten, in_force, suppression=order.suppression)
        )
        found += await self._in_spool(forgotten)
        if not order.dry_run:
            in_force = self._in_force()  # whoever was stopped meanwhile stays stopped, here and below
            taken_off = await self._state.run(
                lambda connection: self._rewrite(connection, principal, forgotten, in_force, order.suppression)
            )
            self._state.suppression.drop(taken_off)
            in_force |= self._in_force()
            self._state.standings.rewrite(lambda row: _renamed(row, forgotten, in_force))
            await self._spool.replace(forgotten.address, forgotten.is_in, forgotten.replace)
        return Forgot(token=forgotten.token, traces=found, dry_run=order.dry_run)

    def _in_force(self) -> set[str]:
        """Senders about whom decisions hold at this moment."""
        return {row.proposal.sender for row in self._state.decisions(open_only=True, limit=None)}

    def _rewrite(
        self, connection: Connection, principal: Principal, forgotten: Forgotten, in_force: Set[str], suppression: bool
    ) -> list[tuple[str, str]]:
        done = rows.forget(connection, forgotten, in_force, suppression=suppression)
        told = " ".join(f"{row}={digest}" for row, digest in done.redacted.items())
        act = Act(REDACTION, "", forgotten.token, {"rows": told, "suppression": suppression})
        audit.append(connection, self._node, principal, act, self._clock.now())
        return done.suppressed

    async def _in_spool(self, forgotten: Forgotten) -> list[Trace]:
        found = await self._spool.find(forgotten.address, forgotten.is_in)
        counted = await asyncio.to_thread(_counted, self._counters, forgotten)
        traces = [
            Trace("spool", "recipients", found.recipients, "kept", _WAITS),
            Trace("spool", "messages from him", found.messages, "kept", _WAITS),
            Trace("spool", "return paths", found.origins, "replaced"),
            Trace("spool", "lines of digests", found.lines, "replaced"),
            Trace("counters", "rows", counted, "kept", _COUNTED),
        ]
        return [trace for trace in traces if trace.count]


def _renamed(row: Decision, forgotten: Forgotten, in_force: Set[str]) -> Decision:
    """A decision as it stands in the state now."""
    if row.proposal.sender in in_force:
        return row
    values: dict[str, Any] = {name: getattr(row.proposal, name) for name in Proposal.__dataclass_fields__}
    texts = {name: forgotten.replace_in(value) for name, value in values.items() if isinstance(value, str | dict)}
    return replace(row, proposal=Proposal(**{**values, **texts, "effect": row.proposal.effect}))


def _counted(path: Path, forgotten: Forgotten) -> int:
    """How many rows of the counters' file have a key with the address."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA query_only = 1")
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        keys = [
            key
            for table in tables
            for (key,) in connection.execute(
                f"SELECT key FROM {table} WHERE instr(lower(key), ?)",  # noqa: S608 - names are ours
                (forgotten.address,),
            )
        ]
    return sum(forgotten.is_in(key) for key in keys)
