"""Who may do what, route by route: the least role with the whole tree, a reseller, an account, and another account.

v viewer, a abuse, o operator, d admin, - nobody. The last column is a reader of another customer, and an admin of
another reseller: a letter there means that the list is his own and holds nothing of acme's or its reseller's. `absent`:
what the row names does not exist, so that a 404 says nothing of roles. `query`: a door of analytics, though its path
looks like the relay's.
"""

from dataclasses import dataclass
from typing import Any

SENDER = "acme|mailfrom|web@acme.example"
NEVER = "-"
_ROLES = {"v": "viewer", "a": "abuse", "o": "operator", "d": "admin", "-": NEVER}
_OF = {
    "decisions": "decision",
    "webhooks": "webhook",
    "notes": "note",
    "messages": "message",
    "cases": "case",
    "stop": "question",
}  # whose {id} it is


@dataclass(frozen=True)
class Row:
    """A route with its least roles. `path` is the template; `door` that of a door of analytics."""

    method: str
    path: str
    whole: str
    reseller: str
    account: str
    foreign: str
    is_absent: bool = False
    is_query: bool = False
    why_not: str = ""

    @property
    def door(self) -> str:
        return {"/q/tiles": "/q/{name}", "/q/jobs": "/q/{name}", "/v1/jobs/{job}/run": "/v1/jobs/{name}/run"}.get(
            self.path, self.path
        )

    def concrete(self, names: dict[str, str]) -> str:
        """The path with what acme has in it."""
        parts = self.path.split("/")
        for at, part in enumerate(parts):
            if part.startswith("{"):
                name = _OF[parts[at - 1]] if part == "{id}" else part.strip("{}")
                parts[at] = names[name]
        return "/".join(parts)


_DRY = {"dry_run": True}
_PLAIN_ALARM = {"condition": "disk", "dry_run": True}
# What is sent; {"dry_run": true} where nothing else is named. Rows of GET and DELETE have no body.
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/decisions"): {
        "account": "acme",
        "sender": SENDER,
        "effect": "hold",
        "rule": "x",
        "reason": "x",
        **_DRY,
    },
    ("POST", "/v1/outcomes"): {"kind": "delivered", "sender": SENDER},
    ("POST", "/v1/accounts"): {"name": "third", "reseller": "north", **_DRY},
    ("POST", "/v1/accounts/{account}/credentials"): {"login": "acme-new", **_DRY},
    ("POST", "/v1/accounts/{account}/networks"): {"network": "198.51.100.0/24", **_DRY},
    ("POST", "/v1/networks/remove"): {"network": "192.0.2.0/24", **_DRY},
    ("POST", "/v1/limits"): {"level": "senders", "key": "acme", "rcpts_per_hour": 7, **_DRY},
    ("POST", "/v1/limits/remove"): {"level": "senders", "key": "acme", **_DRY},
    ("POST", "/v1/resellers"): {"name": "west", **_DRY},
    ("PATCH", "/v1/resellers/{reseller}"): {"contact": "x", **_DRY},
    ("POST", "/v1/resellers/{reseller}/brand"): {"name": "Mine", **_DRY},
    ("POST", "/v1/resellers/{reseller}/brand/back"): {"version": 0, **_DRY},
    ("POST", "/v1/domains"): {"account": "acme", "domain": "acme.test", "algorithms": [], **_DRY},
    ("POST", "/v1/domains/{domain}/end-key"): {"selector": "none", **_DRY},
    ("POST", "/v1/webhooks"): {"url": "https://hooks.example.org/x", "account": "acme", **_DRY},
    ("POST", "/v1/users"): {"name": "newcomer", "role": "viewer", "account": "acme", "by_provider": True, **_DRY},
    ("POST", "/v1/users/{name}/token"): {"seconds": 60, **_DRY},
    ("POST", "/v1/suppressions"): {"account": "acme", "rows": [], **_DRY},
    ("POST", "/v1/suppressions/remove"): {"account": "acme", "addresses": ["a@b.example"], **_DRY},
    ("POST", "/v1/labels"): {"message_ids": ["mw1.1"], "label": "ham", **_DRY},
    ("POST", "/v1/model"): {"model": "shipped", **_DRY},
    ("POST", "/v1/policy"): {"text": "", **_DRY},
    ("POST", "/v1/alarms/acknowledge"): _PLAIN_ALARM,
    ("POST", "/v1/alarms/silence"): _PLAIN_ALARM | {"minutes": 5},
    ("POST", "/v1/alarms/clear"): _PLAIN_ALARM,
    ("POST", "/v1/senders/{sender}/notes"): {"text": "a note", **_DRY},
    ("POST", "/v1/destinations/{destination}/suspend"): {"reason": "x", **_DRY},
    ("POST", "/v1/egress/bands"): {"version": 1, "rows": [], "ends_at": "2030-01-01T00:00:00Z", **_DRY},
    ("POST", "/v1/egress/pools/{pool}"): {"members": {"none": 1}, **_DRY},
    ("POST", "/v1/egress/sources"): {"name": "one", "address": "192.0.2.9", "force": True, **_DRY},
    ("POST", "/v1/egress/warmup/{source}/stage"): {"provider": "gmail", "stage": 1, **_DRY},
    ("POST", "/v1/held/release"): {"sender": SENDER, **_DRY},
    ("POST", "/v1/held/drop"): {"sender": SENDER, **_DRY},
    ("POST", "/v1/queue/retry"): {"account": "acme", **_DRY},
    ("POST", "/v1/audit/jobs"): {"job": "ingest"},
    ("POST", "/v1/queue/bounce"): {"account": "acme", "reason": "x", **_DRY},
    ("POST", "/v1/queue/pause"): {"account": "acme", **_DRY},
    ("POST", "/v1/queue/resume"): {"account": "acme", **_DRY},
    ("POST", "/v1/sessions"): {"name": "nobody", "password": "guessed"},
    ("POST", "/v1/proofs"): {"claims": []},
    ("POST", "/v1/forget"): {"address": "ann@d.example", "dry_run": True},
    ("POST", "/v1/forgotten"): {"address": "ann@d.example", "token": "n@forgotten.invalid", "dry_run": True},
    ("POST", "/v1/purge"): {"days": 400, "dry_run": True},
    ("POST", "/v1/returned"): {"rows": []},
    ("POST", "/v1/saved"): {"kind": "search", "name": "x", "text": "to:x", **_DRY},
    ("POST", "/v1/saved/remove"): {"kind": "search", "name": "x", **_DRY},
    ("POST", "/v1/search"): {"query": "account:acme"},
    ("POST", "/v1/stream"): {"query": "account:acme"},
    ("POST", "/q/tiles"): {},
    ("POST", "/q/jobs"): {},
    ("POST", "/sql"): {"sql": "SELECT 1"},
    ("POST", "/v1/complaints"): {"sender": SENDER},
}

