-- rollup_minute by the hour, without the address: what weeks are counted from, an eighth of the rows. last_at is the newest
-- minute. Filled in the transaction that fills rollup_minute, merged like it; readers always sum.
CREATE TABLE rollup_hour AS
SELECT to_timestamp(3600 * (epoch_us(minute) // 3600000000)) AS hour, account, reseller, sender,
       max(minute) AS last_at,
       sum(accepted)::BIGINT AS accepted,
       sum(held)::BIGINT AS held,
       sum(parked)::BIGINT AS parked,
       sum(rejected)::BIGINT AS rejected,
       sum(throttled)::BIGINT AS throttled,
       sum(recipients)::BIGINT AS recipients,
       sum(scored)::BIGINT AS scored,
       sum(spam) AS spam,
       sum(score_sum) AS score_sum,
       sum(deferred)::BIGINT AS deferred,
       sum(delivered)::BIGINT AS delivered,
       sum(bounced)::BIGINT AS bounced,
       sum(hard_bounced)::BIGINT AS hard_bounced,
       sum(blocked)::BIGINT AS blocked,
       sum(complaints)::BIGINT AS complaints,
       true AS is_merged
FROM rollup_minute
GROUP BY ALL
ORDER BY hour;

-- The same by address, for what left each.
CREATE TABLE rollup_source AS
SELECT to_timestamp(3600 * (epoch_us(minute) // 3600000000)) AS hour, source,
       max(minute) AS last_at,
       sum(delivered)::BIGINT AS delivered,
       sum(bounced)::BIGINT AS bounced,
       sum(hard_bounced)::BIGINT AS hard_bounced,
       sum(blocked)::BIGINT AS blocked,
       sum(complaints)::BIGINT AS complaints,
       sum(sent_scored)::BIGINT AS sent_scored,
       sum(sent_spam) AS sent_spam,
       true AS is_merged
FROM rollup_minute
WHERE source <> ''
GROUP BY ALL
ORDER BY hour;
