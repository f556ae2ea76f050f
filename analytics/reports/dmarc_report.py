"""What a DMARC aggregate report says: values only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Result:
    """What DKIM or SPF said for itself; `where`: DKIM's selector, SPF's scope."""

    domain: str
    where: str
    result: str


@dataclass(frozen=True, slots=True)
class Record:
    """Messages of one source that fared alike. `dkim`, `spf`: what DMARC made of them, pass means aligned too; they and
    `disposition` in lower case. `reasons`: (type, comment). `source_ip` as it stands there, which need not be one."""

    source_ip: str
    count: int
    disposition: str
    dkim: str
    spf: str
    reasons: tuple[tuple[str, str], ...]
    header_from: str
    envelope_from: str
    envelope_to: str
    dkim_results: tuple[Result, ...]
    spf_results: tuple[Result, ...]

    @property
    def is_aligned(self) -> bool:
        return "pass" in (self.dkim, self.spf)


@dataclass(frozen=True, slots=True)
class DmarcReport:
    """One report. `begin_unix`, `end_unix`: as given, some write fractions. `policy`: the published tags, p, sp, adkim
    and so on. `mended`: what was wrong with its XML, "" for nothing."""

    org: str
    email: str
    report_id: str
    domain: str
    begin_unix: float
    end_unix: float
    policy: tuple[tuple[str, str], ...]
    errors: tuple[str, ...]
    records: tuple[Record, ...]
    mended: str = ""
    kind: ClassVar[str] = "dmarc-aggregate"

    def fields(self) -> dict[str, Any]:
        return {
            "org": self.org,
            "report_id": self.report_id,
            "domain": self.domain,
            "begin": self.begin_unix,
            "end": self.end_unix,
            "records": len(self.records),
            "messages": self.messages(),
            "aligned": self.messages(lambda record: record.is_aligned),
            "rejected": self.messages(lambda record: record.disposition == "reject"),
            "quarantined": self.messages(lambda record: record.disposition == "quarantine"),
            "mended": self.mended,
        }

    def messages(self, which: Callable[[Record], bool] = lambda _record: True) -> int:
        return sum(record.count for record in self.records if which(record))
