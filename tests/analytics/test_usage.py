"""A month's usage: what it counts, that it adds up to the journal exactly, and who is told of whom."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pyarrow as pa
import pytest

from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.serving.ask import Unanswerable, ask
from analytics.usage.months import NoMonth, month_of
from analytics.usage.sheet import CutShort, csv_of, records_of
from analytics.warehouse import Warehouse
from bench.usage import END, RESELLERS, Counts, journal_counts, report, report_counts, write
from relay.settings import Policy
from relay.tree import Scope
from tests.analytics.test_search_cli import run
from tests.analytics.test_service import Service, served
from tests.builders import Installation


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, Counts]]:
    """A month of three resellers in a warehouse, and what its journal says line by line."""
    folder = tmp_path_factory.mktemp("month")
    journal = JournalFolder(folder / "journal")
    write(journal.path, 1500, 10)
    counted = journal_counts(sorted(journal.path.glob("*.jsonl")))
    warehouse = Warehouse.open(folder / "warehouse.duckdb", journal.path)
    Ingest(warehouse, journal, Policy()).run()
    yield warehouse, counted
    warehouse.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    installation = Installation(tmp_path_factory.mktemp("usage"))
    installation.write(1, "", model="none")
    write(installation.settings.journal_dir, 300, 8)
    with served(installation) as running:
        running.running.ingest.run()
        yield running


def test_a_whole_month_adds_up_to_the_journal_exactly(month: tuple[Warehouse, Counts]) -> None:
    warehouse, counted = month

    said = report_counts(report(warehouse, Scope(), by="day"))

    assert counted == said
    assert {key[0] for key in said} == {*RESELLERS}
    kinds = {"messages", "recipients", "bytes", "held", "rejected", "throttled", "bounced", "expired", "dropped"}
    assert {key[3] for key in said} == kinds | {"delivered"}


def test_one_lost_line_of_the_journal_is_seen(month: tuple[Warehouse, Counts], tmp_path: Path) -> None:
    write(tmp_path, 1500, 10)
    (path,) = sorted(tmp_path.glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    lost = next(line for line in lines[len(lines) // 2 :] if b'"kind":"Delivery"' in line and lines.count(line) == 1)
    path.write_bytes(b"".join(line for line in lines if line != lost))

    counted, said = journal_counts([path]), report_counts(report(month[0], Scope(), by="day"))

    assert [key[3] for key in said if counted[key] != said[key]] == ["delivered"]


def test_the_days_of_a_month_add_up_to_the_month(month: tuple[Warehouse, Counts]) -> None:
    warehouse, counted = month
    by_month: Counts = Counter()
    for (reseller, account, _, what), count in counted.items():
        by_month[reseller, account, "2026-11-01", what] += count

    assert by_month == report_counts(report(warehouse, Scope()))


def test_a_part_of_the_tree_gets_its_own_lines_whatever_it_asks_for(month: tuple[Warehouse, Counts]) -> None:
    warehouse, counted = month
    of_north = {key: count for key, count in counted.items() if key[0] == "north"}

    assert of_north == report_counts(report(warehouse, Scope(reseller="north"), by="day"))
    assert of_north == report_counts(report(warehouse, Scope(), by="day", reseller="north"))
    assert report_counts(report(warehouse, Scope(reseller="north"), reseller="south")) == {}
    assert report_counts(report(warehouse, Scope(account="account1"), account="account2")) == {}
    assert {"account1"} == {key[1] for key in report_counts(report(warehouse, Scope(account="account1")))}


def test_an_account_that_changes_hands_counts_for_each_reseller_in_its_days(month: tuple[Warehouse, Counts]) -> None:
    said = report_counts(report(month[0], Scope(), by="day", account="account0"))

    days = {reseller: [key[2] for key in said if key[0] == reseller and key[3] == "messages"] for reseller in RESELLERS}
    assert max(days["north"]) <= "2026-11-14" <= min(days["south"])


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "november", "2026-11-01", "1999-01", "２０２６-11"])
def test_what_is_no_month_is_refused_in_words(month: tuple[Warehouse, Counts], text: str) -> None:
    with pytest.raises(NoMonth):
        month_of(text, END)
    with pytest.raises(Unanswerable, match="is not a month like 2026-11"):
        ask(month[0], "usage", {"month": text}, Scope(), END)


def test_a_sheet_runs_nothing_and_is_never_a_part_of_the_bill() -> None:
    (row,) = records_of(pa.Table.from_pylist([{"account": "=1+1", "reseller": "", "begins_at": END} | _NOTHING]))
    cut = pa.Table.from_pylist([row]).replace_schema_metadata({"truncated": "1"})

    assert csv_of([row]).splitlines()[1].startswith(",'=1+1,2026-12-01,0")
    with pytest.raises(CutShort):
        records_of(cut)


_NOTHING = dict.fromkeys(
    ["messages", "recipients", "bytes", "held", "rejected", "throttled", "delivered", "bounced", "expired", "dropped"],
    0,
)


def test_command_and_door_give_the_same_numbers(service: Service) -> None:
    as_csv = run(service, "usage", "--month", "2026-11", "--csv").stdout
    as_json = json.loads(run(service, "usage", "--month", "2026-11", "--json").stdout)
    token = (service.settings.tokens_dir / "dashboard.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}

    def get(**params: str) -> httpx2.Response:
        return httpx2.get(f"{service.url}/v1/usage", params=params, headers=headers, trust_env=False)

    sheet = get(month="2026-11", format="csv")
    assert as_json == get(month="2026-11").json()
    assert list(csv.DictReader(io.StringIO(as_csv))) == list(csv.DictReader(io.StringIO(sheet.text)))
    assert sheet.headers["Content-Disposition"] == 'attachment; filename="usage-2026-11.csv"'
    assert len(as_json) > 8
    assert f"{sum(row['messages'] for row in as_json)}" in run(service, "usage", "--month", "2026-11").stdout
    assert [get(month="x").status_code, get(format="xml").status_code, get(wrong="x").status_code] == [422, 422, 422]
    assert run(service, "usage", "--month", "2026-99").exit_code == 1
    assert "no mail in this month" in run(service, "usage", "--month", "2025-01").stdout
