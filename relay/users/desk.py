"""Commands on users, and signing in. An admin manages the users of his own part of the tree."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import msgspec

from relay.clock import Clock
from relay.control.access import require
from relay.control.checks import checked_name, shell
from relay.control.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized
from relay.control.state.memory import State
from relay.front.guard import client_key
from relay.front.lockout import Lockout
from relay.settings import Settings
from relay.tree import Principal, Role, Scope
from relay.users.user import User
from relay.users.views import NewUser, SignIn, TokenOrder, UserChange, UsersKnown, UserToken, UserView, Whoami

LEAST_PASSWORD = 10  # characters
_LONGEST_TOKEN = timedelta(days=3650)

_DOORKEEPERS = ("dashboard", "admin", "cli")  # who may hand in what somebody typed
_RESERVED = ("relay", "admin", "analytics", "dashboard", "notebook", "cli", "link")  # authors that are no people
_ONESELF = "you are {name!r} yourself: let another admin {what} you, or do it on the server with `mailweir user`"
_NO = "this name and password do not fit"


class UserDesk:
    """Every command takes its Principal first."""

    def __init__(self, state: State, clock: Clock, settings: Callable[[], Settings]) -> None:
        self._state, self._clock, self._settings = state, clock, settings
        # No script signs in here: who has come in once, or shares a proxy with such a one, may not guess at others
        self._lockout = Lockout(trusts=False)

    def list(self, principal: Principal) -> list[UserView]:
        require(principal, Role.ADMIN)
        users = sorted(self._state.users.users.values(), key=lambda user: user.name)
        return [_view(user) for user in users if self._is_within(principal, user.scope)]

    async def add(self, principal: Principal, new: NewUser) -> UserView:
        require(principal, Role.ADMIN)
        if checked_name(new.name, "user") in _RESERVED:
            raise Invalid(f"user name {new.name!r} is taken by a part of the relay itself; choose another")
        scope = self._checked_scope(principal, new.reseller, new.account)
        made = "" if new.password or new.by_provider else secrets.token_urlsafe(12)
        password = _checked_password(new.password) if new.password else made
        if not new.dry_run:
            hashed = await self._state.users.hashed(password) if password else ""
            await self._state.users.add(User(new.name, new.role, scope, hashed), principal)
        user = self._state.users.users.get(new.name) or User(new.name, new.role, scope, "x" if password else "")
        return _view(user, made, undo=shell("user", "rm", new.name), dry_run=new.dry_run)

    async def change(self, principal: Principal, name: str, change: UserChange) -> UserView:
        before = self._found(principal, name)
        _check_not_oneself(principal, before, change)
        scope = before.scope
        if change.reseller is not None or change.account is not None:
            scope = self._checked_scope(principal, change.reseller or "", change.account or "")
        made = secrets.token_urlsafe(12) if change.new_password and not change.password else ""
        password = _checked_password(change.password) if change.password else made
        after = replace(
            before,
            role=change.role or before.role,
            scope=scope,
            is_disabled=before.is_disabled if change.is_disabled is None else change.is_disabled,
        )
        if password:
            after = replace(after, password_hash=await self._state.users.hashed(password))
        if after != before and not change.dry_run:
            ends = bool(password) or after.is_disabled
            command = "user.passwd" if password else "user.set"
            await self._state.users.change(after, command, principal, ends_sessions=ends)
        return _view(after, made, undo=_undo_of(before, after), dry_run=change.dry_run)

    async def remove(self, principal: Principal, name: str, *, dry_run: bool) -> UserView:
        user = self._found(principal, name)
        if principal.id == name:
            raise Conflict(_ONESELF.format(name=name, what="remove"))
        if not dry_run:
            await self._state.users.remove(name, principal)
        return _view(user, dry_run=dry_run)

    async def token(self, principal: Principal, name: str, order: TokenOrder) -> UserToken:
        """Begin a session for a program that acts as this user; what ends the user's sessions ends it too."""
        user = self._found(principal, name)
        if not 0 < order.seconds <= _LONGEST_TOKEN.total_seconds():
            raise Invalid(f"a token is good for more than 0 and at most {_LONGEST_TOKEN.days} days")
        if user.is_disabled:
            raise Invalid(f"user {name!r} is disabled; mailweir user set {name} --enable")
        undo = shell("user", "set", name, "--disable")
        if order.dry_run:
            return UserToken(name=name, token="", expires_at=None, undo=undo, dry_run=True)
        lasts = timedelta(seconds=order.seconds)
        token, session = await self._state.users.begin_session(user, lasts, "token", principal)
        return UserToken(name=name, token=token, expires_at=session.expires_at, undo=undo)

    def must_sign_in(self) -> UsersKnown:
        """Tell the dashboard whether its readers have to sign in."""
        how = self._settings().dashboard.sign_in
        # who has no password is a program, or signs in through a provider that "auto" does not ask
        people = any(user.password_hash for user in self._state.users.users.values())
        return UsersKnown(must_sign_in=how in ("local", "oidc") or (how == "auto" and people))

    async def sign_in(self, principal: Principal, order: SignIn) -> Whoami:
        """Begin a session for somebody who has proven who he is. Raises Unauthorized, in the same words always."""
        if principal.id not in _DOORKEEPERS:
            raise Forbidden(f"{principal.id} may not sign people in; the dashboard does")
        if order.by_provider:
            user = self._known_to_provider(order)
        else:
            await self._check_password(order)
            user = self._state.users.users[order.name]
        hours = self._settings().dashboard.session_hours
        token, session = await self._state.users.begin_session(user, timedelta(hours=hours), order.client)
        return msgspec.structs.replace(whoami(user.principal), token=token, expires_at=session.expires_at)

    async def sign_out(self, principal: Principal, token: str) -> Whoami:
        await self._state.users.end_session(token, principal)
        return whoami(principal)

    def _known_to_provider(self, order: SignIn) -> User:
        """The user whom the provider means: it may write the same mail address with other capitals than we do."""
        if self._settings().dashboard.sign_in != "oidc":
            raise Forbidden("dashboard.sign_in is not oidc: nobody comes in without a password")
        users = self._state.users.users
        alike = [user for name, user in users.items() if name.lower() == order.name.lower()]
        user = users.get(order.name) or (alike[0] if len(alike) == 1 else None)
        if user is None or user.is_disabled:
            raise Unauthorized(
                f"nobody here is called {order.name!r}; an admin adds: {shell('user', 'add', order.name, '--oidc')}"
            )
        return user

    async def _check_password(self, order: SignIn) -> None:
        now, name, client = self._clock.unix(), order.name.encode(), _network(order.client)
        locked = self._lockout.locked_until(client, name, now) or self._lockout.begin_guess(client, now)
        if locked is not None:
            raise Unauthorized(f"too many failed sign-ins; try again in {max(1, round((locked - now) / 60))} min")
        if not await self._state.users.is_password(order.name, order.password):
            self._lockout.failed(client, name, now)
            raise Unauthorized(_NO)
        self._lockout.succeeded(client, name, now)

    def _found(self, principal: Principal, name: str) -> User:
        require(principal, Role.ADMIN)
        user = self._state.users.users.get(name)
        if user is None or not self._is_within(principal, user.scope):
            raise NotFound(f"there is no user {name!r}; `mailweir user ls` names them all")
        return user

    def _checked_scope(self, principal: Principal, reseller: str, account: str) -> Scope:
        if reseller and account:
            raise Invalid("give a reseller or an account: a user sees one part of the tree")
        if reseller and reseller not in self._state.resellers:
            raise NotFound(f"there is no reseller {reseller!r}")
        scope = Scope(reseller or None, account or None)
        if (account and account not in self._state.accounts) or not self._is_within(principal, scope):
            raise NotFound(f"there is no account {account!r}" if account else "you see a part of the tree only")
        return scope

    def _is_within(self, principal: Principal, scope: Scope) -> bool:
        """Tell whether a part of the tree lies in the principal's own."""
        own = principal.scope
        if own == Scope() or own == scope:
            return True
        if own.account is not None or scope.account is None:
            return False
        return own.reseller == self._state.reseller_of(scope.account)


