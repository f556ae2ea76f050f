"""What the set-up pages ask the relay: lists, each of the reader's part of the tree, empty until it has answered."""

from dashboard import data
from dashboard.data import Reading
from relay.control.accounts.views import AccountView, CredentialView, LimitView, ResellerView
from relay.control.webhooks.views import WebhookView
from relay.domains.views import DomainView
from relay.policy.limits.levels import Level
from relay.users.views import UserView


def accounts() -> Reading[list[AccountView]]:
    none: list[AccountView] = []
    return data.ask_relay("accounts", lambda relay: relay.accounts(), none)


def resellers() -> Reading[list[ResellerView]]:
    none: list[ResellerView] = []
    return data.ask_relay("resellers", lambda relay: relay.resellers(), none)


def credentials(account: str) -> Reading[list[CredentialView]]:
    none: list[CredentialView] = []
    return data.ask_relay(f"logins {account}", lambda relay: relay.credentials(account), none)


def own_limit(sender: str) -> int | None:
    """Recipients an hour that somebody allowed this very sender, 0 for no limit; None: those of its account hold."""
    none: list[LimitView] = []
    account = sender.partition("|")[0]
    known = data.ask_relay(f"limits {account}", lambda relay: relay.limits(account), none).value
    return next((one.rcpts_per_hour for one in known if (one.level, one.key) == (Level.SENDER, sender)), None)


def domains() -> Reading[list[DomainView]]:
    none: list[DomainView] = []
    return data.ask_relay("domains", lambda relay: relay.domains(), none)


def webhooks() -> Reading[list[WebhookView]]:
    none: list[WebhookView] = []
    return data.ask_relay("webhooks", lambda relay: relay.webhooks(), none)


def users() -> Reading[list[UserView]]:
    none: list[UserView] = []
    return data.ask_relay("users", lambda relay: relay.users(), none)
