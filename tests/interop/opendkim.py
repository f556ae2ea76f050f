"""A real opendkim that verifies, as a milter of the receiving Postfix."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.builders import until
from tests.interop.servers import end, listens

_CONFIG = """
Mode v
Socket inet:{port}@127.0.0.1
AuthservID mx.postfix.example
AlwaysAddARHeader yes
# else what comes from loopback is not looked at
InternalHosts 192.0.2.1
TestPublicKeys {folder}/keys
PidFile {folder}/pid
Syslog no
"""


def is_installed() -> bool:
    return shutil.which("opendkim") is not None


@contextmanager
def opendkim(folder: Path, port: int, keys: Mapping[str, str]) -> Iterator[None]:
    """Run one that knows `keys`, records by name; without opendkim nobody listens there."""
    if not is_installed():
        yield
        return
    folder.mkdir()
    (folder / "keys").write_text("".join(f"{name} {record}\n" for name, record in keys.items()))
    (folder / "opendkim.conf").write_text(_CONFIG.format(port=port, folder=folder))
    with (folder / "log").open("wb") as log:
        command = ["opendkim", "-f", "-x", str(folder / "opendkim.conf")]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(lambda: listens(port), 30, lambda: (folder / "log").read_text())
            yield
        finally:
            end(process)
