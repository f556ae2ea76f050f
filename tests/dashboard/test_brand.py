"""A reseller's brand beside the pages."""

from streamlit.testing.v1 import AppTest


def _page() -> None:
    from dashboard.brand import show_brand
    from relay.resellers.brand import NO_BRAND, SVG, Brand

    logo = b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>'
    show_brand(NO_BRAND)
    show_brand(Brand(name="North *Hosting* :red[x]", colour="#0b57d0", logo=logo, logo_type=SVG))


def test_the_name_is_words_and_the_colour_an_edge() -> None:
    app = AppTest.from_function(_page, default_timeout=30).run()

    assert not app.exception
    (name,) = app.sidebar.markdown
    assert "North" in name.value
    assert ":red[x]" not in name.value
    assert "*Hosting*" not in name.value.replace("\\*", "")
