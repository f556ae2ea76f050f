"""A real name server on loopback that answers from a dictionary."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dnslib import AAAA, CNAME, MX, PTR, QTYPE, RCODE, RR, TXT, A, DNSRecord

from tests.nameserver import answering

_MADE = {
    "A": A,
    "CNAME": CNAME,
    "AAAA": AAAA,
    "PTR": PTR,
    "MX": lambda text: MX(text.split()[1], int(text.split()[0])),
    "TXT": lambda text: TXT([text.encode()[at : at + 255] for at in range(0, len(text), 255)]),
}


@dataclass
class Zone:
    """`records`: texts by (name, type); names in `broken` get SERVFAIL, others that are not there NXDOMAIN."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    port: int = 0

    def put(self, name: str, kind: str, *texts: str) -> None:
        self.records[name.lower(), kind] = [*texts]

    def resolve(self, request: DNSRecord, _handler: Any) -> DNSRecord:
        reply, name, kind = request.reply(), str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        if name in self.broken:
            reply.header.rcode = RCODE.SERVFAIL
        elif not any(known == name for known, _ in self.records):
            reply.header.rcode = RCODE.NXDOMAIN
        while alias := self.records.get((name, "CNAME")):
            reply.add_answer(RR(name, QTYPE.CNAME, ttl=1, rdata=CNAME(alias[0])))
            name = alias[0].rstrip(".").lower()
        for text in self.records.get((name, kind), []):
            reply.add_answer(RR(name, request.q.qtype, ttl=1, rdata=_MADE[kind](text)))
        return reply


@contextmanager
def serving(zone: Zone) -> Iterator[Zone]:
    with answering(zone) as zone.port:
        yield zone
