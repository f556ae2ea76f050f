"""Sign-in through an OpenID Connect provider: what Streamlit's login is told, and how far the provider's word goes.

Streamlit does the authorization code flow (OpenID Connect Core 1.0 section 3.1) by Authlib and keeps the claims of the
id_token in a signed cookie for 30 days. Who a person is here, and what he may, the relay says at each order.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from relay.control.tokens import ensure_tokens
from relay.settings import Settings, SettingsError

USER_COOKIE = "_streamlit_user"  # Streamlit's, present after a sign-in
WAY_COOKIE = "mailweir_way"  # the page somebody came for: Streamlit's login always ends at /

_NEEDED = ("oidc_discovery", "oidc_client_id", "oidc_client_secret")
_WAY_SECONDS = 600


def login_secrets(settings: Settings) -> dict[str, Any]:
    """Streamlit's [auth] section; {} unless the provider is asked. Raises SettingsError.

    The key of its cookies is derived from the dashboard's token: a new token ends all sign-ins.
    """
    own = settings.dashboard
    if own.sign_in != "oidc":
        return {}
    if lacking := [f"dashboard.{key}" for key in _NEEDED if not getattr(own, key)]:
        raise SettingsError(f"{', '.join(lacking)}: not set, but dashboard.sign_in is oidc; docs/users.md says how")
    for module in ("authlib", "httpx"):
        if find_spec(module) is None:
            raise SettingsError(f"dashboard.sign_in is oidc, which needs {module}: pip install 'mailweir[oidc]'")
    ensure_tokens(settings.dir)
    token = (settings.tokens_dir / "dashboard.token").read_bytes().strip()
    return {
        "auth": {
            "redirect_uri": f"{public_url(settings)}/oauth2callback",
            "cookie_secret": hmac.new(token, b"cookies of the sign-in", hashlib.sha256).hexdigest(),
            "client_id": own.oidc_client_id,
            "client_secret": own.oidc_client_secret,
            "server_metadata_url": own.oidc_discovery,
        }
    }


def public_url(settings: Settings) -> str:
    """Where browsers reach the pages, without a slash at its end."""
    return settings.dashboard.public_url.rstrip("/") or f"http://{settings.dashboard.listen}"


def refusal(claims: Mapping[str, Any], now: datetime, lasts: timedelta) -> str:
    """Why the provider's claims do not let somebody in; "" when the relay may be asked for his mail address."""
    if not claims.get("email"):
        return "The identity provider gives no e-mail address; its administrator adds the scope email for this client."
    # OpenID Connect Core 5.1: else anybody may claim anybody's address; some providers write "false" as a text
    if str(claims.get("email_verified", True)).lower() == "false":
        return "The identity provider has not verified this address."
    if now >= datetime.fromtimestamp(int(claims.get("iat") or 0), UTC) + lasts:
        return "Your session is over."
    return ""


def way_cookie(path: str) -> str:
    """A Set-Cookie line that remembers where somebody wanted to go; of / nothing need be remembered."""
    lasts = _WAY_SECONDS if path != "/" else 0
    return f"{WAY_COOKIE}={path}; Max-Age={lasts}; Path=/; HttpOnly; SameSite=Lax"


def is_own_path(target: str) -> bool:
    """Whether a target lies within this site."""
    parts = urlsplit(target)
    is_own = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith(("//", "/\\"))
    return is_own and target.isprintable()
