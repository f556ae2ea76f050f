"""A real Postfix that takes mail for test domains: one door, with an address of its own, for each manner."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

from tests.interop.postfix import Postfix, running, write_services

# door -> what differs there; FOLDER is Postfix's own, POLICY and MILTER are ports of loopback
DOORS: dict[str, tuple[str, ...]] = {
    "signed": ("smtpd_milters = inet:127.0.0.1:MILTER",),
    "plain": (),
    "old": ("smtpd_discard_ehlo_keywords = smtputf8 8bitmime dsn pipelining chunking enhancedstatuscodes",),
    "small": ("message_size_limit = 100000",),
    "self": ("smtpd_tls_security_level = may", "smtpd_tls_chain_files = FOLDER/self.pem"),
    "ca": ("smtpd_tls_security_level = may", "smtpd_tls_chain_files = FOLDER/ca.pem"),
    "broken": ("smtpd_tls_security_level = may", "smtpd_tls_chain_files = FOLDER/mismatched.pem"),
    "asked": ("smtpd_recipient_restrictions = reject_unauth_destination check_policy_service inet:127.0.0.1:POLICY",),
    "crowded": ("smtpd_client_connection_count_limit = 2",),
    "few": ("smtpd_recipient_limit = 3", "smtpd_recipient_overshoot_limit = 1"),
}
ADDRESSES = {door: f"127.0.2.{number}" for number, door in enumerate(DOORS, 1)}

# Mail for *.hop.example goes into one Maildir. unknown@ is refused; late@ is taken, and bounces afterwards.
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {folder}/bin
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = mx.postfix.example
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_tls_received_header = yes
smtpd_relay_restrictions = reject_unauth_destination
message_size_limit = 60000000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_base = {folder}/mail
virtual_mailbox_domains = regexp:{folder}/config/domains
virtual_mailbox_maps = regexp:{folder}/config/mailboxes
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
transport_maps = regexp:{folder}/config/transport
smtp_host_lookup = native
milter_default_action = accept
relayhost = [127.0.0.1]:{outside}
"""
_TABLES = {
    "domains": "/^[a-z0-9-]+\\.hop\\.example$/ here\n",
    "mailboxes": "!/^unknown@/ all/\n",
    "transport": "/^late@/ fails:\n/@bounce\\.isp\\.example$/ smtp:[127.0.0.1]:{inbox}\n",
}
_FAILS = "fails unix - n n - - pipe user=nobody argv=/bin/false\n"


@dataclass(frozen=True)
class Around:
    """Ports of loopback: where mail for the outside goes, our inbox, a policy service, a milter."""

    outside: int
    inbox: int
    policy: int
    milter: int


@contextmanager
def mx_postfix(port: int, around: Around, certificates: Mapping[str, bytes]) -> Iterator[Postfix]:
    """Run it at `ADDRESSES`, all with one port. `certificates`: key and chain as PEM, by file name."""
    with running(lambda server: _configure(server, around, certificates), port) as server:
        yield server


def _configure(server: Postfix, around: Around, certificates: Mapping[str, bytes]) -> None:
    folder = server.folder
    (folder / "mail").mkdir(mode=0o777)
    (folder / "mail").chmod(0o777)
    (folder / "config/main.cf").write_text(_MAIN.format(folder=folder, outside=around.outside))
    for name, text in _TABLES.items():
        (folder / "config" / name).write_text(text.replace("{inbox}", str(around.inbox)))
    for name, pem in certificates.items():
        (folder / name).write_bytes(pem)
    places = {"FOLDER": str(folder), "POLICY": str(around.policy), "MILTER": str(around.milter)}
    write_services(server, "".join(_door(server, door, places) for door in DOORS) + _FAILS)


def _door(server: Postfix, door: str, places: Mapping[str, str]) -> str:
    lines = f"{ADDRESSES[door]}:{server.port} inet n - n - - smtpd\n  -o syslog_name=door-{door}\n"
    for option in DOORS[door]:
        for word, place in places.items():
            option = option.replace(word, place)
        lines += f"  -o {{ {option} }}\n"
    return lines


class PolicyService(ThreadingTCPServer):
    """A policy server in Postfix's protocol: N times "no" to a recipient whose local part is `grey-N`, `defer-N` or
    `close-N`, and then nothing against him; `slow` is let in after a tenth of a second."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Questions)
        self.asked: dict[str, int] = {}
        self.port = int(self.server_address[1])

    def answer(self, recipient: str) -> str:
        self.asked[recipient] = self.asked.get(recipient, 0) + 1
        kind, _, times = recipient.partition("@")[0].partition("-")
        if kind == "slow":
            time.sleep(0.1)
        if not times.isdigit() or self.asked[recipient] > int(times):
            return "DUNNO"
        return {
            "grey": "450 4.7.1 Greylisted, see http://postgrey.schweikert.ch/help/hop.example.html",
            "close": "421 4.7.0 Come back later",
        }.get(kind, "DEFER")


class _Questions(StreamRequestHandler):
    def handle(self) -> None:
        about: dict[str, str] = {}
        for line in self.rfile:
            if name := line.decode().rstrip("\n"):
                key, _, value = name.partition("=")
                about[key] = value
                continue
            self.wfile.write(f"action={self.server.answer(about['recipient'])}\n\n".encode())  # type: ignore[attr-defined]


@contextmanager
def policy_service() -> Iterator[PolicyService]:
    with PolicyService() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def mail_folder(server: Postfix) -> Path:
    return server.folder / "mail/all/new"
