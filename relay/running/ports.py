"""Who listens on a port of this machine, from /proc. Says less, never something wrong, where /proc is closed."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relay.settings import split_listen

_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp, see proc(5)
_PROC = Path("/proc")
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a server listens on, a client cannot dial


@dataclass(frozen=True, slots=True)
class Taken:
    """An address that somebody listens on. pid None: a process that may not be looked at."""

    address: str
    pid: int | None
    name: str

    def __str__(self) -> str:
        by = f"{self.name} (process {self.pid})" if self.pid else self.name
        return f"{self.address} is taken by {by}"


def reachable(host: str) -> str:
    """Where a client on this machine finds who listens at `host`.

    >>> reachable("::"), reachable("192.0.2.1")
    ('::1', '192.0.2.1')
    """
    return _ANYWHERE.get(host, host)


def is_open(address: str, timeout_seconds: float = 0.2) -> bool:
    """Tell whether somebody answers at host:port."""
    host, port = split_listen(address)
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout_seconds):
        return True
    return False


def taken(address: str) -> Taken | None:
    """Say who is in the way of listening on host:port; None when it is free. Port 0 always is."""
    host, port = split_listen(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return None
        except PermissionError:
            return Taken(address, None, "the system: ports below 1024 need the capability cap_net_bind_service")
        except OSError as error:
            pid = _listener(port)
            name = _name(pid) if pid else "another program"
            return Taken(address, pid, name if pid or error.errno == errno.EADDRINUSE else error.strerror or str(error))


def _listener(port: int) -> int | None:
    inodes = set(_listening_inodes(port))
    for process in _PROC.iterdir() if inodes else ():
        if process.name.isdigit() and inodes & set(_socket_inodes(process)):
            return int(process.name)
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _socket_inodes(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(link)
                if target.startswith("socket:["):
                    yield target[len("socket:[") : -1]


def _name(pid: int) -> str:
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "another program"
    shown = [os.path.basename(words[0]), *words[1:4]]
    return " ".join(" ".join(shown).split())[:60] or "another program"
