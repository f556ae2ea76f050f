"""The pages for servers and panels, with a relay's own names in them."""

import pytest

from relay.panels import Names, Panel, blocks, guide, page

NAMES = Names("out.relay.test", 587, "hoster7", "login7", "web-7.host.test")


@pytest.mark.parametrize("panel", list(Panel))
def test_no_example_name_is_left_in_what_is_pasted(panel: Panel) -> None:
    text = "\n".join(block.text for block in blocks(panel, NAMES))

    assert text
    for example in ("relay.example.net", "srv1", "web1", "2587", "hosting"):
        assert example not in text


@pytest.mark.parametrize("panel", list(Panel))
def test_every_block_says_where_it_goes_and_only_names_differ_from_the_page(panel: Panel) -> None:
    examples = Names("relay.example.net", 2587, "web1", "srv1", "web1.hosting.example", "SECRET")

    assert all(block.where for block in blocks(panel, NAMES))
    assert page(panel) == guide(panel, examples)


def test_dots_of_the_server_stay_escaped_in_patterns() -> None:
    identity = blocks(Panel.POSTFIX, NAMES)[2].text

    assert r"by web\-7\.host\.test \(Postfix\)" in identity
    assert "uid$1@web-7.host.test" in identity


def test_a_backslash_or_group_in_a_name_is_text() -> None:
    odd = Names(r"a\1b.test", 587, "a", r"dom\user", "s.test")

    assert r"[a\1b.test]:587 dom\user:SECRET" in guide(Panel.POSTFIX, odd)
