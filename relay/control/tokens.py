"""Bearer tokens of one node: one file per principal, readable by the owner of the data folder only."""

import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from relay.tree import Principal, Role

PRINCIPALS = {
    "admin": Principal("admin", Role.ADMIN),
    "analytics": Principal("analytics", Role.OPERATOR),
    "dashboard": Principal("dashboard", Role.ABUSE),
    "notebook": Principal("notebook", Role.VIEWER),
}


def ensure_tokens(node_dir: Path) -> None:
    """Make the token files that are missing, mode 0600; never changes one that exists."""
    folder = node_dir / "tokens"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in PRINCIPALS:
        _create(folder / f"{name}.token")


def load(node_dir: Path) -> dict[str, Principal]:
    """Return the principal of each token. A file that is missing or empty admits nobody."""
    found = {}
    for name, principal in PRINCIPALS.items():
        path = node_dir / "tokens" / f"{name}.token"
        token = path.read_text().strip() if path.exists() else ""
        if token:
            found[token] = principal
    return found


def principal_of(tokens: Mapping[str, Principal], presented: str) -> Principal | None:
    """Find whose token this is, in a time that does not depend on how much of it is right."""
    wanted, found = presented.encode(), None
    for token, principal in tokens.items():
        if hmac.compare_digest(token.encode(), wanted):
            found = principal
    return found


def _create(path: Path) -> None:
    # Written beside and linked: another process that starts at the same time sees no file or a whole one, and both
    # use the token of whoever came first.
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
