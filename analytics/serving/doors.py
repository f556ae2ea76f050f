"""What the doors of the query API share: how one answers, and whom it lets in."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from analytics.serving.ask import OutOfScope
from relay.tree import Principal, Role, Scope

Answer = Callable[[Principal, Request], Awaitable[Response]]


def require(principal: Principal, role: Role, what: str) -> None:
    """Let in who has the role and sees the whole tree. Raises OutOfScope, which says that he may not do `what`."""
    if not principal.role.includes(role) or principal.scope != Scope():
        raise OutOfScope(f"{principal.id} may not {what}: it needs {role} and the whole tree")
