"""A real relay that delivers by MX, with its own name server, policy server and world outside; and what it sends."""

import json
import smtplib
import ssl
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import trustme

from relay.account import Account
from relay.delivery.signing.dkim_keys import dns_record
from tests.builders import NO_LIMITS, Installation, free_port, until
from tests.interop import mx_exim, mx_postfix
from tests.interop.servers import end
from tests.nameserver import NameServer
from tests.policy_server import POLICY, PolicyServer
from tests.sink import Received, Sink

# what stands above a letter when it lies in a mailbox: ours, and the receiving server's
OUR_FIELDS = {"received", "dkim-signature", "x-mailweir-ref", "feedback-id"}
THEIR_FIELDS = {"return-path", "x-original-to", "delivered-to", "received", "authentication-results", "envelope-to"}

# domain below hop.example -> (host its MX names, door of Postfix, mode of its MTA-STS policy)
_MORE = {
    "clear": ("mx-clear.strict.example", "plain", ""),
    "sealed": ("mx-sealed.strict.example", "self", ""),
    "sts-good": ("mx.sts.example", "ca", "enforce"),
    "sts-wrong": ("mx.wrong.example", "ca", "enforce"),
    "sts-bare": ("mx.bare.example", "plain", "enforce"),
    "sts-testing": ("mx.wrong.example", "ca", "testing"),
}
_PROVIDERS = '[provider.strict]\nsuffixes = [".strict.example"]\ntls = "required"\n'
_DIRECT = """mode = "direct"
nameservers = ["{dns}"]
mx_port = {mx_port}
private_networks = ["127.0.0.0/8"]
mta_sts_port = {web}
ca_file = "{folder}/ca.pem"
providers = "{folder}/providers.toml"
"""
_MORE_SETTINGS = """
[dkim]
domain = "relay.example"
[suppression]
hard_bounces = false
[verp]
domain = "bounce.isp.example"
[[route]]
domain = "shop.example"
host = "127.0.0.1"
port = {outside}
mode = "sink"
[[route]]
domain = "isp.example"
host = "127.0.0.1"
port = {outside}
mode = "sink"
"""


def letter(body: bytes = b"Hello\r\n", more: bytes = b"", author: str = "shop@shop.example") -> bytes:
    """A whole message that the relay has nothing to add to."""
    return (
        f"From: {author}\r\nTo: somebody@hop.example\r\nSubject: order\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
        f"Message-ID: <{uuid.uuid4().hex}@shop.example>\r\n"
    ).encode() + b"".join((more, b"\r\n", body))


def id_of(content: bytes) -> str:
    head = content.replace(b"\r\n", b"\n", 50).partition(b"\n\n")[0]  # parsing 25 MB takes a second
    return str(message_from_bytes(head)["Message-ID"])


@dataclass
class Mailbox:
    """A Maildir in which a server puts all its mail, and whose it was."""

    folder: Path
    whose: str
    _read: set[str] = field(default_factory=set)
    _by_id: dict[str, list[bytes]] = field(default_factory=dict)

    def copies(self, content: bytes) -> list[bytes]:
        """Return what lies there of a message, a copy for each recipient, LF line ends."""
        for path in self.folder.glob("*"):
            if path.name not in self._read:
                self._read.add(path.name)
                text = path.read_bytes()
                self._by_id.setdefault(id_of(text), []).append(text)
        return self._by_id.get(id_of(content), [])

    def owners(self, content: bytes) -> list[str]:
        """Return the recipients of its copies, sorted."""
        return sorted(str(message_from_bytes(text)[self.whose]) for text in self.copies(content))

    def wait(self, content: bytes, count: int = 1, seconds: float = 20, explain=lambda: "") -> list[bytes]:  # type: ignore[no-untyped-def]
        """Return the copies once there are `count`."""
        until(lambda: len(self.copies(content)) >= count, seconds, explain)
        return self.copies(content)


