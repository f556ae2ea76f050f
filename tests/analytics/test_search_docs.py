"""docs/search.md tells the fields there are. `python -m tests.analytics.test_search_docs` writes its table anew."""

from analytics.search.fields import FEATURE_FIELDS, FIELDS
from analytics.search.tables import TABLES
from tests.builders import ROOT

_PATH = ROOT / "docs/search.md"
_BEGIN, _END = "<!-- fields: written by `python -m tests.analytics.test_search_docs` -->\n", "<!-- /fields -->"


def _table() -> str:
    features = {field.name for field in FEATURE_FIELDS}
    lines = ["| field | holds | finds | example |", "|---|---|---|---|"]
    for field in FIELDS.values():
        if field.name not in features:
            holds = ", ".join(field.choices) if field.choices else str(field.kind.value)
            lines.append(f"| `{field.name}` | {holds} | {field.meaning} | `{field.example}` |")
    return "\n".join(lines) + "\n"


def test_the_page_has_every_field_as_the_code_has_it() -> None:
    written = _PATH.read_text().partition(_BEGIN)[2].partition(_END)[0]

    assert written == _table()


def test_the_page_names_the_tables_that_can_be_exported() -> None:
    text = " ".join(_PATH.read_text().split())

    assert ", ".join(TABLES) in text


if __name__ == "__main__":
    before, _, rest = _PATH.read_text().partition(_BEGIN)
    _PATH.write_text(before + _BEGIN + _table() + _END + rest.partition(_END)[2])
