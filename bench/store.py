"""What `Spool.store` costs: producers of 10 KB messages whose recipients finish a moment later.

    python -m bench.store --producers 50 --messages 20000

CPU is that of the whole process; "commit thread" is what the thread that writes used of it. The disk is shared: only
figures of one round on one machine may be compared.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import threading
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from relay.clock import SystemClock
from relay.events import Action, Reception
from relay.spool.journal import Journal
from relay.spool.store import Flags, Spool, SpooledMessage, SpooledRecipient
from tests.relay.test_spool import delivered

_PREFIX = b"Received: from relay.example\r\n" * 23  # 700 bytes: our Received line and a signature


async def play(folder: Path, producers: int, messages: int, size: int) -> dict[str, float]:
    """Store and finish `messages`; the figures."""
    async with AsyncExitStack() as stack:
        journal = Journal(folder / "journal", "relay", "mw1", SystemClock())
        journal.start()
        stack.callback(journal.close)
        spool = Spool(folder / "spool", "mw1", journal, lambda error: None)
        spool.start()
        stack.push_async_callback(spool.stop)
        content = b"Subject: x\r\n\r\n" + b"x" * size
        waits: list[float] = []
        left = iter(range(messages))

        async def produce(number: int) -> None:
            for _ in left:
                began = time.perf_counter()
                (recipient,) = await store(spool, journal, content, f"acme|x-authuser|u{number}")
                waits.append(time.perf_counter() - began)
                asyncio.get_running_loop().call_later(0.2, finish, spool, journal, recipient)

        thread = next(thread for thread in threading.enumerate() if thread.name == "commit")
        clock = time.pthread_getcpuclockid(thread.ident or 0)
        began, cpu, commit = time.perf_counter(), _cpu(), time.clock_gettime(clock)
        await asyncio.gather(*(produce(number) for number in range(producers)))
        await asyncio.sleep(0.3)
        await spool.settle()
        seconds, cpu, commit = time.perf_counter() - began, _cpu() - cpu, time.clock_gettime(clock) - commit
    waits.sort()
    return {
        "messages_per_second": round(messages / seconds),
        "cpu_us": round(cpu / messages * 1e6, 1),
        "commit_thread_us": round(commit / messages * 1e6, 1),
        "p50_ms": round(waits[len(waits) // 2] * 1e3, 2),
        "p99_ms": round(waits[len(waits) * 99 // 100] * 1e3, 2),
    }


async def store(spool: Spool, journal: Journal, content: bytes, sender: str) -> list[SpooledRecipient]:
    """Store one message to one recipient."""
    number, now = spool.reserve(1), datetime.now(UTC)
    message = SpooledMessage(
        id=number,
        message_id=spool.message_id(number),
        rcpts=1,
        account="acme",
        reseller="",
        sender=sender,
        mail_from="a@acme.example",
        received_at=now,
        flags=Flags.NONE,
        prefix=_PREFIX,
        subject="Hello",
        score=0.1,
        rule="accept",
    )
    record = Reception(
        **journal.stamp(),
        message_id=message.message_id,
        account="acme",
        sender=sender,
        sender_kind="x-authuser",
        mail_from="a@acme.example",
        client_ip="192.0.2.1",
        action=Action.ACCEPT,
        rule="accept",
        received_at=now,
    )
    return await spool.store(message, content, [f"x@d{number % 20}.example"], record, is_held=False)


def finish(spool: Spool, journal: Journal, recipient: SpooledRecipient) -> None:
    """Deliver it."""
    spool.finish(recipient, delivered(journal, recipient))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--producers", type=int, default=50)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="mailweir-store-", dir="/var/tmp") as folder:
            print(json.dumps(asyncio.run(play(Path(folder), options.producers, options.messages, options.size))))


if __name__ == "__main__":
    main()
