"""Commands on resellers: only for those who see the whole tree; a reseller sees itself."""

from collections.abc import Callable
from dataclasses import asdict, replace

import msgspec

from relay.account import Reseller
from relay.control.access import require, require_sight, require_whole_tree, sees
from relay.control.accounts.views import Limits, NewReseller, Order, ResellerView
from relay.control.checks import checked_name, shell
from relay.control.errors import Conflict, Invalid, NotFound
from relay.control.state.memory import State
from relay.policy.limits.levels import Level, LimitSet
from relay.resellers.views import ResellerChange
from relay.tree import Principal, Role

_CONTACT_LENGTH = 320


class Resellers:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.on_suspension: Callable[[], None] = lambda: None  # as in control/accounts/commands.py

    def list(self, principal: Principal) -> list[ResellerView]:
        require(principal, Role.VIEWER)
        return [self._view(known) for known in self._state.resellers.values() if sees(principal, "", known.name)]

    def show(self, principal: Principal, name: str) -> ResellerView:
        require(principal, Role.VIEWER)
        return self._view(self._known(principal, name))

    async def add(self, principal: Principal, new: NewReseller) -> ResellerView:
        require(principal, Role.ADMIN)
        require_whole_tree(principal, "add resellers")
        name, contact = checked_name(new.name, "reseller"), _checked_contact(new.contact)
        self._state.check_reseller_name(name)
        if new.dry_run:
            reseller = Reseller(name, contact=contact)
        else:
            reseller = await self._state.add_reseller(name, principal, contact)
        undo = shell("reseller", "remove", name)
        return msgspec.structs.replace(self._view(reseller), undo=undo, dry_run=new.dry_run)

    async def change(self, principal: Principal, name: str, change: ResellerChange) -> ResellerView:
        before = self._for_change(principal, name, "change resellers")
        after = replace(before, contact=_checked_contact(change.contact))
        if after != before and not change.dry_run:
            await self._state.change_reseller(after, principal)
        undo = shell("reseller", "set", name, "--contact", before.contact) if after != before else ""
        return msgspec.structs.replace(self._view(after), undo=undo, dry_run=change.dry_run)

    async def suspend(self, principal: Principal, name: str, order: Order) -> ResellerView:
        """Refuse the mail of all its accounts, at once."""
        return await self._stand(principal, name, order, is_suspended=True)

    async def resume(self, principal: Principal, name: str, order: Order) -> ResellerView:
        return await self._stand(principal, name, order, is_suspended=False)

    async def remove(self, principal: Principal, name: str, order: Order) -> ResellerView:
        """End a reseller that has no accounts and no users any more; its name stands in history and stays taken."""
        known = self._for_change(principal, name, "remove resellers")
        accounts = sorted(one.name for one in self._state.accounts.values() if one.reseller == name)
        users = sorted(one.name for one in self._state.users.users.values() if one.scope.reseller == name)
        if accounts or users:
            left = (
                f"{len(accounts)} accounts ({', '.join(accounts[:3])})" if accounts else f"users {', '.join(users[:3])}"
            )
            raise Conflict(f"reseller {name!r} still has {left}; remove or move them first")
        if not order.dry_run:
            await self._state.move_reseller(known, principal, is_removed=True)
        undo = shell("reseller", "restore", name)
        return msgspec.structs.replace(self._view(known), undo=undo, dry_run=order.dry_run)

    async def restore(self, principal: Principal, name: str, order: Order) -> ResellerView:
        """Bring a removed reseller back, with its limits and brand."""
        require(principal, Role.ADMIN)
        require_whole_tree(principal, "restore resellers")
        former = self._state.former_resellers.get(name)
        if former is None:
            raise NotFound(f"no reseller {name!r} was removed")
        brands = self._state.brands
        if taken := brands.also_in(name, brands.of_reseller(name).hosts):
            raise Conflict(
                f"the host {taken[0]} of its brand is in that of reseller {taken[1]!r} now; take it out there first"
            )
        if not order.dry_run:
            await self._state.move_reseller(former, principal, is_removed=False)
        undo = shell("reseller", "remove", name)
        return msgspec.structs.replace(self._view(former), undo=undo, dry_run=order.dry_run)

    async def _stand(self, principal: Principal, name: str, order: Order, *, is_suspended: bool) -> ResellerView:
        known = self._for_change(principal, name, "suspend or resume resellers")
        after = replace(known, is_suspended=is_suspended)
        if known != after and not order.dry_run:
            after = await self._state.suspend_reseller(name, is_suspended, principal)
            self.on_suspension()
        undo = shell("reseller", "resume" if is_suspended else "suspend", name)
        return msgspec.structs.replace(self._view(after), undo=undo, dry_run=order.dry_run)

    def _for_change(self, principal: Principal, name: str, what: str) -> Reseller:
        require(principal, Role.ADMIN)
        require_sight(principal, "", name, f"reseller {name!r}")
        require_whole_tree(principal, what)
        return self._known(principal, name)

    def _known(self, principal: Principal, name: str) -> Reseller:
        known = self._state.resellers.get(name)
        if known is None or not sees(principal, "", name):
            raise NotFound(f"there is no reseller {name!r}; `mailweir reseller ls` names them all")
        return known

    def _view(self, known: Reseller) -> ResellerView:
        limits = self._state.limits.get((Level.RESELLER, known.name), LimitSet())
        return ResellerView(
            name=known.name,
            is_suspended=known.is_suspended,
            created_at=known.created_at,
            accounts=sum(account.reseller == known.name for account in self._state.accounts.values()),
            limits=Limits(**asdict(limits)),
            contact=known.contact,
        )


def _checked_contact(text: str) -> str:
    contact = text.strip()
    if len(contact) > _CONTACT_LENGTH or not contact.isprintable():
        raise Invalid(f"contact {text[:60]!r}: at most {_CONTACT_LENGTH} printable characters")
    return contact
