-- What a sale offers of the catalogue: the SKU, name and prices of each item.
--
-- Lock order: sales -> items -> stock -> sale_counters. A request that changes items locks the row
-- of their sale first.

ALTER TABLE items
    -- The variant that the item was made from. The item keeps its own copy of the text and prices.
    ADD COLUMN variant_id        uuid REFERENCES variants (id) ON DELETE SET NULL,
    ADD COLUMN sku               text,
    ADD COLUMN name              text,
    ADD COLUMN attributes        jsonb NOT NULL DEFAULT '[]',
    -- The usual price, which is shown beside the sale's; null: none is shown.
    ADD COLUMN list_minor        bigint,
    ADD COLUMN price_minor       bigint,
    -- Null: the sale's.
    ADD COLUMN per_shopper_limit integer,
    -- The order of display.
    ADD COLUMN position          smallint,
    -- A withdrawn item gets no new promises; outstanding ones stay valid.
    ADD COLUMN withdrawn         boolean NOT NULL DEFAULT false,
    -- Raised by each change. A change names the version that it is based on.
    ADD COLUMN version           integer NOT NULL DEFAULT 1;

-- An item that is inserted without these columns gets those of its sale: services of the release
-- before insert no more than the number.
CREATE FUNCTION fill_item() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sale sales;
BEGIN
    SELECT * INTO STRICT sale FROM sales WHERE id = NEW.sale_id;
    NEW.sku := coalesce(NEW.sku, left(sale.slug, 64));
    NEW.name := coalesce(NEW.name, nullif(left(sale.name, 250), ''), sale.slug);
    NEW.price_minor := coalesce(NEW.price_minor, sale.price_minor);
    NEW.position := coalesce(NEW.position, NEW.item - 1);
    RETURN NEW;
END $$;
CREATE TRIGGER items_fill BEFORE INSERT ON items FOR EACH ROW
    WHEN (NEW.sku IS NULL OR NEW.name IS NULL OR NEW.price_minor IS NULL OR NEW.position IS NULL) EXECUTE FUNCTION fill_item();
UPDATE items SET sku = left(sales.slug, 64), name = coalesce(nullif(left(sales.name, 250), ''), sales.slug),
    price_minor = sales.price_minor, position = items.item - 1 FROM sales WHERE sales.id = sale_id;

ALTER TABLE items
    ALTER COLUMN sku SET NOT NULL,
    ALTER COLUMN name SET NOT NULL,
    ALTER COLUMN price_minor SET NOT NULL,
    ALTER COLUMN position SET NOT NULL,
    ADD CONSTRAINT items_sku_is_unique UNIQUE (sale_id, sku),
    ADD CONSTRAINT items_sku_is_plain CHECK (sku ~ '^[A-Za-z0-9][A-Za-z0-9._/+-]{0,63}$'),
    ADD CONSTRAINT items_name_is_bounded CHECK (char_length(name) BETWEEN 1 AND 250),
    ADD CONSTRAINT items_attributes_are_a_list CHECK (is_attribute_list(attributes)),
    ADD CONSTRAINT items_price_is_not_negative CHECK (price_minor >= 0),
    ADD CONSTRAINT items_list_price_is_not_lower CHECK (list_minor >= price_minor),
    ADD CONSTRAINT items_limit_is_positive CHECK (per_shopper_limit > 0),
    -- Deferrable: checked at the end of a statement, which may exchange two places.
    ADD CONSTRAINT items_position_is_unique UNIQUE (sale_id, position) DEFERRABLE,
    ADD CONSTRAINT items_position_is_bounded CHECK (position BETWEEN 0 AND 199),
    ADD CONSTRAINT items_version_is_positive CHECK (version > 0);
CREATE INDEX items_by_variant ON items (variant_id) WHERE variant_id IS NOT NULL;

-- Whether a sale may open: the stock, the price and the limit are those of item 1 so far, so it
-- must be the only one that is offered, and have no limit below the sale's.
CREATE FUNCTION sale_can_open(sale uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(bool_and(CASE WHEN item = 1 THEN NOT withdrawn AND coalesce(items.per_shopper_limit >= sales.per_shopper_limit, true)
        ELSE withdrawn END), true) FROM items JOIN sales ON id = sale_id WHERE sale_id = sale
$$;
CREATE FUNCTION reject_several_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT sale_can_open(NEW.id) THEN
        RAISE EXCEPTION 'an open sale offers one item' USING CONSTRAINT = 'sales_open_with_one_item', ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sales_open_with_one_item BEFORE UPDATE OF status ON sales FOR EACH ROW
    WHEN (OLD.status = 'scheduled' AND NEW.status IN ('open', 'paused')) EXECUTE FUNCTION reject_several_items();

DROP TRIGGER sales_audit ON sales;
CREATE TRIGGER sales_audit AFTER INSERT OR UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION audit_change(
    'slug', 'name', 'description', 'price_minor', 'currency', 'per_shopper_limit', 'per_account_limit', 'status', 'message',
    'rate_cap_per_s', 'token_ttl_s', 'claim_window_s', 'hold_s', 'recall_window_s', 'grace_s', 'opens_at', 'ends_at', 'line_order',
    'mode', 'risk', 'in_checkout_max', 'prior_sale', 'theme', 'time_zone', 'total', 'rehearsal_of', 'items', 'banner', 'banner_alt');
CREATE TRIGGER items_audit AFTER UPDATE ON items FOR EACH ROW EXECUTE FUNCTION audit_change(
    'name', 'attributes', 'list_minor', 'price_minor', 'per_shopper_limit', 'withdrawn');
-- Items of a new sale are in the entry of the sale.
CREATE TRIGGER items_audit_added AFTER INSERT ON items FOR EACH ROW
    WHEN (coalesce(current_setting('fairline.what', true), '') NOT IN ('create_sale', 'rehearse')) EXECUTE FUNCTION audit_change(
    'sku', 'name', 'attributes', 'list_minor', 'price_minor', 'per_shopper_limit', 'total');

-- The banner of a sale's pages: an uploaded image. Lock order: media -> sales.
ALTER TABLE sales
    ADD COLUMN banner     bytea REFERENCES media (hash),
    -- For screen readers; empty for an image that adds nothing to the text.
    ADD COLUMN banner_alt text,
    ADD CONSTRAINT sales_banner_has_an_alt CHECK ((banner IS NULL) = (banner_alt IS NULL)),
    ADD CONSTRAINT sales_banner_alt_is_bounded CHECK (char_length(banner_alt) <= 250);
CREATE INDEX sales_by_banner ON sales (banner) WHERE banner IS NOT NULL;
CREATE FUNCTION update_banner_uses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE media SET uses = uses + 1, unused_since = NULL WHERE hash = NEW.banner;
    UPDATE media SET uses = uses - 1, unused_since = CASE WHEN uses = 1 THEN now() END WHERE hash = OLD.banner;
    RETURN NULL;
END $$;
CREATE TRIGGER sales_update_banner_uses AFTER UPDATE OF banner ON sales FOR EACH ROW
    WHEN (NEW.banner IS DISTINCT FROM OLD.banner) EXECUTE FUNCTION update_banner_uses();
