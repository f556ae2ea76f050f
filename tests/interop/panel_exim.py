"""An Exim laid out as the panels lay it out, with the blocks of their pages at the places the pages name."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.interop.exim import AUTHENTICATOR, Exim, running
from tests.interop.pages import adapted, blocks
from tests.interop.servers import HOSTNAME, PASSWORD

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
        page = blocks("cpanel.md")
        keys = {"/var/cpanel/domain_keys/private": str(etc / "private")}
        filled = adapted(
            _CPANEL,
            {
                "@POSTMAILCOUNT@": adapted(page["POSTMAILCOUNT"], _router(relay_port)),
                "@TRANSPORTSTART@": adapted(page["TRANSPORTSTART"], _transport(server, certificate) | keys),
                "@RETRYSTART@": adapted(page["RETRYSTART"], {"relay.example.net": "localhost"}),
                "@AUTH@": adapted(page["AUTH"], _login()),
            },
        )
        _make_key(etc / "private" / DKIM_DOMAIN)
        _write(server, filled)

    with running(configure) as server:
        yield server


@contextmanager
def directadmin(relay_port: int, certificate: Path) -> Iterator[Exim]:
    """Run an Exim that includes DirectAdmin's files for additions."""

    def configure(server: Exim, _: Path) -> None:
        etc = server.folder / "etc"
        page = blocks("directadmin.md")
        changes = {
            "authenticators.post": _login(),
            "routers.pre": _router(relay_port),
            "transports.pre": _transport(server, certificate) | {"/etc/virtual": str(etc / "virtual")},
        }
        for name, change in changes.items():
            (etc / f"exim.{name}.conf").write_text(adapted(page[f"/etc/exim.{name}.conf"], change))
        _make_key(etc / "virtual" / DKIM_DOMAIN / "dkim.private.key")
        _write(server, _DIRECTADMIN.format(folder=server.folder))

    with running(configure) as server:
        yield server


def _router(relay_port: int) -> dict[str, str]:
    return {
        "relay.example.net::2587 byname": f"localhost::{relay_port} byname\n  self = send",
        "  ignore_target_hosts = 127.0.0.0/8\n": "",
    }


def _transport(server: Exim, certificate: Path) -> dict[str, str]:
    copy = server.folder / "ca.pem"  # read by Exim when it is no longer root
    shutil.copyfile(certificate, copy)
    return {"relay.example.net": "localhost", "certificates = system": f"certificates = {copy}"}


def _login() -> dict[str, str]:
    return {"relay.example.net": "localhost", "SECRET": PASSWORD}


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(65537, 2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(key.private_bytes(*pem, serialization.NoEncryption()))
    shutil.chown(path, "Debian-exim", "Debian-exim")


def _write(server: Exim, sections: str) -> None:
    main = _MAIN.format(folder=server.folder, hostname=HOSTNAME)
    server.config.write_text(main + _ACLS + sections + AUTHENTICATOR)
