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

    def configure(server: Exim, _: Path) -> None:
        etc = server.folder / "etc"
        pasted = snippet(Panel.CPANEL, relay_port)
        keys = {"/var/cpanel/domain_keys/private": str(etc / "private")}
        pasted["TRANSPORTSTART"] = adapted(pasted["TRANSPORTSTART"], _trust(server, certificate) | keys)
        pasted["RETRYSTART"] = adapted(pasted["RETRYSTART"], {"F,1d,5m": "F,1d,1s"})
        filled = adapted(_CPANEL, {f"@{section}@": text for section, text in pasted.items()})
        _make_key(etc / "private" / DKIM_DOMAIN)
        _write(server, filled)

    with running(configure) as server:
        yield server


@contextmanager
def directadmin(relay_port: int, certificate: Path) -> Iterator[Exim]:
    """Run an Exim that includes DirectAdmin's files for additions."""

    def configure(server: Exim, _: Path) -> None:
        etc = server.folder / "etc"
        keys = {"/etc/virtual": str(etc / "virtual")}
        changes = {"/etc/exim.transports.pre.conf": _trust(server, certificate) | keys}
        for place, text in snippet(Panel.DIRECTADMIN, relay_port).items():
            (etc / Path(place).name).write_text(adapted(text, changes.get(place, {})))
        _make_key(etc / "virtual" / DKIM_DOMAIN / "dkim.private.key")
        _write(server, _DIRECTADMIN.format(folder=server.folder))

    with running(configure) as server:
        yield server


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
