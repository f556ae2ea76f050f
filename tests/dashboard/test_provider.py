"""How far the word of an identity provider goes, and what the dashboard wants to know of it before it starts."""

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any

import pytest

from dashboard.entry.provider import login_secrets, refusal, way_cookie
from relay.settings import SettingsError
from tests.builders import Installation

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HALF_A_DAY = timedelta(hours=12)
CLAIMS: dict[str, Any] = {"email": "dana@desk.example", "sub": "1", "iat": int(NOW.timestamp()) - 60}
OIDC = """[dashboard]
listen = "127.0.0.1:8599"
sign_in = "oidc"
oidc_discovery = "https://login.example/.well-known/openid-configuration"
oidc_client_id = "mailweir"
"""


def test_the_provider_s_word_counts_for_one_session_though_its_cookie_lasts_a_month() -> None:
    assert refusal(CLAIMS, NOW, HALF_A_DAY) == ""
    assert refusal(CLAIMS, NOW + timedelta(hours=11), HALF_A_DAY) == ""
    assert refusal(CLAIMS, NOW + timedelta(hours=12), HALF_A_DAY) == "Your session is over."
    assert refusal({**CLAIMS, "iat": None}, NOW, HALF_A_DAY) == "Your session is over."


def test_an_address_the_provider_has_not_verified_is_nobody_s() -> None:
    assert "not verified" in refusal({**CLAIMS, "email_verified": False}, NOW, HALF_A_DAY)
    assert "not verified" in refusal({**CLAIMS, "email_verified": "false"}, NOW, HALF_A_DAY)
    assert "no e-mail address" in refusal({**CLAIMS, "email": ""}, NOW, HALF_A_DAY)
    assert refusal({**CLAIMS, "email_verified": True}, NOW, HALF_A_DAY) == ""


def test_a_provider_half_described_is_an_error_that_names_what_lacks(empty: Installation) -> None:
    assert login_secrets(empty.settings) == {}
    with empty.config.open("a") as file:
        file.write(OIDC)

    with pytest.raises(SettingsError, match=r"^dashboard\.oidc_client_secret: not set"):
        login_secrets(empty.settings)


@pytest.mark.skipif(find_spec("authlib") is None, reason="no Authlib")
def test_the_login_is_told_where_to_return_to_and_a_key_of_this_installation(
    empty: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with empty.config.open("a") as file:
        file.write(OIDC)
    monkeypatch.setenv("MAILWEIR_DASHBOARD__OIDC_CLIENT_SECRET", "s3cret")
    own = login_secrets(empty.settings)["auth"]
    assert own["redirect_uri"] == "http://127.0.0.1:8599/oauth2callback"
    assert len(own["cookie_secret"]) == 64
    assert own == login_secrets(empty.settings)["auth"]

    monkeypatch.setenv("MAILWEIR_DASHBOARD__PUBLIC_URL", "https://mail.example/")
    assert login_secrets(empty.settings)["auth"]["redirect_uri"] == "https://mail.example/oauth2callback"
    (empty.settings.tokens_dir / "dashboard.token").write_text("another")
    assert login_secrets(empty.settings)["auth"]["cookie_secret"] != own["cookie_secret"]


def test_the_way_is_forgotten_where_there_is_none() -> None:
    assert way_cookie("/decisions%3Fdecision%3Dmw1-d1").startswith("mailweir_way=/decisions%3Fdecision%3Dmw1-d1;")
    assert "Max-Age=0" in way_cookie("/")
