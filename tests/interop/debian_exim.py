"""Debian's own split configuration of Exim, plus what docs/integrations/exim.md puts into it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relay.panels.pages import Panel
from tests.interop.exim import AUTHENTICATOR, Exim, running
from tests.interop.pages import adapted, snippet
from tests.interop.servers import HOSTNAME

ALIASES = {"forwarder": "away@dest.example, away@elsewhere.example"}

_DEBCONF = f"""
dc_eximconfig_configtype='internet'
dc_other_hostnames='{HOSTNAME}'
dc_local_interfaces='127.0.0.1'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='true'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
# a place of its own, and no questions to DNS
_MACROS = """
CONFDIR = {folder}/etc
SPOOLDIR = {folder}/spool
MAIN_HARDCODE_PRIMARY_HOSTNAME = {hostname}
MAIN_QUALIFY_DOMAIN = {hostname}
MAIN_HOST_LOOKUP =
MAIN_TRUSTED_USERS = root
log_file_path = {folder}/%slog
disable_ipv6 = true
"""


@contextmanager
def debian_exim(relay_port: int, certificate: Path) -> Iterator[Exim]:
    """Run Debian's Exim whose smarthost is a relay on this machine."""

    def configure(server: Exim, root: Path) -> None:
        shutil.copyfile(certificate, server.folder / "ca.pem")
        lay_out(server, root, _adapted(snippet(Panel.EXIM, relay_port), server.folder / "ca.pem"))

    with running(configure) as server:
        yield server


def lay_out(server: Exim, root: Path, pasted: dict[str, str]) -> None:
    """Write Debian's configuration with what is pasted, by file, in it."""
    etc = server.folder / "etc"
    shutil.copytree(root / "etc/exim4/conf.d", etc / "conf.d")
    (etc / "update-exim4.conf.conf").write_text(_DEBCONF)
    (etc / "aliases").write_text("".join(f"{name}: {target}\n" for name, target in ALIASES.items()))
    (etc / "email-addresses").write_text("")
    (etc / "conf.d/main/00_test").write_text(_MACROS.format(folder=server.folder, hostname=HOSTNAME))
    (etc / "conf.d/main/89_log").write_text("MAIN_LOG_SELECTOR == MAIN_LOG_SELECTOR +arguments\n")
    (etc / "conf.d/auth/99_test").write_text(AUTHENTICATOR)
    for place, text in pasted.items():
        (etc / place.removeprefix("/etc/exim4/")).write_text(text)
    shutil.chown(etc / "passwd.client", "root", "Debian-exim")
    (etc / "passwd.client").chmod(0o640)
    _generate(server, root / "usr/sbin/update-exim4.conf")


def _adapted(pasted: dict[str, str], certificate: Path) -> dict[str, str]:
    """The relay has a certificate of its own, and nobody waits for minutes."""
    changes = {
        "/etc/exim4/conf.d/transport/30_mailweir": {
            "tls_verify_certificates = system": f"tls_verify_certificates = {certificate}"
        },
        "/etc/exim4/conf.d/retry/20_mailweir": {"F,1d,5m": "F,1d,1s", "F,2h,2m; F,5d,10m": "F,1d,1s"},
    }
    return {place: adapted(text, changes.get(place, {})) for place, text in pasted.items()}


def _generate(server: Exim, script: Path) -> None:
    """Let Debian's script make one file of the many; then nothing of the machine's own is left in it."""
    command = ["sh", str(script), "-d", str(server.folder / "etc"), "-o", str(server.config)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    own = {
        "/usr/sbin/exim4": f"{server.folder}/exim4",
        "/etc/aliases": f"{server.folder}/etc/aliases",
        "/etc/email-addresses": f"{server.folder}/etc/email-addresses",
    }
    server.config.write_text(adapted(server.config.read_text(), own))
