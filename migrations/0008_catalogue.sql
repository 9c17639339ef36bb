-- The catalogue: products, their variants, and images.
--
-- Lock order: products -> variants -> media.

-- Whether a value is a list of at most 30 attributes, each with a name and a value.
CREATE FUNCTION is_attribute_list(list jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(list) = 'array' THEN jsonb_array_length(list) <= 30 AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(list) AS attribute
        WHERE (char_length(attribute ->> 'name') BETWEEN 1 AND 60 AND char_length(attribute ->> 'value') BETWEEN 1 AND 200) IS NOT TRUE
    ) ELSE false END
$$;

CREATE TABLE products (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    description text NOT NULL DEFAULT '',
    -- In the order of display: [{"name": …, "value": …}, …].
    attributes  jsonb NOT NULL DEFAULT '[]',
    archived    boolean NOT NULL DEFAULT false,
    -- Raised by each change of the product, its variants or its images. A change names the version
    -- that it is based on.
    version     integer NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT products_name_is_bounded CHECK (char_length(name) BETWEEN 1 AND 120),
    CONSTRAINT products_description_is_bounded CHECK (char_length(description) <= 2000),
    CONSTRAINT products_attributes_are_a_list CHECK (is_attribute_list(attributes)),
    CONSTRAINT products_version_is_positive CHECK (version > 0)
);
CREATE INDEX products_by_age ON products (created_at, id);

CREATE TRIGGER products_audit AFTER INSERT OR UPDATE OR DELETE ON products FOR EACH ROW
    EXECUTE FUNCTION audit_change('name', 'description', 'attributes', 'archived');

-- What is sold of a product: a size, a colour.
CREATE TABLE variants (
    id          uuid PRIMARY KEY,
    product_id  uuid NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    -- Its place in the product, from 0. The constraints make 200 of them the maximum.
    position    integer NOT NULL,
    sku         text NOT NULL,
    title       text NOT NULL DEFAULT '',
    attributes  jsonb NOT NULL DEFAULT '[]',
    -- The list price of one unit.
    price_minor bigint NOT NULL,
    currency    text NOT NULL,
    gtin        text,
    -- Deferrable: checked at the end of a statement, which may exchange two SKUs or two places.
    CONSTRAINT variants_sku_is_unique UNIQUE (sku) DEFERRABLE,
    CONSTRAINT variants_sku_is_plain CHECK (sku ~ '^[A-Za-z0-9][A-Za-z0-9._/+-]{0,63}$'),
    CONSTRAINT variants_position_is_unique UNIQUE (product_id, position) DEFERRABLE,
    CONSTRAINT variants_position_is_bounded CHECK (position BETWEEN 0 AND 199),
    CONSTRAINT variants_title_is_bounded CHECK (char_length(title) <= 120),
    CONSTRAINT variants_attributes_are_a_list CHECK (is_attribute_list(attributes)),
    CONSTRAINT variants_price_is_bounded CHECK (price_minor BETWEEN 1 AND 1000000000),
    CONSTRAINT variants_currency_is_iso CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT variants_gtin_is_valid CHECK (gtin ~ '^([0-9]{8}|[0-9]{12,14})$')
);
-- For a search by the beginning of a SKU in any case.
CREATE INDEX variants_by_sku ON variants (lower(sku) text_pattern_ops);

CREATE TRIGGER variants_audit AFTER INSERT OR UPDATE OR DELETE ON variants FOR EACH ROW
    EXECUTE FUNCTION audit_change('sku', 'title', 'attributes', 'price_minor', 'currency', 'gtin');

-- Images whose files are in the media storage.
CREATE TABLE media (
    -- SHA-256 of the upload and of what is made from it.
    hash         bytea PRIMARY KEY,
    format       text NOT NULL,
    -- Of the upload, in pixels.
    width        integer NOT NULL,
    height       integer NOT NULL,
    -- The widths of its files.
    widths       integer[] NOT NULL,
    -- Null while its files are being written or deleted: no product may refer to it then.
    stored_at    timestamptz,
    -- The number of references, and since when there are none. A trigger counts them, so that
    -- unused images are found by an index.
    uses         integer NOT NULL DEFAULT 0,
    unused_since timestamptz DEFAULT now(),
    CONSTRAINT media_hash_is_32_bytes CHECK (octet_length(hash) = 32),
    CONSTRAINT media_format_is_known CHECK (format IN ('jpg', 'webp')),
    CONSTRAINT media_size_is_positive CHECK (width > 0 AND height > 0 AND cardinality(widths) BETWEEN 1 AND 3),
    CONSTRAINT media_uses_are_consistent CHECK (uses >= 0 AND (uses = 0) = (unused_since IS NOT NULL))
);
CREATE INDEX media_unused ON media (unused_since) WHERE unused_since IS NOT NULL;

CREATE TABLE product_images (
    product_id uuid NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    position   integer NOT NULL,
    media      bytea NOT NULL REFERENCES media (hash),
    -- For screen readers; empty for an image that adds nothing to the text.
    alt        text NOT NULL,
    PRIMARY KEY (product_id, position),
    CONSTRAINT product_images_media_is_unique UNIQUE (product_id, media),
    CONSTRAINT product_images_position_is_bounded CHECK (position BETWEEN 0 AND 11),
    CONSTRAINT product_images_alt_is_bounded CHECK (char_length(alt) <= 250)
);
CREATE INDEX product_images_by_media ON product_images (media);

CREATE FUNCTION update_media_uses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE media SET uses = uses + 1, unused_since = NULL WHERE hash = NEW.media;
    ELSE
        UPDATE media SET uses = uses - 1, unused_since = CASE WHEN uses = 1 THEN now() END WHERE hash = OLD.media;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER product_images_update_media_uses AFTER INSERT OR DELETE ON product_images FOR EACH ROW EXECUTE FUNCTION update_media_uses();
CREATE FUNCTION reject_media_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an image of a product is never exchanged' USING CONSTRAINT = 'product_images_media_is_immutable', ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER product_images_media_is_immutable BEFORE UPDATE OF media ON product_images FOR EACH ROW
    WHEN (NEW.media <> OLD.media) EXECUTE FUNCTION reject_media_change();
