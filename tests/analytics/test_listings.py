"""DNS lists, asked of a real DNS server: only a listing code is a listing."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSServer

from analytics.listings import DnsLists, check_job
from relay.clock import SteppedClock
from relay.events import Listing, decode
from relay.settings import Dnsbl
from relay.spool.journal import Journal

ANSWERS = {
    "9.2.0.192.bad.example.": ["127.0.0.3", "127.0.0.4"],
    "9.2.0.192.quota.example.": ["127.255.255.254"],
    "9.2.0.192.parked.example.": ["203.0.113.80"],
    "9.2.0.192.mixed.example.": ["127.0.0.2", "203.0.113.80"],
}
ZONES = ["bad.example", "quota.example", "parked.example", "mixed.example", "clean.example", "broken.example"]


class Lists(BaseResolver):
    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        reply, name = request.reply(), str(request.q.qname)
        for address in ANSWERS.get(name, []):
            reply.add_answer(RR(name, QTYPE.A, rdata=A(address), ttl=1))
        if name.endswith(".broken.example."):
            reply.header.rcode = RCODE.SERVFAIL
        elif name not in ANSWERS:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


class Quiet:
    def __getattr__(self, _name: str) -> object:
        return lambda *_args: None


@pytest.fixture
def nameserver() -> Iterator[str]:
    server = DNSServer(Lists(), address="127.0.0.1", port=0, logger=Quiet())
    server.start_thread()
    yield f"127.0.0.1:{server.server.server_address[1]}"
    server.stop()
    server.server.server_close()
    for thread in threading.enumerate():
        if thread.name.startswith("dns"):
            thread.join()


def test_listed_clean_and_unknown_are_told_apart(nameserver: str) -> None:
    lists = DnsLists(Dnsbl(zones=ZONES, addresses=["192.0.2.9"], nameservers=[nameserver]))

    found = {zone: (status, answer) for _, zone, status, answer in lists.check()}

    assert found == {
        "bad.example": ("listed", "127.0.0.3 127.0.0.4"),
        "quota.example": ("unknown", "127.255.255.254"),
        "parked.example": ("unknown", "203.0.113.80"),
        "mixed.example": ("unknown", "127.0.0.2 203.0.113.80"),
        "clean.example": ("clean", ""),
        "broken.example": ("unknown", "NoNameservers"),
    }


def test_silent_list_is_unknown_and_asked_once_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.listings._TIMEOUT_SECONDS", 0.3)
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        lists = DnsLists(Dnsbl(zones=["z.example"], addresses=["192.0.2.9", "192.0.2.10"], nameservers=[server]))

        found = list(lists.check())
        silent.setblocking(False)
        asked = set()
        while True:
            try:
                asked.add(str(DNSRecord.parse(silent.recv(512)).q.qname))
            except BlockingIOError:
                break

    assert [status for _, _, status, _ in found] == ["unknown", "unknown"]
    assert asked == {"9.2.0.192.z.example."}


def test_checks_are_journaled(nameserver: str, tmp_path: Path) -> None:
    clock = SteppedClock(datetime(2026, 11, 24, tzinfo=UTC))
    journal = Journal(tmp_path, "analytics", "mw1", clock)
    journal.start()

    said = check_job(Dnsbl(zones=ZONES[:2], addresses=["192.0.2.9"], nameservers=[nameserver]), journal, clock)()
    journal.close()

    (file,) = tmp_path.glob("*.jsonl")
    records = [decode(line) for line in file.read_bytes().splitlines()]
    assert said == "1 listed, 0 clean, 1 unknown"
    assert [(type(record), record.status) for record in records if isinstance(record, Listing)] == [
        (Listing, "listed"),
        (Listing, "unknown"),
    ]
