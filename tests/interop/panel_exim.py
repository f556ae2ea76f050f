"""An Exim laid out as the panels lay it out, with the blocks of their pages at the places the pages name."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from relay.panels.pages import Panel
from tests.interop.exim import AUTHENTICATOR, Exim, running
from tests.interop.pages import adapted, snippet
from tests.interop.servers import HOSTNAME

DKIM_DOMAIN = "site.example"

_MAIN = """
exim_path = {folder}/exim4
primary_hostname = {hostname}
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
exim_user = Debian-exim
exim_group = Debian-exim
never_users =
trusted_users = root
untrusted_set_sender = *
disable_ipv6 = true
tls_advertise_hosts =
keep_environment =
domainlist local_domains = {hostname}
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
"""
# as cPanel does for a client on the machine itself that did not log in: whose process is it?
_ACLS = """
begin acl
acl_mail:
  warn
    !authenticated = *
    set acl_c_authenticated_local_user = wpuser/wpuser
  accept
acl_rcpt:
  accept hosts = : 127.0.0.1
"""
_CPANEL = """
begin routers
@POSTMAILCOUNT@
begin transports
@TRANSPORTSTART@
begin retry
@RETRYSTART@
* * F,2h,1s
begin authenticators
@AUTH@
"""
_DIRECTADMIN = """
begin routers
.include_if_exists {folder}/etc/exim.routers.pre.conf
begin transports
.include_if_exists {folder}/etc/exim.transports.pre.conf
begin retry
* * F,2h,1s
begin authenticators
.include_if_exists {folder}/etc/exim.authenticators.post.conf
"""


@contextmanager
def cpanel(relay_port: int, certificate: Path) -> Iterator[Exim]:
    """Run an Exim with the sections of cPanel's Advanced Editor."""

    def configure(server: Exim, root: Path) -> None:
        pasted, keys = snippet(Panel.CPANEL, relay_port), server.folder / "etc/private"
        change = _trust(server, certificate) | {"/var/cpanel/domain_keys/private": str(keys)}
        pasted["TRANSPORTSTART"] = adapted(pasted["TRANSPORTSTART"], change)
        pasted["RETRYSTART"] = adapted(pasted["RETRYSTART"], {"F,1d,5m": "F,1d,1s"})
        _make_key(keys / DKIM_DOMAIN)
        lay_out_cpanel(server, root, pasted)

    with running(configure) as server:
        yield server


def lay_out_cpanel(server: Exim, _root: Path, pasted: dict[str, str]) -> None:
    """Write a configuration with what is pasted, by section, where WHM puts it."""
    _write(server, adapted(_CPANEL, {f"@{section}@": text for section, text in pasted.items()}))


@contextmanager
def directadmin(relay_port: int, certificate: Path) -> Iterator[Exim]:
    """Run an Exim that includes DirectAdmin's files for additions."""

    def configure(server: Exim, root: Path) -> None:
        pasted, keys = snippet(Panel.DIRECTADMIN, relay_port), server.folder / "etc/virtual"
        transport = "/etc/exim.transports.pre.conf"
        pasted[transport] = adapted(pasted[transport], _trust(server, certificate) | {"/etc/virtual": str(keys)})
        _make_key(keys / DKIM_DOMAIN / "dkim.private.key")
        lay_out_directadmin(server, root, pasted)

    with running(configure) as server:
        yield server


def lay_out_directadmin(server: Exim, _root: Path, pasted: dict[str, str]) -> None:
    """Write a configuration that includes what is pasted, by file."""
    for place, text in pasted.items():
        (server.folder / "etc" / Path(place).name).write_text(text)
    _write(server, _DIRECTADMIN.format(folder=server.folder))


def _trust(server: Exim, certificate: Path) -> dict[str, str]:
    copy = server.folder / "ca.pem"  # read by Exim when it is no longer root
    shutil.copyfile(certificate, copy)
    return {"certificates = system": f"certificates = {copy}"}


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(65537, 2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(key.private_bytes(*pem, serialization.NoEncryption()))
    shutil.chown(path, "Debian-exim", "Debian-exim")


def _write(server: Exim, sections: str) -> None:
    main = _MAIN.format(folder=server.folder, hostname=HOSTNAME)
    server.config.write_text(main + _ACLS + sections + AUTHENTICATOR)
