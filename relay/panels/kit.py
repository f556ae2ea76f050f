"""A folder to take to the customer's server: the page, each block as a file, the panel's plugin. Holds no password."""

import shutil
from pathlib import Path

from relay.panels.pages import Block, Names, Panel, blocks, guide
from relay.panels.places import stored

PLUGINS = {Panel.CPANEL: "whm-plugin", Panel.PLESK: "plesk-extension"}


def write(panel: Panel, names: Names, target: Path) -> list[Path]:
    """Write it; return the paths within `target`. Raises FileExistsError where something lies there already."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise FileExistsError(f"{target} is not empty: give an empty folder, or one that is not there yet")
    written = [_write(target / "README.md", guide(panel, names))]
    written += [_write(target / name_of(block), block.text) for block in blocks(panel, names)]
    plugin = PLUGINS.get(panel)
    if plugin:
        shutil.copytree(stored(plugin), target / plugin)
        _make_runnable(target / plugin)
        written.append(target / plugin)
    return [path.relative_to(target) for path in written]


def name_of(block: Block) -> str:
    """The file a block goes into: `etc/...` as on the server; `.append` where it is only added to what is there.

    >>> name_of(Block("`/etc/postfix/main.cf`, append", ""))
    'etc/postfix/main.cf.append'
    """
    return block.place.lstrip("/") + (".append" if block.is_addition else "")


def _make_runnable(plugin: Path) -> None:
    """Give scripts the mode that a wheel does not carry."""
    for path in plugin.rglob("*"):
        if path.is_file() and path.read_bytes().startswith(b"#!"):
            path.chmod(0o755)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    # A password comes to stand there; the other files are read by mail servers that are root no more
    path.chmod(0o600 if "SECRET" in text else 0o644)
    return path
