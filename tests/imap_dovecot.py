"""A real Dovecot with one mailbox, behind TLS on one port and STARTTLS on another; logins in clear text are refused."""

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.builders import free_port, until
from tests.interop.servers import end, listens

PROGRAM = shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin")
USER, PASSWORD = "reports", "s$cret#"
_NOBODY = 65_534  # Dovecot serves nobody's mail as root
_CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = required
disable_plaintext_auth = yes
ssl_cert = <{folder}/chain.pem
ssl_key = <{folder}/key.pem
first_valid_uid = 1
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
mail_location = maildir:{folder}/mail
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {starttls}
  }}
  inet_listener imaps {{
    port = {tls}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}
}}
"""


@dataclass(frozen=True)
class Dovecot:
    """What runs. Its certificate is of `localhost`."""

    tls: int
    starttls: int
    folder: Path
    authority: Path

    @property
    def flags(self) -> dict[str, str]:
        """The flags of each mail by its name, as Maildir writes them: S is seen, T to be deleted."""
        found = [path.name.partition(":2,") for path in (self.folder / "mail").glob("*/*") if "eml" in path.name]
        return {name: flags for name, _, flags in found}


@contextmanager
def dovecot(mails: Mapping[str, bytes]) -> Iterator[Dovecot]:
    """Serve these mails, by names, until the block ends. Its folder's path is short: it holds sockets."""
    assert PROGRAM
    with tempfile.TemporaryDirectory(prefix="dovecot-", dir="/tmp") as name:
        folder = Path(name)
        running = _written(folder, mails)
        process = subprocess.Popen([PROGRAM, "-F", "-c", str(folder / "conf")], stdin=subprocess.DEVNULL)
        try:
            until(lambda: listens(running.tls) and listens(running.starttls), 20, lambda: _log(folder))
            yield running
        finally:
            end(process)


def _written(folder: Path, mails: Mapping[str, bytes]) -> Dovecot:
    authority = trustme.CA()
    pair = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in pair.cert_chain_pems))
    (folder / "key.pem").write_bytes(pair.private_key_pem.bytes())
    (folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    running = Dovecot(free_port(), free_port(), folder, folder / "ca.pem")
    is_root = os.getuid() == 0
    uid, gid = (_NOBODY, _NOBODY) if is_root else (os.getuid(), os.getgid())
    user, group = pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name
    (folder / "conf").write_text(
        _CONFIG.format(
            folder=folder,
            internal="dovecot" if is_root else user,
            group="dovecot" if is_root else group,
            login="dovenull" if is_root else user,
            tls=running.tls,
            starttls=running.starttls,
            uid=uid,
            gid=gid,
        )
    )
    for part in ("cur", "new", "tmp"):
        (folder / "mail" / part).mkdir(parents=True)
    for file, content in mails.items():
        (folder / "mail" / "new" / file).write_bytes(content)
    folder.chmod(0o755)
    if is_root:
        for path in [folder / "mail", *(folder / "mail").rglob("*")]:
            os.chown(path, uid, gid)
    return running


def _log(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / "log").read_text()
    return "no log"
