"""What lists say of addresses, as the page shows it: nothing unknown looks clean."""

from datetime import UTC, datetime, timedelta

import pandas as pd

from dashboard.components.listings import colour, matrix, unhealthy, worst

NOW = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)


def said(
    address: str, zone: str, status: str | None, *, confirmed: bool = False, kind: str = "ip"
) -> dict[str, object]:
    since = pd.Timestamp(NOW - timedelta(hours=3))
    return {
        "address": address,
        "zone": zone,
        "status": status,
        "answer": "",
        "checked_at": since,
        "entity_kind": kind,
        "confirmed": confirmed,
        "since_at": since,
        "codes": [],
    }


def test_a_listing_seen_once_is_not_told_as_one_and_lists_themselves_are_no_addresses() -> None:
    frame = pd.DataFrame(
        [
            said("192.0.2.1", "a.test", "listed", confirmed=True),
            said("192.0.2.1", "b.test", "listed"),
            said("192.0.2.2", "a.test", "clean"),
            said("192.0.2.2", "b.test", None),
            said("b.test", "b.test", "parked", kind="list"),
            said("a.test", "a.test", "healthy", kind="list"),
        ]
    )

    found = matrix(frame, NOW)

    assert found["state"].tolist() == ["listed", "seen once", "clean", "unknown"]
    assert found["below"].iloc[0] == "3 h"
    assert unhealthy(frame) == ["b\\.test (parked)"]


def test_what_nobody_knows_is_grey_and_never_clean() -> None:
    assert worst(["unknown", "refused", "parked"]).colour == "gray"
    assert worst([]).colour == "gray"
    assert worst(["clean", "seen once"]).word == "Seen once"
    assert colour("").colour == colour(None).colour == "gray"
    assert colour("RED").colour == "red"
