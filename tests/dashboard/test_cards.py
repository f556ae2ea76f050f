import pytest

from dashboard.components import cards

PARKED = '[{"event": "held", "decision_id": "mw1-d1"}, {"event": "released"}]'


@pytest.mark.parametrize(
    ("message", "got_out"),
    [
        ({"action": "accept", "status": "delivered", "held_events": None}, True),
        ({"action": "accept", "status": "partly delivered", "held_events": "[]"}, True),
        ({"action": "accept", "status": "delivered", "held_events": PARKED}, False),
        ({"action": "hold", "status": "delivered", "held_events": None}, False),
        ({"action": "accept", "status": "bounced", "held_events": None}, False),
        ({"action": "accept", "status": "accepted", "held_events": None}, False),
    ],
)
def test_only_what_was_delivered_without_being_parked_slipped_through(
    message: dict[str, str | None], got_out: bool
) -> None:
    assert cards._got_out(message) is got_out
