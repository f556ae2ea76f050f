"""What the tests ask of a mail server that stands behind the relay, whichever program it is."""

import smtplib
import socket
import subprocess
from typing import Protocol

HOSTNAME = "web1.hosting.example"
LOGIN = "srv1"  # stands in the pages
PASSWORD = "secret"


class MailServer(Protocol):
    """A server that knows one Unix user, and every login with one password on `port`."""

    port: int
    unix_sender: str  # how it names its Unix user to the relay

    @property
    def sendmail(self) -> str:
        """The path of its sendmail, for `run_as`."""
        ...

    def send(self, message: bytes, sender: str, *recipients: str) -> None:
        """Hand a message to its sendmail, as a Unix user."""
        ...

    def run_as(self, user: str, *command: str, given: bytes = b"") -> None:
        """Run a command as one of the machine's users, who has this server's sendmail."""
        ...

    def name_of(self, user: str) -> str:
        """How it names a user of the machine to the relay."""
        ...

    def flush(self) -> None:
        """Let it try at once what waits."""
        ...

    def queue(self) -> str:
        """Return what waits, in its own words."""
        ...

    def log(self) -> str: ...


def submit(server: MailServer, login: str, message: bytes, sender: str, *recipients: str) -> None:
    """Send a message as a customer's mail client does; "": as a script does that does not log in. LF line ends."""
    with smtplib.SMTP("127.0.0.1", server.port, local_hostname="laptop.example", timeout=30) as smtp:
        if login:
            smtp.login(login, PASSWORD)
        smtp.sendmail(sender, recipients, message.replace(b"\n", b"\r\n"), ["BODY=8BITMIME"])


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Tell whether somebody accepts connections on this port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process; SIGTERM must be enough."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
