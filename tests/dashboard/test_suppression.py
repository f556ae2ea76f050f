"""Files for the suppression list, and rates of complaints, as the pages read and show them."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from dashboard.components.outside import both_rates, line_of
from dashboard.components.suppression import read
from relay.control.suppression.suppressed import Reason


def test_what_export_writes_is_read_and_so_is_one_address_a_line() -> None:
    exported = b"account,address,reason,evidence,created_at,ends_at\r\nnews,a@b.example,complaint,x,,2027-01-31\r\n"

    (row,) = read(exported)
    plain = read(b"a@b.example\n\nc@d.example\n")

    assert (row.address, row.reason, row.evidence) == ("a@b.example", Reason.COMPLAINT, "x")
    assert row.ends_at == datetime(2027, 1, 31, tzinfo=UTC)
    assert [one.address for one in plain] == ["a@b.example", "c@d.example"]
    assert plain[0].reason is Reason.BY_HAND


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no address"),
        (b"name,why\n", "no column `address`"),
        (b"address,reason\na@b.example,bored\n", "line 2"),
        (b"address,ends_at\na@b.example,soon\n", "line 2"),
        (b"\xff\xfe\x00", "no CSV"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused_whole(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(raw)


def test_a_day_with_few_deliveries_has_no_rate_and_both_denominators_are_drawn() -> None:
    days = pd.DataFrame({"day_at": [1, 2], "complaints": [3, 1], "delivered": [1000, 20], "reached": [500, 10]})

    rates = both_rates(days)

    assert rates["rate"].tolist() == [0.003, 0.006]
    assert rates["day_at"].unique().tolist() == [1]


def test_where_a_rate_stands_is_said_only_when_there_is_enough() -> None:
    assert line_of(1, 20) == "too few to say"
    assert [line_of(complaints, 1000) for complaints in (0, 1, 3, 9)] == [
        "below 0.1 %",
        "above 0.1 %",
        "above 0.3 %",
        "above 0.5 %",
    ]
