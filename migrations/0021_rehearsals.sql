-- Rehearsals: a crowd is sent to a copy of a sale.
ALTER TABLE sales
    ADD rehearsal_of uuid REFERENCES sales (id),
    ADD CONSTRAINT sales_rehearse_another CHECK (rehearsal_of <> id);

CREATE TABLE rehearsals (
    id         uuid PRIMARY KEY,
    -- The copy.
    sale_id    uuid NOT NULL REFERENCES sales (id),
    original_id uuid NOT NULL REFERENCES sales (id),
    shoppers   integer NOT NULL,
    state      text NOT NULL DEFAULT 'running',
    -- How it stands, in the crowd simulator's words.
    progress   text,
    -- Its report.
    report     jsonb,
    started_at timestamptz NOT NULL DEFAULT now(),
    -- The controller that runs it says so every second: one that has died with its crowd is seen by its silence.
    beat_at    timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    CONSTRAINT rehearsals_state_is_known CHECK (state IN ('running', 'stopping', 'passed', 'failed', 'stopped')),
    CONSTRAINT rehearsals_end CHECK ((ended_at IS NULL) = (state IN ('running', 'stopping')))
);
-- One at a time: a crowd is as heavy as a sale.
CREATE UNIQUE INDEX rehearsals_one_runs ON rehearsals ((true)) WHERE ended_at IS NULL;
CREATE INDEX rehearsals_by_original ON rehearsals (original_id, started_at);
