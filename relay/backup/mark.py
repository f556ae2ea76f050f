"""The mark of a restore that is not through: nothing may start on half a data folder."""

from pathlib import Path

MARK = ".restoring"


class HalfRestored(Exception):
    """The data folder holds a part of a backup only."""


def refuse_half(folder: Path) -> None:
    """Raises HalfRestored."""
    if (folder / MARK).exists():
        raise HalfRestored(
            f"{folder}: a restore runs here, or was cut off; let it end, or empty the folder and restore again"
        )
