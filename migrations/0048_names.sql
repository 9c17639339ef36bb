-- Names of tables, columns, indexes and constraints in standard terms (STYLE.md).
-- No row changes its meaning.
ALTER TABLE answers RENAME TO idempotency_keys;
ALTER INDEX answers_pkey RENAME TO idempotency_keys_pkey;
ALTER INDEX answers_by_age RENAME TO idempotency_keys_by_age;
ALTER TABLE idempotency_keys RENAME CONSTRAINT answers_scope_is_32_bytes TO idempotency_keys_scope_is_32_bytes;
ALTER TABLE idempotency_keys RENAME CONSTRAINT answers_request_is_32_bytes TO idempotency_keys_request_is_32_bytes;
ALTER TABLE idempotency_keys RENAME CONSTRAINT answers_key_has_a_bound TO idempotency_keys_key_has_a_bound;
ALTER TABLE idempotency_keys RENAME CONSTRAINT answers_have_a_body TO idempotency_keys_have_a_body;

ALTER TABLE letters RENAME TO notifications;
ALTER TABLE notifications RENAME COLUMN about TO subject;
ALTER TABLE notifications RENAME COLUMN matter TO content;
ALTER TABLE notifications RENAME COLUMN good_until TO relevant_until;
ALTER INDEX letters_pkey RENAME TO notifications_pkey;
ALTER INDEX letters_due RENAME TO notifications_due;
ALTER INDEX letters_by_account RENAME TO notifications_by_account;
ALTER INDEX letters_ended RENAME TO notifications_ended;
ALTER TABLE notifications RENAME CONSTRAINT letters_state_is_known TO notifications_state_is_known;
ALTER TABLE notifications RENAME CONSTRAINT letters_on_their_way_have_an_address TO notifications_not_ended_have_an_address;
ALTER TABLE notifications RENAME CONSTRAINT letters_about_has_a_bound TO notifications_subject_has_a_bound;
ALTER TABLE notifications RENAME CONSTRAINT letters_traceparent_check TO notifications_traceparent_check;
UPDATE notifications SET content = content - 'matter' || jsonb_build_object('kind', content -> 'matter');

ALTER TABLE reminders RENAME COLUMN told_at TO sent_at;
ALTER INDEX reminders_to_tell RENAME TO reminders_to_send;
ALTER TABLE gateway_events RENAME COLUMN heard_at TO received_at;
ALTER TABLE checkouts RENAME COLUMN gateway_away TO gateway_down;
