-- Whether the process has found the payment gateway away. Another that has asked nothing lately would let holds lapse that wait for it.
ALTER TABLE checkouts ADD COLUMN gateway_away boolean NOT NULL DEFAULT false;
