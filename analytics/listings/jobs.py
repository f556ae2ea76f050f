"""The jobs about our addresses: what destinations' replies say of them, and what DNS lists do."""

from collections.abc import Callable

from analytics.jobs import Job, RaiseAlarm
from analytics.listings.blocks import Blocks
from analytics.listings.quarantine import Quarantine
from analytics.listings.rounds import Rounds
from analytics.listings.subjects import Addresses
from analytics.warehouse import Warehouse
from relay.clock import Clock
from relay.control.client import ControlClient
from relay.settings import Dnsbl, SettingsError
from relay.spool.journal import Journal

_LISTINGS_SECONDS, _BLOCKS_SECONDS = 60.0, 120.0


def listing_jobs(
    dnsbl: Dnsbl,
    warehouse: Warehouse,
    journal: Journal,
    clock: Clock,
    raise_alarm: RaiseAlarm,
    relay: Callable[[], ControlClient],
) -> list[Job]:
    """Lists are asked when some are named, each minute about what is due: domains at first sight.

    Raises SettingsError for a table of codes that cannot be used.
    """
    blocks = Blocks(warehouse, raise_alarm)

    def look_at_blocks() -> str:
        told = blocks.look(clock.now())
        return f"{told} addresses named" if told else ""

    jobs = [Job("ip_blocks", _BLOCKS_SECONDS, look_at_blocks)]
    if not (dnsbl.zones or dnsbl.domain_zones):
        return jobs
    try:
        rounds = Rounds(dnsbl, warehouse, journal, clock, Addresses(dnsbl.addresses, relay))
    except (OSError, ValueError) as error:
        raise SettingsError(f"dnsbl.table: {error}") from None
    quarantine = Quarantine(warehouse, relay, raise_alarm, is_on=dnsbl.quarantine)

    def look() -> str:
        said, now = rounds.run(), clock.now()
        changed = quarantine.follow(rounds.in_force(), rounds.clean(now), now)
        return f"{said}, {changed} changed" if changed else said

    return [*jobs, Job("listings", _LISTINGS_SECONDS, look, jitter_seconds=_LISTINGS_SECONDS / 10)]
