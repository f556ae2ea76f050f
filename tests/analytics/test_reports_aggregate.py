"""DMARC and TLS reports: what is read, from wherever it lies, and what is refused with which reason."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from analytics.reports.dmarc_report import DmarcReport
from analytics.reports.reading import read, read_each
from analytics.reports.report import NormalMail, Refused, Report
from analytics.reports.tlsrpt import TlsReport
from tests.analytics.aggregates import METADATA, POLICY, dmarc, gzipped, mail, record, tls, tls_bytes, zipped

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpora" / "reports"

PLAIN = dmarc()
FIELDS = {
    "org": "Receiver",
    "report_id": "r-1",
    "domain": "firm.example",
    "begin": 1700000000,
    "end": 1700086399,
    "records": 1,
    "messages": 3,
    "aligned": 3,
    "rejected": 0,
    "quarantined": 0,
}


def fields(report: Report) -> dict[str, Any]:
    return {name: value for name, value in report.fields().items() if name != "mended"}


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN,
        gzipped(PLAIN),
        gzipped(gzipped(PLAIN)),
        gzipped(PLAIN) + b"\r\n\0\0",
        gzipped(PLAIN[:500]) + gzipped(PLAIN[500:]),
        zipped(("a.xml", PLAIN)),
        zipped(("a.xml.gz", gzipped(PLAIN)), ("__MACOSX/._a.xml", b"x"), (".DS_Store", b"x")),
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.decode().encode("utf-16"),
        dmarc(head='<?xml version="1.0" encoding="utf-16"?>'),  # says so and is not
        dmarc(head='<?xml version="1.0" encoding="nonsense"?>'),
        PLAIN.replace(b"feedback>", b"ns1:feedback>").replace(b"<ns1:f", b"<ns1:f", 1),
        PLAIN.replace(b"<feedback>", b'<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">'),
        PLAIN.replace(b"identifiers", b"identities"),
        PLAIN.replace(b"pass", b"PASS").replace(b">none", b">None"),
        mail(gzipped(PLAIN)),
        mail(gzipped(PLAIN), "application/zip", "x.zip"),
        mail(zipped(("a.xml", PLAIN)), "application/octet-stream", "report"),
        mail(PLAIN, "text/plain", "a.txt"),
        mail(PLAIN, "text/xml", "a.xml"),
        b"Subject: Fwd\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n"
        + mail(gzipped(PLAIN))
        + b"\r\n--o--\r\n",
        b"Subject: Report domain: firm.example\r\nContent-Type: application/gzip\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        + mail(gzipped(PLAIN)).rpartition(b"base64\r\n\r\n")[2].partition(b"\r\n--b--")[0],
    ],
)
def test_a_dmarc_report_is_read_however_it_is_packed_named_and_spelt(raw: bytes) -> None:
    assert fields(read(raw)) == FIELDS


def test_a_part_that_forgot_to_say_it_is_base64_is_read() -> None:
    raw = mail(gzipped(PLAIN)).replace(b"Content-Transfer-Encoding: base64\r\n", b"")

    assert fields(read(raw)) == FIELDS


@pytest.mark.parametrize(
    "broken",
    [
        PLAIN.replace(b"dmarc@receiver", b"<dmarc@receiver"),
        PLAIN.replace(b"dmarc@receiver.example", b"<dmarc@receiver.example>"),
        PLAIN.replace(b"dmarc@receiver.example", b"a&b &nbsp; &copy; &#0; \xff\xfe \x01"),
        PLAIN.removesuffix(b"\n</feedback>"),
        b"\r\n \r\n" + PLAIN,
        b"?" + PLAIN[1:],
        b"Here it is\n" + PLAIN,
        PLAIN + b"<!-- sent by x -->\n<p>trailer</p>\0",
        PLAIN.replace(b"</selector>", b""),
        PLAIN.replace(b"<email>", b"<!-- <record><row><count>9</count></row></record> --><email></b>"),
        PLAIN.replace(b"dmarc@receiver.example", b"<![CDATA[ <record>&]]>&"),
        PLAIN.replace(b"<email>", b"<email>" + b"x < y " * 15_000),
        PLAIN.replace(b"</email>", b"</em"),
        PLAIN.replace(b"</source_ip>", b"</source\xffip>"),
    ],
)
def test_xml_with_a_slip_but_whole_numbers_is_mended_and_says_so(broken: bytes) -> None:
    report = read(broken)

    assert isinstance(report, DmarcReport)
    assert fields(report) == FIELDS
    assert report.mended


def test_sound_xml_is_not_mended() -> None:
    report = read(PLAIN)

    assert isinstance(report, DmarcReport)
    assert report.mended == ""


def test_every_field_of_a_record_is_kept() -> None:
    report = read(dmarc(record(5, "reject", "fail"), record(2, "quarantine", "fail"), record(7)))

    assert isinstance(report, DmarcReport)
    assert (report.records[0].disposition, report.records[0].count, report.records[0].dkim) == ("reject", 5, "fail")
    assert [(r.domain, r.where, r.result) for r in report.records[0].dkim_results] == [("firm.example", "s1", "pass")]
    assert dict(report.policy) == {"adkim": "r", "p": "reject", "pct": "100"}
    assert tuple(report.fields()[name] for name in ("messages", "aligned", "rejected", "quarantined")) == (14, 7, 5, 2)


def test_the_same_record_twice_counts_twice() -> None:  # reporters split rows by what they leave out
    assert read(dmarc(record(), record())).fields()["messages"] == 6


def test_times_with_fractions_and_of_rfc_3339_are_times() -> None:
    fraction = read(PLAIN.replace(b"1700000000", b"1700000000.0"))
    written = read(PLAIN.replace(b"1700000000", b"2023-11-14T22:13:20Z"))

    assert (fraction.fields()["begin"], written.fields()["begin"]) == (1700000000.0, 1700000000)


BOMB = gzipped(b"<feedback>" + b" " * 120_000_000)
XXE = '<?xml version="1.0"?><!DOCTYPE feedback [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
LAUGHS = '<!DOCTYPE f [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (gzipped(b""), "empty"),
        (BOMB, "times as large"),
        (zipped(("a.xml", b"<feedback>" + b"\n" * 60_000_000)), "times as large"),
        (gzipped(BOMB), "times as large"),
        (gzipped(PLAIN)[:-9], "cut off"),
        (gzipped(PLAIN)[:40], "cut off"),
        (gzipped(PLAIN)[:-8] + b"12345678", "damaged"),
        (b"\x1f\x8b\x08\x00" + b"\xff" * 60, "damaged"),
        (gzipped(b"") * 30 + gzipped(PLAIN), "gzip members"),
        (gzipped(gzipped(gzipped(PLAIN))), "more than 2 times"),
        (gzipped(zipped(("a.xml", PLAIN))), "archive within"),
        (zipped(("a.zip", zipped(("a.xml", PLAIN)))), "archive within"),
        (zipped(*[(f"{n}.xml", PLAIN) for n in range(11)]), "more than 10 files"),
        (zipped(*[(f"{n}.xml", b"") for n in range(2000)]), "more than 10 files"),
        (zipped(), "is empty"),
        (zipped(("a.xml", PLAIN))[:-30], "cut off"),
        (zipped(("a.xml", PLAIN))[:60] + zipped(("a.xml", PLAIN))[70:], "damaged"),
        (zipped(("a.xml", PLAIN), method=12), "method 12"),
        (b"BZh91AY&SY", "bzip2"),
        (gzipped(b"%PDF-1.7"), "neither XML nor JSON"),
        (dmarc(head=XXE), "DOCTYPE"),
        (dmarc(head=LAUGHS), "DOCTYPE"),
        (dmarc(head=" " + XXE), "DOCTYPE"),
        (PLAIN.replace(b"<email>", b"<email><!ENTITY x 'y'>"), "DOCTYPE"),
        (b"<html><body>feedback</body></html>", "outermost element is html"),
        (b"<xs:schema><feedback></feedback>", "outermost element is schema"),
        (b" \n<?xml version='1.0'?><schema>" + PLAIN, "not feedback"),
        (PLAIN[:-60], "cut off inside"),
        (PLAIN[:120], "cut off inside"),
        (dmarc(record("-3")), "counts '-3'"),
        (dmarc(record("")), "counts ''"),
        (dmarc(record("many")), "counts 'many'"),
        (dmarc(record("9" * 40)), "counts"),
        (dmarc(record("2000000000000")), "counts"),
        (dmarc(record("1.5")), "counts '1.5'"),
        (dmarc(record("\u0663")), "counts"),  # an Arabic digit is none of ours
        (dmarc(record("<count>3</count>")), "counts ''"),
        (dmarc(" "), "no record"),
        (dmarc(metadata=""), "no report_metadata"),
        (dmarc(policy=""), "no policy_published"),
        (dmarc(policy=POLICY.replace("firm.example", " ")), "no domain"),
        (dmarc(metadata=METADATA.replace("r-1", "")), "no report_id"),
        (dmarc(metadata=METADATA.replace("1700000000", "yesterday")), "begin of date_range"),
        (dmarc(metadata=METADATA.replace("1700000000", "-5")), "begin of date_range"),
        (dmarc(metadata=METADATA.replace("1700000000", "99999999999999")), "no time of mail"),
        (dmarc(metadata=METADATA.replace("1700000000", "1800000000")), "before it begins"),
        (b"<feedback>" + b"<a>" * 40, "nested more than"),
        (b"<feedback>" + b"<record>" * 40, "nested more than"),
        (b"\n<feedback>" + b"<" * 30_000, "more than 20000 slips"),
        (b"<feedback>" + b"<x/>" * 1100, "sections that are no records"),
        (dmarc(record().replace("<row>", "<row>" + "<reason/>" * 2000)), "more than 1000 elements"),
        (dmarc(f"<x y='{'z' * 3_000_000}'/>"), "longer than 1 MiB"),
        (tls_bytes(policies=[]), "no policy"),
        (tls_bytes(**{"report-id": " "}), "no report-id"),
        (tls_bytes(**{"date-range": {}}), "no TLS report"),
        (tls_bytes(**{"date-range": {"start-datetime": "x", "end-datetime": "y"}}), "not an instant"),
        (tls_bytes()[:-9], "no JSON"),
        (b'{"x":' + b"[" * 100_000, "no JSON"),
        (b'{"a": 1}', "no TLS report"),
        (tls_bytes().replace(b"48", b"-48"), "no TLS report"),
        (tls_bytes().replace(b"48", b"1" * 30), "no TLS report"),
        (b'{"x": "' + b"y" * 9_000_000 + b'"}', "more than 8 MiB"),
        (b"{" + "é".encode("latin-1") + b"}", "no JSON"),
    ],
)
def test_what_is_no_report_or_an_attack_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    bare, attached = read(raw), read(mail(raw, name="a!firm.example!1700000000!1700086399.xml"))

    assert isinstance(bare, Refused)
    assert reason in bare.reason
    assert isinstance(attached, Refused)
    assert reason in attached.reason


def test_an_encrypted_zip_is_refused() -> None:
    raw = bytearray(zipped(("a.xml", PLAIN)))
    raw[6] |= 1
    raw[raw.rfind(b"PK\x01\x02") + 8] |= 1

    assert read(bytes(raw)).fields()["reason"] == "the zip archive is encrypted"


def test_a_stored_zip_that_lies_about_its_size_is_refused() -> None:
    raw = bytearray(zipped(("a.xml", PLAIN)))
    at = raw.rfind(b"PK\x01\x02") + 24
    raw[at : at + 4] = (10).to_bytes(4, "little")

    assert isinstance(read(bytes(raw)), Refused)


@pytest.mark.parametrize(
    "raw",
    [
        mail(zipped(("holiday.jpg", b"\xff\xd8\xff")), "application/zip", "holiday.zip"),
        mail(b"\x1f\x8bnonsense", "application/gzip", "backup.gz"),
        mail(b"<html><body>your feedback, please</body></html>", "text/plain", "page.txt"),
        mail(b'{"name": "x", "version": "1"}', "application/json", "package.json"),
        b"Subject: hi\r\nContent-Type: text/plain\r\n\r\n<feedbackform> is what you asked for\r\n",
        b"Subject: hi\r\n\r\nThe outermost element is <feedback>, as in <feedback><row/>\r\n",
        b"Subject: Re: Report domain: firm.example\r\n\r\nThank you for your report.\r\n",
    ],
)
def test_mail_with_other_files_is_no_report(raw: bytes) -> None:
    assert isinstance(read(raw), NormalMail)


def test_several_reports_in_one_mail_are_all_read() -> None:
    other = PLAIN.replace(b"r-1", b"r-2")

    found = read_each(mail(zipped(("a.xml", PLAIN), ("b.xml", other))))

    assert [report.fields()["report_id"] for report in found] == ["r-1", "r-2"]


@pytest.mark.parametrize(
    "raw",
    [
        tls_bytes(),
        gzipped(tls_bytes()),
        b"\xef\xbb\xbf" + tls_bytes(),
        json.dumps(tls()).encode("utf-16"),
        mail(gzipped(tls_bytes()), "application/tlsrpt+gzip", "a.json.gz"),
        mail(tls_bytes(), "application/octet-stream", "a"),
        tls_bytes(unknown=[[[{}]]]),
        tls_bytes(**{"organization-name": "Receiver", "contact-info": None}),
    ],
)
def test_a_tls_report_is_read_however_it_is_packed(raw: bytes) -> None:
    report = read(raw)

    assert isinstance(report, TlsReport)
    said = report.fields()
    assert (said["org"], said["report_id"], said["domain"]) == ("Receiver", "t-1", "firm.example")
    assert (said["success"], said["failure"], said["policies"]) == (48, 2, 1)


def test_counts_of_a_tls_report_may_be_texts_and_details_missing() -> None:
    raw = tls_bytes().replace(b"48", b'"48"').replace(b'"failure-details"', b'"other"')

    report = read(raw)

    assert isinstance(report, TlsReport)
    assert (report.policies[0].success, report.policies[0].failures) == (48, ())


def test_a_report_of_the_largest_size_costs_no_more_than_its_limits() -> None:
    row = record().encode()
    raw = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = raw.compress(PLAIN.removesuffix(b"\n</feedback>") + row * 100_001) + raw.flush()

    assert "more than 100000 records" in read(packed).fields()["reason"]


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of reports is not here")
def test_the_corpus_is_read_with_every_field_and_its_invalid_files_refused() -> None:
    wrong = []
    for line in (CORPUS / "expected.jsonl").read_text().splitlines():
        case = json.loads(line)
        expected = {name: value for name, value in case["expected"].items() if name not in ("ips", "kind")}
        report = read((CORPUS / case["file"]).read_bytes())
        said = {name: str(report.fields().get(name)) for name in expected}
        if report.kind != case["expected"]["kind"] or said != {name: str(value) for name, value in expected.items()}:
            wrong.append((case["id"], report))

    assert wrong == []


def test_unpacking_leaves_trailing_bytes_of_gzip_alone_but_not_of_its_middle() -> None:
    packed = gzip.compress(PLAIN)

    assert isinstance(read(packed[:-20] + b"\0" * 4 + packed[-20:]), Refused)
