"""Runs the blocks of a page that are marked to be run, against one installation that all pages share."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.builders import Installation

# What pages say stands on loopback by default, and whose port it is.
_DEFAULT_PORTS = {8025: "control", 8026: "query", 8027: "web", 2525: "smtp", 2587: "submission", 2465: "smtps"}


@dataclass(frozen=True, slots=True)
class Shell:
    """A folder with `mailweir` on the path, and the ports that stand in the place of the default ones."""

    installation: Installation

    def run(self, blocks: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Run blocks in one shell that ends at the first command that fails; stdout holds both streams."""
        script = "\n".join(("set -euo pipefail", *map(self._with_ports, blocks)))
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.installation.folder,
            env=os.environ | _settings(self.installation) | {"PATH": f"{self.bin}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def bin(self) -> Path:
        """The folder of the program."""
        return self.installation.folder / "bin"

    def _with_ports(self, text: str) -> str:
        for port, name in _DEFAULT_PORTS.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{getattr(self.installation, name)}")
        return text


@contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """Give a shell in an empty folder where nothing is set up yet."""
    found = Shell(Installation(folder))
    found.bin.mkdir()
    program = found.bin / "mailweir"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -W ignore -m relay.cli "$@"\n')
    program.chmod(0o755)
    yield found


@contextmanager
def relay_of(found: Shell) -> Iterator[None]:
    """Run the relay of what the first page set up, where that page says `mailweir up`."""
    settings = _settings(found.installation)
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        with found.installation.running():
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _settings(of: Installation) -> dict[str, str]:
    """Ports of this run; pages that people follow have the default ones."""
    doors = {"SMTP__LISTEN": of.smtp, "SMTP__SUBMISSION": of.submission, "SMTP__TLS_LISTEN": of.smtps}
    many = {name: f'["127.0.0.1:{port}"]' for name, port in (doors | {"SMTP__INBOX_LISTEN": of.inbox}).items()}
    single = {"WEB__LISTEN": of.web, "CONTROL__LISTEN": of.control, "ANALYTICS__LISTEN": of.query}
    one = {name: f"127.0.0.1:{port}" for name, port in single.items()}
    more = {"CONTENT__WORKERS": "1", "SMTP__STOP_SECONDS": "3"}
    return {f"MAILWEIR_{name}": value for name, value in (many | one | more).items()}
