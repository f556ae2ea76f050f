"""A real Exim 4 with spool, log and configuration of its own; which configuration, others say."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import ROOT, free_port, until
from tests.interop.servers import HOSTNAME, PASSWORD, end, listens

_UNIX_USER = "alice"
_UNPACKED = ROOT / ".ci/cache/exim/usr/sbin/exim4"  # where .ci/run puts it

# the customers of this server: any login, one password
AUTHENTICATOR = f"""
customers:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if eq{{$auth3}}{{{PASSWORD}}}}}
  server_set_id = $auth2
"""


@dataclass
class Exim:
    """One running Exim."""

    folder: Path
    port: int
    unix_sender: str = f"{_UNIX_USER}@{HOSTNAME}"
    address: str = "127.0.0.1"

    def send(self, message: bytes, sender: str, *recipients: str) -> None:
        """Hand a message to the sendmail interface."""
        # -oMai, -oMas: who the caller is; Exim sets them by itself for every caller but root, which this test must be
        caller = ("-oMai", _UNIX_USER, "-oMas", self.unix_sender)
        said = self._run("-odb", "-oi", *caller, "-f", sender, "--", *recipients, given=message)
        assert not said, said

    def flush(self) -> None:
        self._run("-qff")

    def queue(self) -> str:
        """Return what waits, as `exim4 -bp` shows it."""
        return self._run("-bp")

    def log(self) -> str:
        path = self.folder / "mainlog"
        return path.read_text(errors="replace") if path.exists() else ""

    def _run(self, *arguments: str, given: bytes = b"") -> str:
        done = subprocess.run(
            [*self.command, *arguments],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=60,
        )
        return done.stdout.decode(errors="replace")

    @property
    def config(self) -> Path:
        return self.folder / "exim.conf"

    @property
    def command(self) -> list[str]:
        return [str(self.folder / "exim4"), "-C", str(self.config)]


@contextmanager
def running(configure: Callable[[Exim, Path], None], address: str = "127.0.0.1", port: int = 0) -> Iterator[Exim]:
    """Run an Exim; skip where there is none.

    `configure` writes its `config`, and is told below which folder (/ or where it was unpacked) lies what Debian ships.
    """
    program = _program()
    # not below tmp_path: Exim gives up root, and must still reach its spool
    with tempfile.TemporaryDirectory(prefix="mailweir-exim-", dir="/var/tmp", ignore_cleanup_errors=True) as name:
        server = Exim(Path(name), port or free_port(), address=address)
        _lay_out(server.folder, program)
        configure(server, program.resolve().parents[2])
        with _daemon(server):
            yield server


def _program() -> Path:
    installed = shutil.which("exim4", path=f"{os.environ['PATH']}:/usr/sbin")
    program = Path(installed or os.environ.get("MAILWEIR_EXIM") or _UNPACKED)
    if not program.exists():
        pytest.skip("no Exim: .ci/run unpacks one; or install exim4-daemon-light, or set MAILWEIR_EXIM to an exim4")
    if os.geteuid() != 0:
        pytest.skip("Exim takes another configuration file only from root")
    tried = subprocess.run([program, "-C", "/dev/null", "-bV"], capture_output=True, check=False, timeout=60)
    if tried.returncode != 0:
        pytest.skip(f"{program} does not run, .ci/run installs what it needs: {tried.stderr.decode(errors='replace')}")
    return program


def _lay_out(folder: Path, program: Path) -> None:
    for inside in ("spool", "etc"):
        (folder / inside).mkdir()
    # a copy: an unpacked one may lie where Exim, once it has given up root, cannot reach
    shutil.copyfile(program, folder / "exim4")
    (folder / "exim4").chmod(0o755)
    for path in (folder, folder / "spool"):
        path.chmod(0o755)
        shutil.chown(path, "Debian-exim", "Debian-exim")


@contextmanager
def _daemon(server: Exim) -> Iterator[None]:
    """Run the daemon in the foreground; it also looks through the queue each second."""
    with (server.folder / "start.log").open("wb") as log:
        process = subprocess.Popen(
            [*server.command, "-bdf", "-q1s", "-oX", f"{server.address}.{server.port}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            until(lambda: listens(server.port, server.address), 30, lambda: (server.folder / "start.log").read_text())
            yield
        finally:
            end(process)
