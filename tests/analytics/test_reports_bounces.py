"""Bounces and replies of real servers: what is read from them, and what hostile ones cost. Real ones are not in the
repository: those tests skip without them."""

import email
import json
from pathlib import Path

import pytest

from analytics.reports.letter import open_letter
from analytics.reports.plain import plain
from analytics.reports.reading import read
from analytics.reports.reply_training import examples
from analytics.reports.report import BounceReport
from bench.mutate_reports import failures, reports
from relay.delivery.replies import classify
from tests.analytics.test_reports_reading import DSN


def _cases(corpora: Path, kind: str) -> list[tuple[dict[str, object], bytes]]:
    folder = corpora / "bounces"
    rows = [json.loads(line) for line in (folder / "expected.jsonl").read_text().splitlines()]
    return [(row, (folder / row["file"]).read_bytes()) for row in rows if row["kind"] == kind]


def test_bounces_of_real_servers_are_read(corpora: Path) -> None:
    cases = _cases(corpora, "bounce")
    known = named = identified = with_address = with_identity = 0
    for row, raw in cases:
        report = read(raw)
        wanted = [entry for entry in row["reports"] if entry["recipient"]]  # type: ignore[attr-defined]
        found = {one.recipient.lower() for one in report.failures} if isinstance(report, BounceReport) else set()
        known += isinstance(report, BounceReport)
        with_address += bool(wanted)
        named += bool(wanted) and all(found & {name.lower() for name in entry["recipient_ok"]} for entry in wanted)
        if row["original_message_id"]:
            with_identity += 1
            identified += isinstance(report, BounceReport) and report.returned.message_id == row["original_message_id"]

    assert known >= 0.98 * len(cases)
    assert named >= 0.97 * with_address
    assert identified >= 0.97 * with_identity


@pytest.mark.parametrize("kind", ["other", "auto-reply", "dsn-success"])
def test_mail_of_people_and_answers_of_machines_are_no_bounces(corpora: Path, kind: str) -> None:
    cases = _cases(corpora, kind)

    assert cases
    assert [row["id"] for row, raw in cases if isinstance(read(raw), BounceReport)] == []


def test_sure_rules_agree_with_the_examples_that_the_model_learns() -> None:
    sure = [(one.category, classify(one.reply)) for one in examples()]
    judged = [(category, outcome) for category, outcome in sure if outcome.confidence == 1]

    assert len(judged) >= 300
    assert sum(category == outcome.category for category, outcome in judged) >= 0.85 * len(judged)


def test_hostile_reports_raise_nothing() -> None:
    texts = (b"a@" * 8000, b"-" * 16_000, b"\n> " * 6000, b"can " * 4000, b"<a@b.example>:\n" * 1500, b" \t" * 8000)
    originals = [DSN, *(b"From: MAILER-DAEMON@x\nSubject: failure notice\n\nfailed:\n" + text for text in texts)]

    assert [reason for _, reason in failures(reports(150, 7, originals)) if "of CPU" not in reason] == []


def test_parts_and_headers_without_end_are_cut() -> None:
    many = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 5000
    deep = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * 500

    assert len(open_letter(many).parts) <= 200
    assert len(open_letter(deep).parts) <= 200
    assert len(open_letter(b"A: b\n" * 50_000).headers) <= 1000


def test_a_page_is_read_by_its_lines_and_its_styles_are_not() -> None:
    page = "<head><title>x</title></head><style>p {}</style><p>Recipient:<br><b>mina&#64;shop.example</b></p>"

    assert [line for line in plain(page).split("\n") if line] == ["Recipient:", "mina@shop.example"]
    assert plain("a < b") == "a < b"


def test_whom_another_reader_names_we_name_too(corpora: Path) -> None:
    scanners = pytest.importorskip("flufl.bounce", reason="flufl.bounce is not installed")
    told = same = 0
    for row, raw in _cases(corpora, "bounce"):
        temporary, permanent = scanners.all_failures(email.message_from_bytes(raw))
        theirs = {address.decode("utf-8", "replace").lower() for address in temporary | permanent}
        report = read(raw)
        ours = {name.lower() for one in getattr(report, "failures", ()) for name in (one.recipient, one.final)}
        labelled = {name.lower() for entry in row["reports"] for name in entry["recipient_ok"]}  # type: ignore[attr-defined]
        told += bool(theirs & labelled)
        same += bool(theirs & labelled) and theirs & labelled <= ours

    assert told >= 300
    assert same >= 0.97 * told
