"""The node's own secret, a file that nobody else reads."""

import os
import secrets
from pathlib import Path

_SECRET_BYTES = 32


def node_secret(path: Path) -> bytes:
    """The node's key for references and keyed hashes; made once, whole or not at all."""
    secret = path.read_bytes() if path.exists() else b""
    if len(secret) < _SECRET_BYTES:  # a full disk left it empty, and an empty key would sign for everybody
        secret, draft = secrets.token_bytes(_SECRET_BYTES), path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    return secret
