"""A real rbldnsd with a zone for each condition a DNS list can be in."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.resolver

from tests.builders import free_port, until

PROGRAM = shutil.which("rbldnsd", path="/usr/sbin:/usr/bin:/usr/local/sbin")

_ALIVE = ":127.0.0.2:test\n127.0.0.2\n"
_LISTED = "192.0.2.9"
ADDRESS_ZONES = {
    "listed.test": f"{_ALIVE}:127.0.0.3:css\n{_LISTED}\n",
    "clean.test": _ALIVE,
    "everything.test": ":127.0.0.2:all\n0.0.0.0/0\n",
    "empty.test": "",
    "quota.test": ":127.255.255.254:quota\n0.0.0.0/0\n",
    "expired.test": f"$TIMESTAMP 2020:01:01 2020:01:02\n{_ALIVE}",
    "refused.test": _ALIVE,
    "silent.test": _ALIVE,
}
DOMAIN_ZONES = {
    "bad.dom": ":127.0.1.2:spam\ntest\nbad.example\n:127.0.1.102:abused\nbroken.example\n",
    "all.dom": ":127.0.1.2:spam\n*\ntest\ninvalid\nbad.example\n",
}
_ACLS = {"refused.test": "127.0.0.0/8 :refuse\n", "silent.test": "127.0.0.0/8 :ignore\n"}


class Lists:
    """The running server. `change` writes a zone anew and waits until it is served."""

    def __init__(self, folder: Path, address: str, process: "subprocess.Popen[bytes]") -> None:
        self._folder, self.address, self._process = folder, address, process

    def change(self, zone: str, content: str) -> None:
        path = self._folder / zone
        moved = path.stat().st_mtime + 2  # rbldnsd compares whole seconds
        path.write_text(content)
        os.utime(path, (moved, moved))
        self._process.send_signal(1)


@contextmanager
def rbldnsd() -> Iterator[Lists]:
    """Serve all zones on a port of loopback, from a folder that the user it becomes may read (pytest's may not be)."""
    with tempfile.TemporaryDirectory(prefix="rbldnsd-") as name:
        Path(name).chmod(0o755)
        with _serving(Path(name)) as lists:
            yield lists


@contextmanager
def _serving(folder: Path) -> Iterator[Lists]:
    assert PROGRAM
    for zone, content in (ADDRESS_ZONES | DOMAIN_ZONES).items():
        (folder / zone).write_text(content)
    for zone, content in _ACLS.items():
        (folder / f"{zone}.acl").write_text(content)
    port = free_port()
    sets = [f"{zone}:{_kind(zone)}:{zone}" for zone in ADDRESS_ZONES] + [
        f"{zone}:dnset:{zone}" for zone in DOMAIN_ZONES
    ]
    sets += [f"{zone}:acl:{zone}.acl" for zone in _ACLS]
    command = [PROGRAM, "-n", "-b", f"127.0.0.1/{port}", "-w", str(folder), "-c", "1s", *sets]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: _answers(port), 30, lambda: (folder / "log").read_text())
            yield Lists(folder, f"127.0.0.1:{port}", process)
        finally:
            process.terminate()


def _kind(zone: str) -> str:
    """A set takes no network of all addresses."""
    return "ip4trie" if zone in ("everything.test", "quota.test") else "ip4set"


def _answers(port: int) -> bool:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], port, 0.5
    try:
        resolver.resolve("2.0.0.127.clean.test", "A")
    except (dns.exception.DNSException, OSError):
        return False
    return True
