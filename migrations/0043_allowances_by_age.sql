-- A BRIN index keeps the age of rows that have gone: once their pages are used again, whoever looks for old rows reads them all.
CREATE INDEX shopper_allowances_due ON shopper_allowances (changed_at);
DROP INDEX shopper_allowances_by_age;
