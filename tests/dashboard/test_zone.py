"""Times in the reader's zone, and what is named beside them."""

import doctest
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from dashboard import charts, data, zone
from dashboard.components import needs, words

BERLIN = ZoneInfo("Europe/Berlin")
AT = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)


def test_examples_in_docstrings_are_true() -> None:
    assert doctest.testmod(zone).failed == 0
    assert doctest.testmod(needs).failed == 0


def test_instants_are_written_in_the_zone_of_now_which_is_named() -> None:
    now = (AT + timedelta(hours=1)).astimezone(BERLIN)

    assert words.when(AT, now) == "00:30 CET"  # there it is the same day, in UTC the one before
    assert words.clock(AT, now) == "00:30:00 CET"
    assert words.until(AT, now) == "until 00:30 CET, over"
    assert words.when(AT, now.astimezone(UTC)) == "24 Nov 23:30 UTC"


def test_a_time_of_summer_keeps_its_own_name_in_winter() -> None:
    now = AT.astimezone(BERLIN)

    assert words.when(datetime(2026, 7, 1, 10, tzinfo=UTC), now) == "1 Jul 12:00 CEST"


def test_a_chart_names_its_buckets_in_the_zone_of_now_and_keeps_them_at_their_instants() -> None:
    window = data.WINDOWS["1h"]
    frame = pd.DataFrame({"bucket_at": [pd.Timestamp("2026-11-24 23:00", tz="UTC")], "accepted": [3.0]})

    there = charts.filled(frame, window, AT.astimezone(BERLIN), ["accepted"])
    here = charts.filled(frame, window, AT, ["accepted"])

    pd.testing.assert_series_equal(there["bucket_at"], here["bucket_at"])
    assert there.loc[there["accepted"] == 3, "when"].tolist() == ["00:00 – 00:01 CET"]
    assert here.loc[here["accepted"] == 3, "when"].tolist() == ["23:00 – 23:01 UTC"]


def test_an_alarm_leads_to_the_page_where_it_can_be_solved() -> None:
    assert needs.where("provider_deferral", "", "google") == ("views/destinations.py", {"destination": "google"})
    assert needs.where("no_sender_id", "acme", "") == ("views/customers.py", {"part": "Servers"})
    assert needs.where("disk", "", "") == ("views/system.py", {})
