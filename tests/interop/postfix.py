"""A real Postfix with configuration, queue and log of its own, set up as docs/integrations/postfix.md says."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay.panels.pages import Panel
from tests.builders import free_port, until
from tests.interop.dovecot import dovecot
from tests.interop.pages import adapted, snippet
from tests.interop.servers import HOSTNAME, end

_UNIX_USER = 1001

# what a fresh server has before the page's block comes
_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {folder}/bin
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = {hostname}
mydestination = {hostname}
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
minimal_backoff_time = 1s
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth_port}
smtpd_peername_lookup = no
"""
# what Debian's start script puts into the chroot of the SMTP client
_CHROOT = ("hosts", "nsswitch.conf", "resolv.conf", "services")
# the rest of a queue, all of it Postfix's own
_QUEUE = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming")
_QUEUE += ("maildrop", "private", "public", "saved", "trace")


@dataclass
class Postfix:
    """One running Postfix."""

    folder: Path
    port: int
    unix_sender: str = f"uid{_UNIX_USER}@{HOSTNAME}"
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start the master itself; what the command `postfix` looks at around it would take seconds."""
        master = f"{self.postconf('daemon_directory')}/master"
        with (self.folder / "start.log").open("ab") as log:
            self._process = subprocess.Popen(
                [master, "-d", "-c", str(self.folder / "config")],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        # not its port: that is open before it knows what SIGHUP means
        until(lambda: "daemon started" in self.log(), 30, lambda: (self.folder / "start.log").read_text())

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None

    def rewrite(self, file: str, change: dict[str, str]) -> None:
        """Change one of its files. Daemons at work may know the old text for one more message."""
        path = self.folder / "config" / file
        path.write_text(adapted(path.read_text(), change))
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def lookup(self, table: str, line: str) -> str:
        """Return what one of its regexp tables says about a header line."""
        return self._run("postmap", "-q", line, f"regexp:{self.folder}/config/{table}").rstrip("\n")

    def send(self, message: bytes, sender: str, *recipients: str) -> None:
        """Hand a message to sendmail as a Unix user that is not root."""
        self.run_as(_UNIX_USER, self.sendmail, "-i", "-f", sender, "--", *recipients, given=message)

    @property
    def sendmail(self) -> str:
        return self._command("sendmail")

    def run_as(self, user: str, *command: str, given: bytes = b"") -> None:
        """Run a command as a user of the machine, to whom this Postfix's configuration is the one."""
        subprocess.run(
            command,
            input=given,
            env=self._environment,
            check=True,
            timeout=60,
            user=user,
            group=user,
            extra_groups=[],
            cwd="/",
        )

    def name_of(self, user: str) -> str:
        return f"uid{pwd.getpwnam(user).pw_uid}@{HOSTNAME}"

    def flush(self) -> None:
        self._run("postqueue", "-f")

    def flush_until(self, is_done: Callable[[], object]) -> None:
        """Flush each second until something is so: a queue manager that reloads just then does not hear of a flush."""
        for _ in range(20):
            self.flush()
            with suppress(AssertionError):
                until(is_done, 1)
                return
        raise AssertionError(self.log())

    def queue(self) -> str:
        """Return what waits, as `postqueue -p` shows it."""
        return self._run("postqueue", "-p")

    def log(self) -> str:
        path = self.folder / "mail.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def postconf(self, name: str) -> str:
        return self._run("postconf", "-h", name).strip()

    def _run(self, command: str, *arguments: str) -> str:
        done = subprocess.run(
            [self._command(command), *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=60,
        )
        return done.stdout.decode(errors="replace")

    def _command(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    @property
    def _environment(self) -> dict[str, str]:
        return {"MAIL_CONFIG": str(self.folder / "config"), "PATH": os.environ["PATH"]}


@contextmanager
def postfix(relay_port: int, certificate: Path, main: dict[str, str] | None = None) -> Iterator[Postfix]:
    """Run a Postfix whose smarthost is a relay on this machine; skip where there is no Postfix.

    `main` are changes to the page's block for main.cf.
    """
    with (
        dovecot() as auth_port,
        running(lambda server: _configure(server, relay_port, certificate, auth_port, main or {})) as server,
    ):
        yield server


@contextmanager
def running(configure: Callable[[Postfix], None], port: int = 0) -> Iterator[Postfix]:
    """Run a Postfix; skip where there is none. `configure` writes its main.cf and master.cf."""
    program = shutil.which("postfix", path=f"{os.environ['PATH']}:/usr/sbin") or os.environ.get("MAILWEIR_POSTFIX")
    if not program:
        pytest.skip("no Postfix; install Debian's postfix or set MAILWEIR_POSTFIX to the command `postfix`")
    if os.geteuid() != 0:
        pytest.skip("Postfix is started by root only")
    # not below tmp_path: Postfix gives up root, and must still reach its queue
    with tempfile.TemporaryDirectory(prefix="mailweir-postfix-", dir="/var/tmp", ignore_cleanup_errors=True) as name:
        server = Postfix(Path(name), port or free_port())
        _lay_out(server.folder, Path(program).parent)
        configure(server)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _lay_out(folder: Path, commands: Path) -> None:
    folder.chmod(0o755)
    for inside in ("bin", "config", "data", "queue/etc", "queue/pid"):
        (folder / inside).mkdir(parents=True)
    for command in ("postfix", "sendmail", "postconf", "postlog", "postsuper", "postmulti", "postmap"):
        (folder / "bin" / command).symlink_to(commands / command)
    # Debian's are setgid and then take no configuration but the machine's own; plain copies into open folders do
    for command in ("postdrop", "postqueue"):
        shutil.copyfile(commands / command, folder / "bin" / command)
        (folder / "bin" / command).chmod(0o755)
    for file in _CHROOT:
        if (source := Path("/etc") / file).exists():
            shutil.copyfile(source, folder / "queue/etc" / file)
    shutil.chown(folder / "data", "postfix")
    for inside in _QUEUE:
        (folder / "queue" / inside).mkdir()
        (folder / "queue" / inside).chmod(0o700)
        shutil.chown(folder / "queue" / inside, "postfix")
    for inside, mode in (("maildrop", 0o1733), ("public", 0o755)):
        (folder / "queue" / inside).chmod(mode)


def _configure(server: Postfix, relay_port: int, certificate: Path, auth_port: int, main: dict[str, str]) -> None:
    config, page = server.folder / "config", snippet(Panel.POSTFIX, relay_port)
    files = {"/etc/postfix/mailweir": f"{config}/mailweir"}
    trusted = {"/etc/ssl/certs/ca-certificates.crt": str(config / "ca.pem")}
    base = _MAIN.format(folder=server.folder, hostname=HOSTNAME, auth_port=auth_port)
    shutil.copyfile(certificate, config / "ca.pem")
    block = adapted(page["/etc/postfix/main.cf"], files | trusted)
    (config / "main.cf").write_text(base + adapted(block, main))
    (config / "mailweir_login").write_text(page["/etc/postfix/mailweir_login"])
    (config / "mailweir_login").chmod(0o600)
    (config / "mailweir_identity").write_text(page["/etc/postfix/mailweir_identity"])
    write_services(server, f"127.0.0.1:{server.port} inet n - y - - smtpd\n")


def write_services(server: Postfix, doors: str) -> None:
    """Write Debian's master.cf, with these lines in place of the door on port 25."""
    services = Path("/usr/share/postfix/master.cf.dist").read_text()
    usual = next(line for line in services.splitlines(keepends=True) if line.startswith("smtp      inet"))
    (server.folder / "config/master.cf").write_text(services.replace(usual, doors))
