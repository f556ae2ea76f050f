"""The conditions that a webhook may be called for: their names, and which of them a decision or an alarm is.

The first fourteen are what MailChannels' monitors tell, so that a receiver written for those works here; the one name
of theirs that is documented, `sender_id_sending_spam`, gave the manner. Pure; docs/webhooks.md has the table.
"""

from relay.policy.decisions.decision import Effect

SPAM = "sender_id_sending_spam"
INVALID = "sender_id_invalid_recipients"
REJECTED = "sender_id_rejected_by_destination"
LIMITED = "sender_id_rate_limited"
BLOCKLISTED = "sender_id_blocklisted"
COMPLAINTS = "sender_id_blocked_fbl"
STOPPED = "sender_id_stopped"
RELEASED = "sender_id_released"

# Name -> what it means. Those that nothing raises today are kept: an endpoint may ask for them already.
CONDITIONS = {
    SPAM: "Sender ID is sending SPAM",
    INVALID: "Sender ID is sending to invalid recipients",
    REJECTED: "Sender ID is being rejected by destination",
    LIMITED: "Sender ID is being rate limited",
    BLOCKLISTED: "Sender ID is blocked until a person releases it",
    COMPLAINTS: "Sender ID blocked due to FBL reports",
    "envelope_sender_blocklisted": "Envelope Sender Address is on the blocklist",
    "envelope_domain_blocklisted": "Envelope Sender Domain is on the blocklist",
    "envelope_domain_sending_spam": "Envelope Sender Domain is sending spam",
    "envelope_domain_invalid_recipients": "Envelope Sender Domain is sending to invalid recipients",
    "envelope_domain_dbl": "Envelope Sender Domain is listed in Spamhaus DBL",
    "ip_volume": "IP Address has suddenly increased volume",
    "ip_ndrs": "IP Address is generating a large number of NDRs",
    "ip_no_sender_id": "IP Address is sending messages without Sender ID in headers",
    STOPPED: "Sender ID was stopped for another reason",
    RELEASED: "Sender ID may send again",
    "ip_listed": "One of our addresses is on a DNS list",
    "ip_delisted": "One of our addresses is on no DNS list any more",
    "provider_deferral": "A provider defers much of our mail",
    "queue_age": "Mail waits for long",
    "feed_stale": "A feed of reports brings nothing any more",
    "model_drift": "The spam model sees other mail than it learnt",
    "retrain_rejected": "A retrained model did not pass its gate",
    "disk": "A disk is nearly full",
    "customer_configuration": "A provider refuses a customer's mail for its configuration",
    "job_failed": "A job of analytics fails again and again",
}

# By the rule of a decision: what the relay's triggers and rules are called (policy/triggers, newcomers, ladder).
_OF_RULE = {
    "spam_rate": SPAM,
    "spam_burst": SPAM,
    "newcomer_spam_rate": SPAM,
    "account_wide": SPAM,
    "same_text": SPAM,
    "hard_bounce_rate": INVALID,
    "failed_share": REJECTED,
    "complaint_rate": COMPLAINTS,
    "null_sender_storm": "ip_ndrs",
}
# By what the relay's alarms call theirs; an alarm with another name keeps it.
_OF_ALARM = {"no_sender_id": "ip_no_sender_id"}


def of_decision(effect: str, rule: str) -> str:
    """Return the condition of a decision that stops, slows or releases a sender.

    >>> of_decision("block", "hard_bounce_rate"), of_decision("suspend", "spam_rate"), of_decision("hold", "by-hand")
    ('sender_id_invalid_recipients', 'sender_id_blocklisted', 'sender_id_stopped')
    """
    if effect == Effect.SUSPEND:
        return BLOCKLISTED
    if effect == Effect.RELEASE:
        return RELEASED
    return _OF_RULE.get(rule, LIMITED if effect == Effect.THROTTLE else STOPPED)


def of_alarm(condition: str) -> str:
    """Return the condition of an alarm."""
    return _OF_ALARM.get(condition, condition)
