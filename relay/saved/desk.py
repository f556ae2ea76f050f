"""Commands on saved questions. Everybody keeps his own; nobody sees or changes another's."""

from relay.clock import Clock
from relay.control.access import require, require_whole_tree
from relay.control.audit.chain import Act
from relay.control.audit.views import AuditDetail
from relay.control.errors import Invalid, NotFound
from relay.control.state.memory import State
from relay.saved.views import SavedDone, SavedKind, SavedOrder, SavedQuestion, SavedRemoval
from relay.tree import Principal, Role, Scope

_NAME_LENGTH, _TEXT_LENGTH = 80, 20_000
_MOST = 100  # of a kind and an owner: a list that is read by eye


class SavedDesk:
    """Every command takes its Principal first and checks role and values."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._book, self._clock = state.saved, clock

    async def list(self, principal: Principal) -> list[SavedQuestion]:
        """What the principal keeps and may ask, by kind and name."""
        kept = await self._book.all(principal.id)
        return [one for one in kept if one.kind == "search" or _may_ask_freely(principal)]

    async def put(self, principal: Principal, order: SavedOrder) -> SavedDone:
        _check(principal, order.kind)
        name, text = " ".join(order.name.split()), order.text.strip()
        if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable():
            raise Invalid(f"name = {order.name[:100]!r}: write 1 to {_NAME_LENGTH} printable characters")
        if not 1 <= len(text) <= _TEXT_LENGTH:
            raise Invalid(f"text: write 1 to {_TEXT_LENGTH} characters")
        kept = {one.name: one for one in await self._book.all(principal.id) if one.kind == order.kind}
        if name not in kept and len(kept) >= _MOST:
            raise Invalid(f"{principal.id} keeps {_MOST} of kind {order.kind} already; remove some")
        saved = SavedQuestion(kind=order.kind, name=name, text=text, saved_at=self._clock.now())
        if not order.dry_run:
            await self._book.put(saved, principal, _act("saved.put", principal, saved))
        return SavedDone(saved=saved, before=kept.get(name), dry_run=order.dry_run)

    async def remove(self, principal: Principal, order: SavedRemoval) -> SavedDone:
        _check(principal, order.kind)
        kept = await self._book.all(principal.id)
        saved = next((one for one in kept if (one.kind, one.name) == (order.kind, order.name)), None)
        if saved is None:
            raise NotFound(f"{principal.id} keeps no {order.kind} named {order.name!r}")
        if not order.dry_run:
            await self._book.drop(saved, principal, _act("saved.remove", principal, saved))
        return SavedDone(saved=saved, before=saved, dry_run=order.dry_run)


def _check(principal: Principal, kind: SavedKind) -> None:
    """A free question is an administrator's of the whole tree, as asking it is."""
    if kind == "sql":
        require(principal, Role.ADMIN)
        require_whole_tree(principal, "keep free questions")
    else:
        require(principal, Role.VIEWER)


def _may_ask_freely(principal: Principal) -> bool:
    return principal.role.includes(Role.ADMIN) and principal.scope == Scope()


def _act(command: str, principal: Principal, saved: SavedQuestion) -> Act:
    detail: AuditDetail = {"kind": saved.kind, "name": saved.name, "text": saved.text}
    return Act(command, principal.scope.account or "", principal.id, detail)
