"""A brand as its customers see it: the sign-in and the release page in it, and a notice. Nothing can be clicked."""

import html
from http import HTTPStatus

import streamlit as st

from dashboard.entry.door import sign_in_page
from relay.front.web.page import page
from relay.notices.texts import ADVICE
from relay.resellers.brand import Brand, ink_on

_HEIGHT = 400
_HELD = "Sender shop@customer.example is held since 09:12 UTC, because 5 of 9 messages in an hour were scored as spam."


def show(brand: Brand) -> None:
    """All three, side by side where there is room."""
    pages = {"Sign-in page": sign_in_page(brand), "Release page of a notice": _release_page(brand)}
    with st.container(horizontal=True):
        for title, content in pages.items():
            with st.container(width=440, border=True):
                st.caption(title)
                st.iframe(_still(content), height=_HEIGHT)
    st.caption("A notice by mail")
    st.code(_notice(brand), language=None, wrap_lines=True)


def show_small(brand: Brand) -> None:
    """What a dialog has room for: the head of a page, and a button."""
    name = html.escape(brand.name or "Mailweir")
    head = f'<img src="{brand.logo_uri}" alt="{name}" style="max-height:48px;max-width:60%">' if brand.logo else name
    colour = brand.colour or "#0b57d0"
    button = f"background:{colour};color:{ink_on(colour)};padding:.4em 1em;border-radius:.3em"
    st.html(
        '<div style="display:flex;justify-content:space-between;align-items:center;gap:1em;padding:.8em 1em;'
        'background:#fff;color:#222;border:1px solid #dce3e8;border-radius:.5em;font-size:1.1rem">'
        f'<strong>{head}</strong><span style="{button}">These messages are mine: release</span></div>'
    )


def _release_page(brand: Brand) -> str:
    whom = html.escape(brand.reply_to or "postmaster of this relay")
    text = (
        f"{_HELD}</p><p>Messages that wait: 2</p><ul><li>Your order 4711</li><li>Newsletter</li></ul>"
        f"<p>{html.escape(ADVICE)}</p><form><button>These messages are mine: release</button></form>"
        f"<p>Questions? Write to {whom}."
    )
    return bytes(page(HTTPStatus.OK, "Release this sender?", text, brand).body).decode()


def _notice(brand: Brand) -> str:
    reply = f"Reply-To: <{brand.reply_to}>\n" if brand.reply_to else ""
    end = f"\n\n--\n{brand.notice_text}" if brand.notice_text else ""
    head = f"From: {brand.name or 'Mail relay'} <the address of this relay>\n{reply}Subject: A sender was held"
    return f"{head}\n\n{_HELD}{end}"


def _still(content: str) -> str:
    return content.replace("<body>", '<body inert style="zoom: .7; margin-top: 1.5em">', 1)
