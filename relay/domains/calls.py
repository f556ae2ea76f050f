"""The control API's calls for domains, as methods of its client."""

from relay.control.accounts.calls import AccountCalls, quoted
from relay.domains.views import CheckReport, DomainOrder, DomainView, NewDomain

_PLAINLY = DomainOrder()


class DomainCalls(AccountCalls):
    """What ControlClient inherits; each call is one request."""

    def domains(self, account: str = "") -> list[DomainView]:
        return self._get("/v1/domains", list[DomainView], {"account": account})

    def domain(self, name: str, account: str = "") -> DomainView:
        return self._get(f"/v1/domains/{quoted(name)}", DomainView, {"account": account})

    def add_domain(self, new: NewDomain) -> DomainView:
        return self._post("/v1/domains", new, DomainView)

    def remove_domain(self, name: str, order: DomainOrder = _PLAINLY) -> DomainView:
        return self._post(f"/v1/domains/{quoted(name)}/remove", order, DomainView)

    def rotate_key(self, name: str, order: DomainOrder = _PLAINLY) -> DomainView:
        return self._post(f"/v1/domains/{quoted(name)}/rotate", order, DomainView)

    def end_key(self, name: str, order: DomainOrder) -> DomainView:
        return self._post(f"/v1/domains/{quoted(name)}/end-key", order, DomainView)

    def check_domain(self, name: str, order: DomainOrder = _PLAINLY) -> CheckReport:
        return self._post(f"/v1/domains/{quoted(name)}/check", order, CheckReport)
