"""Who may do what: the role a command needs, and the part of the tree a principal sees."""

from collections.abc import Mapping

from relay.account import Account
from relay.control.errors import Forbidden, NotFound
from relay.policy.decisions.decision import Effect
from relay.tree import Principal, Role

# What ends or limits somebody's business for long, or is computed by a machine, is not the abuse desk's to set.
ROLE_OF_EFFECT = {
    Effect.WATCH: Role.ABUSE,
    Effect.THROTTLE: Role.ABUSE,
    Effect.HOLD: Role.ABUSE,
    Effect.BLOCK: Role.ABUSE,
    Effect.RELEASE: Role.ABUSE,
    Effect.CONFIRM: Role.ABUSE,
    Effect.EXEMPT: Role.ABUSE,
    Effect.SUSPEND: Role.OPERATOR,
    Effect.MULTIPLY: Role.OPERATOR,
}


def require(principal: Principal, role: Role) -> None:
    """Raise Forbidden unless the principal's role includes `role`."""
    if not principal.role.includes(role):
        raise Forbidden(
            f"{principal.id} has the role {principal.role}; this needs {role}. The tokens of stronger roles lie in "
            "the folder `tokens` of the node's data folder"
        )


def sees(principal: Principal, account: str, reseller: str) -> bool:
    """Tell whether an account lies in the principal's scope."""
    scope = principal.scope
    return scope.account in (None, account) and scope.reseller in (None, reseller)


def require_sight(principal: Principal, account: str, reseller: str, what: str) -> None:
    """Raise NotFound for what lies outside the scope: that it exists is nobody else's business."""
    if not sees(principal, account, reseller):
        raise NotFound(f"there is no {what}")


def require_whole_tree(principal: Principal, what: str) -> None:
    """Raise Forbidden for a principal that sees a part of the tree only."""
    if principal.scope.reseller is not None or principal.scope.account is not None:
        raise Forbidden(f"{principal.id} sees a part of this relay only, and may not {what}")


def in_sight(accounts: Mapping[str, Account], principal: Principal, name: str) -> Account:
    """The account of a name. Raises NotFound also for one outside the principal's scope, in the same words."""
    account = accounts.get(name)
    if account is None or not sees(principal, name, account.reseller):
        raise NotFound(f"there is no account {name!r}; `mailweir account ls` names them all")
    return account
