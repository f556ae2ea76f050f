"""A throw-away PostgreSQL server for tests: its own folder, its own port, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.builders import free_port


def _binaries() -> Path | None:
    """The folder of the server's programs: Debian keeps them off the PATH."""
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    if found := shutil.which("initdb"):
        folders.append(Path(found).parent)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


@contextmanager
def server() -> Iterator[str]:
    """Give the URL of a running server's first database, without its name; skip where there is no server to run."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here (Debian: apt install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (the extra `cluster`)")
    user = "postgres" if os.getuid() == 0 else None  # the server refuses to run as root
    if user and not any(entry.pw_name == user for entry in pwd.getpwall()):
        pytest.skip("no user `postgres`, and the server does not run as root")
    folder, port = Path(tempfile.mkdtemp(prefix="mailweir-postgres-")), free_port()
    try:
        if user:
            shutil.chown(folder, user)

        def run(*command: str | Path) -> None:
            subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        run(binaries / "initdb", "-D", folder / "data", "-U", "mailweir", "-A", "trust", "-E", "UTF8", "--no-sync")
        control = (binaries / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log")
        run(*control, "-o", options, "start")
        try:
            yield f"postgresql://mailweir@127.0.0.1:{port}/"
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
