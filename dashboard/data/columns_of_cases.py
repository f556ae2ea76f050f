"""The columns that the pages of an abuse desk read, see data.COLUMNS."""

COLUMNS = {
    "alarms": "logged_at condition account text subject first_at times",
    "feeds": "kind source first_at fresh_at data_at is_stale",
    "overturned": "week_at decided overturned released",
    "same_text": "sender account messages held mean_score subject last_at",
    "sender_hours": "bucket_at recipients low usual high",
    "sender_unique": "bucket_at recipients unique_recipients",
    "sender_scripts": "script messages held refused mean_score last_at",
    "sender_subjects": "subject subjects messages held refused mean_score last_at",
    "sender_domains": "domain recipients delivered bounced hard_bounced",
    "sender_logins": "network country system addresses logins first_at messages held refused mean_score last_at",
}
