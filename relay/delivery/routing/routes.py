"""Where mail goes by the operator's word: routes of an account or a domain, the smarthost or sink; else by MX."""

from dataclasses import dataclass, field

from relay.settings import Delivery, Route, Settings, split_listen

_SMTP_PORT = 25


@dataclass(frozen=True, slots=True)
class Target:
    """One destination: what shares a queue and its connections.

    `name` is what records show. `host` empty: by MX of `name`. is_smarthost: a hop that is given everybody's mail.
    `mode`: direct, smarthost or sink. `tls`: "" for that of the settings.
    """

    key: str
    name: str
    host: str = ""
    port: int = _SMTP_PORT
    is_smarthost: bool = False
    mode: str = "direct"
    user: str = ""
    password: str = field(default="", repr=False)
    tls: str = ""


class Routes:
    """The routing table. The most special route wins: account and domain, account, domain, the settings' mode."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError when the smarthost is not host:port."""
        delivery = settings.delivery
        self._all = _relay_host(delivery) if delivery.mode != "direct" else None
        # A sink takes everything: nothing of a test may ever leave.
        routes = () if delivery.mode == "sink" else settings.route
        self._table = {(route.account, route.domain.lower()): route for route in routes}
        self._accounts = frozenset(route.account for route in routes if route.account)

    def target(self, domain: str, account: str = "") -> Target:
        """Return the destination of a recipient's domain (lower-case) for mail of an account."""
        route = None
        if account in self._accounts:
            route = self._table.get((account, domain)) or self._table.get((account, ""))
        route = route or self._table.get(("", domain))
        if route is None:
            return self._all or Target(domain, domain)
        if route.host:
            return _routed(route)
        return Target(f"{domain} {route.tls}" if route.tls else domain, domain, tls=route.tls)

    def is_special(self, account: str) -> bool:
        """Whether mail of the account may go other ways than everybody's."""
        return account in self._accounts


def _relay_host(delivery: Delivery) -> Target:
    host, port = split_listen(delivery.smarthost)
    is_smarthost = delivery.mode == "smarthost"
    user, password = (delivery.smarthost_user, delivery.smarthost_password) if is_smarthost else ("", "")
    return Target(
        delivery.smarthost,
        host,
        host,
        port,
        is_smarthost=is_smarthost,
        mode=delivery.mode,
        user=user,
        password=password,
    )


def _routed(route: Route) -> Target:
    """Domains of one provider share a destination if they have the same host, port and login."""
    name = route.provider or route.domain.lower() or route.host
    return Target(
        f"{name} {route.host}:{route.port} {route.mode} {route.user} {route.tls}",
        name,
        route.host,
        route.port,
        is_smarthost=route.mode == "smarthost",
        mode=route.mode,
        user=route.user,
        password=route.password,
        tls=route.tls,
    )
