"""The versions of the policy in the state: appended, never changed; the last row is in force.

A version that somebody applied wins over [policy] of mailweir.toml. What that section says is a version too, written
down when it comes into force: each version that ever judged can be read again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select

import relay
from relay.clock import Clock
from relay.control.audit.chain import Act
from relay.control.state import schema
from relay.control.state.database import Database
from relay.control.state.writer import Writer
from relay.policy import file
from relay.policy.decisions.decision import AUTOMATIC
from relay.policy.verdict.steps import version_of
from relay.settings import Policy
from relay.tree import Principal, Role

_RELAY = Principal(AUTOMATIC, Role.OPERATOR)


class Origin(StrEnum):
    """Whose word a version is."""

    APPLIED = "applied"
    FILE = "file"  # [policy] of mailweir.toml, in force as long as nobody applies another


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One row. `text` is the policy as TOML, of an applied one as it was given."""

    sequence: int
    version: str
    origin: Origin
    author: str
    applied_at: datetime
    note: str
    text: str

    @property
    def policy(self) -> Policy:
        """Raises PolicyError for the text of another release, whose keys were others."""
        return file.read(self.text, f"policy version {self.version}")


def load(connection: Connection) -> list[PolicyVersion]:
    """Read all versions, oldest first."""
    table = schema.policy_version
    found = connection.execute(select(table).order_by(table.c.sequence))
    return [PolicyVersion(**{**row._asdict(), "origin": Origin(row.origin)}) for row in found]


class PolicyBook(Writer):
    """Read without awaiting; write with `await`, from the event loop only."""

    def __init__(self, database: Database, node: str, clock: Clock, loaded: Sequence[PolicyVersion]) -> None:
        super().__init__(database, node, clock)
        self._rows = list(loaded)
        self._appending = asyncio.Lock()
        self.of_file = Policy()  # what mailweir.toml says, in force or not

    @property
    def rows(self) -> Sequence[PolicyVersion]:
        return self._rows

    @property
    def last(self) -> PolicyVersion | None:
        return self._rows[-1] if self._rows else None

    @property
    def is_applied(self) -> bool:
        """Tell whether somebody's version is in force, whatever the file says."""
        return self.last is not None and self.last.origin is Origin.APPLIED

    async def settle(self, of_file: Policy) -> Policy:
        """Return the policy in force beside this [policy], written down if it has judged nothing yet.

        Raises StateFailure, PolicyError.
        """
        self.of_file, last = of_file, self.last
        if last is not None and last.origin is Origin.APPLIED:
            policy = last.policy
            if version_of(policy) != last.version:  # another release: its keys, or defaults, are others
                note = f"as release {relay.__version__} reads {last.version}"
                await self.append(policy, last.text, Origin.APPLIED, _RELAY, note)
            return policy
        if last is None or last.version != version_of(of_file):
            await self.append(of_file, file.render(of_file), Origin.FILE, _RELAY, "[policy] of mailweir.toml")
        return of_file

    async def append(
        self, policy: Policy, text: str, origin: Origin, principal: Principal, note: str, command: str = "policy.record"
    ) -> PolicyVersion:
        """Add the version that is in force from now on; return after the commit."""
        async with self._appending:
            row = PolicyVersion(
                sequence=self.last.sequence + 1 if self.last else 1,
                version=version_of(policy),
                origin=origin,
                author=principal.id,
                applied_at=self._clock.now(),
                note=note,
                text=text,
            )
            before = self.last.version if self.last else ""
            act = Act(command, "", row.version, {"before": before, "origin": origin.value, "note": note})
            await self._audited(
                lambda connection, _now: connection.execute(insert(schema.policy_version).values(asdict(row))),
                principal,
                act,
            )
            self._rows.append(row)
        return row
