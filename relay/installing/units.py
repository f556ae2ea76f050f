"""Files for systemd, sysusers.d, tmpfiles.d and logrotate, as texts. Pure: who writes them is cli.py.

One service a process, so that mail flows while the other two are down, and each is shut in for itself. What a line
shuts out is said where it is not plain: docs/install.md has the figures of `systemd-analyze security`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# name -> addresses: with sockets from systemd the relay opens none of its settings', so the inbox has one too
SOCKETS = {
    "smtp": ("0.0.0.0:25", "[::]:25"),
    "submission": ("0.0.0.0:587", "[::]:587"),
    "smtps": ("0.0.0.0:465", "[::]:465"),
    "inbox": ("127.0.0.1:2526",),
}

# Of all three. Not @resources beside @privileged: the relay raises its limit of open files, training is niced.
# AF_NETLINK: getaddrinfo sorts addresses by it. MemoryDenyWriteExecute is for the relay alone, which was tried with it:
# what analytics trains with, and what a page draws with, was not.
_SHUT_IN = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
KeyringMode=private
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0027
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the program, its settings and its data are, and whose. `has_sockets`: systemd opens the SMTP ports."""

    program: Path = Path("/opt/mailweir/bin/mailweir")
    config: Path = Path("/etc/mailweir/mailweir.toml")
    data: Path = Path("/var/lib/mailweir")
    backups: Path = Path("/var/backups/mailweir")
    user: str = "mailweir"
    has_sockets: bool = True


def files(place: Place) -> Mapping[str, str]:
    """Path below the output folder -> text."""
    found = {
        "systemd/mailweir.target": _TARGET,
        "systemd/mailweir-relay.service": _relay(place),
        "systemd/mailweir-analytics.service": _service(
            place, "analytics", "Mailweir analytics", "mailweir-relay.service"
        ),
        "systemd/mailweir-dashboard.service": _dashboard(place),
        "systemd/mailweir-backup.service": _backup(place),
        "systemd/mailweir-backup.timer": _TIMER,
        "sysusers.d/mailweir.conf": f'u {place.user} - "Mailweir relay" {place.data} /usr/sbin/nologin\n',
        "tmpfiles.d/mailweir.conf": _tmpfiles(place),
        "logrotate.d/mailweir": _LOGROTATE.format(data=place.data),
    }
    if place.has_sockets:
        found |= {f"systemd/mailweir-{name}.socket": _socket(name, addresses) for name, addresses in SOCKETS.items()}
    return found


_TARGET = """\
[Unit]
Description=Mailweir: relay, analytics, dashboard
Wants=mailweir-relay.service mailweir-analytics.service mailweir-dashboard.service

[Install]
WantedBy=multi-user.target
"""

_TIMER = """\
[Unit]
Description=Mailweir's nightly backup

[Timer]
OnCalendar=*-*-* 02:30
RandomizedDelaySec=30min
Persistent=yes

[Install]
WantedBy=timers.target
"""

# Only `mailweir up` writes files of log, and turns them itself; services write to the journal, which bounds itself.
_LOGROTATE = """\
{data}/logs/*.log {{
    weekly
    rotate 4
    compress
    missingok
    notifempty
    copytruncate
}}
"""


def _relay(place: Place) -> str:
    sockets = " ".join(f"mailweir-{name}.socket" for name in SOCKETS)
    ports = (
        f"Sockets={sockets}\nCapabilityBoundingSet=\n"
        if place.has_sockets
        else "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
    )
    # alone in being asked to reload; its transactions may finish within smtp.stop_seconds
    more = f"ExecReload={place.program} reload\nTimeoutStopSec=60\nLimitNOFILE=65536\nOOMScoreAdjust=-200\n"
    more += f"MemoryDenyWriteExecute=yes\n{ports}"
    return _service(place, "relay", "Mailweir relay", "network-online.target", more, capabilities="")


def _service(
    place: Place, command: str, what: str, after: str, more: str = "", *, capabilities: str = "CapabilityBoundingSet=\n"
) -> str:
    return f"""\
[Unit]
Description={what}
After={after}
Wants=network-online.target
PartOf=mailweir.target

[Service]
Type=exec
User={place.user}
Group={place.user}
Environment=MAILWEIR_CONFIG={place.config}
ExecStart={place.program} {command}
Restart=on-failure
RestartSec=2
{_directories(place)}{more}{capabilities}{_SHUT_IN}
[Install]
WantedBy=mailweir.target
"""


def _dashboard(place: Place) -> str:
    # Streamlit wants a home to write to
    home = "RuntimeDirectory=mailweir-dashboard\nEnvironment=HOME=/run/mailweir-dashboard\n"
    return _service(place, "dashboard", "Mailweir dashboard", "mailweir-analytics.service", home)


def _directories(place: Place) -> str:
    if place.data == Path("/var/lib/mailweir"):
        return "StateDirectory=mailweir\nStateDirectoryMode=0750\nRuntimeDirectory=mailweir\n"
    return f"ReadWritePaths={place.data}\n"


def _backup(place: Place) -> str:
    return f"""\
[Unit]
Description=A backup of Mailweir
After=mailweir-relay.service mailweir-analytics.service

[Service]
Type=oneshot
User={place.user}
Group={place.user}
Environment=MAILWEIR_CONFIG={place.config}
ExecStart={place.program} backup {place.backups} --keep 7
ReadWritePaths={place.data} {place.backups}
Nice=10
IOSchedulingClass=idle
CapabilityBoundingSet=
{_SHUT_IN}"""


def _socket(name: str, addresses: Sequence[str]) -> str:
    listen = "\n".join(f"ListenStream={address}" for address in addresses)
    return f"""\
[Unit]
Description=Mailweir: {name}

[Socket]
{listen}
BindIPv6Only=ipv6-only
FileDescriptorName={name}
Service=mailweir-relay.service

[Install]
WantedBy=sockets.target
"""


def _tmpfiles(place: Place) -> str:
    owner = f"{place.user} {place.user}"
    return f"""\
d {place.config.parent} 0750 root {place.user}
d {place.data} 0750 {owner}
d {place.backups} 0700 {owner}
"""
