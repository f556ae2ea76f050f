"""Twenty senders of 25 MB at once: what the relay's memory does, and that every message arrives as it was sent.

    python -m bench.large [--rounds N] [--clients N] [--mbytes N] [--model shipped] [--dkim]

The relay is a real process; sink and senders are processes of their own. Printed for each round: the peak RSS of the
relay's main process (VmHWM, reset before the round where the kernel allows it), the peak PSS of all its processes, and
its CPU per message. Exits with 1 when a message is missing, doubled or altered.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from relay.account import Account
from tests.builders import Installation, free_port

_BLOCK = 1 << 18
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="mailweir-large-") as folder, _sink(arguments.clients) as (port, seen):
        site = Installation(Path(folder), smtp=free_port())
        dkim = '[dkim]\ndomain = "relay.example"' if arguments.dkim else ""
        site.write(port, f"connections = {arguments.connections}\n{dkim}", model=arguments.model)
        settings = site.config.read_text().replace("[smtp]", "[smtp]\nmax_size_bytes = 104857600")
        site.config.write_text(settings.replace("[content]", "[limits]\nrcpts_per_hour = 1000000\n[content]"))
        site.add_account(Account("bench"))
        _allow(site)
        with site.running() as relay:
            rounds = [_round(number, site, relay, seen, arguments) for number in range(arguments.rounds)]
            return 0 if all(rounds) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--connections", type=int, default=10, help="of the relay to the sink")
    parser.add_argument("--mbytes", type=int, default=25)
    parser.add_argument("--model", default="none")
    parser.add_argument("--dkim", action="store_true")
    return parser.parse_args()


def _allow(site: Installation) -> None:
    subprocess.run(
        [sys.executable, "-m", "relay.cli", "account", "allow", "bench", "127.0.0.1/32"],
        env=os.environ | {"MAILWEIR_CONFIG": str(site.config)},
        check=True,
        capture_output=True,
    )


def _round(
    number: int,
    site: Installation,
    relay: "subprocess.Popen[bytes]",
    seen: Connection,
    arguments: argparse.Namespace,
) -> bool:
    _reset_peak(relay.pid)
    before, began = _cpu_seconds(relay.pid), time.monotonic()
    with _watched(relay.pid) as peaks:
        with multiprocessing.get_context("spawn").Pool(min(4, arguments.clients)) as senders:
            jobs = [
                (site.smtp, f"r{number}-{client}@d.example", number * 1000 + client, arguments.mbytes)
                for client in range(arguments.clients)
            ]
            share = -(-len(jobs) // senders._processes)  # type: ignore[attr-defined]
            sent = dict(
                pair
                for group in senders.map(_send_together, [jobs[at : at + share] for at in range(0, len(jobs), share)])
                for pair in group
            )
        arrived = _arrived(seen, len(sent))
    seconds = time.monotonic() - began
    is_right = sorted(arrived) == sorted(sent.items())
    print(
        json.dumps(
            {
                "round": number,
                "main_peak_rss_mb": round(_status(relay.pid, "VmHWM") / 1024, 1),
                "all_peak_pss_mb": round(max(peaks, default=0) / 1024, 1),
                "cpu_ms_per_message": round((_cpu_seconds(relay.pid) - before) * 1000 / len(sent), 1),
                "seconds": round(seconds, 1),
                "byte_identical": is_right,
            }
        ),
        flush=True,
    )
    return is_right


# ---- senders ----


def _send_together(jobs: list[tuple[int, str, int, int]]) -> list[tuple[str, str]]:
    """Send each in a thread of its own; return (recipient, digest of the body)."""
    digests: list[tuple[str, str]] = []
    threads = [threading.Thread(target=lambda job=job: digests.append(_send(*job))) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return digests


def _send(port: int, to: str, seed: int, mbytes: int) -> tuple[str, str]:
    with socket.create_connection(("127.0.0.1", port), timeout=300) as peer, peer.makefile("rb") as answers:
        _expect(answers.readline(), b"220")
        for command in (b"EHLO bench.example", b"MAIL FROM:<a@bench.example>", b"RCPT TO:<%b>" % to.encode(), b"DATA"):
            peer.sendall(command + b"\r\n")
            while (line := answers.readline())[3:4] == b"-":
                pass
            _expect(line, b"2", b"354")
        peer.sendall(b"From: a@bench.example\r\nTo: b@d.example\r\nSubject: large\r\nContent-Type: text/plain\r\n")
        peer.sendall(b"Date: Thu, 26 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%b>\r\n\r\n" % to.encode())
        digest = hashlib.sha256()
        for block in _body(seed, mbytes):
            digest.update(block)
            peer.sendall(block.replace(b"\r\n.", b"\r\n.."))
        peer.sendall(b".\r\n")
        _expect(answers.readline(), b"250")
        peer.sendall(b"QUIT\r\n")
    return to, digest.hexdigest()


def _body(seed: int, mbytes: int) -> Iterator[bytes]:
    """Lines like those of base64, some of them beginning with a dot; each block begins and ends with a whole line."""
    chance = random.Random(seed)
    lines = [chance.randbytes(38).hex().encode() + b"\r\n" for _ in range(2000)] + [b"x\r\n", b".\r\n", b"..dot\r\n"]
    for _ in range(mbytes * 1024 * 1024 // _BLOCK):
        yield b"x\r\n" + b"".join(chance.choices(lines, k=_BLOCK // 78 - 1))


def _expect(line: bytes, *wanted: bytes) -> None:
    assert line.startswith(wanted), line


# ---- the sink ----


@contextmanager
def _sink(clients: int) -> Iterator[tuple[int, Connection]]:
    """A sink in a process of its own that keeps a digest of each body, and its port."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        process.kill()
        process.join()


