"""The control API's calls for destinations and shaping rules, as methods of its client."""

from relay.control.accounts.calls import AccountCalls, quoted
from relay.control.shaping.views import (
    DestinationChanged,
    DestinationView,
    OverrideOrder,
    ResumeOrder,
    RulesView,
    SuspendOrder,
)

_PLAINLY = ResumeOrder()


class DestinationCalls(AccountCalls):
    """What ControlClient inherits; each call is one request."""

    def destinations(self) -> list[DestinationView]:
        return self._get("/v1/destinations", list[DestinationView])

    def destination(self, name: str) -> DestinationView:
        return self._get(f"/v1/destinations/{quoted(name)}", DestinationView)

    def suspend_destination(self, name: str, order: SuspendOrder) -> DestinationChanged:
        return self._post(f"/v1/destinations/{quoted(name)}/suspend", order, DestinationChanged)

    def resume_destination(self, name: str, order: ResumeOrder = _PLAINLY) -> DestinationChanged:
        return self._post(f"/v1/destinations/{quoted(name)}/resume", order, DestinationChanged)

    def override_destination(self, name: str, order: OverrideOrder) -> DestinationChanged:
        return self._post(f"/v1/destinations/{quoted(name)}/override", order, DestinationChanged)

    def shaping_rules(self) -> RulesView:
        return self._get("/v1/shaping/rules", RulesView)
