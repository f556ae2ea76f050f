"""Looking at files that another process may take away meanwhile."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def still_there(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Those of the paths that exist when their turn comes, each with its state.

    Between a listing of the journal and a look at one of its files, analytics may have ingested and moved it.
    """
    for path in paths:
        try:
            yield path, path.stat()
        except FileNotFoundError:
            continue
