"""What the set-up pages ask the relay: lists, each of the reader's part of the tree, empty until it has answered."""

from dashboard import data
from dashboard.data import Reading
from relay.control.accounts.views import AccountView, CredentialView, ResellerView
from relay.control.webhooks.views import WebhookView
from relay.domains.views import DomainView
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


def domains() -> Reading[list[DomainView]]:
    none: list[DomainView] = []
    return data.ask_relay("domains", lambda relay: relay.domains(), none)


def webhooks() -> Reading[list[WebhookView]]:
    none: list[WebhookView] = []
    return data.ask_relay("webhooks", lambda relay: relay.webhooks(), none)


def users() -> Reading[list[UserView]]:
    none: list[UserView] = []
    return data.ask_relay("users", lambda relay: relay.users(), none)