_TABLE = """
GET /v1/accounts v v v v
POST /v1/accounts d d - -
GET /v1/accounts/{account} v v v -
PATCH /v1/accounts/{account} d d d -
POST /v1/accounts/{account}/credentials d d d -
POST /v1/accounts/{account}/networks d d d -
POST /v1/accounts/{account}/remove d d - -
POST /v1/accounts/{account}/restore d d d d absent
POST /v1/accounts/{account}/resume d d - -
POST /v1/accounts/{account}/suspend d d - -
GET /v1/accounts/{account}/tenants v v v -
POST /v1/accounts/{account}/tenants/header d d d -
POST /v1/accounts/{account}/tenants/{tenant}/pause o o o -
POST /v1/accounts/{account}/tenants/{tenant}/resume o o o -
GET /v1/alarms v v v v
POST /v1/alarms/acknowledge a - - -
POST /v1/alarms/clear a - - - absent
POST /v1/alarms/silence a - - -
POST /v1/audit/jobs o - - -
GET /v1/audit a a a a
GET /v1/audit/chain a - - -
GET /v1/audit/heads a - - -
POST /v1/backup/begin d - - - query
POST /v1/backup/cut d - - -
GET /v1/brand v v v v
GET /v1/brand/of-host/{host} v - - -
POST /v1/backup/end d - - - query
POST /v1/complaints a - - - query
GET /v1/credentials v v v v
DELETE /v1/credentials/{login} d d d -
POST /v1/credentials/{login}/rotate d d d -
GET /v1/decisions v v v v
POST /v1/decisions a a a -
GET /v1/decisions/{id} v v v -
POST /v1/decisions/{id}/confirm a a a -
GET /v1/decisions/{id}/link a a a -
POST /v1/decisions/{id}/release a a a -
GET /v1/destinations v - - -
GET /v1/destinations/{destination} v - - - absent
POST /v1/destinations/{destination}/override o - - - absent
POST /v1/destinations/{destination}/resume o - - - absent
POST /v1/destinations/{destination}/suspend o - - -
GET /v1/domains v v v v
POST /v1/domains d d d -
GET /v1/domains/{domain} v v v -
POST /v1/domains/{domain}/check o o o -
POST /v1/domains/{domain}/end-key d d d d absent
POST /v1/domains/{domain}/remove d d d -
POST /v1/domains/{domain}/rotate d d d -
GET /v1/egress/bands v - - -
POST /v1/egress/bands o - - -
GET /v1/egress/pools v - - -
GET /v1/egress/pools/{pool} v - - - absent
POST /v1/egress/pools/{pool} o - - - absent
POST /v1/egress/pools/{pool}/remove o - - - absent
GET /v1/egress/sources v - - -
POST /v1/egress/sources o - - -
GET /v1/egress/sources/{source} v - - - absent
PATCH /v1/egress/sources/{source} o - - - absent
POST /v1/egress/sources/{source}/activate o - - - absent
POST /v1/egress/sources/{source}/quarantine o - - - absent
POST /v1/egress/sources/{source}/remove o - - - absent
POST /v1/egress/sources/{source}/retire o - - - absent
GET /v1/egress/warmup v - - -
GET /v1/egress/warmup/{source} v - - - absent
POST /v1/egress/warmup/{source}/stage o - - - absent
POST /v1/egress/warmup/{source}/start o - - - absent
POST /v1/egress/warmup/{source}/stop o - - - absent
POST /v1/feeds/{kind} o - - - query
GET /v1/held v v v v
POST /v1/forget d - - -
POST /v1/held/drop a a a -
GET /v1/held/groups v v v v
GET /v1/held/messages/{id} v v v v absent
POST /v1/held/release a a a -
POST /v1/jobs/{job}/run o - - - absent query
POST /v1/labels a - - -
GET /v1/limits v v v v
POST /v1/limits o o - -
POST /v1/limits/remove o o - -
GET /v1/messages/{id} v v v v absent
GET /v1/model v v v v
POST /v1/model o - - -
POST /v1/model/rollback o - - -
GET /v1/models v - - -
GET /v1/networks v v v v
POST /v1/networks/remove d d d -
POST /v1/notes/{id}/remove a a a a absent
POST /v1/outcomes o o o -
GET /v1/policy v v v v
POST /v1/policy o - - -
POST /v1/policy/rollback o - - -
GET /v1/policy/versions v v v v
GET /v1/policy/versions/{version} v v v v
POST /v1/proofs o - - -
GET /v1/queue v - - -
POST /v1/queue/bounce o o o -
GET /v1/queue/messages/{id} v v v v absent
POST /v1/queue/pause o o o -
GET /v1/queue/recipients v v v v
POST /v1/queue/resume o o o o absent
POST /v1/queue/retry o o o -
POST /v1/reload o - - -
GET /v1/resellers v v v v
POST /v1/resellers d - - -
GET /v1/resellers/{reseller} v v - -
PATCH /v1/resellers/{reseller} d - - -
GET /v1/resellers/{reseller}/brand v v - -
POST /v1/resellers/{reseller}/brand d d - -
POST /v1/resellers/{reseller}/brand/back d d - -
POST /v1/resellers/{reseller}/remove d - - -
POST /v1/resellers/{reseller}/restore d - - - absent
POST /v1/resellers/{reseller}/resume d - - -
POST /v1/resellers/{reseller}/suspend d - - -
POST /v1/returned o - - -
GET /v1/saved v v v v
POST /v1/saved v v v v
POST /v1/saved/remove v v v v absent
GET /v1/senders/{sender} v v v -
POST /v1/senders/{sender}/hold a a a -
GET /v1/senders/{sender}/notes a a a -
POST /v1/senders/{sender}/notes a a a -
POST /v1/senders/{sender}/release a a a -
GET /v1/senders/{sender}/signals v v v v absent
DELETE /v1/sessions - - - - uncalled: it ends the reader's own session; test_door.py signs out
GET /v1/sessions v v v v
POST /v1/sessions - - - -
GET /v1/shaping/rules v - - -
GET /v1/status v v v v
GET /v1/suppressions a a a a
POST /v1/suppressions a a a -
POST /v1/suppressions/remove a a a -
GET /v1/usage v v v v query
GET /v1/users d d d d
POST /v1/users d d d -
DELETE /v1/users/{name} d d d -
POST /v1/users/{name}/token d d d -
PATCH /v1/users/{name} d d d -
GET /v1/webhooks a a a a
POST /v1/webhooks o o o -
GET /v1/webhooks/keys o - - -
POST /v1/webhooks/{id}/remove o o o -
GET /v1/whoami v v v v
POST /q/jobs v - - -
POST /q/tiles v v v v
POST /sql d - - -
POST /v1/search v v v v query
POST /v1/stream v v v v query
POST /v1/stop/{id} v v v v query absent
POST /v1/forgotten d - - - query
POST /v1/purge d - - - query
POST /v1/inbox/{mailbox} o - - - query absent
GET /v1/cases/{id} a - - - query absent
POST /v1/cases/{id} a - - - query absent
"""


def _rows() -> list[Row]:
    rows = []
    for line in _TABLE.strip().splitlines():
        words = line.split()
        method, path, flags = words[0], words[1], words[6:]
        whole, reseller, account, foreign = (_ROLES[one] for one in words[2:6])
        rows.append(
            Row(
                method,
                path,
                whole,
                reseller,
                account,
                foreign,
                is_absent="absent" in flags,
                is_query="query" in flags or path.startswith(("/q/", "/sql")),
                why_not=" ".join(flags[1:]) if flags[:1] == ["uncalled:"] else "",
            )
        )
    return rows


ROWS = _rows()
