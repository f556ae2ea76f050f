"""All rooms of the control API that have routes, for a document without a running relay (tests hold both together)."""

from collections.abc import Sequence
from typing import Any

from relay.backup.routes import BackupRoutes
from relay.cases.routes import CaseRoutes
from relay.control.accounts.routes import AccountRoutes
from relay.control.api import RelayRoutes
from relay.control.audit.routes import AuditRoutes
from relay.control.egress.routes import EgressRoutes
from relay.control.labels.routes import LabelRoutes
from relay.control.policies.routes import PolicyRoutes
from relay.control.requests import Routes
from relay.control.shaping.routes import ShapingRoutes
from relay.control.suppression.routes import SuppressionRoutes
from relay.control.waiting.routes import QueueRoutes
from relay.control.webhooks.routes import WebhookRoutes
from relay.domains.routes import DomainRoutes
from relay.evidence.routes import EvidenceRoutes
from relay.holds.routes import HoldRoutes
from relay.privacy.routes import PrivacyRoutes
from relay.resellers.routes import ResellerRoutes
from relay.saved.routes import SavedRoutes
from relay.tenants.routes import TenantRoutes
from relay.users.routes import UserRoutes

_ROOMS: tuple[Any, ...] = (
    AccountRoutes,
    AuditRoutes,
    CaseRoutes,
    DomainRoutes,
    EgressRoutes,
    EvidenceRoutes,
    BackupRoutes,
    PrivacyRoutes,
    HoldRoutes,
    LabelRoutes,
    PolicyRoutes,
    QueueRoutes,
    RelayRoutes,
    ResellerRoutes,
    SavedRoutes,
    ShapingRoutes,
    SuppressionRoutes,
    TenantRoutes,
    UserRoutes,
    WebhookRoutes,
)


def all_tables() -> Sequence[Routes]:
    """Return the routes of all rooms. They can be read, not called: there is no relay behind them."""
    tables = []
    for room in _ROOMS:
        bare = room.__new__(room)  # a table names its methods only
        tables.append(bare.table())
    return tables
