"""The SQL of resellers, accounts, logins, networks and limits: objects to rows and back, on the state thread."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from ipaddress import ip_network
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from relay.account import Account, AllowedNetwork, Credential, IdentityRule, Reseller
from relay.control.state import schema
from relay.domains import rows as rows_of_domains
from relay.domains.keys import DkimKey, Domain
from relay.policy.limits.levels import Level, LimitSet


class Use(NamedTuple):
    """When and from where a login was last used."""

    at: datetime
    client_ip: str


class Tree(NamedTuple):
    """What stands in the tables of the tree. `removed` are the accounts whose names only remain, as those of former
    resellers do."""

    resellers: dict[str, Reseller]
    former_resellers: dict[str, Reseller]
    accounts: dict[str, Account]
    removed: dict[str, Account]
    credentials: dict[str, Credential]
    last_used: dict[str, Use]
    networks: list[AllowedNetwork]
    limits: dict[tuple[Level, str], LimitSet]
    domains: tuple[list[Domain], list[DkimKey]]


def load(connection: Connection) -> Tree:
    """Read all of it."""
    accounts, removed = _accounts(connection)
    logins = list(connection.execute(select(schema.credential).order_by(schema.credential.c.login)))
    networks = connection.execute(select(schema.network))
    resellers, former = _resellers(connection)
    return Tree(
        resellers=resellers,
        former_resellers=former,
        accounts=accounts,
        removed=removed,
        credentials={row.login: _credential(row) for row in logins},
        last_used={row.login: Use(row.last_used_at, row.last_used_ip) for row in logins if row.last_used_at},
        networks=[AllowedNetwork(ip_network(row.network), row.account) for row in networks],
        limits={
            (Level(row.level), row.key): LimitSet(**{name: getattr(row, name) for name in LimitSet.__slots__})
            for row in connection.execute(select(schema.limit_set))
        },
        domains=rows_of_domains.load(connection),
    )


def insert_missing(connection: Connection, table: Any, **values: object) -> None:
    """Write a row unless there is one of its key."""
    key = next(iter(table.primary_key.columns))
    if connection.execute(select(key).where(key == values[key.name])).first() is None:
        connection.execute(insert(table).values(**values))


def insert_reseller(connection: Connection, name: str, now: datetime, contact: str = "") -> None:
    insert_missing(connection, schema.reseller, name=name, created_at=now, is_suspended=False, contact=contact)


def update_reseller(connection: Connection, reseller: Reseller) -> None:
    known = schema.reseller.c.name == reseller.name
    values = {"is_suspended": reseller.is_suspended, "contact": reseller.contact}
    connection.execute(update(schema.reseller).where(known).values(**values))


def mark_reseller(connection: Connection, name: str, removed_at: datetime | None) -> None:
    connection.execute(update(schema.reseller).where(schema.reseller.c.name == name).values(removed_at=removed_at))


def insert_account(connection: Connection, account: Account, now: datetime) -> None:
    if account.reseller:
        insert_reseller(connection, account.reseller, now)
    created_at = account.created_at or now
    connection.execute(
        insert(schema.account).values(name=account.name, created_at=created_at, **_account_values(account))
    )
    _insert_domains(connection, account.name, account.domains, now)


def update_account(connection: Connection, before: Account, after: Account, now: datetime) -> None:
    if after.reseller:
        insert_reseller(connection, after.reseller, now)
    connection.execute(
        update(schema.account).where(schema.account.c.name == after.name).values(**_account_values(after))
    )
    gone = [name for name in before.domains if name not in after.domains]
    own = schema.domain.c.account == after.name
    connection.execute(delete(schema.domain).where(own, schema.domain.c.name.in_(gone)))
    _insert_domains(connection, after.name, (name for name in after.domains if name not in before.domains), now)


def mark_account(connection: Connection, name: str, removed_at: datetime | None) -> None:
    connection.execute(update(schema.account).where(schema.account.c.name == name).values(removed_at=removed_at))


def insert_credential(connection: Connection, credential: Credential, now: datetime) -> None:
    connection.execute(
        insert(schema.credential).values(
            login=credential.login,
            account=credential.account,
            hash=credential.hash,
            created_at=credential.created_at or now,
            previous_hash="",
            networks=[str(network) for network in credential.networks],
            sender_domains=[*credential.sender_domains],
            end_sender=credential.end_sender,
            last_used_ip="",
        )
    )


def update_hashes(connection: Connection, credential: Credential) -> None:
    known = schema.credential.c.login == credential.login
    connection.execute(
        update(schema.credential)
        .where(known)
        .values(
            hash=credential.hash,
            previous_hash=credential.previous_hash,
            previous_until=credential.previous_until,
        )
    )


def revoke_credentials(connection: Connection, logins: Iterable[str], now: datetime) -> None:
    chosen = schema.credential.c.login.in_([*logins])
    connection.execute(update(schema.credential).where(chosen).values(revoked_at=now))


def note_uses(connection: Connection, uses: Mapping[str, Use]) -> None:
    """Write when each login was last used; these are no commands, so the audit log has no row of it."""
    connection.execute(
        update(schema.credential)
        .where(schema.credential.c.login == bindparam("key"))
        .values(last_used_at=bindparam("at"), last_used_ip=bindparam("ip")),
        [{"key": login, "at": use.at, "ip": use.client_ip} for login, use in uses.items()],
    )


def insert_network(connection: Connection, allowed: AllowedNetwork, now: datetime) -> None:
    connection.execute(
        insert(schema.network).values(network=str(allowed.network), account=allowed.account, created_at=now)
    )


def delete_networks(connection: Connection, chosen: Iterable[AllowedNetwork]) -> None:
    names = [str(allowed.network) for allowed in chosen]
    connection.execute(delete(schema.network).where(schema.network.c.network.in_(names)))


def put_limits(connection: Connection, level: Level, key: str, limits: LimitSet | None) -> None:
    """Write a set of limits in place of the one there is; None: only take that away."""
    known = (schema.limit_set.c.level == level.value, schema.limit_set.c.key == key)
    connection.execute(delete(schema.limit_set).where(*known))
    if limits is not None:
        account = "" if level is Level.RESELLER else key.partition("|")[0]
        connection.execute(
            insert(schema.limit_set).values(level=level.value, key=key, account=account, **asdict(limits))
        )


def _resellers(connection: Connection) -> tuple[dict[str, Reseller], dict[str, Reseller]]:
    resellers: dict[str, Reseller] = {}
    former: dict[str, Reseller] = {}
    for row in connection.execute(select(schema.reseller).order_by(schema.reseller.c.name)):
        known = Reseller(row.name, row.is_suspended, row.created_at, row.contact)
        (former if row.removed_at else resellers)[row.name] = known
    return resellers, former


def _account_values(account: Account) -> dict[str, object]:
    return {
        "reseller": account.reseller or None,
        "shared_host": account.shared_host,
        "contact": account.contact,
        "is_suspended": account.is_suspended,
        "identity_rules": [asdict(rule) for rule in account.identity_rules],
        "normalises_line_ends": account.normalises_line_ends,
        "pool": account.pool,
        "list_unsubscribe": account.list_unsubscribe,
    }


def _insert_domains(connection: Connection, account: str, names: Iterable[str], now: datetime) -> None:
    for name in names:
        connection.execute(
            insert(schema.domain).values(account=account, name=name, created_at=now, return_path_host="")
        )


def _accounts(connection: Connection) -> tuple[dict[str, Account], dict[str, Account]]:
    domains: dict[str, list[str]] = {}
    for row in connection.execute(select(schema.domain).order_by(schema.domain.c.name)):
        domains.setdefault(row.account, []).append(row.name)
    accounts: dict[str, Account] = {}
    removed: dict[str, Account] = {}
    for row in connection.execute(select(schema.account).order_by(schema.account.c.name)):
        account = _account(row, domains.get(row.name, ()))
        (removed if row.removed_at else accounts)[row.name] = account
    return accounts, removed


def _account(row: Row[Any], domains: Iterable[str]) -> Account:
    return Account(
        name=row.name,
        reseller=row.reseller or "",
        shared_host=row.shared_host,
        contact=row.contact,
        domains=tuple(domains),
        is_suspended=row.is_suspended,
        identity_rules=tuple(IdentityRule(**rule) for rule in row.identity_rules),
        normalises_line_ends=row.normalises_line_ends,
        pool=row.pool,
        list_unsubscribe=row.list_unsubscribe,
        created_at=row.created_at,
    )


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        login=row.login,
        account=row.account,
        hash=row.hash,
        is_revoked=row.revoked_at is not None,
        previous_hash=row.previous_hash,
        previous_until=row.previous_until,
        networks=tuple(ip_network(network) for network in row.networks),
        sender_domains=tuple(row.sender_domains),
        end_sender=row.end_sender,
        created_at=row.created_at,
    )
