"""The machine's own `postfix check` and `postconf`, with another folder as /etc/postfix."""

import subprocess
from pathlib import Path

import pytest


def postfix_folder(folder: Path, main: str) -> Path:
    """A copy of what the package put into /etc/postfix, with this main.cf. Skips where that cannot be."""
    if not Path("/usr/sbin/postfix").exists():
        pytest.skip("no Postfix; install Debian's postfix")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespace may be made here: `postfix check` looks at /etc/postfix only")
    config = folder / "postfix"
    subprocess.run(["cp", "-a", "/etc/postfix", str(config)], check=True)
    (config / "main.cf").write_text(main)
    return config


def checked(config: Path) -> str:
    """What `postfix check` and `postconf` have to say against it."""
    # `script`: off a terminal Postfix says its warnings to the log alone
    return in_namespace(config, 'script -qec "postfix check" /dev/null && postconf -n > /dev/null')


def in_namespace(config: Path, commands: str) -> str:
    """Run shell commands with this folder as /etc/postfix; what they say."""
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/postfix && eval "$1"', str(config), commands],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=60,
    )
    return done.stdout.decode(errors="replace")
