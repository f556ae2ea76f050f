"""How the command line prints customers: tables of accounts, logins, networks, limits and resellers."""

from collections.abc import Sequence

from relay.control.accounts.views import AccountView, CredentialView, Limits, LimitView, NetworkView, ResellerView
from relay.control.show import clean, table
from relay.policy.limits.levels import LimitSet

_NAMES = LimitSet.__slots__


def accounts(views: Sequence[AccountView]) -> None:
    table(
        ("account", "reseller", "state", "shared host", "rcpts/h", "logins", "networks", "contact"),
        (
            (
                view.name,
                view.reseller,
                _standing(view),
                "yes" if view.shared_host else "no",
                number(view.sender_limits.rcpts_per_hour),
                ", ".join(view.logins),
                ", ".join(view.networks),
                view.contact,
            )
            for view in views
        ),
        "no accounts yet; add one with: mailweir account add NAME",
    )


def account(view: AccountView) -> None:
    """Everything about one account."""
    rows: list[tuple[str, object]] = [
        ("account", view.name),
        ("state", _standing(view)),
        ("reseller", view.reseller or None),
        ("contact", view.contact or None),
        ("shared host", "yes" if view.shared_host else "no"),
        ("domains", ", ".join(view.domains) or None),
        *(("identity rule", rule) for rule in view.identity_rules),
        ("line ends", "normalised" if view.normalises_line_ends else None),
        ("egress pool", view.pool or None),
        ("list-unsubscribe", "added where missing" if view.list_unsubscribe else None),
        ("logins", ", ".join(view.logins) or None),
        ("revoked logins", ", ".join(view.revoked_logins) or None),
        ("networks", ", ".join(view.networks) or None),
        *((f"limits of {limits.level}", limits_in_words(limits)) for limits in view.limits),
        ("created (UTC)", view.created_at),
    ]
    table(("what", "value"), ((name, found) for name, found in rows if found is not None), "")


def credentials(views: Sequence[CredentialView]) -> None:
    table(
        ("login", "account", "state", "last used (UTC)", "from", "bound to"),
        (
            (view.login, view.account, _use_of(view), view.last_used_at, view.last_used_ip or None, _bound_to(view))
            for view in views
        ),
        "no logins; add one with: mailweir cred add ACCOUNT LOGIN",
    )


def networks(views: Sequence[NetworkView]) -> None:
    table(
        ("network", "account"),
        ((view.network, view.account) for view in views),
        "no network is allowed without a password",
    )


def limits(views: Sequence[LimitView]) -> None:
    table(
        ("level", "key", *(name.replace("_", " ") for name in _NAMES)),
        ((view.level.value, view.key, *(number(getattr(view, name)) for name in _NAMES)) for view in views),
        "no limits but those of the settings",
    )


def resellers(views: Sequence[ResellerView]) -> None:
    table(
        ("reseller", "state", "accounts", "limits", "since (UTC)"),
        (
            (
                view.name,
                "suspended" if view.is_suspended else "ok",
                view.accounts,
                limits_in_words(view.limits),
                view.created_at,
            )
            for view in views
        ),
        "no resellers",
    )


def limits_in_words(limits: Limits) -> str:
    """Those that are set, like `rcpts_per_hour 50, rcpts_per_day none`."""
    found = ((name, getattr(limits, name)) for name in _NAMES)
    return ", ".join(f"{name} {number(value)}" for name, value in found if value is not None) or "default"


def number(limit: int | None) -> str:
    return "default" if limit is None else "none" if limit == 0 else str(limit)


def _standing(view: AccountView) -> str:
    if view.is_suspended:
        return "suspended"
    return "suspended with its reseller" if view.is_reseller_suspended else "ok"


def _use_of(view: CredentialView) -> str:
    if view.is_revoked:
        return "revoked"
    return f"old password good until {clean(view.previous_until)}" if view.previous_until else "ok"


def _bound_to(view: CredentialView) -> str:
    end_sender = [f"end sender {view.end_sender}"] if view.end_sender else []
    return ", ".join([*view.networks, *view.sender_domains, *end_sender])
