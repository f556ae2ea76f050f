"""A policy as a file: one table [policy], whose keys are those of settings.Policy. Pure: text in, values out.

The same table may stand in mailweir.toml, so that it can be cut out there and applied as a version.
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from relay.settings import Policy
from relay.settings.errors import explain
from relay.settings.sections import Section


class PolicyError(Exception):
    """A policy file is wrong; the text names key, value and fix."""


class PolicyFile(Section):
    """What a policy file holds."""

    policy: Policy = Policy()


Value = bool | int | float | str  # int beside float: JSON must not make 1440 a 1440.0


@dataclass(frozen=True, slots=True)
class Change:
    """A key in which two policies differ; `meaning` is the key's description."""

    key: str
    old: Value
    new: Value
    meaning: str


def read(text: str, where: str = "policy") -> Policy:
    """Read a policy; what it does not name has its default. Raises PolicyError."""
    try:
        return PolicyFile.model_validate(tomllib.loads(text)).policy
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"{where}: this is not TOML: {error}") from None
    except ValidationError as error:
        raise PolicyError(explain(error, Path(where), PolicyFile)) from None


def render(policy: Policy) -> str:
    """Write all of a policy down; `read` gives the same back.

    >>> render(Policy()).splitlines()[:2]
    ['[policy]', 'suspect_score = 0.5']
    """
    return "\n".join(["[policy]", *(f"{key} = {plain(value)}" for key, value in policy)]) + "\n"


def differences(old: Policy, new: Policy) -> list[Change]:
    """Return the keys in which they differ, in the order of the schema."""
    before, after = dict(old), dict(new)
    return [
        Change(key, before[key], after[key], field.description or "")
        for key, field in Policy.model_fields.items()
        if before[key] != after[key]
    ]


def overruled(of_file: Policy, in_force: Policy) -> list[Change]:
    """Return what a settings file names in vain, while another policy is in force; its defaults it does not name."""
    return [change for change in differences(of_file, in_force) if change.key in of_file.model_fields_set]


def plain(value: Value) -> str:
    """Write a value as it stands in the file.

    >>> plain(0.9), plain(1440), plain(True)
    ('0.9', '1440', 'true')
    """
    return json.dumps(value)


def doubts(policy: Policy) -> list[str]:
    """Say what is allowed, and yet hardly meant."""
    found = []
    if policy.suspect_score > policy.hold_score:
        found.append(
            f"suspect_score = {policy.suspect_score:g} is above hold_score = {policy.hold_score:g}: nothing is ever "
            "a suspect; lower it"
        )
    if policy.hold_score > policy.reject_score:
        found.append(
            f"hold_score = {policy.hold_score:g} is above reject_score = {policy.reject_score:g}: no message is held "
            "for its score, all are refused; lower it"
        )
    if policy.spam_warn_line > policy.spam_line:
        found.append(
            f"spam_warn_line = {policy.spam_warn_line:g} is above spam_line = {policy.spam_line:g}: holds end early "
            "at a rate for which they begin; lower it"
        )
    return found
