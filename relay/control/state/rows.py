"""The SQL of decisions, and all of the state at once. Runs on the state thread, in its caller's transaction."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select

from relay.control.policies import book as policy_book
from relay.control.policies.book import PolicyVersion
from relay.control.state import rows_of_egress, rows_of_tree, schema
from relay.control.state.rows_of_egress import EgressRows
from relay.control.state.rows_of_tree import Tree
from relay.control.suppression import rows as rows_of_suppression
from relay.control.suppression.suppressed import Suppressed
from relay.delivery.pauses import Pause, Paused
from relay.policy.decisions.decision import Decision, Effect, Proposal
from relay.resellers import book as brand_book
from relay.resellers.brand import BrandVersion
from relay.users import rows as rows_of_users
from relay.users.rows import UserRows


class Everything(NamedTuple):
    """What the relay keeps in memory."""

    tree: Tree
    egress: EgressRows
    decisions: list[Decision]
    pauses: list[Pause]
    suppressed: Suppressed
    policies: list[PolicyVersion]
    users: UserRows
    brands: dict[str, BrandVersion]


def load(connection: Connection, now: datetime) -> Everything:
    """Read the whole state; decisions in the order in which they began."""
    decisions = select(schema.decision).order_by(schema.decision.c.starts_at, schema.decision.c.sequence)
    rows_of_suppression.drop_outlived(connection, now)
    return Everything(
        tree=rows_of_tree.load(connection),
        egress=rows_of_egress.load(connection),
        decisions=[_decision(row._asdict()) for row in connection.execute(decisions)],
        pauses=[
            _pause(row._asdict()) for row in connection.execute(select(schema.pause).order_by(schema.pause.c.since))
        ],
        suppressed=Suppressed(rows_of_suppression.load(connection)),
        policies=policy_book.load(connection),
        users=rows_of_users.load(connection, now),
        brands=brand_book.load(connection),
    )


def put_pause(connection: Connection, kind: Paused, key: str, pause: Pause | None) -> None:
    """Write the row of a pause, in the place of an older one; None: take it out."""
    table = schema.pause
    connection.execute(delete(table).where(table.c.kind == kind.value, table.c.key == key))
    if pause is not None:
        row = {"author": pause.author, "reason": pause.reason, "since": pause.since}
        connection.execute(insert(table).values(kind=kind.value, key=key, **row))


def insert_decision(connection: Connection, decision: Decision, now: datetime) -> None:
    """Write the row, and the sender's own if this is the first decision about it."""
    proposal = decision.proposal
    account, kind, value = [*proposal.sender.split("|", 2), "", ""][:3]
    rows_of_tree.insert_missing(
        connection, schema.sender, key=proposal.sender, account=account, kind=kind, value=value, created_at=now
    )
    values = {name: getattr(proposal, name) for name in Proposal.__dataclass_fields__}
    connection.execute(
        insert(schema.decision).values(
            node=decision.node, sequence=decision.sequence, **{**values, "effect": proposal.effect.value}
        )
    )


def _decision(row: dict[str, Any]) -> Decision:
    node, sequence = row.pop("node"), row.pop("sequence")
    return Decision(node, sequence, Proposal(**{**row, "effect": Effect(row["effect"])}))


def _pause(row: dict[str, Any]) -> Pause:
    return Pause(**{**row, "kind": Paused(row["kind"])})
