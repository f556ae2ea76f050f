"""The lists of words.toml as regular expressions."""

import importlib.resources
import re
import tomllib
from functools import cache


@cache
def phrases(name: str, around: str = "(?:%s)") -> re.Pattern[str]:
    """Return what matches any phrase of a list, in any case and on any line. `around`: %s stands for the phrases."""
    return re.compile(around % "|".join(_lists()[name]), re.IGNORECASE | re.MULTILINE)


@cache
def _lists() -> dict[str, list[str]]:
    source = importlib.resources.files("analytics.reports").joinpath("words.toml").read_text("utf-8")
    return tomllib.loads(source)
