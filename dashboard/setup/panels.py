"""What to paste on a customer's server: the pages of docs/integrations with this relay's names in them."""

import streamlit as st

from dashboard import data
from dashboard.components import notices
from dashboard.components.words import code
from dashboard.setup import asked
from relay.control.accounts.views import AccountView
from relay.panels import pages
from relay.panels.pages import Names, Panel
from relay.settings import Settings, split_listen

_USUAL_PORT = 587
_PANELS = {
    "cPanel": Panel.CPANEL,
    "Plesk": Panel.PLESK,
    "DirectAdmin": Panel.DIRECTADMIN,
    "Exim": Panel.EXIM,
    "Postfix": Panel.POSTFIX,
}


def show() -> None:
    """The form, then the blocks one by one, then the page they are from."""
    accounts = asked.accounts()
    chosen = st.segmented_control(
        "Server", list(_PANELS), default="cPanel", required=True, key="panel", bind="query-params"
    )
    panel = _PANELS[chosen]
    names = _names(accounts.value)
    if names is None:
        notices.empty(
            "No account yet: a server behind this relay logs in as an account.",
            command="mailweir account add web1 --shared-host --login srv1",
        )
        return
    if not names.password:
        st.caption(
            f"`SECRET` is the password of {code(names.login)}. It was shown when it was made; a new one is made under "
            "Accounts."
        )
    for number, block in enumerate(pages.blocks(panel, names), 1):
        st.markdown(f"**{number}.** {block.where}")
        st.code(block.text, language=None)
    guide = pages.guide(panel, names)
    with st.expander("The whole page: steps, checks, what users notice, the way back", icon=":material/menu_book:"):
        st.markdown(guide.replace("\n# ", "\n### ").removeprefix("# "))
    st.download_button(
        "Download the page",
        guide,
        file_name=f"mailweir-{panel.value}.md",
        mime="text/markdown",
        icon=":material/download:",
        on_click="ignore",
    )


def _names(accounts: list[AccountView]) -> Names | None:
    if not accounts:
        return None
    settings = data.settings()
    shared = sorted(accounts, key=lambda one: (not one.shared_host, one.name))
    first, second = st.columns(2)
    with first:
        name = st.selectbox("Account", [one.name for one in shared], key="panel_account")
        account = next(one for one in shared if one.name == name)
        logins = account.logins or [account.name]
        login = st.selectbox("Login", logins, key="panel_login")
    with second:
        host = st.text_input(
            "This relay's name", value=settings.node.hostname, key="panel_host", help="As it stands in its certificate."
        )
        port = st.number_input("Port", min_value=1, max_value=65_535, value=_port(settings), key="panel_port")
    server = st.text_input("The customer's server calls itself", placeholder="web1.hosting.example", key="panel_server")
    return Names(host.strip(), int(port), account.name, login, server.strip() or "web1.hosting.example")


def _port(settings: Settings) -> int:
    """The door for logins, as it is seen on this machine; a firewall may show another."""
    return split_listen(settings.smtp.submission[0])[1] if settings.smtp.submission else _USUAL_PORT
