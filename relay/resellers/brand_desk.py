"""Commands on brands. A reseller's admin has his own name, logo, colour and words; hosts are the operator's to give."""

import hashlib
from dataclasses import fields, replace
from typing import Any

import msgspec
from msgspec import UNSET

from relay.control.access import require, require_whole_tree, sees
from relay.control.audit.chain import Act
from relay.control.audit.views import AuditDetail
from relay.control.checks import shell
from relay.control.errors import Conflict, NotFound
from relay.control.state.memory import State
from relay.resellers.brand import Brand, BrandVersion
from relay.resellers.checked import HOSTS, checked_brand
from relay.resellers.views import BrandBack, BrandDone, BrandOrder, BrandsView, BrandView
from relay.tree import Principal, Role

_PARTS = tuple(field.name for field in fields(Brand))


class BrandDesk:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State) -> None:
        self._state, self._book = state, state.branding

    def own(self, principal: Principal) -> BrandView:
        """The brand under which the asker sees this relay; nobody's for who sees the whole tree."""
        require(principal, Role.VIEWER)
        scope = principal.scope
        reseller = scope.reseller or (self._state.reseller_of(scope.account) if scope.account else "")
        return self._in_force(reseller)

    def of_host(self, principal: Principal, host: str) -> BrandView:
        """The brand of a host name, for the sign-in page, which does not know yet who comes."""
        require(principal, Role.VIEWER)
        require_whole_tree(principal, "ask whose a host is")
        return self._in_force(self._state.brands.reseller_of_host(host))

    async def show(self, principal: Principal, reseller: str) -> BrandsView:
        require(principal, Role.VIEWER)
        self._check_sight(principal, reseller)
        kept = await self._book.versions(reseller)
        return BrandsView(brand=self._in_force(reseller), versions=[_listed(one) for one in kept])

    async def set(self, principal: Principal, reseller: str, order: BrandOrder) -> BrandDone:
        """Change what is given, from the next page and mail on."""
        require(principal, Role.ADMIN)
        self._check_sight(principal, reseller)
        before = self._state.brands.of_reseller(reseller)
        given: dict[str, Any] = {
            name: value for name in BrandOrder.__struct_fields__ if (value := getattr(order, name)) is not UNSET
        }
        given.pop("dry_run")
        return await self._put(principal, reseller, checked_brand(replace(before, **given)), dry_run=order.dry_run)

    async def back(self, principal: Principal, reseller: str, order: BrandBack) -> BrandDone:
        """Put an earlier version in force again, as a new one; for a reseller himself with the hosts of today."""
        require(principal, Role.ADMIN)
        self._check_sight(principal, reseller)
        brand = await self._book.version(reseller, order.version)
        if principal.scope.reseller is not None:
            today: dict[str, Any] = {name: getattr(self._state.brands.of_reseller(reseller), name) for name in HOSTS}
            brand = replace(brand, **today)
        return await self._put(principal, reseller, brand, dry_run=order.dry_run)

    async def _put(self, principal: Principal, reseller: str, after: Brand, *, dry_run: bool) -> BrandDone:
        before, number = self._state.brands.of_reseller(reseller), self._book.version_of(reseller)
        if changed := [name for name in HOSTS if getattr(before, name) != getattr(after, name)]:
            require_whole_tree(
                principal, f"set {', '.join(changed)}: names in mail and certificates are the operator's"
            )
            self._check_free(reseller, after)
        if after == before:
            return BrandDone(brand=self._in_force(reseller), dry_run=dry_run)
        undo = shell("reseller", "brand", "back", reseller, str(number))
        if dry_run:
            return BrandDone(brand=_view(reseller, number + 1, after), undo=undo, dry_run=True)
        new = await self._book.set(reseller, after, principal, _act(reseller, before, after))
        return BrandDone(brand=_view_of(new), undo=undo)

    def _check_free(self, reseller: str, wanted: Brand) -> None:
        """A host of two brands would show one reseller's customers the other's."""
        if taken := self._state.brands.also_in(reseller, wanted.hosts):
            raise Conflict(f"the host {taken[0]} is in the brand of reseller {taken[1]!r} already")

    def _check_sight(self, principal: Principal, reseller: str) -> None:
        if reseller not in self._state.resellers or not sees(principal, "", reseller):
            raise NotFound(f"there is no reseller {reseller!r}; `mailweir reseller ls` names them all")

    def _in_force(self, reseller: str) -> BrandView:
        number = self._book.version_of(reseller)
        return _view(reseller, number, self._state.brands.of_reseller(reseller)) if number else BrandView()


def _act(reseller: str, before: Brand, after: Brand) -> Act:
    changed = [name for name in _PARTS if getattr(before, name) != getattr(after, name)]
    detail: AuditDetail = {name: _told(getattr(after, name)) for name in changed}
    return Act("reseller.brand", "", reseller, detail)


def _told(value: object) -> str:
    """A logo as what it can be told by: its size and the beginning of its SHA-256."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes {hashlib.sha256(value).hexdigest()[:16]}" if value else ""
    return str(value)


def _view(reseller: str, version: int, brand: Brand) -> BrandView:
    view = msgspec.convert(brand, BrandView, from_attributes=True)
    return msgspec.structs.replace(view, reseller=reseller, version=version)


def _view_of(one: BrandVersion) -> BrandView:
    view = _view(one.reseller, one.version, one.brand)
    return msgspec.structs.replace(view, author=one.author, set_at=one.set_at)


def _listed(one: BrandVersion) -> BrandView:
    return _view_of(replace(one, brand=replace(one.brand, logo=b"")))
