"""The columns of the questions that the pages about delivery ask, as data.COLUMNS has those of the others."""

COLUMNS = {
    "destination_figures": (
        "destination tries delivered deferred bounced blocked p50_seconds p95_seconds innocent_p95_seconds last_at"
    ),
    "destination_delays": "who messages share seconds",
    "destination_pace": "bucket_at p50_seconds p95_seconds delivered",
    "destination_flow": "bucket_at delivered deferred bounced",
    "replies": "code enhanced category pattern times senders sources text outcome last_at",
    "tries": (
        "tried_at outcome account sender recipient destination source attempt category code enhanced text "
        "queued_seconds message_id"
    ),
    "source_days": "address destination day_at sent delivered bounced blocked",
    "bounce_totals": "ended bounced hard blocked unclassified",
    "bounce_classes": "bucket_at category recipients",
    "bounce_groups": "name ended bounced hard blocked unclassified top_category",
    "complaint_senders": "sender account complaints delivered reached providers last_at",
    "complaint_campaigns": "subject sender account from_domain complaints delivered last_at",
    "complaint_days": "day_at complaints delivered reached",
    "complaints": "reported_at provider feedback_type account sender recipient message_id",
    "feedback_rows": (
        "taken_at loop type named reporter source_ip original_mail_from original_rcpt_to message_id incidents"
    ),
    "feedback": "loop type complaints last_at",
    "feeds": "kind source first_at fresh_at data_at is_stale",
    "feed_files": "kind name author taken_at size_bytes reports fresh reason",
    "dmarc_reporters": "org reports messages data_at",
    "dmarc_domains": "domain account messages aligned quarantined rejected sources reporters data_at",
    "dmarc_days": "day_at messages aligned refused",
    "dmarc_sources": "source_ip ours messages aligned dkim_aligned spf_aligned refused reporters data_at",
    "tls_domains": "domain account policy_type success failure results data_at",
    "snds": "ip begin_at end_at rcpt data recipients result complaint_low complaint_high trap_hits comments",
    "postmaster": "domain account day metric value text",
    "yahoo": "domain account day metric value text",
    "reputations": "entity_kind entity account score low high band n computed_at points_json",
    "reputation_signals": (
        "entity_kind account signal points share score_before score_after bad seen rate low high half_life_seconds"
    ),
    "reputation_heat": "address destination score low high band n points_json",
    "culprits": "sender account probability mails spam complaints traps strangers until_at",
    "ip_events": "kind address place blames first_at last_at times text",
}
