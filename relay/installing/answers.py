"""Five questions that a new installation has to answer, and what their answers are in settings. Pure."""

import re
from dataclasses import dataclass
from pathlib import Path

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
_SMARTHOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:(?P<port>\d{1,5}))?")
_ADDRESS = re.compile(r"[^\s@]{1,64}@[A-Za-z0-9.-]{1,255}")
DIRECT, LOCAL, PUBLIC, NOBODY = "direct", "local", "public", "none"
DEBIAN_CONFIG, DEBIAN_DATA = Path("/etc/mailweir"), Path("/var/lib/mailweir")


class BadAnswer(Exception):
    """An answer that cannot be meant; the text says what to write."""


@dataclass(frozen=True, slots=True)
class Answers:
    """`leaves`: direct, or HOST[:PORT] of a smarthost; `senders`: local or public; `desk`: an address or none."""

    hostname: str = ""
    dir: str = ""
    leaves: str = DIRECT
    senders: str = LOCAL
    desk: str = NOBODY


@dataclass(frozen=True, slots=True)
class Question:
    """`name` is that of the answer, and of its option."""

    name: str
    text: str


QUESTIONS = (
    Question("hostname", "1/5  The relay's name in DNS, as other mail servers see it"),
    Question("dir", "2/5  Folder for everything it writes: mail, state, journals"),
    Question("leaves", "3/5  How mail leaves: direct, or HOST:PORT of a smarthost"),
    Question("senders", "4/5  Who hands mail in: local (this machine only), or public (ports 25, 465, 587)"),
    Question("desk", "5/5  Address of your abuse desk, which is told of stopped senders; or none"),
)


def defaults(target: Path, hostname: str) -> Answers:
    """What is proposed for a settings file at `target`; `hostname` is what this machine calls itself."""
    data = DEBIAN_DATA if target.parent == DEBIAN_CONFIG else target.parent / "mailweir-data"
    return Answers(hostname if "." in hostname else "mailweir.localhost", str(data))


def chosen(answers: Answers) -> dict[str, object]:
    """The settings that the answers ask for, by their keys; no defaults among them. Raises BadAnswer."""
    found: dict[str, object] = {}
    if not _HOST.fullmatch(answers.hostname):
        raise BadAnswer(f"hostname {answers.hostname!r}: write a name like relay.example.org")
    if answers.hostname != "mailweir.localhost":
        found["node.hostname"] = answers.hostname
    if answers.leaves != DIRECT:
        parts = _SMARTHOST.fullmatch(answers.leaves)
        if not parts or not 0 < int(parts["port"] or 25) < 65_536:
            raise BadAnswer(f"leaves {answers.leaves!r}: write direct, or HOST:PORT like smtp.example.org:587")
        found |= {"delivery.mode": "smarthost", "delivery.smarthost": f"{parts['host']}:{parts['port'] or 25}"}
    if answers.senders not in (LOCAL, PUBLIC):
        raise BadAnswer(f"senders {answers.senders!r}: write {LOCAL} or {PUBLIC}")
    if answers.senders == PUBLIC:
        for key, port in (("listen", 25), ("submission", 587), ("tls_listen", 465)):
            found[f"smtp.{key}"] = [f"0.0.0.0:{port}", f"[::]:{port}"]
    if answers.desk != NOBODY:
        if not _ADDRESS.fullmatch(answers.desk):
            raise BadAnswer(f"desk {answers.desk!r}: write an address like abuse@example.org, or {NOBODY}")
        found["node.abuse_contact"] = answers.desk
    return found
