"""The command `notebook`: the notebooks as copies of one's own, opened in Jupyter where it is installed."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from relay.cli import Context

_PLACES = (
    Path(__file__).parent / "notebooks",  # in the wheel
    Path(__file__).parent.parent / "notebooks",  # in the source tree
)
_JUPYTER = ("jupyterlab", "notebook")  # modules that open a browser; the first one found does


@click.command()
@click.argument("name", default="")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where your copies live. [default: ~/mailweir-notebooks]",
)
@click.option("--fresh", is_flag=True, help="Copy anew; a copy that you changed is kept beside it as NAME.bak.ipynb.")
@click.option("--no-open", is_flag=True, help="Only copy.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with ls.")
@click.pass_obj
def notebook(context: Context, name: str, folder: Path | None, fresh: bool, no_open: bool, as_json: bool) -> None:
    """Copy notebooks to a folder of yours and open them in Jupyter: NAME, or all; `ls` lists them.

    NAME is a number or a part of a name: `02`, `reputation`.
    """
    found = _shipped()
    if name == "ls":
        titles = {path.stem: _title(path) for path in found}
        click.echo(json.dumps(titles) if as_json else "\n".join(f"{stem:<24} {said}" for stem, said in titles.items()))
        return
    chosen = [path for path in found if name.lower() in path.stem]
    if not chosen:
        raise click.ClickException(
            f"there is no notebook {name!r}; there are: {', '.join(path.stem for path in found)}"
        )
    target = (folder or Path.home() / "mailweir-notebooks").expanduser().absolute()
    copies = [_copied(path, target, is_fresh=fresh) for path in chosen]
    for path in copies:
        click.echo(path)
    if not no_open:
        _open(copies[0] if len(copies) == 1 else target, _config(context))


def _shipped() -> list[Path]:
    for place in _PLACES:
        if found := sorted(place.glob("[0-9]*.ipynb")):
            return found
    raise click.ClickException(f"the notebooks are missing: neither {_PLACES[0]} nor {_PLACES[1]} has any")


def _title(path: Path) -> str:
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).splitlines()[0].removeprefix("# ")


def _copied(path: Path, folder: Path, *, is_fresh: bool) -> Path:
    """Copy unless there is one already: what a person wrote into it is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / path.name
    if copy.exists() and is_fresh and copy.read_bytes() != path.read_bytes():
        copy.replace(copy.with_suffix(".bak.ipynb"))
    if not copy.exists():
        shutil.copyfile(path, copy)
    return copy


def _config(context: Context) -> str:
    """The settings that the notebooks should read: those of this command, else the demo's where there is one."""
    from analytics.simulation.installation import default_folder

    if chosen := context.config or os.environ.get("MAILWEIR_CONFIG"):
        return str(chosen)
    here, demo = Path("mailweir.toml").absolute(), default_folder() / "mailweir.toml"
    return str(here if here.exists() else demo if demo.exists() else "")


def _open(path: Path, config: str) -> None:
    module = next((name for name in _JUPYTER if importlib.util.find_spec(name)), None)
    if module is None:
        click.echo(
            f"Jupyter is not installed for this Python. Install it, and call this again:\n"
            f"  {sys.executable} -m pip install jupyterlab\n"
            f"Or open the file in any editor of notebooks that runs {sys.executable}"
            + (f", with MAILWEIR_CONFIG={config}" if config else ""),
            err=True,
        )
        return
    environment = os.environ | ({"MAILWEIR_CONFIG": config} if config else {})
    sys.exit(_run([sys.executable, "-m", module, str(path)], environment))


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    try:
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - our own Python
    except KeyboardInterrupt:  # Jupyter has said goodbye by itself
        return 0
