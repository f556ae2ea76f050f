"""Every SMTP listener: the addresses of the settings, and the sockets that systemd has opened for us.

With systemd (sd_listen_fds(3)) ports below 1024 need no privilege. Names (FileDescriptorName=): `smtps` begins with
TLS, `smtp` and `submission` offer STARTTLS, `clear` takes AUTH in clear text too, `inbox` takes reports only; any other
is an error.
"""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relay.settings import SettingsError, Smtp

_FIRST = 3  # SD_LISTEN_FDS_START


@dataclass(frozen=True, slots=True)
class Entrance:
    """What all sessions of one listener share; `key` names the setting that asks for it. At an inbox no sender is let
    in, only reports to our return paths."""

    address: str
    key: str = "smtp.listen"
    is_implicit_tls: bool = False
    may_auth_in_clear: bool = False
    is_inbox: bool = False


def entrances(smtp: Smtp) -> Iterator[Entrance]:
    """Return the listeners that the settings ask for."""
    for address in smtp.listen:
        yield Entrance(address)
    for address in smtp.submission:
        yield Entrance(address, "smtp.submission")
    for address in smtp.tls_listen:
        yield Entrance(address, "smtp.tls_listen", is_implicit_tls=True)
    for address in smtp.clear_auth_listen:
        yield Entrance(address, "smtp.clear_auth_listen", may_auth_in_clear=True)
    for address in smtp.inbox_listen:
        yield Entrance(address, "smtp.inbox_listen", is_inbox=True)


# name of a socket -> the setting whose addresses it stands for
SOCKET_NAMES = {
    "smtp": "smtp.listen",
    "submission": "smtp.submission",
    "smtps": "smtp.tls_listen",
    "clear": "smtp.clear_auth_listen",
    "inbox": "smtp.inbox_listen",
}


def socket_addresses(smtp: Smtp) -> Mapping[str, Sequence[str]]:
    """Name of a socket -> the addresses that the settings give it; names without one are left out."""
    wanted = {name: [one.address for one in entrances(smtp) if one.key == key] for name, key in SOCKET_NAMES.items()}
    return {name: addresses for name, addresses in wanted.items() if addresses}


def inherited_sockets() -> list[tuple[Entrance, socket.socket]]:
    """Return the sockets meant for this process, none where it was started without. Raises SettingsError.

    May be asked once: the variables go, so that no child takes the sockets for its own.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "0")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()):
        return []
    return [_taken(_FIRST + number, names[number] if number < len(names) else "") for number in range(int(count))]


def _taken(number: int, name: str) -> tuple[Entrance, socket.socket]:
    if name not in SOCKET_NAMES:
        raise SettingsError(
            f"systemd passed a socket named {name!r}. Name it smtp, submission, smtps, clear or inbox by "
            "FileDescriptorName= in its .socket unit"
        )
    os.set_inheritable(number, False)
    sock = socket.socket(fileno=number)
    sock.setblocking(False)
    host, port = sock.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Entrance(address, SOCKET_NAMES[name], name == "smtps", name == "clear", name == "inbox"), sock
