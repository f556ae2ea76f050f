"""A real Exim 4, configured as README says, relays real messages through the relay to a sink."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.envelope import Account
from tests.builders import Installation, until
from tests.sink import Sink

# The blocks of docs/integrations/exim.md in the order of a single-file configuration, with the ports of this test.
_CONFIG = """
exim_path = {exim}
primary_hostname = web1.hosting.example
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/exim.pid
exim_user = Debian-exim
exim_group = Debian-exim
never_users =
trusted_users = root
untrusted_set_sender = *
tls_advertise_hosts =
domainlist local_domains = web1.hosting.example
queue_run_max = 5
keep_environment =
add_environment = PATH=/usr/bin

begin routers
mailweir:
  driver = manualroute
  domains = ! +local_domains
  transport = mailweir_smtp
  route_list = * 127.0.0.1::{port} byname
  self = send
  host_find_failed = defer
  same_domain_copy_routing = yes
  headers_remove = X-AuthUser
  headers_add = X-AuthUser: ${{if !def:sender_address{{bounce@$primary_hostname}}\\
      {{${{if def:authenticated_id\\
        {{${{if match{{$authenticated_id}}{{@}}{{$authenticated_id}}{{$authenticated_id@$primary_hostname}}}}}}\\
        {{${{if or{{{{!def:sender_host_address}}{{match_ip{{$sender_host_address}}{{<; 127.0.0.1 ; ::1}}}}}}\\
          {{unknown@$primary_hostname}}{{forward+$original_local_part@$original_domain}}}}}}}}}}}}
  no_more

begin transports
mailweir_smtp:
  driver = smtp
  multi_domain
  hosts_require_auth = *
  hosts_require_tls = *
  tls_verify_certificates = {certificate}
  tls_verify_hosts = :

begin retry
* mail_4xx F,1d,1s
* rcpt_4xx F,1d,1s
* data_4xx F,1d,1s
* * F,2h,2s

begin authenticators
mailweir_plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^srv1^secret
"""


@dataclass
class Exim:
    """One Exim with a spool of its own."""

    program: str
    config: Path
    certificate: Path

    def trust(self, certificate: Path) -> None:
        """Let Exim verify the relay by this certificate."""
        self.certificate.write_bytes(certificate.read_bytes())

    def send(self, message: bytes, sender: str, recipient: str) -> str:
        """Hand a message to the sendmail interface, deliver it in the foreground, return what Exim printed."""
        # -oMai: who the caller is; Exim sets it by itself for every caller but root, which this test must be
        arguments = ["-odf", "-oi", "-oMai", "alice", "-f", sender, recipient]
        return self._run(*arguments, given=message)

    def queue(self) -> str:
        return self._run("-bp")

    def run_queue(self) -> str:
        return self._run("-qff")

    def _run(self, *arguments: str, given: bytes = b"") -> str:
        done = subprocess.run(
            [self.program, "-C", str(self.config), *arguments],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=60,
        )
        return done.stdout.decode(errors="replace")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


@pytest.fixture
def exim(installation: Installation) -> Iterator[Exim]:
    program = os.environ.get("MAILWEIR_EXIM") or shutil.which("exim4", path="/usr/sbin:/usr/bin")
    if not program:
        pytest.skip("no Exim; install Debian's exim4-daemon-light or set MAILWEIR_EXIM")
    if os.geteuid() != 0:
        pytest.skip("Exim takes another configuration file only from root")
    # not below tmp_path: Exim gives up root, and must still reach its spool
    with tempfile.TemporaryDirectory(prefix="mailweir-exim-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.chown(folder, "Debian-exim", "Debian-exim")
        config = folder / "exim.conf"
        certificate = folder / "ca.pem"
        config.write_text(
            _CONFIG.format(exim=program, folder=folder, port=installation.submission, certificate=certificate)
        )
        yield Exim(program, config, certificate)


def test_real_mail_of_a_unix_user_goes_through_with_its_identity(
    exim: Exim, installation: Installation, corpora: Path
) -> None:
    messages = [path.read_bytes() for path in sorted((corpora / "bounces" / "msgs").glob("*.eml"))[:8]]
    with Sink() as sink:
        installation.write(sink.port, model="none")
        installation.add_account(Account("shop", shared_host=True), "srv1")
        with installation.running():
            exim.trust(installation.data / "tls" / "cert.pem")
            said = [exim.send(message, "alice@site.example", "x@dest.example") for message in messages]
            until(lambda: len(sink.messages) == len(messages), 30, lambda: f"{said} {exim.queue()}")

    journal = "".join(path.read_text() for path in (installation.data / "journal").glob("*.jsonl"))
    assert journal.count('"sender":"shop|x-authuser|alice@web1.hosting.example"') >= len(messages)
    assert journal.count('"tls":"TLSv1.3') >= len(messages)
    assert not any(b"x-authuser" in message.content.lower() for message in sink.messages)


def test_refusal_reaches_the_author_and_a_deferral_stays_queued(exim: Exim, installation: Installation) -> None:
    with Sink() as sink:
        installation.write(sink.port, "[limits]\nrcpts_per_hour = 1\n", model="none")
        installation.add_account(Account("shop", shared_host=True), "srv1")
        with installation.running():
            exim.trust(installation.data / "tls" / "cert.pem")
            exim.send(b"Subject: one\n\nfirst\n", "alice@site.example", "x@dest.example")
            # two recipients are more than the limit itself: what is only over it would be taken and wait here
            exim.send(b"Subject: two\n\nsecond\n", "alice@site.example", "y@dest.example,z@dest.example")
            until(lambda: len(sink.messages) == 1)
            queue = exim.queue()

    assert "y@dest.example" in queue
    assert "x@dest.example" not in queue
