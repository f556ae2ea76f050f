"""Who looks at this page, for the page itself: from the cookie of the sign-in, or from the identity provider."""

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from dashboard.components.words import plain
from dashboard.entry.keeper import COOKIE, Keeper, Reader, keeper_of
from dashboard.entry.provider import refusal
from relay.control.client import ControlError
from relay.settings import Settings
from relay.users.views import SignIn

_TROUBLE = "sign_in_trouble"


def reader(settings: Settings) -> Reader | None:
    """The reader; None: nobody who may look, which only a session that has just ended, or OIDC, comes to."""
    keeper = keeper_of(settings)
    if keeper.is_oidc:
        return _by_provider(keeper)
    return keeper.reader_of(str(st.context.cookies.get(COOKIE, "")))


def ask_to_sign_in(settings: Settings) -> None:
    """What a page shows to nobody."""
    if not keeper_of(settings).is_oidc:
        st.info("**Your session is over.** [Sign in again](/signin)", icon=":material/login:")
        return
    st.header("Sign in", anchor=False)
    if not st.user.is_logged_in:
        st.write("Your organisation's identity provider says who you are.")
        st.button("Sign in", on_click=st.login, type="primary", icon=":material/login:")
        return
    st.warning(
        f"**{plain(_mail())} cannot look here.** {plain(st.session_state.get(_TROUBLE, ''))}",
        icon=":material/lock:",
    )
    with st.container(horizontal=True):
        st.button("Sign in again", on_click=st.login, type="primary", icon=":material/login:")
        st.button("Sign out", on_click=st.logout)


def sign_out_control(settings: Settings, whose: Reader) -> None:
    """The way out, for who has come in."""
    keeper = keeper_of(settings)
    if not keeper.is_oidc:
        st.caption("[Sign out](/signout)")
        return

    def out() -> None:
        keeper.sign_out(whose.token)
        st.logout()

    st.button("Sign out", on_click=out, type="tertiary")


def _mail() -> str:
    return str(st.user.to_dict().get("email") or "You")


def _by_provider(keeper: Keeper) -> Reader | None:
    if not st.user.is_logged_in:
        return None
    claims: dict[str, Any] = dict(st.user.to_dict())
    trouble = refusal(claims, datetime.now(UTC), keeper.session_lasts)
    mail = str(claims.get("email", ""))
    try:
        if not trouble:
            order = SignIn(name=mail, by_provider=True, client=st.context.ip_address or "")
            return keeper.reader_by_provider((mail, str(claims.get("sub")), int(claims["iat"])), order)
    except ControlError as error:
        trouble = f"{error.detail[:1].upper()}{error.detail[1:]}."
    st.session_state[_TROUBLE] = trouble
    return None
