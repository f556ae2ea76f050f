"""The reader's reseller in place of ours: logo, name and colour beside the pages, which are the same for all."""

import streamlit as st

from dashboard.components.words import plain
from relay.resellers.brand import Brand


def show_brand(brand: Brand) -> None:
    """Show what it has; what it lacks stays ours."""
    if brand.logo:
        st.logo(brand.logo_uri, size="large")
    if brand.name:
        st.set_page_config(page_title=brand.name)
        st.sidebar.markdown(f"**{plain(brand.name)}**")
    if brand.colour:  # six hexadecimal digits, as the relay has checked
        st.html(f"<style>[data-testid='stSidebar'] {{ border-top: .3rem solid {brand.colour}; }}</style>")
