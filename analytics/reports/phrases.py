"""The lists of words.toml as patterns. Of RE2: linear in the text, whatever stands there, and fast on long lists."""

import importlib.resources
import tomllib
from functools import cache
from typing import Any


@cache
def phrases(name: str) -> Any:
    """Return what searches for any phrase of a list, in any case, `^` and `$` on any line; it has re.Pattern's methods.

    The list of that name in words.toml; each phrase is a pattern of RE2.
    """
    return linear("|".join(_lists()[name]))


def linear(pattern: str) -> Any:
    """Return a pattern of RE2, with re.Pattern's methods: any case, `^` and `$` on any line."""
    import re2

    options = re2.Options()
    options.case_sensitive, options.log_errors = False, False
    return re2.compile(f"(?m:{pattern})", options)


@cache
def _lists() -> dict[str, list[str]]:
    source = importlib.resources.files("analytics.reports").joinpath("words.toml").read_text("utf-8")
    return tomllib.loads(source)
