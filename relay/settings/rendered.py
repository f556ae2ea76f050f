"""Renders mailweir.toml from the settings' own fields, so that the file and the program cannot disagree."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relay.settings import Route, Settings

_HEAD = """\
# Mailweir's settings. Every key stands here with its default, switched off by a `#`; a wrong or unknown one is an error
# at start that names it. MAILWEIR_SECTION__KEY in the environment wins over this file.
"""
_WIDTH = 118


def render(data_dir: Path, chosen: Mapping[str, object] = {}) -> str:
    """The text of a new settings file whose data folder is `data_dir`; `chosen`: "section.key" -> its value, not the
    default."""
    lines = [_HEAD]
    sections: list[str] = []
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if name == "route":
            sections += _section("[[route]]", Route, "# [[route]]")
        elif isinstance(section, type) and issubclass(section, BaseModel):
            sections += _section(f"[{name}]", section, f"[{name}]", chosen, name)
        elif name == "dir":
            lines += [*_comment(field), f"{name} = {_toml(str(data_dir))}", ""]
        else:
            lines += [*_setting(name, field), ""]
    return "\n".join([*lines, *sections]).rstrip() + "\n"


def _section(
    title: str, model: type[BaseModel], heading: str, chosen: Mapping[str, object] = {}, section: str = ""
) -> list[str]:
    purpose = " ".join((model.__doc__ or "").split())
    body = [
        line
        for name, field in model.model_fields.items()
        for line in (
            [*_comment(field), f"{name} = {_toml(chosen[f'{section}.{name}'])}"]
            if f"{section}.{name}" in chosen
            else _setting(name, field)
        )
    ]
    return [*(f"# {line}" for line in textwrap.wrap(purpose, _WIDTH - 2)), heading, *body, ""]


def _setting(name: str, field: FieldInfo) -> Iterator[str]:
    yield from _comment(field)
    if field.is_required():
        yield f"# {name} = ..."
    elif field.default is None:
        yield f"# {name} ="
    else:
        yield f"# {name} = {_toml(field.default)}"


def _comment(field: FieldInfo) -> Iterator[str]:
    if field.description:
        yield from textwrap.wrap(field.description, _WIDTH - 3, initial_indent="#  ", subsequent_indent="#  ")


def _toml(value: object) -> str:
    # JSON's strings, numbers, booleans and arrays of strings are TOML's.
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
