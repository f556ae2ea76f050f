-- Trainings and their rulings; key: (node, boot, seq). slices: [{name, bad, ham, gain, low, high, recall,
-- false_positive_rate}, ...], see analytics/learning/gate.py.
CREATE TABLE model_run (
    logged_at TIMESTAMPTZ NOT NULL,
    node VARCHAR NOT NULL,
    boot VARCHAR NOT NULL,
    seq BIGINT NOT NULL,
    model VARCHAR NOT NULL,
    active VARCHAR NOT NULL,
    learnt BIGINT NOT NULL,
    judged BIGINT NOT NULL,
    passes BOOLEAN NOT NULL,
    why VARCHAR NOT NULL,
    slices JSON
);
