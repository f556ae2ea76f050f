"""Commands on logins: add, rotate, revoke, list."""

import secrets
from datetime import datetime, timedelta

from relay.account import Credential
from relay.clock import Clock
from relay.control.access import in_sight, require, require_sight, sees
from relay.control.accounts.views import CredentialView, NewCredential, Order, Rotation, Secret
from relay.control.checks import bound_network, checked_end_sender, checked_login, checked_sender_domain, shell
from relay.control.errors import Conflict, Invalid, NotFound
from relay.control.state.logins import Bindings
from relay.control.state.memory import State
from relay.front.bearer import bearer_of
from relay.tree import Principal, Role

_SECRET_BYTES = 18  # 24 characters, 144 bits
_LONGEST_OVERLAP = timedelta(days=30)


class Credentials:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state, self._clock = state, clock

    def list(self, principal: Principal, account: str | None = None) -> list[CredentialView]:
        """Logins by account; those of one account if it is named."""
        require(principal, Role.VIEWER)
        if account is not None:
            in_sight(self._state.accounts, principal, account)
        seen = [
            known
            for known in self._state.credentials.values()
            if account in (None, known.account) and sees(principal, known.account, self._reseller(known))
        ]
        return [self._view(known) for known in sorted(seen, key=lambda known: (known.account, known.login))]

    async def add(self, principal: Principal, account: str, new: NewCredential) -> Secret:
        require(principal, Role.ADMIN)
        in_sight(self._state.accounts, principal, account)
        if checked_login(new.login) in self._state.credentials:
            raise Conflict(f"there is a login {new.login!r} already; logins of all accounts differ")
        bindings, undo = _bindings(new), shell("cred", "revoke", new.login)
        password = new.password or generated()
        if not new.dry_run:
            await self._state.add_credential(new.login, account, password, principal, bindings)
        shown = "" if new.password or new.dry_run else password
        return secret_of(new.login, account, shown, undo=undo, dry_run=new.dry_run)

    async def rotate(self, principal: Principal, login: str, order: Rotation) -> Secret:
        """Make a new password, good at once; the one before stays good for the overlap."""
        require(principal, Role.ADMIN)
        known, overlap = self._find(principal, login), _overlap(order.overlap_seconds)
        if known.is_revoked:
            raise Conflict(f"login {login!r} is revoked, and stays so; add another one")
        password, until = order.password or generated(), self._clock.now() + overlap if overlap else None
        if not order.dry_run:
            rotated = await self._state.rotate_credential(login, password, overlap, principal)
            until = rotated.previous_until
        shown = "" if order.password or order.dry_run else password
        return secret_of(login, known.account, shown, previous_until=until, dry_run=order.dry_run)

    async def revoke(self, principal: Principal, login: str, order: Order) -> Secret:
        """End a login for good. Revoking twice changes nothing."""
        require(principal, Role.ADMIN)
        known = self._find(principal, login)
        if not order.dry_run and not known.is_revoked:
            await self._state.revoke_credential(login, principal)
        return secret_of(login, known.account, "", dry_run=order.dry_run)

    def _find(self, principal: Principal, login: str) -> Credential:
        known = self._state.credentials.get(login)
        if known is None:
            raise NotFound(f"there is no login {login!r}; `mailweir cred ls` names them all")
        require_sight(principal, known.account, self._reseller(known), f"login {login!r}")
        return known

    def _reseller(self, known: Credential) -> str:
        return self._state.reseller_of(known.account)

    def _view(self, known: Credential) -> CredentialView:
        used = self._state.last_used.get(known.login)
        is_overlapping = known.previous_until is not None and self._clock.now() < known.previous_until
        return CredentialView(
            login=known.login,
            account=known.account,
            is_revoked=known.is_revoked,
            created_at=known.created_at,
            previous_until=known.previous_until if is_overlapping else None,
            networks=[str(network) for network in known.networks],
            sender_domains=[*known.sender_domains],
            end_sender=known.end_sender,
            last_used_at=used.at if used else None,
            last_used_ip=used.client_ip if used else "",
        )


def generated() -> str:
    """A password nobody guesses."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def secret_of(
    login: str,
    account: str,
    password: str,
    *,
    previous_until: datetime | None = None,
    undo: str = "",
    dry_run: bool = False,
) -> Secret:
    """What is told of a login; `password` is "" where the asker has chosen it, or there is none yet."""
    return Secret(
        login=login,
        account=account,
        password=password,
        bearer=bearer_of(login, password) if password else "",
        previous_until=previous_until,
        undo=undo,
        dry_run=dry_run,
    )


def _bindings(new: NewCredential) -> Bindings:
    return Bindings(
        tuple(dict.fromkeys(bound_network(text) for text in new.networks)),
        tuple(dict.fromkeys(checked_sender_domain(text) for text in new.sender_domains)),
        checked_end_sender(new.end_sender),
    )


def _overlap(seconds: float) -> timedelta:
    if not 0 <= seconds <= _LONGEST_OVERLAP.total_seconds():
        raise Invalid(f"overlap = {seconds} s: must lie between 0 and {_LONGEST_OVERLAP.days} days")
    return timedelta(seconds=seconds)
