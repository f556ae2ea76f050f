"""Files for systemd, sysusers.d, tmpfiles.d and logrotate, as texts. Pure: who writes them is cli.py.

One service a process, so that mail flows while the other two are down, and each is shut in for itself. What a line
shuts out is said where it is not plain: docs/install.md has the figures of `systemd-analyze security`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Of all. Not @resources beside @privileged: the relay raises its limit of open files, training is niced.
# AF_NETLINK: getaddrinfo sorts addresses by it. Warehouse, training and pages were tried with MemoryDenyWriteExecute.
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
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0027
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the program, its settings and its data are, and whose. `sockets`: name -> the addresses that systemd opens
    (relay.front.entrances.socket_addresses); none: the relay does, by a capability."""

    program: Path = Path("/opt/mailweir/bin/mailweir")
    config: Path = Path("/etc/mailweir/mailweir.toml")
    data: Path = Path("/var/lib/mailweir")
    backups: Path = Path("/var/backups/mailweir")
    user: str = "mailweir"
    sockets: Mapping[str, Sequence[str]] = field(default_factory=dict)


def files(place: Place) -> Mapping[str, str]:
    """Path below the output folder -> text."""
    found = {
        "systemd/system/mailweir.target": _TARGET,
        "systemd/system/mailweir-relay.service": _relay(place),
        "systemd/system/mailweir-analytics.service": _service(
            place, "analytics", "Mailweir analytics", "mailweir-relay.service"
        ),
        "systemd/system/mailweir-dashboard.service": _dashboard(place),
        "systemd/system/mailweir-backup.service": _backup(place),
        "systemd/system/mailweir-backup.timer": _TIMER,
        "sysusers.d/mailweir.conf": f'u {place.user} - "Mailweir relay" {place.data} /usr/sbin/nologin\n',
        "tmpfiles.d/mailweir.conf": _tmpfiles(place),
        "logrotate.d/mailweir": _LOGROTATE.format(data=place.data, user=place.user),
    }
    return found | {
        f"systemd/system/mailweir-{name}.socket": _socket(name, addresses) for name, addresses in place.sockets.items()
    }


# To enable and start the target is to enable and start all
_TARGET = """\
[Unit]
Description=Mailweir: relay, analytics, dashboard
Wants=mailweir-relay.service mailweir-analytics.service mailweir-dashboard.service mailweir-backup.timer

[Install]
WantedBy=multi-user.target
Also=mailweir-relay.service mailweir-analytics.service mailweir-dashboard.service mailweir-backup.timer
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
    su {user} {user}
    weekly
    rotate 4
    compress
    missingok
    notifempty
    copytruncate
}}
"""


def _relay(place: Place) -> str:
    sockets = " ".join(f"mailweir-{name}.socket" for name in place.sockets)
    ports = (
        f"Sockets={sockets}\nCapabilityBoundingSet=\n"
        if place.sockets
        else "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
    )
    # alone in being asked to reload; its transactions may finish within smtp.stop_seconds
    more = f"ExecReload={place.program} reload\nTimeoutStopSec=60\nLimitNOFILE=65536\nOOMScoreAdjust=-200\n"
    installed = f"Also={sockets}\n" if sockets else ""
    return (
        _service(place, "relay", "Mailweir relay", "network-online.target", more + ports, capabilities="") + installed
    )


# Ready is who answers, so `systemctl start` waits and analytics finds the relay; a large spool or an upgrade takes time
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
Type=notify
TimeoutStartSec=infinity
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
        return "StateDirectory=mailweir\nStateDirectoryMode=0750\n"
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


# FreeBind: at boot sockets come before the network's addresses
def _socket(name: str, addresses: Sequence[str]) -> str:
    listen = "\n".join(f"ListenStream={address}" for address in addresses)
    return f"""\
[Unit]
Description=Mailweir: {name}
PartOf=mailweir.target

[Socket]
{listen}
BindIPv6Only=ipv6-only
FreeBind=yes
FileDescriptorName={name}
Service=mailweir-relay.service

[Install]
WantedBy=sockets.target
"""


def _tmpfiles(place: Place) -> str:
    owner = f"{place.user} {place.user}"
    # never the mode of /etc itself
    own = f"d {place.config.parent} 0750 root {place.user}\n" if place.config.parent.name == "mailweir" else ""
    return f"""\
{own}z {place.config} 0640 root {place.user}
d {place.data} 0750 {owner}
d {place.backups} 0700 {owner}
"""
