"""Mutated reports: the small twin of bench/mutate_reports.py."""

from analytics.reports.reading import read_each
from bench.mutate_reports import reports
from tests.analytics.aggregates import dmarc, gzipped, mail, record, tls_bytes, zipped
from tests.analytics.test_reports_feedback import arf, jmrp


def test_no_mutation_of_a_report_raises() -> None:
    xml = dmarc(*[record(n) for n in range(1, 20)])
    originals = [xml, gzipped(xml), mail(zipped(("a.xml", xml))), tls_bytes(), mail(tls_bytes()), arf(), jmrp()]

    kinds = {report.kind for _, raw in reports(400, 7, originals) for report in read_each(raw) if report.fields()}

    assert kinds >= {"dmarc-aggregate", "invalid", "feedback"}


def test_an_encoded_word_of_broken_base64_is_left_as_it_stands() -> None:
    assert [report.kind for report in read_each(b"Subject: =?utf-8?b?abcde?=\r\n\r\nHello\r\n")] == ["other"]
