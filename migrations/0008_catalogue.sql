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
    CONSTRAINT products_name_has_a_bound CHECK (char_length(name) BETWEEN 1 AND 120),
    CONSTRAINT products_description_has_a_bound CHECK (char_length(description) <= 2000),
    CONSTRAINT products_attributes_are_a_list CHECK (is_attribute_list(attributes)),
    CONSTRAINT products_version_is_positive CHECK (version > 0)
);
CREATE INDEX products_by_age ON products (created_at, id);

CREATE TRIGGER products_are_noted AFTER INSERT OR UPDATE OR DELETE ON products FOR EACH ROW
    EXECUTE FUNCTION note_change('name', 'description', 'attributes', 'archived');

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
    CONSTRAINT variants_position_has_a_bound CHECK (position BETWEEN 0 AND 199),
    CONSTRAINT variants_title_has_a_bound CHECK (char_length(title) <= 120),
    CONSTRAINT variants_attributes_are_a_list CHECK (is_attribute_list(attributes)),
    CONSTRAINT variants_price_has_a_bound CHECK (price_minor BETWEEN 1 AND 1000000000),
    CONSTRAINT variants_currency_is_iso CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT variants_gtin_is_one CHECK (gtin ~ '^([0-9]{8}|[0-9]{12,14})$')
);
-- For a search by the beginning of a SKU in any case.
CREATE INDEX variants_by_sku ON variants (lower(sku) text_pattern_ops);

CREATE TRIGGER variants_are_noted AFTER INSERT OR UPDATE OR DELETE ON variants FOR EACH ROW
    EXECUTE FUNCTION note_change('sku', 'title', 'attributes', 'price_minor', 'currency', 'gtin');
