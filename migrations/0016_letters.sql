-- What people are told by e-mail or message: each thing once.
CREATE TABLE letters (
    -- What it is about, such as the event and the order: the same is never said twice.
    about      text PRIMARY KEY,
    account_id uuid,
    -- Where it goes; forgotten once it has ended.
    address    text,
    matter     jsonb NOT NULL,
    state      text NOT NULL DEFAULT 'waiting',
    attempts   integer NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL DEFAULT now(),
    -- Nobody wants it any more after this.
    good_until timestamptz NOT NULL,
    error      text,
    CONSTRAINT letters_state_is_known CHECK (state IN ('waiting', 'sending', 'sent', 'unknown', 'given_up')),
    CONSTRAINT letters_on_their_way_have_an_address CHECK ((state IN ('waiting', 'sending')) = (address IS NOT NULL)),
    CONSTRAINT letters_about_has_a_bound CHECK (octet_length(about) BETWEEN 1 AND 200)
);
CREATE INDEX letters_due ON letters (due_at) WHERE state IN ('waiting', 'sending');
CREATE INDEX letters_by_account ON letters (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX letters_ended ON letters (due_at) WHERE state NOT IN ('waiting', 'sending');

-- Whether somebody was told that the hold is about to lapse.
ALTER TABLE holds ADD COLUMN warned boolean NOT NULL DEFAULT false;
CREATE INDEX holds_to_warn ON holds (expires_at) WHERE account_id IS NOT NULL AND NOT warned AND state IN ('promised', 'held');

-- Accounts that want to hear when their turn is near.
CREATE TABLE reminders (
    id         uuid PRIMARY KEY,
    line_id    uuid NOT NULL REFERENCES lines (id),
    account_id uuid NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    epoch      bigint NOT NULL,
    ordinal    bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    told_at    timestamptz,
    CONSTRAINT reminders_one_per_line UNIQUE (line_id, account_id)
);
CREATE INDEX reminders_to_tell ON reminders (line_id, epoch, ordinal) WHERE told_at IS NULL;
