"""The route of the control API that forgets a person."""

from starlette.requests import Request

from relay.control.requests import Routes, body
from relay.privacy.desk import PrivacyDesk
from relay.privacy.views import ForgetOrder, Forgot
from relay.tree import Principal


class PrivacyRoutes:
    """One method per route."""

    def __init__(self, desk: PrivacyDesk) -> None:
        self._desk = desk

    def table(self) -> Routes:
        return [("POST", "/v1/forget", self.forget, 200)]

    async def forget(self, principal: Principal, request: Request) -> Forgot:
        """Replace a person's address by a keyed name wherever it is past."""
        return await self._desk.forget(principal, await body(request, ForgetOrder))
