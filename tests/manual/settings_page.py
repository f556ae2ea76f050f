"""docs/reference/settings.md and the table of docs/policy.md, written from relay/settings."""

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relay.settings import Policy, Route, Settings

_HEAD = """# Settings
Written from `relay/settings` by `python -m tests.test_docs`; do not edit by hand.

`mailweir.toml` in the working directory, or `--config FILE`, or `MAILWEIR_CONFIG`. A variable `MAILWEIR_SECTION__KEY`
wins over the file, as `MAILWEIR_DELIVERY__SMARTHOST_PASSWORD` does. A wrong key or value is an error at start that
names key, value and fix. What a reload takes up and what needs a restart: [operations.md](../operations.md#reload).
`mailweir init` writes a file with all of them, switched off.
"""
_TITLE = ["| key | default | meaning |", "|---|---|---|"]
_OF_SECTION = {"policy": "What each line does, and how to change one: [policy.md](../policy.md)."}


def settings_page() -> str:
    """Return the whole page: a table for each section."""
    plain = [
        row for name, field in Settings.model_fields.items() if not _section(name, field) for row in [_row(name, field)]
    ]
    parts = [_HEAD, "## At the top of the file", *_TITLE, *plain]
    for name, field in Settings.model_fields.items():
        section = _section(name, field)
        if section is not None:
            more = [_OF_SECTION[name], ""] if name in _OF_SECTION else []
            parts += [
                "",
                f"## {'[[route]]' if name == 'route' else f'[{name}]'}",
                *more,
                *_TITLE,
                *_rows(section, f"{name}."),
            ]
    return "\n".join(parts) + "\n"


def policy_table() -> str:
    """Return the policy's keys without their section's name, as they stand in a policy's own file."""
    return "\n".join([*_TITLE, *(_row(name, field) for name, field in Policy.model_fields.items())]) + "\n"


def keys() -> set[str]:
    """Return every key, dotted, and every section's name."""
    found: set[str] = set()
    for name, field in Settings.model_fields.items():
        section = _section(name, field)
        found |= {name, *(f"{name}.{key}" for key in section.model_fields)} if section else {name}
    return found


def _section(name: str, field: FieldInfo) -> type[BaseModel] | None:
    annotation = Route if name == "route" else field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _rows(model: type[BaseModel], prefix: str) -> list[str]:
    return [_row(f"{prefix}{name}", field) for name, field in model.model_fields.items()]


def _row(name: str, field: FieldInfo) -> str:
    default = "" if field.is_required() or field.default in (None, "", []) else f"`{field.default}`"
    return f"| `{name}` | {default} | {field.description or ''} |"
