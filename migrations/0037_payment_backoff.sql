-- How often a payment that was left half done has been taken on: one that never ends is tried ever more seldom, and takes no
-- turns from those whose holds run out.
ALTER TABLE payments ADD COLUMN adoptions integer NOT NULL DEFAULT 0;
