"""A file that goes away between a listing and a look is no error."""

from collections.abc import Iterator
from pathlib import Path

from relay.files import still_there


def test_what_went_away_meanwhile_is_left_out_and_the_rest_is_told(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name * 3)

    def listing() -> Iterator[Path]:
        for path in sorted(tmp_path.iterdir()):
            if path.name == "b":
                path.unlink()
            yield path

    found = [(path.name, state.st_size) for path, state in still_there(listing())]

    assert found == [("a", 3), ("c", 3)]
