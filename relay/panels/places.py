"""Where the pages of docs/integrations, and the plugins beside them, lie: in the wheel, or in the source tree."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "data" / "integrations", _PACKAGE.parent / "docs" / "integrations")


def stored(name: str) -> Path:
    """Return the path of a page or plugin. Raises FileNotFoundError: the installation lacks it."""
    path = next((place / name for place in _PLACES if (place / name).exists()), None)
    if path is None:
        raise FileNotFoundError(f"{name} is in none of {', '.join(map(str, _PLACES))}")
    return path
