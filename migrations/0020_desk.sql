-- What operators do to a running sale, ticket by ticket; and what its pages look like.
ALTER TABLE sales
    -- Colours and texts of the shoppers' page, as `fairline-sale` reads them.
    ADD look jsonb NOT NULL DEFAULT '{}',
    -- The clocks that the sale's operators think in; it decides nothing.
    ADD time_zone text NOT NULL DEFAULT 'UTC',
    ADD CONSTRAINT sales_time_zone_is_a_name CHECK (time_zone ~ '^[A-Za-z0-9_+/-]{1,64}$');

-- Of a sale's own line: tickets to be let in at once, above the rate.
ALTER TABLE lines ADD admit_now integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT lines_admit_now_is_not_negative CHECK (admit_now >= 0);

-- Tickets that an operator has taken out of a line, or has had served before all others. The audit log says who, and why.
CREATE TABLE interventions (
    line_id   uuid NOT NULL REFERENCES lines (id),
    ordinal   bigint NOT NULL,
    kind      text NOT NULL,
    visitor   bytea NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    -- The record has it; and of a ticket that is preferred, its turn has come.
    done      boolean NOT NULL DEFAULT false,
    -- Redis has been told; not again until it has lost the line.
    published boolean NOT NULL DEFAULT false,
    PRIMARY KEY (line_id, ordinal, kind),
    CONSTRAINT interventions_kind_is_known CHECK (kind IN ('removed', 'preferred')),
    CONSTRAINT interventions_visitor_is_16_bytes CHECK (octet_length(visitor) = 16)
);
CREATE INDEX interventions_to_do ON interventions (line_id) WHERE NOT done OR NOT published;
