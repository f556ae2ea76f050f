"""A real name server on loopback for tests. Names with `servfail` fail; what is not in the zone does not exist."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, Self

from dnslib import QTYPE, RCODE, RR, DNSRecord
from dnslib.server import DNSLogger, DNSServer


@contextmanager
def answering(resolver: Any) -> Iterator[int]:
    """Ask `resolver` for every answer, in a thread, until the block ends; gives the port."""
    server = DNSServer(resolver, address="127.0.0.1", port=0, logger=DNSLogger(logf=lambda _: None)).server
    # not the library's own thread: that one takes half a second to end
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class NameServer:
    """`with NameServer(ZONE) as zone:`; `zone.change` replaces the zone while it runs.

    fails: questions of this kind fail; servfail: so do those of names with this in them. is_validating: answers carry
    the AD bit where it was asked for, those of names with `insecure` in them excepted.
    """

    def __init__(self, zone: str = "", *, is_validating: bool = False) -> None:
        self.is_validating, self.fails, self.servfail = is_validating, "", "servfail"
        self.asked, self.questions = 0, list[str]()
        self.change(zone)

    def change(self, zone: str) -> None:
        self.records = list(RR.fromZone(zone))

    def __enter__(self) -> Self:
        self._thread: AbstractContextManager[int] = answering(self)
        self.port = self._thread.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.__exit__(None, None, None)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Answer in the running event loop, not in a thread, until the block ends; names with `silent` get nothing."""
        made = asyncio.get_running_loop().create_datagram_endpoint(lambda: _Datagrams(self), ("127.0.0.1", 0))
        transport, _ = await made
        self.port = transport.get_extra_info("sockname")[1]
        try:
            yield self
        finally:
            transport.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def resolve(self, request: DNSRecord, _handler: Any) -> DNSRecord:
        reply, name, kind = request.reply(), request.q.qname, QTYPE[request.q.qtype]
        self.asked += 1
        self.questions.append(f"{kind} {name}")
        if self.servfail in str(name) or kind == self.fails:
            reply.header.rcode = RCODE.SERVFAIL
            return reply
        names = [name]
        while found := [r for r in self.records if r.rname == names[-1] and QTYPE[r.rtype] == "CNAME" != kind]:
            reply.add_answer(found[0])
            names.append(found[0].rdata.label)
            if len(names) > 20:
                break
        for record in self.records:
            if record.rname == names[-1] and QTYPE[record.rtype] == kind:
                reply.add_answer(record)
        if not any(record.rname == name for record in self.records):
            reply.header.rcode = RCODE.NXDOMAIN
        reply.header.ad = int(self.is_validating and bool(request.header.ad) and "insecure" not in str(name))
        return reply


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, zone: NameServer) -> None:
        self._zone = zone

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, peer: Any) -> None:
        if b"silent" not in data:
            self._transport.sendto(self._zone.resolve(DNSRecord.parse(data), None).pack(), peer)
