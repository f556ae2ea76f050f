"""Who looks at this page, for the page itself: from the cookie of the sign-in, or from the identity provider."""

import streamlit as st

from dashboard.keeper import COOKIE, Keeper, Reader, keeper_of
from relay.control.client import ControlError
from relay.settings import Settings
from relay.users.views import SignIn

_TOKEN = "oidc_session"  # noqa: S105 - the name of a key


def reader(settings: Settings) -> Reader | None:
    """The reader; None: nobody who may look, which only a session that has just ended, or OIDC, comes to."""
    keeper = keeper_of(settings)
    if keeper.is_oidc:
        return _by_provider(keeper)
    return keeper.reader_of(str(st.context.cookies.get(COOKIE, "")))


def ask_to_sign_in(settings: Settings) -> None:
    """What a page shows to nobody."""
    if keeper_of(settings).is_oidc:
        if st.user.is_logged_in:
            st.error(f"**{st.user.email} may not look here.** {st.session_state.get('oidc_trouble', '')}")
            st.button("Sign in as somebody else", on_click=st.logout)
        else:
            st.header("Mailweir", anchor=False)
            st.button("Sign in", on_click=st.login, type="primary", icon=":material/login:")
        return
    st.info("**Your session is over.** [Sign in again](/signin)", icon=":material/login:")


def _by_provider(keeper: Keeper) -> Reader | None:
    if not st.user.is_logged_in:
        return None
    token = st.session_state.get(_TOKEN, "")
    found = keeper.reader_of(token) if token else None
    if found is not None and found.token:
        return found
    try:
        st.session_state[_TOKEN] = keeper.sign_in(SignIn(name=str(st.user.email), by_provider=True)).token
    except ControlError as error:
        st.session_state["oidc_trouble"] = error.detail
        return None
    return keeper.reader_of(st.session_state[_TOKEN])
