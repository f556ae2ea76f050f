"""SNDS, Google Postmaster Tools v2 and Yahoo's Sender Hub, from files."""

import json
from datetime import UTC, date, datetime

import pytest

from analytics.reports.dashboards import Figure, read_google, read_yahoo
from analytics.reports.snds import read_snds
from analytics.reports.unpacking import Unreadable

OLD = (
    "192.0.2.9,11/23/2026 1:00 AM,11/23/2026 10:00 PM,1950,1894,1880,GREEN,< 0.1%,"
    "11/23/2026 2:00 AM,11/23/2026 3:00 AM,2,out.relay.example,b+t@bounce.relay.example,\n"
    "192.0.2.10,11/23/2026 1:00 AM,11/23/2026 10:00 PM,10,10,10,RED,1.2%,,,0,,,Blocked\n"
)


def test_the_old_csv_is_read_by_position_with_days_of_the_pacific() -> None:
    first, second = read_snds(OLD.encode())

    assert (first.ip, first.rcpt, first.data, first.recipients) == ("192.0.2.9", 1950, 1894, 1880)
    assert first.begin_at == datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert (first.result, first.complaint_low, first.complaint_high) == ("GREEN", 0.0, 0.001)
    assert (first.trap_hits, first.helo) == (2, "out.relay.example")
    assert (second.result, second.complaint_low, second.complaint_high) == ("RED", 0.012, 0.012)
    assert (second.trap_begin_at, second.comments) == (None, "Blocked")


def test_with_a_header_columns_may_stand_in_any_order_and_new_ones_are_kept() -> None:
    raw = (
        "Filter Result,IP Address,Activity period start,Activity period end,Trap Hits,Complaint Rate,Bounce Rate\n"
        "YELLOW,192.0.2.9,2026-11-23T09:00:00Z,2026-11-24T06:00:00Z,3,0.4%,2%\n"
    )

    (day,) = read_snds(raw.encode())

    assert (day.ip, day.result, day.trap_hits, day.complaint_high) == ("192.0.2.9", "YELLOW", 3, 0.004)
    assert day.begin_at == datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert day.extra == {"bouncerate": "2%"}


def test_json_of_the_rest_interface_is_read_by_name() -> None:
    row = {
        "ipAddress": "192.0.2.9",
        "activityStart": "2026-11-23T09:00:00Z",
        "activityEnd": None,
        "rcptCommands": 7,
        "complaintRate": "< 0.1%",
        "newThing": 4,
    }

    (day,) = read_snds(json.dumps({"count": 1, "value": [row]}).encode())

    assert (day.rcpt, day.complaint_high, day.end_at, day.extra) == (7, 0.001, day.begin_at, {"newthing": "4"})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"<html>link expired</html>", "no file of SNDS"),
        (b"a,b\n1,2\n", "no file of SNDS"),
        (b"192.0.2.9,yesterday,today\n", "row 1"),
        (b"192.0.2.9,,\n", "there is no begin"),
        (OLD.replace("1950", "-3").encode(), "'-3' is no count"),
        (OLD.replace("1950", "9" * 30).encode(), "is no count"),
        (OLD.replace("1.2%", "often").encode(), "row 2: 'often' is no rate"),
        (OLD.replace("1.2%", "250%").encode(), "is no rate"),
        (b"ip,begin\n", "no row"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a": 1}', "no list of rows"),
        (b"[1]", "no list of rows"),
        (b"192.0.2.9,\x00", "row 1"),
        (b"1" * 17_000_000, "larger than"),
    ],
)
def test_what_is_no_file_of_snds_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason.replace("(", r"\(")):
        read_snds(raw)


def stat(metric: str, **value: object) -> dict[str, object]:
    name = "domains/firm.example/domainStats/x1"
    return {"name": name, "metric": metric, "date": {"year": 2026, "month": 11, "day": 23}, "value": value}


def test_googles_statistics_are_figures_by_domain_day_and_metric() -> None:
    stats = [
        stat("spam_rate", doubleValue=0.002),
        stat("delivery_error_count", intValue="17"),
        stat("feedback_loop_id", stringList={"values": ["a1", "a2"]}),
    ]
    day = date(2026, 11, 23)
    expected = [
        Figure("firm.example", day, "SPAM_RATE", 0.002),
        Figure("firm.example", day, "DELIVERY_ERROR_COUNT", 17.0),
        Figure("firm.example", day, "FEEDBACK_LOOP_ID", None, "a1, a2"),
    ]

    assert read_google(json.dumps({"domainStats": stats}).encode()) == expected
    assert read_google(json.dumps({"results": [{"response": {"domainStats": stats}}]}).encode()) == expected


def test_googles_compliance_is_figures_as_of_now() -> None:
    rows = [{"requirement": "SPF", "status": {"status": "COMPLIANT"}}]
    raw = {"name": "domains/firm.example/complianceStatus", "complianceData": {"rowData": rows}}

    assert read_google(json.dumps(raw).encode()) == [Figure("firm.example", None, "COMPLIANCE_SPF", None, "COMPLIANT")]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"x", "no JSON"),
        (b"[]", "no answer"),
        (b"{}", "no figure"),
        (b'{"trafficStats": []}', "version 1"),
        (json.dumps({"domainStats": [stat("a") | {"name": "x"}]}).encode(), "names no domain"),
        (json.dumps({"domainStats": [stat("a") | {"date": {"year": 1, "month": 13, "day": 1}}]}).encode(), "no day"),
        (b"[" * 100_000, "no answer|no JSON"),
    ],
)
def test_what_is_no_answer_of_postmaster_tools_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_google(raw)


def test_yahoos_columns_are_known_by_name_as_csv_and_json() -> None:
    table = 'Date,DKIM Domain,Delivered,Spam Complaint Rate\n2026-11-23,Firm.example,"1,200",0.05%\n'
    row = {"date": "2026-11-23", "domain": "firm.example", "delivered": 1200, "complaintRate": 0.0005}
    day = date(2026, 11, 23)
    expected = [
        Figure("firm.example", day, "DELIVERED", 1200.0),
        Figure("firm.example", day, "COMPLAINT_RATE", 0.0005),
    ]

    assert read_yahoo(table.encode()) == expected
    assert read_yahoo(json.dumps([row]).encode()) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"a,b\n1,2\n", "row 1: there is no column"),
        (b"date,domain,delivered\nsoon,firm.example,1\n", "row 1"),
        (b"date,domain,delivered\n2026-11-23,firm.example,-1\n", "below 0"),
        (b"date,domain\n", "no figure"),
    ],
)
def test_what_is_no_export_of_yahoo_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_yahoo(raw)
