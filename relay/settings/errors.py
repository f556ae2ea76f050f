"""What is wrong with a settings file, for people: key, value, and what the key is for. Never shows a secret."""

import difflib
import typing
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

_Place = tuple[int | str, ...]


def explain(error: ValidationError, path: Path | None, settings: type[BaseModel]) -> str:
    """Return the whole text, a line for each mistake; `settings` is the model that found them."""
    lines = []
    for problem in error.errors():
        place, value = problem["loc"], problem.get("input")
        key = ".".join(str(part) for part in place)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key} = {value!r}: unknown setting.{_suggest(settings, place)}")
            continue
        field = _field_of(settings, place)
        is_hidden = (field is not None and not field.repr) or isinstance(value, dict)  # a section may hold one
        shown = "(not shown)" if is_hidden else repr(value)
        purpose = f" It is: {field.description} (default {field.default!r})" if field else ""
        lines.append(f"{key} = {shown}: {problem['msg']}.{purpose}")
    return "\n".join([f"{path or 'settings'}: {len(lines)} wrong", *lines])


def _section_of(settings: type[BaseModel], place: _Place) -> type[BaseModel] | None:
    found = settings
    for part in place[:-1]:
        if isinstance(part, int):
            continue
        field = found.model_fields.get(part)
        if field is None:
            return None
        # of a list of sections ([[route]]) the section
        annotation = next(iter(typing.get_args(field.annotation)), field.annotation)
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return None
        found = annotation
    return found


def _field_of(settings: type[BaseModel], place: _Place) -> FieldInfo | None:
    section = _section_of(settings, place)
    return section.model_fields.get(str(place[-1])) if section else None


def _suggest(settings: type[BaseModel], place: _Place) -> str:
    section, name = _section_of(settings, place), str(place[-1])
    names = list(section.model_fields) if section else []
    if near := difflib.get_close_matches(name, names, 1):
        return f" Did you mean {near[0]!r}?"
    if below := [one for one in names if _field_of(settings, (*place[:-1], one, name))]:
        return f" It belongs below [{'.'.join(map(str, (*place[:-1], below[0])))}]."
    return f" Known here: {', '.join(names)}"
