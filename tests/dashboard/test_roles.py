"""Every action with every role and every part of the tree, through the real APIs: what is allowed, and what is not.

A route that has no row in roles_table.py fails here, so nobody adds one without saying who may use it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from relay.control.accounts.views import LimitOrder, NewAccount, NewNetwork, NewReseller
from relay.control.client import ControlClient
from relay.control.views import NewDecision
from relay.control.webhooks.views import NewWebhook
from relay.domains.views import NewDomain
from relay.policy.decisions.decision import Effect
from relay.policy.limits.levels import Level
from relay.resellers.views import BrandOrder
from relay.tree import Role
from relay.users.views import NewUser, SignIn
from tests.builders import ROOT, Installation, until
from tests.dashboard.roles_table import BODIES, NEVER, ROWS, SENDER, Row

PARTS = {  # name -> reseller, account
    "whole": ("", ""),
    "reseller": ("north", ""),
    "account": ("", "acme"),
    "foreign": ("", "other"),  # of another reseller: it must not see a trace of acme
    "neighbour": ("south", ""),  # another reseller's admin, the strongest who stands beside
}
WHO = [(part, role) for part in PARTS for role in Role if part != "neighbour" or role is Role.ADMIN]
PASSWORD = "correct horse 7"
_ROUTE = re.compile(r'\("(GET|POST|PUT|PATCH|DELETE)", "(/(?:v1/|q/|sql)[^"]*)", self')


@dataclass(frozen=True)
class Stage:
    """The two APIs, a token for each part and role, and the names of what acme has."""

    control: str
    query: str
    tokens: dict[tuple[str, Role], str]
    names: dict[str, str]
    web: httpx2.Client

    def ask(self, row: Row, token: str) -> httpx2.Response:
        path = quote(row.concrete(self.names), safe="/")
        body = BODIES.get((row.method, row.path), {"dry_run": True}) if row.method != "GET" else None
        base = self.query if row.is_query else self.control
        return self.web.request(
            row.method,
            base + path,
            headers={"Authorization": f"Bearer {token}"},
            json=body,
            params={"dry_run": "1"} if row.method == "DELETE" else None,
        )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    installation = Installation(tmp_path_factory.mktemp("roles"))
    installation.write(1, model="none")
    with installation.running():
        analytics = installation.start("analytics")
        try:
            with installation.client() as relay:
                names = _furnish(relay)
                tokens = {(part, role): _token(relay, part, role) for part, role in WHO}
            query = f"http://127.0.0.1:{installation.query}"
            with httpx2.Client(timeout=30, trust_env=False) as web:
                until(lambda: _answers(web, query), 60)
                yield Stage(f"http://127.0.0.1:{installation.control}", query, tokens, names, web)
        finally:
            analytics.terminate()
            analytics.wait(20)


def test_every_route_says_who_may_use_it() -> None:
    assert len(_tables("relay")) > 90
    assert _tables("relay") == {(row.method, row.path) for row in ROWS if not row.is_query}
    assert _tables("analytics") == {(row.method, row.door) for row in ROWS if row.is_query}


@pytest.mark.parametrize("row", [row for row in ROWS if not row.why_not], ids=lambda row: f"{row.method} {row.path}")
def test_a_role_may_do_what_the_table_says_and_nothing_else(stage: Stage, row: Row) -> None:
    seen = {(part, role): _outcome(row, part, stage.ask(row, token)) for (part, role), token in stage.tokens.items()}

    assert {key: _expected(row, *key) for key in seen} == seen


def test_nobody_comes_in_without_a_token(stage: Stage) -> None:
    for row in ROWS:
        assert stage.ask(row, "made-up").status_code == 401, row


def _tables(package: str) -> set[tuple[str, str]]:
    """Method and path of every row in a package's tables of routes."""
    texts = (re.sub(r"\s+", " ", path.read_text()) for path in (ROOT / package).rglob("*.py"))
    return {(method, path.replace(":path}", "}")) for text in texts for method, path in _ROUTE.findall(text)}


def _outcome(row: Row, part: str, answer: httpx2.Response) -> str:
    """allowed: it came to the command, even if this one had nothing to do. refused: role or sight."""
    if answer.status_code in (401, 403) or (answer.status_code == 404 and not row.is_absent):
        return "refused"
    if part in ("foreign", "neighbour") and re.search(r"acme|north", answer.text) and answer.is_success:
        return "leaked"
    assert answer.status_code < 500, (row, part, answer.status_code, answer.text)
    return "allowed"


def _expected(row: Row, part: str, role: Role) -> str:
    least: Any = getattr(row, "foreign" if part == "neighbour" else part)
    return "allowed" if least != NEVER and role.includes(Role(least)) else "refused"


def _furnish(relay: ControlClient) -> dict[str, str]:
    """Two customers of two resellers; acme has one of everything."""
    for reseller, account in (("north", "acme"), ("south", "other")):
        relay.add_reseller(NewReseller(name=reseller))
        relay.add_account(NewAccount(name=account, reseller=reseller, login=f"{account}-web"))
    relay.allow("acme", NewNetwork(network="192.0.2.0/24"))
    relay.set_limits(LimitOrder(level=Level.SENDERS, key="acme", rcpts_per_hour=100))
    relay.add_domain(NewDomain(account="acme", domain="acme.example"))
    webhook = relay.add_webhook(NewWebhook(url="https://hooks.acme.example/", account="acme")).webhook.id
    relay.add_user(NewUser(name="acme-ann", role=Role.VIEWER, account="acme", password=PASSWORD))
    relay.set_brand("north", BrandOrder(name="North Hosting", dashboard_host="panel.north.example"))
    held = NewDecision(
        account="acme",
        sender=SENDER,
        effect=Effect.HOLD,
        rule="spam_rate",
        reason="a test",
        starts_at=datetime.now(UTC),
    )
    return {
        "decision": relay.propose(held).decision.id,
        "webhook": webhook,
        "account": "acme",
        "reseller": "north",
        "login": "acme-web",
        "domain": "acme.example",
        "sender": SENDER,
        "name": "acme-ann",
        "version": relay.policy().version.version,
        "destination": "post.example",
        "source": "none",
        "pool": "none",
        "message": "mw1.1",
        "kind": "snds",
        "job": "none",
        "tenant": "t1",
        "alarm": "none",
        "note": "none",
        "case": "none",
        "question": "none",
        "mailbox": "none",
        "host": "panel.north.example",
    }


def _token(relay: ControlClient, part: str, role: Role) -> str:
    name = f"{part}-{role.value}"
    reseller, account = PARTS[part]
    relay.add_user(NewUser(name=name, role=role, password=PASSWORD, reseller=reseller, account=account))
    return relay.sign_in(SignIn(name=name, password=PASSWORD)).token


def _answers(web: httpx2.Client, url: str) -> bool:
    try:
        return web.get(f"{url}/healthz", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False
