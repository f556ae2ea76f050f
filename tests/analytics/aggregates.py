"""Aggregate reports and mails around them, made to order."""

import base64
import gzip
import io
import json
import zipfile
from typing import Any

RECORD = """
 <record><row><source_ip>192.0.2.1</source_ip><count>{count}</count><policy_evaluated><disposition>{disposition}
 </disposition><dkim>{dkim}</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>firm.example
 </header_from></identifiers><auth_results><dkim><domain>firm.example</domain><selector>s1</selector><result>pass</result>
 </dkim><spf><domain>firm.example</domain><result>fail</result></spf></auth_results></record>"""
METADATA = (
    "<report_metadata><org_name>Receiver</org_name><email>dmarc@receiver.example</email><report_id>r-1</report_id>"
    "<date_range><begin>1700000000</begin><end>1700086399</end></date_range></report_metadata>"
)
POLICY = "<policy_published><domain>firm.example</domain><adkim>r</adkim><p>reject</p><pct>100</pct></policy_published>"


def record(count: object = 3, disposition: str = "none", dkim: str = "pass") -> str:
    return RECORD.format(count=count, disposition=disposition, dkim=dkim)


def dmarc(*records: str, metadata: str = METADATA, policy: str = POLICY, head: str = '<?xml version="1.0"?>') -> bytes:
    body = "".join(records or [record()])
    return f"{head}<feedback>{metadata}{policy}{body}\n</feedback>".encode()


def tls(**changed: Any) -> dict[str, Any]:
    return {
        "organization-name": "Receiver",
        "date-range": {"start-datetime": "2026-11-24T00:00:00Z", "end-datetime": "2026-11-24T23:59:59Z"},
        "contact-info": "tls@receiver.example",
        "report-id": "t-1",
        "policies": [
            {
                "policy": {"policy-type": "sts", "policy-domain": "firm.example"},
                "summary": {"total-successful-session-count": 48, "total-failure-session-count": 2},
                "failure-details": [{"result-type": "certificate-expired", "failed-session-count": 2}],
            }
        ],
    } | changed


def tls_bytes(**changed: Any) -> bytes:
    return json.dumps(tls(**changed)).encode()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def mail(content: bytes, kind: str = "application/gzip", name: str = "r.xml.gz", subject: str = "Report") -> bytes:
    """A mail with `content` attached."""
    return (
        f"From: noreply@receiver.example\r\nTo: dmarc@relay.example\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nA report.\r\n'
        f'--b\r\nContent-Type: {kind}\r\nContent-Disposition: attachment; filename="{name}"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{base64.encodebytes(content).decode()}\r\n--b--\r\n"
    ).encode()