def _serve(seen: Connection) -> None:
    lock = threading.Lock()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        seen.send(server.getsockname()[1])
        while True:
            peer, _ = server.accept()
            threading.Thread(target=_take, args=(peer, seen, lock), daemon=True).start()


def _take(peer: socket.socket, seen: Connection, lock: threading.Lock) -> None:
    with closing(peer), peer.makefile("rb", _BLOCK) as lines:
        peer.sendall(b"220 sink\r\n")
        to = ""
        while line := lines.readline():
            match line[:4].upper():
                case b"EHLO":
                    peer.sendall(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                case b"DATA":
                    peer.sendall(b"354 go on\r\n")
                    digest = _digest(lines)
                    with lock:
                        seen.send((to, digest))
                    peer.sendall(b"250 2.0.0 taken\r\n")
                case b"QUIT":
                    peer.sendall(b"221 bye\r\n")
                    return
                case verb:
                    to = line.partition(b"<")[2].partition(b">")[0].decode() if verb == b"RCPT" else to
                    peer.sendall(b"250 ok\r\n")


def _digest(lines: "object") -> str:
    """The digest of a mail's body, unstuffed."""
    read = lines.readline  # type: ignore[attr-defined]
    digest, is_body = hashlib.sha256(), False
    while (line := read()) != b".\r\n":
        assert line, "the relay left"
        if is_body:
            digest.update(line[1:] if line[:1] == b"." else line)
        is_body = is_body or line == b"\r\n"
    return digest.hexdigest()


def _arrived(seen: Connection, count: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    while len(found) < count and seen.poll(300):
        found.append(seen.recv())
    while seen.poll(1):  # what comes twice
        found.append(seen.recv())
    return found


# ---- what the kernel knows ----


@contextmanager
def _watched(pid: int) -> Iterator[list[int]]:
    """Look at the PSS of a process and its children, in kB, until the block ends."""
    is_over, peaks = threading.Event(), list[int]()

    def look() -> None:
        while not is_over.wait(0.1):
            peaks.append(sum(map(_pss, _family(pid))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        is_over.set()
        thread.join()


def _family(pid: int) -> list[int]:
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        for task in Path(f"/proc/{found[-1]}/task").glob("*/children"):  # those of each thread that forked
            with suppress(OSError):
                queue += map(int, task.read_text().split())
    return found


def _pss(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def _reset_peak(pid: int) -> None:
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        print("the peak is that since the start: it cannot be reset here", file=sys.stderr)


def _cpu_seconds(pid: int) -> float:
    total = 0
    for member in _family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


if __name__ == "__main__":
    sys.exit(main())
