"""What the control API takes and gives about users and sessions."""

from datetime import datetime

import msgspec

from relay.tree import Role


class NewUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/users. Without a `password` one is made; `by_provider`: without any, signs in through OIDC only."""

    name: str
    role: Role
    reseller: str = ""
    account: str = ""
    password: str = msgspec.field(default="")
    by_provider: bool = False
    dry_run: bool = False


class UserChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PATCH /v1/users/{name}: what is None stays. `new_password`: one is made, unless `password` says it."""

    role: Role | None = None
    reseller: str | None = None
    account: str | None = None
    password: str = ""
    new_password: bool = False
    is_disabled: bool | None = None
    dry_run: bool = False


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """One user. `password` is shown once, where one was made."""

    name: str
    role: Role
    reseller: str
    account: str
    signs_in: str
    is_disabled: bool
    created_at: datetime | None
    password: str = ""
    undo: str = ""
    dry_run: bool = False


class TokenOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/users/{name}/token: a session for a program, of this length; at most ten years."""

    seconds: float
    dry_run: bool = False


class UserToken(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a TokenOrder. `token` is shown this once."""

    name: str
    token: str
    expires_at: datetime | None
    undo: str = ""
    dry_run: bool = False


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/sessions, from the dashboard: who wants in, from where. `by_provider`: the identity provider has
    proven it, and there is no password."""

    name: str
    password: str = ""
    client: str = ""
    by_provider: bool = False


class Whoami(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/whoami; and with `token` the answer to a SignIn. Scope "": the whole tree."""

    name: str
    role: Role
    reseller: str = ""
    account: str = ""
    token: str = ""
    expires_at: datetime | None = None


class UsersKnown(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/sessions: whether anybody has to sign in."""

    must_sign_in: bool
