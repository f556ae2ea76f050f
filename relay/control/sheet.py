"""Cells of CSV files that people open in a spreadsheet: what came from outside must not run there.

Pure. All CSV we write goes through here, and what we read of our own comes back as it was.
"""

import re
from typing import Any

_FORMULA = "=+\\-@\t\r\n"  # what spreadsheets execute, or what hides such from them (OWASP, CSV injection)
_BEGINS = re.compile(f"'*[{_FORMULA}]")
_DEFUSED = re.compile(f"'+[{_FORMULA}]")


def inert(value: Any) -> Any:
    """A cell as it stands in a sheet: text that would be a formula gets an apostrophe before it, which sheets hide.

    >>> inert("=HYPERLINK(1)"), inert("'=x"), inert("it's"), inert(-5)
    ("'=HYPERLINK(1)", "''=x", "it's", -5)
    """
    return f"'{value}" if isinstance(value, str) and _BEGINS.match(value) else value


def restored(cell: str) -> str:
    """What `inert` was given.

    >>> restored("'+tag@a.example"), restored("''=x"), restored("'t is")
    ('+tag@a.example', "'=x", "'t is")
    """
    return cell[1:] if _DEFUSED.match(cell) else cell
