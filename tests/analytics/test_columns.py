"""The warehouse keeps every field of every journal record."""

import msgspec
import pytest

from analytics.ingesting.columns import FEATURES, JOURNAL_COLUMNS, RECORDS, UNKEPT, columns_of
from relay import events
from tests.analytics.conftest import Room

TABLE = {
    events.Reception: "message",
    events.Rejection: "rejection",
    events.Held: "held_event",
    events.Released: "held_event",
    events.Dropped: "held_event",
    events.Delivery: "recipient",
    events.Deferral: "deferral",
    events.Bounce: "recipient",
    events.Expiration: "recipient",
    events.AuthFailure: "auth_failure",
    events.DecisionLogged: "decision",
    events.AlarmRaised: "alarm",
    events.Inbound: "inbound",
    events.Unsubscribe: "unsubscribe",
    events.Suppressed: "suppressed",
    events.OutOfBandBounce: "out_of_band",
    events.ReportRead: "report_read",
    events.CaseChanged: "case_event",
    events.Label: "label",
    events.ModelRun: "model_run",
    events.WebhookCall: "webhook_call",
    events.Complaint: "complaint",
    events.Listing: "listing",
}
ELSEWHERE = {"schema", "features", *UNKEPT}  # the version of the record; the features are flattened


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record.__name__))
def test_every_field_of_a_record_has_its_column(room: Room, record: type[events.Record]) -> None:
    table = TABLE[record]
    columns = dict(room.rows(f"SELECT column_name, column_type FROM (DESCRIBE {table})"))
    columns = {name: kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") for name, kind in columns.items()}

    wanted = {name: kind for name, kind in columns_of(record).items() if name not in ELSEWHERE}
    if "features" in columns_of(record):
        wanted |= {f"f_{name}": kind for name, kind in FEATURES.items()}
    if table == "recipient":
        wanted["finished_at"] = wanted.pop("logged_at")

    missing = {name: kind for name, kind in wanted.items() if columns.get(name) != kind}
    assert missing == {}, f"write the next migration in analytics/schema/ for {table}"


def test_a_field_has_one_type_in_all_records() -> None:
    types = {(name, kind) for record in RECORDS for name, kind in columns_of(record).items()}

    types = {(name, kind) for name, kind in types if name not in UNKEPT}
    assert len(types) == len(JOURNAL_COLUMNS) - 1  # all but `kind`
    assert msgspec.structs.fields(events.Features)
