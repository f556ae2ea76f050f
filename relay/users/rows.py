"""The SQL of users and their sessions: rows to values and back, on the state thread."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, insert, select, update

from relay.control.state import schema
from relay.tree import Role, Scope
from relay.users.user import Session, User

_users, _sessions, _saved = schema.user, schema.session, schema.saved_question


class UserRows(NamedTuple):
    """All of them, by name and by digest."""

    users: dict[str, User]
    sessions: dict[str, Session]


def load(connection: Connection, now: datetime) -> UserRows:
    """Read all users, and the sessions that are not over."""
    connection.execute(delete(_sessions).where(_sessions.c.expires_at <= now))
    users = [_user(row) for row in connection.execute(select(_users))]
    sessions = [Session(**row._asdict()) for row in connection.execute(select(_sessions))]
    return UserRows({user.name: user for user in users}, {session.digest: session for session in sessions})


def insert_user(connection: Connection, user: User) -> None:
    connection.execute(insert(_users).values(name=user.name, created_at=user.created_at, **_values(user)))


def update_user(connection: Connection, user: User) -> None:
    connection.execute(update(_users).where(_users.c.name == user.name).values(**_values(user)))


def delete_user(connection: Connection, name: str) -> None:
    delete_sessions(connection, name)
    connection.execute(delete(_saved).where(_saved.c.owner == name))  # another of this name shall not find them
    connection.execute(delete(_users).where(_users.c.name == name))


def insert_session(connection: Connection, session: Session) -> None:
    connection.execute(
        insert(_sessions).values(
            digest=session.digest, user=session.user, created_at=session.created_at, expires_at=session.expires_at
        )
    )


def delete_session(connection: Connection, digest: str) -> None:
    connection.execute(delete(_sessions).where(_sessions.c.digest == digest))


def delete_sessions(connection: Connection, user: str) -> None:
    connection.execute(delete(_sessions).where(_sessions.c.user == user))


def _values(user: User) -> dict[str, Any]:
    return {
        "role": user.role.value,
        "reseller": user.scope.reseller,
        "account": user.scope.account,
        "password_hash": user.password_hash,
        "is_disabled": user.is_disabled,
    }


def _user(row: Row[Any]) -> User:
    return User(
        row.name,
        Role(row.role),
        Scope(row.reseller, row.account),
        row.password_hash,
        row.is_disabled,
        row.created_at,
    )
