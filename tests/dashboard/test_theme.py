import tomllib
from pathlib import Path
from typing import Any

import dashboard
from dashboard import theme
from relay.events import Action
from relay.policy.decisions.decision import Effect, Standing

CONFIG = Path(dashboard.__file__).parent / ".streamlit/config.toml"


def configured() -> dict[str, Any]:
    return tomllib.loads(CONFIG.read_text())["theme"]  # type: ignore[no-any-return]


def test_charts_and_widgets_have_the_same_verdict_colours() -> None:
    for palette, name in ((theme.LIGHT, "light"), (theme.DARK, "dark")):
        colours = configured()[name]

        assert colours["greenColor"] == palette.accepted
        assert colours["redColor"] == palette.refused
        assert colours["grayColor"] == palette.neutral
        assert colours["chartCategoricalColors"][:3] == [palette.accepted, palette.held, palette.refused]
        assert colours["backgroundColor"] == palette.background
        assert colours["textColor"] == palette.text
        assert set(palette.sequence) <= set(colours["chartSequentialColors"])


def test_every_action_effect_and_standing_has_a_look_of_its_own() -> None:
    for state in (*Action, *Effect, *Standing):
        assert state.value in theme.LOOKS


def test_unknown_is_grey_and_never_green() -> None:
    for state in (None, "", "nan", "something new", float("nan")):
        assert theme.look(state).colour == "gray"


def test_no_state_is_told_by_colour_alone() -> None:
    for look in theme.LOOKS.values():
        assert look.word
        assert look.icon
        assert look.word in look.badge
