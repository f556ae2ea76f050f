"""A real Exim that takes mail for test domains, and takes little at a time: few recipients, few mails a connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.exim import Exim, running

ADDRESS = "127.0.3.1"
MAX_RECIPIENTS, MAILS_PER_CONNECTION = 3, 4

_CONFIG = f"""
primary_hostname = mx.exim.example
exim_path = FOLDER/exim4
dkim_verify_signers =
spool_directory = FOLDER/spool
log_file_path = FOLDER/%slog
disable_ipv6 = true
keep_environment =
host_lookup =
rfc1413_hosts =
qualify_domain = mx.exim.example
domainlist local_domains = exim.hop.example
message_size_limit = 60M
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
tls_advertise_hosts =
recipients_max = {MAX_RECIPIENTS}
smtp_accept_max_per_connection = {MAILS_PER_CONNECTION}
log_selector = +smtp_connection +smtp_protocol_error +smtp_syntax_error
acl_smtp_rcpt = rcpt
acl_smtp_data = accept

begin acl
rcpt:
  deny local_parts = unknown
    message = 550 5.1.1 No such user here
  accept domains = +local_domains
  deny message = 550 5.7.1 relay not permitted

begin routers
outside:
  driver = manualroute
  domains = ! +local_domains
  transport = outside
  route_list = * 127.0.0.1::OUTSIDE byname
  self = send
here:
  driver = accept
  transport = maildir

begin transports
outside:
  driver = smtp
  hosts_try_fastopen =
maildir:
  driver = appendfile
  directory = FOLDER/mail
  create_directory
  maildir_format
  envelope_to_add
  return_path_add
  user = Debian-exim

begin retry
* * F,1d,1s
"""


@contextmanager
def mx_exim(port: int, outside: int) -> Iterator[Exim]:
    """Run it at `ADDRESS`; its own reports go to the port `outside` of loopback."""

    def configure(server: Exim, _root: Path) -> None:
        config = _CONFIG.replace("FOLDER", str(server.folder)).replace("OUTSIDE", str(outside))
        server.config.write_text(config)

    with running(configure, ADDRESS, port) as server:
        yield server


def mail_folder(server: Exim) -> Path:
    return server.folder / "mail/new"
