-- Tokens of programs, each with a name and a role.
CREATE TABLE api_tokens (
    name       text PRIMARY KEY,
    role       text NOT NULL,
    -- SHA-256 of the token.
    digest     bytea NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT api_tokens_name_is_plain CHECK (name ~ '^[a-z0-9][a-z0-9._@-]{0,62}$'),
    CONSTRAINT api_tokens_role_is_known CHECK (role IN ('viewer', 'operator', 'owner')),
    CONSTRAINT api_tokens_digest_is_32_bytes CHECK (octet_length(digest) = 32),
    CONSTRAINT api_tokens_are_different UNIQUE (digest)
);
CREATE TRIGGER api_tokens_are_noted AFTER INSERT OR DELETE ON api_tokens FOR EACH ROW
    EXECUTE FUNCTION note_change('name', 'role', 'expires_at');
