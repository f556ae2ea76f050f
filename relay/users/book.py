"""The users of the state and who of them has signed in, in memory and how each changes.

A session is a random token; only its digest is kept. What a session may do is asked of its user each time, so that a
changed role, or a disabled user, counts at once.
"""

import asyncio
import hashlib
import secrets
from dataclasses import replace
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection

from relay.clock import Clock
from relay.control.audit.chain import Act
from relay.control.audit.views import AuditDetail
from relay.control.errors import Conflict, NotFound
from relay.control.state.database import Database
from relay.control.state.writer import Undo, Writer, put
from relay.tree import Principal
from relay.users import rows
from relay.users.rows import UserRows
from relay.users.user import Session, User

_hasher = PasswordHasher()
_NOBODY = ""  # whose hash a password is compared with when there is no such user


class Users(Writer):
    """Read without awaiting; write with `await`, from the event loop only."""

    def __init__(self, database: Database, node: str, clock: Clock, loaded: UserRows) -> None:
        super().__init__(database, node, clock)
        self.users, self._sessions = loaded.users, loaded.sessions
        self._decoy = ""

    def principal_of(self, token: str) -> Principal | None:
        """Whose session this token is; None when it is nobody's, or over."""
        session = self._sessions.get(_digest(token))
        if session is None or session.expires_at <= self._clock.now():
            return None
        user = self.users.get(session.user)
        return None if user is None or user.is_disabled else user.principal

    async def is_password(self, name: str, password: str) -> bool:
        """Tell whether this is the user's password; takes the same time for a name nobody has."""
        user = self.users.get(name)
        hashed = user.password_hash if user and not user.is_disabled else _NOBODY
        if not self._decoy:
            self._decoy = await asyncio.to_thread(_hasher.hash, secrets.token_urlsafe())
        is_right = await asyncio.to_thread(_is_right, hashed or self._decoy, password)
        return is_right and bool(hashed)

    async def hashed(self, password: str) -> str:
        return await asyncio.to_thread(_hasher.hash, password)

    async def add(self, user: User, principal: Principal) -> User:
        """Raises Conflict when there is one of that name."""
        if user.name in self.users:
            raise Conflict(f"there is a user {user.name!r} already")
        added = replace(user, created_at=self._clock.now())
        await self._audited(
            lambda connection, now: rows.insert_user(connection, added),
            principal,
            Act("user.add", user.scope.account or "", user.name, _detail(user)),
            put(self.users, user.name, added),
        )
        return added

    async def change(self, after: User, command: str, principal: Principal, *, ends_sessions: bool) -> None:
        """Put a changed user in the place of the one of its name."""
        undos: list[Undo] = [put(self.users, after.name, after)]
        if ends_sessions:
            undos += self._without_sessions(after.name)

        def write(connection: Connection, _now: object) -> None:
            rows.update_user(connection, after)
            if ends_sessions:
                rows.delete_sessions(connection, after.name)

        act = Act(command, after.scope.account or "", after.name, _detail(after))
        await self._audited(write, principal, act, undos)

    async def remove(self, name: str, principal: Principal) -> None:
        """Raises NotFound."""
        user = self.users.get(name)
        if user is None:
            raise NotFound(f"there is no user {name!r}")
        undos = [put(self.users, name, None), *self._without_sessions(name)]
        await self._audited(
            lambda connection, now: rows.delete_user(connection, name),
            principal,
            Act("user.rm", user.scope.account or "", name),
            undos,
        )

    async def begin_session(
        self, user: User, lasts: timedelta, client: str, by: Principal | None = None
    ) -> tuple[str, Session]:
        """Sign somebody in whose identity is proven, or for whom `by` answers; return the token, shown this once."""
        token, now = secrets.token_urlsafe(32), self._clock.now()
        session = Session(_digest(token), user.name, now, now + lasts)
        await self._audited(
            lambda connection, _now: rows.insert_session(connection, session),
            by or user.principal,
            Act("session.begin", user.scope.account or "", user.name, {"client": client}),
            put(self._sessions, session.digest, session),
        )
        self._forget_old()
        return token, session

    async def end_session(self, token: str, principal: Principal) -> None:
        """Sign out; a token that is nobody's changes nothing."""
        digest = _digest(token)
        if digest in self._sessions:
            await self._audited(
                lambda connection, now: rows.delete_session(connection, digest),
                principal,
                Act("session.end", principal.scope.account or "", principal.id),
                put(self._sessions, digest, None),
            )

    def _without_sessions(self, name: str) -> list[Undo]:
        digests = [digest for digest, session in self._sessions.items() if session.user == name]
        return [put(self._sessions, digest, None) for digest in digests]

    def _forget_old(self) -> None:
        """Drop from memory what is over; the file drops it at the next start."""
        now = self._clock.now()
        for digest in [digest for digest, session in self._sessions.items() if session.expires_at <= now]:
            del self._sessions[digest]


def _is_right(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _detail(user: User) -> AuditDetail:
    return {
        "role": user.role.value,
        "reseller": user.scope.reseller or "",
        "account": user.scope.account or "",
        "disabled": user.is_disabled,
    }
