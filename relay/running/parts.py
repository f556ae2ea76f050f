"""The parts of a running relay, and what they say of how they are."""

import os
import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import relay
from relay.content.active import active_model
from relay.content.workers import ContentPool
from relay.control.commands import Commands
from relay.control.labels.models import ModelDesk
from relay.delivery.courier import Courier
from relay.domains.desk import DomainDesk
from relay.evidence.desk import EvidenceDesk
from relay.evidence.suppressing import Suppressing
from relay.front.entrances import entrances
from relay.front.server import Doors
from relay.front.web.messages import Messages
from relay.front.web.server import PublicWeb
from relay.holds.expiry import Expiry
from relay.holds.following import Following
from relay.metrics import Metrics
from relay.notices.digest import Digests
from relay.notices.self_release import SelfRelease
from relay.notices.sending import Notices
from relay.reception.pipeline import Receiver
from relay.returns.inbound import Returns
from relay.running.core import Core

_TROUBLE_SECONDS = 10.0  # a balancer that is told so sends no mail, and only mail shows that it is over
_FREE_BYTES = 4 * 1024 * 1024  # below, a disk is called full before the next message finds out


@dataclass(frozen=True, slots=True)
class Told:
    """How people outside hear of what happens."""

    digests: Digests
    notices: Notices
    releases: SelfRelease


@dataclass(frozen=True, slots=True)
class Parts:
    """A running relay."""

    core: Core
    started_at: datetime
    courier: Courier
    told: Told
    receiver: Receiver
    doors: Doors
    inbox: Doors
    returns: Returns
    messages: Messages
    web: PublicWeb
    metrics: Metrics
    commands: Commands
    domains: DomainDesk
    models: ModelDesk
    expiry: Expiry
    following: Following
    suppressing: Suppressing
    evidence: EvidenceDesk

    def troubles(self) -> list[str]:
        """Why this relay takes no mail, or does not look into it; [] when all is well. For /healthz."""
        settings, found = self.core.settings, []
        failed_at = self.core.spool.counts().failed_at
        if failed_at and time.monotonic() - failed_at < _TROUBLE_SECONDS:
            found.append("the spool cannot store mail; the log says why")
        if shutil.disk_usage(settings.dir).free < _FREE_BYTES:
            found.append(f"the disk of {settings.dir} is full")
        if isinstance(self.core.content, ContentPool) and not self.core.content.stats().workers:
            found.append("no content worker")
        return found

    def status(self) -> dict[str, Any]:
        """What GET /v1/status shows."""
        settings = self.core.settings
        return {
            "node": settings.node.name,
            "version": relay.__version__,
            "demo": settings.demo,
            "pid": os.getpid(),
            "started_at": self.started_at,
            "smtp": [entrance.address for entrance in entrances(settings.smtp) if not entrance.is_inbox],
            "inbox": settings.smtp.inbox_listen,
            "sessions": self.doors.sessions,
            "spool": self.core.spool.counts(),
            "content": self.core.content.stats(),
            "model": active_model(settings),
            "senders_known": len(self.core.signals),
        }
