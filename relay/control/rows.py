"""The SQL of the relay's state: objects to rows and back. Runs on the state thread, in its caller's transaction."""

from collections.abc import Iterable
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from relay.control import schema
from relay.envelope import Account, AllowedNetwork, Credential
from relay.policy.decision import Decision, Effect, Proposal


class Everything(msgspec.Struct):
    """What the relay keeps in memory."""

    accounts: dict[str, Account]
    credentials: dict[str, Credential]
    networks: list[AllowedNetwork]
    decisions: list[Decision]


def load(connection: Connection) -> Everything:
    """Read the whole state; decisions in the order in which they began."""
    return Everything(
        accounts=_accounts(connection),
        credentials={
            row.login: Credential(row.login, row.account, row.hash, is_revoked=row.revoked_at is not None)
            for row in connection.execute(select(schema.credential))
        },
        networks=[
            AllowedNetwork(ip_network(row.network), row.account) for row in connection.execute(select(schema.network))
        ],
        decisions=[
            _decision(row._asdict())
            for row in connection.execute(
                select(schema.decision).order_by(schema.decision.c.starts_at, schema.decision.c.sequence)
            )
        ],
    )


def insert_account(connection: Connection, account: Account, now: datetime) -> None:
    if account.reseller:
        _insert_missing(connection, schema.reseller, name=account.reseller, created_at=now)
    connection.execute(
        insert(schema.account).values(
            name=account.name,
            reseller=account.reseller or None,
            shared_host=account.shared_host,
            contact=account.contact,
            rcpts_per_hour=account.rcpts_per_hour,
            is_suspended=account.is_suspended,
            created_at=now,
        )
    )
    insert_domains(connection, account.name, account.domains, now)


def insert_domains(connection: Connection, account: str, names: Iterable[str], now: datetime) -> None:
    for name in names:
        connection.execute(insert(schema.domain).values(account=account, name=name, created_at=now))


def insert_credential(connection: Connection, credential: Credential, now: datetime) -> None:
    connection.execute(
        insert(schema.credential).values(
            login=credential.login, account=credential.account, hash=credential.hash, created_at=now
        )
    )


def revoke_credential(connection: Connection, login: str, now: datetime) -> None:
    connection.execute(update(schema.credential).where(schema.credential.c.login == login).values(revoked_at=now))


def insert_network(connection: Connection, network: AllowedNetwork, now: datetime) -> None:
    connection.execute(
        insert(schema.network).values(network=str(network.network), account=network.account, created_at=now)
    )


def insert_decision(connection: Connection, decision: Decision, now: datetime) -> None:
    """Write the row, and the sender's own if this is the first decision about it."""
    proposal = decision.proposal
    account, kind, value = [*proposal.sender.split("|", 2), "", ""][:3]
    _insert_missing(
        connection, schema.sender, key=proposal.sender, account=account, kind=kind, value=value, created_at=now
    )
    values = {name: getattr(proposal, name) for name in Proposal.__dataclass_fields__}
    connection.execute(
        insert(schema.decision).values(
            node=decision.node, sequence=decision.sequence, **{**values, "effect": proposal.effect.value}
        )
    )


def _insert_missing(connection: Connection, table: Any, **values: object) -> None:
    key = next(iter(table.primary_key.columns))
    if connection.execute(select(key).where(key == values[key.name])).first() is None:
        connection.execute(insert(table).values(**values))


def _accounts(connection: Connection) -> dict[str, Account]:
    domains: dict[str, list[str]] = {}
    for row in connection.execute(select(schema.domain).order_by(schema.domain.c.name)):
        domains.setdefault(row.account, []).append(row.name)
    return {
        row.name: Account(
            name=row.name,
            reseller=row.reseller or "",
            shared_host=row.shared_host,
            contact=row.contact,
            rcpts_per_hour=row.rcpts_per_hour,
            domains=tuple(domains.get(row.name, ())),
            is_suspended=row.is_suspended,
        )
        for row in connection.execute(select(schema.account).order_by(schema.account.c.name))
    }


def _decision(row: dict[str, Any]) -> Decision:
    node, sequence = row.pop("node"), row.pop("sequence")
    return Decision(node, sequence, Proposal(**{**row, "effect": Effect(row["effect"])}))
