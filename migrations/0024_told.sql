-- Which database this is, among all that share a Redis: copies in it are named by this.
CREATE TABLE installation (
    id      uuid NOT NULL DEFAULT gen_random_uuid(),
    is_only boolean PRIMARY KEY DEFAULT true,
    CONSTRAINT installation_is_one CHECK (is_only)
);
INSERT INTO installation DEFAULT VALUES;

-- What a page needs while its shopper proves who they are is worth nothing afterwards, and forgotten whoever moves the payment on.
CREATE FUNCTION forget_the_client_secret() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.client_secret := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER payments_forget_the_client_secret BEFORE UPDATE OF state ON payments FOR EACH ROW
    WHEN (NEW.client_secret IS NOT NULL AND NEW.state <> 'started') EXECUTE FUNCTION forget_the_client_secret();
UPDATE payments SET client_secret = NULL WHERE client_secret IS NOT NULL AND state <> 'started';
