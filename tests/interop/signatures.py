"""Real mail through a real front door, signed by the relay's key and two of a customer; and what verifiers say."""

import os
import re
import shutil
import smtplib
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dkim

from relay.account import Account
from relay.delivery.signing.algorithm import Algorithm
from relay.delivery.signing.dkim_keys import dns_record
from relay.domains.views import DomainOrder, NewDomain
from tests.builders import NO_LIMITS, Installation
from tests.sink import Sink
from tests.zone import Zone, serving

EXPECTED = ["relay.example rsa-sha256", "acme.example rsa-sha256", "acme.example ed25519-sha256"]
OURS = ("relay.example", "acme.example")
_BATCH = 50  # messages of one run of OpenDKIM
_verdict = re.compile(r"dkim=(\w+)[^;]*header\.d=(\S+)[^;]*header\.a=(\S+)")


@dataclass(frozen=True)
class Signed:
    """Mail as it came out, how many messages the front door refused, and the key records by name."""

    contents: list[bytes]
    refused: int
    keys: dict[str, str]


def through_the_relay(messages: Sequence[bytes], folder: Path) -> Signed:
    """Send messages (LF line ends) as a customer of whose domain both keys are proved."""
    site = Installation(folder)
    with Sink() as sink, serving(Zone()) as zone:
        more = f'nameservers = ["127.0.0.1:{zone.port}"]\n[dkim]\ndomain = "relay.example"\n{NO_LIMITS}'
        site.write(sink.port, more, model="none")
        site.config.write_text(site.config.read_text().replace("[smtp]\n", "[smtp]\nauth_without_tls = true\n"))
        site.add_account(Account("acme"), "acme")
        with site.running():
            _prove(site, zone)
            refused = _send(site, messages)
            contents = [mail.content for mail in sink.wait_for(len(messages) - refused, 120)]
    keys = {name: texts[0] for (name, kind), texts in zone.records.items() if kind == "TXT" and "_domainkey" in name}
    return Signed(contents, refused, keys)


def by_dkimpy(content: bytes, keys: dict[str, str]) -> list[str]:
    """d= and a= of our signatures that dkimpy finds good."""
    message, good = dkim.DKIM(content), []
    for index, value in enumerate(value for name, value in message.headers if name.lower() == b"dkim-signature"):
        tags = dkim.util.parse_tag_value(value)
        domain = tags[b"d"].decode()
        if domain in OURS and message.verify(
            idx=index, dnsfunc=lambda name, timeout=5: keys[name.decode().rstrip(".")].encode()
        ):
            good.append(f"{domain} {tags[b'a'].decode()}")
    return good


def opendkim() -> str:
    """The path of OpenDKIM, "" where there is none."""
    return os.environ.get("MAILWEIR_OPENDKIM") or shutil.which("opendkim", path=f"{os.environ['PATH']}:/usr/sbin") or ""


def by_opendkim(program: str, contents: Sequence[bytes], keys: dict[str, str], folder: Path) -> Iterator[list[str]]:
    """The same of each message, as OpenDKIM finds it."""
    folder.mkdir(exist_ok=True)
    (folder / "keys").write_text("".join(f"{name} {record}\n" for name, record in keys.items()))
    (folder / "conf").write_text(
        f"TestPublicKeys {folder}/keys\nMode v\nBackground no\nSyslog no\nMaximumSignaturesToVerify 20\n"
    )
    for start in range(0, len(contents), _BATCH):
        paths = []
        for number, content in enumerate(contents[start : start + _BATCH]):
            paths.append(folder / f"m{number}")
            paths[-1].write_bytes(content)
        command = [program, "-x", str(folder / "conf"), "-t", ",".join(map(str, paths)), "-vvv"]
        told = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
        results = re.split(r"### INSHEADER: ", told.stdout)[1:]
        assert len(results) == len(paths), told.stderr[-2000:]
        for result in results:
            found = _verdict.findall(result)
            yield [
                f"{domain} {algorithm}" for verdict, domain, algorithm in found if verdict == "pass" and domain in OURS
            ]


def _prove(site: Installation, zone: Zone) -> None:
    relays = dns_record((site.data / "dkim" / "relay.example.mw1.pem").read_bytes())
    zone.put("mw1._domainkey.relay.example", "TXT", relays)
    with site.client() as client:
        both = (Algorithm.RSA, Algorithm.ED25519)
        view = client.add_domain(NewDomain(account="acme", domain="acme.example", algorithms=both))
        for record in view.records:
            zone.put(record.name, record.kind, record.value)
        assert len(client.check_domain("acme.example", DomainOrder()).activated) == 2


def _send(site: Installation, messages: Sequence[bytes]) -> int:
    """How many were refused; that is the front door's right, as long as what it takes is signed well."""
    refused = 0
    with _login(site) as smtp:
        for number, message in enumerate(messages):
            try:
                smtp.sendmail(f"m{number}@acme.example", ["b@d.example"], _by_the_customer(message), ["BODY=8BITMIME"])
            except smtplib.SMTPDataError:
                refused += 1
    return refused


@contextmanager
def _login(site: Installation) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", site.smtp, timeout=30) as smtp:
        smtp.login("acme", "secret")
        yield smtp


def _by_the_customer(message: bytes) -> bytes:
    """The message with an author of the customer's domain, else as it is, its former signatures too."""
    head, gap, body = message.partition(b"\n\n")
    kept, is_kept = [b"From: Shop <a@acme.example>"], True
    for line in head.split(b"\n"):
        is_kept = is_kept if line[:1] in (b" ", b"\t") else not line.lower().startswith(b"from:")
        kept += [line] if is_kept else []
    return (b"\n".join(kept) + gap + body).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
