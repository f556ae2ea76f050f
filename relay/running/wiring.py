"""Puts the parts of one relay together that own nothing: doors, reception, delivery, commands."""

import logging
from collections.abc import Callable

from starlette.routing import Route

from relay.content.checkers import Checkers
from relay.control.commands import Commands
from relay.control.labels.models import ModelDesk
from relay.control.shaping.commands import ShapingDesk
from relay.delivery.courier import Courier
from relay.delivery.signing.arc_keys import ArcKeys
from relay.delivery.workshop import Ways
from relay.domains.wiring import make_desk
from relay.events import AuthFailure
from relay.evidence.desk import EvidenceDesk
from relay.evidence.suppressing import Suppressing
from relay.front.doorway import Doorway
from relay.front.inbox import inbox_doors
from relay.front.lockdown import Lockdown
from relay.front.server import Doors
from relay.front.tls import ensure_certificate
from relay.front.web.messages import Messages
from relay.front.web.release import ReleasePages
from relay.front.web.server import PublicWeb
from relay.holds.expiry import Expiry
from relay.holds.following import Following
from relay.metrics import Metrics
from relay.notices.audience import Audience
from relay.notices.digest import Digests
from relay.notices.items import Items, contact_address
from relay.notices.release_links import ReleaseLinks
from relay.notices.self_release import SelfRelease
from relay.notices.sending import Notices
from relay.policy.signals.outages import HARD, slot_of
from relay.policy.verdict.steps import version_of
from relay.reception.admission import Gate
from relay.reception.pipeline import Receiver
from relay.reception.quota import quota_of
from relay.reception.refusals import Refusals
from relay.returns.feedback import FeedbackHeaders
from relay.returns.inbound import Returns
from relay.returns.reporting import Reporting
from relay.returns.unsubscribing import Unsubscribing
from relay.running.core import Core
from relay.running.observed import count, outcome_counter, show_gauges
from relay.running.parts import Parts, Told
from relay.sandbox.addresses import lies_in
from relay.sandbox.complaint import Complaints

_log = logging.getLogger("mailweir.node")
_messages = logging.getLogger("mailweir.messages")


def wire(core: Core) -> Parts:
    """Put together what holds no resource of its own."""
    settings, clock, state, journal = core.settings, core.clock, core.state, core.journal
    metrics, suppressing = Metrics(), _suppressing(core)
    courier = Courier(
        spool=core.spool,
        journal=journal,
        settings=settings,
        clock=clock,
        on_outcome=outcome_counter(metrics, core, suppressing.bounced),
        submit_dsn=lambda report, to, about: reporting.submit(report, to, about),
        audience=Audience(state, core.signals, clock).of,
        pauses=state.pauses,
        ways=Ways(core.shaper, core.egress, core.paths.of, core.tls),
        complain=lambda *about: Complaints(core.settings, clock, returns.receive).complain(*about),
    )
    reporting = Reporting(settings=settings, clock=clock, journal=journal, spool=core.spool, courier=courier)
    gate, feedback = _gate(core), FeedbackHeaders(settings, core.secret, state.brands)
    commands = _commands(core, courier, gate)
    releases = _releases(core, commands)
    receiver = Receiver(
        settings=settings,
        clock=clock,
        journal=journal,
        spool=core.spool,
        content=core.content,
        courier=courier,
        gate=gate,
        signals=core.signals,
        certain=core.certain,
        words=core.words,
        checkers=Checkers(settings, clock),
        lockdown=Lockdown(settings, clock),
        decided=state,
        decide=commands.apply,
        signers=core.signers,
        arc=ArcKeys(settings.delivery, clock, core.signers[0] if core.signers else None),
        reference_key=core.secret,
        return_domain_of=core.paths.domain_for,
        feedback=feedback,
        metrics=metrics,
    )
    way = _doorway(core, receiver, gate, metrics)
    domains = make_desk(state, clock, lambda: core.settings)
    unsubscribing = Unsubscribing(state, journal, metrics, feedback.tokens, clock)
    returns = _returns(core, reporting, unsubscribing, metrics)
    web = _web(core, way, unsubscribing, metrics, releases)
    way_in = Doors(way), inbox_doors(way, settings, returns), returns, *web
    models = ModelDesk(state, clock, core.content, lambda: core.settings)
    told = Told(_digests(core, reporting), _notices(core, releases, reporting), releases)
    own = metrics, commands, domains, models, _expiry(core, commands, told.notices)
    following = _following(core, commands, courier)
    evidence = EvidenceDesk(core.secret, core.paths, core.spool, suppressing)
    parts = Parts(core, clock.now(), courier, told, receiver, *way_in, *own, following, suppressing, evidence)
    show_gauges(parts)
    count(parts)
    commands.shaping.on_changed = state.egress.on_changed = courier.look_again
    return parts


def _suppressing(core: Core) -> Suppressing:
    def is_outage(destination: str) -> bool:
        return core.signals.outages.is_out(destination, HARD, slot_of(core.clock.unix()))

    return Suppressing(
        core.state, core.journal, core.clock, lambda: core.settings.suppression, is_outage, _is_sandbox(core)
    )


def _is_sandbox(core: Core) -> Callable[[str], bool]:
    return lambda address: lies_in(address, core.settings.sandbox.domain)


