"""The policy that analytics counts suspects by: the one the relay judges by.

While the relay does not answer, the last known one; before it ever did, [policy] of the settings file.
"""

from collections.abc import Callable

from analytics.ingesting.ingest import Ingest
from relay.control.client import ControlClient, ControlError
from relay.policy.file import PolicyError, read
from relay.settings import Policy

POLICY_SECONDS = 30.0


def policy_in_force(relay: Callable[[], ControlClient]) -> Policy | None:
    """Ask the relay; None while it does not say."""
    try:
        with relay() as client:
            return read(client.policy().text)
    except (ControlError, PolicyError):
        return None


def policy_job(ingest: Ingest, relay: Callable[[], ControlClient]) -> Callable[[], str]:
    """The job that keeps ingestion's policy the relay's."""

    def run() -> str:
        policy = policy_in_force(relay)
        return "another policy" if policy is not None and ingest.take_up(policy) else ""

    return run