class Hops:
    """The running relay, and what is around it."""

    def __init__(self, folder: Path, dns: NameServer, web: PolicyServer, outside: Sink, policy: Any) -> None:
        self.installation, self.folder = Installation(folder), folder
        self.dns, self.web, self.outside, self.policy = dns, web, outside, policy
        self.mx_port = free_port()
        self.ca = trustme.CA()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = self.installation.start()
        self.installation.wait_until_up(self.process)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def send(  # type: ignore[no-untyped-def]
        self, content: bytes, *to: str, login: str = "shop", options=(), rcpt_options=()
    ) -> None:
        """Hand in a message of the login's own domain."""
        with smtplib.SMTP("127.0.0.1", self.installation.smtp, timeout=30) as smtp:
            smtp.login(login, "secret")
            smtp.sendmail(f"{login}@{login}.example", to, content, options, rcpt_options)

    def records(self, kind: str, recipient: str) -> list[dict[str, Any]]:
        """Return the journal's records of one kind about a recipient, oldest first."""
        found = []
        for line in self._journal_lines():
            with suppress(ValueError):  # the last line of an open file may be half a one
                record = json.loads(line)
                found += [record] if record["kind"] == kind and record.get("recipient") == recipient else []
        return found

    def wait_for(self, kind: str, recipient: str, count: int = 1) -> list[dict[str, Any]]:
        until(lambda: len(self.records(kind, recipient)) >= count, 20, lambda: f"no {kind} of {recipient}")
        return self.records(kind, recipient)

    def is_waiting(self, recipient: str) -> bool:
        with self.installation.client() as client:
            return recipient in (one.recipient for one in client.queued(limit=1000).recipients)

    def reports(self, content: bytes) -> list[Received]:
        """Return the reports about a message that came back to the outside, with null sender."""
        wanted = id_of(content).encode()
        return [mail for mail in list(self.outside.messages) if not mail.mail_from and wanted in mail.content]

    def _journal_lines(self) -> Iterator[bytes]:
        for path in sorted((self.installation.data / "journal").glob("relay-*.jsonl*")):
            for name in (path, path.with_suffix("")):  # an open file loses its last suffix when it is closed
                with suppress(FileNotFoundError):
                    yield from name.read_bytes().splitlines()
                    break

    def dkim_record(self) -> str:
        return dns_record((self.installation.data / "dkim/relay.example.mw1.pem").read_bytes())

    def certificates(self) -> dict[str, bytes]:
        """Key and chain for the doors of Postfix, as PEM."""
        named, own, other = self.ca.issue_cert("mx.sts.example"), trustme.CA().issue_cert("a.b"), trustme.CA()
        return {
            "ca.pem": named.private_key_and_cert_chain_pem.bytes(),
            "self.pem": own.private_key_and_cert_chain_pem.bytes(),
            "mismatched.pem": own.private_key_pem.bytes() + other.issue_cert("a.b").cert_chain_pems[0].bytes(),
        }


@contextmanager
def hops(folder: Path) -> Iterator[Hops]:
    """Run the relay and its surroundings until the block ends; the receiving servers are others' business."""
    with ExitStack() as stack:
        outside, dns = stack.enter_context(Sink()), stack.enter_context(NameServer(_zone()))
        web = stack.enter_context(PolicyServer(ssl.create_default_context()))
        policy = stack.enter_context(mx_postfix.policy_service())
        running = Hops(folder, dns, web, outside, policy)
        _publish(running)
        _configure(running)
        running.start()
        try:
            yield running
        finally:
            if running.process is not None:
                end(running.process)


def _configure(hops: Hops) -> None:
    hops.ca.cert_pem.write_to_path(hops.folder / "ca.pem")
    (hops.folder / "providers.toml").write_text(_PROVIDERS)
    site, outside = hops.installation, hops.outside.port
    site.write(outside, NO_LIMITS + _MORE_SETTINGS.format(outside=outside), model="none")
    direct = _DIRECT.format(dns=hops.dns.address, mx_port=hops.mx_port, web=hops.web.port, folder=hops.folder)
    sink = f'mode = "sink"\nsmarthost = "127.0.0.1:{outside}"\n'
    site.config.write_text(site.config.read_text().replace(sink, direct, 1))
    for name in ("shop", "isp"):
        site.add_account(Account(name, domains=(f"{name}.example",)), name)


def _publish(hops: Hops) -> None:
    """Serve the policies of the domains that have one."""
    names = [f"mta-sts.{name}.hop.example" for name, (_, _, mode) in _MORE.items() if mode]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    hops.ca.issue_cert(*names).configure_cert(tls)
    hops.web.serve_as(tls)
    for name, (host, _, mode) in _MORE.items():
        policy = POLICY.format(mode=mode, mx=host, max_age=604_800).encode()
        hops.web.bodies[f"mta-sts.{name}.hop.example"] = policy


def _zone() -> str:
    lines = [f"exim.hop.example. 60 IN MX 10 mx.exim.example.\nmx.exim.example. 60 IN A {mx_exim.ADDRESS}"]
    doors = {door: (f"mx-{door}.postfix.example", door, "") for door in mx_postfix.DOORS}
    for name, (host, door, mode) in (doors | _MORE).items():
        lines.append(f"{name}.hop.example. 60 IN MX 10 {host}.\n{host}. 60 IN A {mx_postfix.ADDRESSES[door]}")
        if mode:
            lines.append(f'_mta-sts.{name}.hop.example. 60 IN TXT "v=STSv1; id=1;"')
            lines.append(f"mta-sts.{name}.hop.example. 60 IN A 127.0.0.1")
    return "\n".join(dict.fromkeys("\n".join(lines).split("\n"))) + "\n"


def fields_above(copy: bytes, content: bytes) -> set[str]:
    """Return the names of the fields above a letter that otherwise lies there as it was sent."""
    sent = content.replace(b"\r\n", b"\n")
    assert copy.endswith(sent), "it was changed on the way"
    return {name.lower() for name, _ in message_from_bytes(copy[: -len(sent)] + b"\n").items()}


def received_with_tls(copies: list[bytes]) -> list[bool]:
    """Tell of each copy whether the receiving Postfix says it came in TLS."""
    return [b"(using TLS" in copy for copy in copies]


def counted(mailboxes: Mapping[bytes, list[bytes]]) -> tuple[int, int]:
    """Return how many letters are lost, and how many copies too many there are."""
    return sum(not copies for copies in mailboxes.values()), sum(max(0, len(c) - 1) for c in mailboxes.values())