def _commands(core: Core, courier: Courier, gate: Gate) -> Commands:
    def hourly_of(account: str, sender: str) -> int:
        known = core.state.account_of_name(account)
        return gate.hourly(known, sender) if known else core.settings.limits.rcpts_per_hour

    commands = Commands(
        state=core.state,
        spool=core.spool,
        courier=courier,
        journal=core.journal,
        signals=core.signals,
        shaping=ShapingDesk(core.state, core.clock, core.shaper, courier.stats),
        clock=core.clock,
        hourly_of=hourly_of,
        policy=lambda: core.settings.policy,
        egress=core.egress,
    )
    commands.policy_version = lambda: version_of(core.settings.policy)
    commands.is_sandbox = _is_sandbox(core)
    return commands


def _releases(core: Core, commands: Commands) -> SelfRelease:
    return SelfRelease(
        state=core.state,
        spool=core.spool,
        clock=core.clock,
        links=ReleaseLinks(core.secret),
        settings=lambda: core.settings,
        release=commands.release_sender,
        is_malware=core.certain.is_malware,
    )


def _digests(core: Core, reporting: Reporting) -> Digests:
    return Digests(
        spool=core.spool,
        settings=core.settings,
        clock=core.clock,
        account_of=core.state.account_of_name,
        submit=reporting.submit_digest,
    )


def _notices(core: Core, releases: SelfRelease, reporting: Reporting) -> Notices:
    return Notices(
        state=core.state,
        spool=core.spool,
        settings=core.settings,
        clock=core.clock,
        items=Items(core.state, core.spool, releases, core.settings),
        submit=reporting.submit_notice,
    )


def _expiry(core: Core, commands: Commands, notices: Notices) -> Expiry:
    return Expiry(
        spool=core.spool,
        state=core.state,
        releases=commands.holds.releases,
        clock=core.clock,
        policy=lambda: core.settings.policy,
        warn=notices.tell,
    )


def _following(core: Core, commands: Commands, courier: Courier) -> Following:
    following = Following(
        spool=core.spool,
        state=core.state,
        courier=courier,
        journal=core.journal,
        releases=commands.holds.releases,
        clock=core.clock,
        policy=lambda: core.settings.policy,
    )
    commands.desk.accounts.on_suspension = commands.desk.resellers.on_suspension = following.wake
    return following


def _returns(core: Core, reporting: Reporting, unsubscribing: Unsubscribing, metrics: Metrics) -> Returns:
    return Returns(
        core.settings,
        core.clock,
        core.journal,
        core.spool,
        reporting,
        paths=core.paths,
        unsubscribe=unsubscribing.by_mail,
        state_of=core.state.state_of,
        metrics=metrics,
    )


def _web(
    core: Core, way: Doorway, unsubscribing: Unsubscribing, metrics: Metrics, releases: SelfRelease
) -> tuple[Messages, PublicWeb]:
    web = core.settings.web
    messages = Messages(way, web, core.spool.answered)
    routes = [Route("/v1/messages", messages.post, methods=["POST"])]
    routes += unsubscribing.pages(web.trusted_proxies).routes()
    pages = ReleasePages(
        releases=releases,
        contact=lambda brand: contact_address(core.settings, brand),
        brands=core.state.brands,
        clock=core.clock,
        proxies=web.trusted_proxies,
    )
    routes += pages.routes()
    return messages, PublicWeb(core.settings, routes, way.tls if web.tls else None)


def _gate(core: Core) -> Gate:
    state, signals, clock = core.state, core.signals, core.clock
    return Gate(
        settings=core.settings.limits,
        clock=clock,
        ledger=core.ledger,
        sets=state.limits,
        state_of=state.state_of,
        is_newcomer=signals.is_newcomer,
        age_of=signals.age_seconds,
        key=core.secret,
    )


def _doorway(core: Core, receiver: Receiver, gate: Gate, metrics: Metrics) -> Doorway:
    settings, state, journal = core.settings, core.state, core.journal
    authenticator = core.authenticator

    def on_auth_failure(client_ip: str, login: bytes, mechanism: str) -> None:
        metrics.auth_failures.inc()
        _log.info("login refused client=%s mechanism=%s", client_ip, mechanism)  # its text may be a password
        hashed = authenticator.login_hash(login)
        journal.append(AuthFailure(**journal.stamp(), client_ip=client_ip, login_hash=hashed, mechanism=mechanism))

    return Doorway(
        settings=settings.smtp,
        hostname=settings.node.hostname,
        clock=core.clock,
        tls=ensure_certificate(
            settings.smtp.tls_certificate, settings.smtp.tls_key, settings.dir / "tls", settings.node.hostname
        ),
        authenticator=authenticator,
        account_of_ip=state.account_of_ip,
        account_of_name=state.account_of_name,
        credential_of=state.credentials.get,
        is_trusted=authenticator.is_trusted,
        receive=receiver.receive,
        open_large=core.spool.open_large,
        on_refusal=Refusals(journal, metrics, demo=settings.demo).note,
        on_auth_failure=on_auth_failure,
        admit=gate.admit,
        is_limited=gate.is_limited,
        quota=lambda submission: quota_of(gate, submission),
        suppressed=state.suppression.find,
    )
