"""People who sign in: who they are, what they may do, and the sessions that prove it. Values only."""

from dataclasses import dataclass
from datetime import datetime

from relay.tree import Principal, Role, Scope

EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class User:
    """One person. `password_hash` "": signs in through the identity provider only. `scope`: the part of the tree."""

    name: str
    role: Role
    scope: Scope = EVERYTHING
    password_hash: str = ""
    is_disabled: bool = False
    created_at: datetime | None = None

    @property
    def principal(self) -> Principal:
        """As whom this person acts; the name stands in the audit log."""
        return Principal(self.name, self.role, self.scope)


@dataclass(frozen=True, slots=True)
class Session:
    """A person who has signed in. `digest` is that of the token, which nobody but its bearer has."""

    digest: str
    user: str
    created_at: datetime
    expires_at: datetime
