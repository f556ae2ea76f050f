"""Who may do what: the role a command needs, and the part of the tree a principal sees."""

from relay.control.errors import Forbidden, NotFound
from relay.policy.decision import Effect
from relay.tree import Principal, Role

# What ends or limits somebody's business for long, or is computed by a machine, is not the abuse desk's to set.
ROLE_OF_EFFECT = {
    Effect.WATCH: Role.ABUSE,
    Effect.THROTTLE: Role.ABUSE,
    Effect.HOLD: Role.ABUSE,
    Effect.BLOCK: Role.ABUSE,
    Effect.RELEASE: Role.ABUSE,
    Effect.CONFIRM: Role.ABUSE,
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