def _check_not_oneself(principal: Principal, before: User, change: UserChange) -> None:
    """Nobody locks himself out by a slip. Names of the relay's own parts are reserved: an equal one is the user."""
    is_less = change.role is not None and not change.role.includes(before.role)
    is_elsewhere = change.reseller is not None or change.account is not None
    if principal.id == before.name and (change.is_disabled or is_less or is_elsewhere):
        raise Conflict(_ONESELF.format(name=before.name, what="disable" if change.is_disabled else "change"))


def whoami(principal: Principal) -> Whoami:
    """Who asks, for himself."""
    scope = principal.scope
    return Whoami(name=principal.id, role=principal.role, reseller=scope.reseller or "", account=scope.account or "")


def _network(client: str) -> bytes:
    """What stands for a client in counts; the dashboard may not know its address."""
    try:
        return client_key(client).encode()
    except ValueError:
        return client.encode()


def _view(user: User, password: str = "", *, undo: str = "", dry_run: bool = False) -> UserView:
    return UserView(
        name=user.name,
        role=user.role,
        reseller=user.scope.reseller or "",
        account=user.scope.account or "",
        signs_in="password" if user.password_hash else "identity provider",
        is_disabled=user.is_disabled,
        created_at=user.created_at,
        password="" if dry_run else password,
        undo=undo,
        dry_run=dry_run,
    )


def _undo_of(before: User, after: User) -> str:
    """The line that takes a change back; a password does not come back."""
    words: list[str] = []
    if after.role != before.role:
        words += ["--role", before.role.value]
    if after.scope != before.scope:
        scope = before.scope
        words += ["--account", scope.account] if scope.account else ["--reseller", scope.reseller or ""]
    if after.is_disabled != before.is_disabled:
        words.append("--enable" if after.is_disabled else "--disable")
    return shell("user", "set", before.name, *words) if words else ""


def _checked_password(password: str) -> str:
    if not LEAST_PASSWORD <= len(password) <= 1_024:
        raise Invalid(f"password: give {LEAST_PASSWORD} to 1024 characters, or none and one is made")
    return password
