CREATE FUNCTION public.audit_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    author text := nullif(current_setting('fairline.who', true), '');
    was jsonb;
    became jsonb;
    whole jsonb;
    sale uuid;
    -- Null for an item that is named like its sale.
    item_sku text;
BEGIN
    IF author IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN was := to_jsonb(OLD); END IF;
    IF TG_OP <> 'DELETE' THEN became := to_jsonb(NEW); END IF;
    IF TG_OP = 'INSERT' THEN became := jsonb_strip_nulls(became); END IF;
    whole := coalesce(became, was);
    IF TG_TABLE_NAME = 'sales' THEN
        sale := whole ->> 'id';
        IF TG_OP = 'INSERT' THEN
            became := became || (SELECT jsonb_build_object('total', sum(total)) FROM stock WHERE sale_id = sale)
                || (SELECT CASE WHEN count(*) > 1 OR min(sku) <> whole ->> 'slug' THEN jsonb_build_object('items',
                    jsonb_agg(jsonb_build_object('sku', sku, 'price_minor', price_minor, 'total', total) ORDER BY item)) ELSE '{}' END
                    FROM items JOIN stock USING (sale_id, item) WHERE sale_id = sale);
        END IF;
    ELSE
        sale := whole ->> 'sale_id';
    END IF;
    IF TG_TABLE_NAME IN ('items', 'stock') THEN
        SELECT sku INTO item_sku FROM items JOIN sales ON id = sale_id
            WHERE sale_id = sale AND item = (whole ->> 'item')::smallint AND sku <> slug;
        IF TG_TABLE_NAME = 'items' AND TG_OP = 'INSERT' THEN
            became := became || coalesce((SELECT jsonb_build_object('total', total) FROM stock
                WHERE sale_id = sale AND item = (whole ->> 'item')::smallint), '{}');
        END IF;
    END IF;
    SELECT jsonb_object_agg(key, was -> key) FILTER (WHERE was ? key), jsonb_object_agg(key, became -> key) FILTER (WHERE became ? key)
        INTO was, became FROM unnest(TG_ARGV) AS key WHERE was -> key IS DISTINCT FROM became -> key;
    IF was IS NULL AND became IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit (who, action, subject, sale_id, before, after, reason) VALUES (
        author,
        coalesce(nullif(current_setting('fairline.what', true), ''), lower(TG_OP) || '_' || TG_TABLE_NAME),
        coalesce(whole ->> 'slug', (SELECT slug || coalesce(': ' || item_sku, '') FROM sales WHERE id = sale), whole ->> 'sku', whole ->> 'name',
            whole ->> 'url', whole ->> 'kid', TG_TABLE_NAME),
        sale, was, became, nullif(current_setting('fairline.why', true), '')
    );
    RETURN NULL;
END $$;
CREATE FUNCTION public.change_shopper_allowance() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.state IN ('expired', 'cancelled') THEN
        UPDATE shopper_allowances SET units = units - NEW.quantity, changed_at = now()
            WHERE sale_id = NEW.sale_id AND visitor = NEW.visitor;
    ELSE
        INSERT INTO shopper_allowances (sale_id, visitor, units, most)
            SELECT NEW.sale_id, NEW.visitor, NEW.quantity, per_shopper_limit FROM sales WHERE id = NEW.sale_id
            ON CONFLICT (sale_id, visitor) DO UPDATE
            SET units = shopper_allowances.units + excluded.units, most = excluded.most, changed_at = now();
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION public.clear_client_secret() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.client_secret := NULL;
    RETURN NEW;
END $$;
CREATE FUNCTION public.fill_item() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.insert_shopper_allowances() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO shopper_allowances (sale_id, visitor, units, most)
        SELECT made.sale_id, made.visitor, sum(made.quantity), per_shopper_limit FROM made
        JOIN sales ON sales.id = made.sale_id
        WHERE made.admission_id IS NOT NULL AND made.state NOT IN ('expired', 'cancelled')
        GROUP BY made.sale_id, made.visitor, per_shopper_limit ORDER BY made.sale_id, made.visitor
        ON CONFLICT (sale_id, visitor) DO UPDATE
        SET units = shopper_allowances.units + excluded.units, most = excluded.most, changed_at = now();
    RETURN NULL;
END
$$;
CREATE FUNCTION public.is_attribute_list(list jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE WHEN jsonb_typeof(list) = 'array' THEN jsonb_array_length(list) <= 30 AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(list) AS attribute
        WHERE (char_length(attribute ->> 'name') BETWEEN 1 AND 60 AND char_length(attribute ->> 'value') BETWEEN 1 AND 200) IS NOT TRUE
    ) ELSE false END
$$;
CREATE FUNCTION public.number_events(sale uuid, further bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    last bigint;
BEGIN
    UPDATE sale_counters SET events = events + further,
        active_at = CASE WHEN active_at < now() - interval '10 minutes' THEN now() ELSE active_at END
        WHERE sale_id = sale RETURNING events INTO STRICT last;
    RETURN last;
END $$;
CREATE FUNCTION public.reject_audit_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'entries of the audit log are never changed' USING CONSTRAINT = 'audit_is_append_only', ERRCODE = 'check_violation';
END $$;
CREATE FUNCTION public.reject_media_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'an image of a product is never exchanged' USING CONSTRAINT = 'product_images_media_is_immutable', ERRCODE = 'check_violation';
END $$;
CREATE FUNCTION public.reject_record_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM lines JOIN sales ON sales.id = sale_id WHERE lines.id = OLD.line_id AND retention_state = 'deleting') THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'entries of a record are never changed' USING CONSTRAINT = 'record_entries_are_append_only', ERRCODE = 'check_violation';
END $$;
CREATE FUNCTION public.reject_several_items() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT sale_can_open(NEW.id) THEN
        RAISE EXCEPTION 'an open sale offers one item' USING CONSTRAINT = 'sales_open_with_one_item', ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION public.sale_can_open(sale uuid) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(bool_and(CASE WHEN item = 1 THEN NOT withdrawn AND coalesce(items.per_shopper_limit >= sales.per_shopper_limit, true)
        ELSE withdrawn END), true) FROM items JOIN sales ON id = sale_id WHERE sale_id = sale
$$;
CREATE FUNCTION public.update_allowance() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    change integer := 0;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state NOT IN ('expired', 'cancelled') THEN
        change := change - OLD.quantity;
    END IF;
    IF NEW.state NOT IN ('expired', 'cancelled') THEN
        change := change + NEW.quantity;
    END IF;
    IF change > 0 THEN
        INSERT INTO allowances (sale_id, account_id, units, most)
            SELECT NEW.sale_id, NEW.account_id, change, per_account_limit FROM sales
            WHERE id = NEW.sale_id AND per_account_limit IS NOT NULL
            ON CONFLICT (sale_id, account_id) DO UPDATE
            SET units = allowances.units + excluded.units, most = excluded.most, changed_at = now();
    ELSIF change < 0 THEN
        UPDATE allowances SET units = units + change, changed_at = now()
            WHERE sale_id = NEW.sale_id AND account_id = NEW.account_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION public.update_banner_uses() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE media SET uses = uses + 1, unused_since = NULL WHERE hash = NEW.banner;
    UPDATE media SET uses = uses - 1, unused_since = CASE WHEN uses = 1 THEN now() END WHERE hash = OLD.banner;
    RETURN NULL;
END $$;
CREATE FUNCTION public.update_media_uses() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE media SET uses = uses + 1, unused_since = NULL WHERE hash = NEW.media;
    ELSE
        UPDATE media SET uses = uses - 1, unused_since = CASE WHEN uses = 1 THEN now() END WHERE hash = OLD.media;
    END IF;
    RETURN NULL;
END $$;
CREATE TABLE public.accounts (
    CONSTRAINT accounts_address_is_bounded CHECK (((octet_length(address) >= 3) AND (octet_length(address) <= 254))),
    address text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    id uuid NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.admissions (
    CONSTRAINT admissions_quantity_is_positive CHECK ((quantity > 0)),
    CONSTRAINT admissions_state_is_known CHECK ((state = ANY (ARRAY['promised'::text, 'redeemed'::text, 'lapsed'::text]))),
    CONSTRAINT admissions_visitor_is_16_bytes CHECK ((octet_length(visitor) = 16)),
    claim_by timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone,
    epoch integer NOT NULL,
    excused boolean DEFAULT false NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    id uuid NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    kid text NOT NULL,
    left_at timestamp with time zone,
    line_id uuid NOT NULL,
    number bigint NOT NULL,
    ordinal bigint NOT NULL,
    published_epoch integer DEFAULT 0 NOT NULL,
    published_state text,
    quantity integer NOT NULL,
    recorded_state text DEFAULT 'promised'::text NOT NULL,
    sale_id uuid NOT NULL,
    state text DEFAULT 'promised'::text NOT NULL,
    visitor bytea NOT NULL
);
ALTER TABLE public.admissions ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.admissions_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.allowances (
    CONSTRAINT allowances_within_limit CHECK (((units >= 0) AND (units <= most))),
    account_id uuid NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    most integer NOT NULL,
    sale_id uuid NOT NULL,
    units integer NOT NULL
);
CREATE TABLE public.api_tokens (
    CONSTRAINT api_tokens_digest_is_32_bytes CHECK ((octet_length(digest) = 32)),
    CONSTRAINT api_tokens_name_is_plain CHECK ((name ~ '^[a-z0-9][a-z0-9._@-]{0,62}$'::text)),
    CONSTRAINT api_tokens_role_is_known CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'owner'::text]))),
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    created_by text NOT NULL,
    digest bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    name text NOT NULL,
    role text NOT NULL
);
CREATE TABLE public.audit (
    CONSTRAINT audit_reason_is_bounded CHECK ((char_length(reason) <= 500)),
    action text NOT NULL,
    after jsonb,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    before jsonb,
    id bigint NOT NULL,
    reason text,
    sale_id uuid,
    subject text NOT NULL,
    who text NOT NULL
);
ALTER TABLE public.audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE UNLOGGED TABLE public.checkouts (
    CONSTRAINT checkouts_counts_are_valid CHECK (((answered >= failed) AND (answered >= slow) AND (failed >= 0) AND (slow >= 0))),
    answered integer NOT NULL,
    failed integer NOT NULL,
    gateway_down boolean DEFAULT false NOT NULL,
    heartbeat_at timestamp with time zone NOT NULL,
    id uuid NOT NULL,
    slow integer NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.deliveries (
    CONSTRAINT deliveries_state_is_known CHECK ((state = ANY (ARRAY['waiting'::text, 'delivered'::text, 'given_up'::text]))),
    attempts integer DEFAULT 0 NOT NULL,
    body text NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    number bigint NOT NULL,
    sale_id uuid NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    webhook_id uuid NOT NULL
);
CREATE TABLE public.enrolments (
    CONSTRAINT enrolments_digest_is_32_bytes CHECK ((octet_length(digest) = 32)),
    digest bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    operator text NOT NULL
);
CREATE TABLE public.gateway_events (
    CONSTRAINT gateway_events_id_is_bounded CHECK (((octet_length(id) >= 1) AND (octet_length(id) <= 200))),
    id text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.holds (
    CONSTRAINT holds_cancelled_at_matches_state CHECK (((state = 'cancelled'::text) = (cancelled_at IS NOT NULL))),
    CONSTRAINT holds_have_an_admission_or_a_reference CHECK (((admission_id IS NULL) = (reserved_as IS NOT NULL))),
    CONSTRAINT holds_quantity_is_positive CHECK ((quantity > 0)),
    CONSTRAINT holds_reference_is_bounded CHECK (((octet_length(reserved_as) >= 1) AND (octet_length(reserved_as) <= 200))),
    CONSTRAINT holds_state_is_known CHECK ((state = ANY (ARRAY['promised'::text, 'held'::text, 'paid'::text, 'expired'::text, 'cancelled'::text]))),
    CONSTRAINT holds_traceparent_check CHECK ((length(traceparent) = 55)),
    account_id uuid,
    admission_id uuid,
    amount_minor bigint NOT NULL,
    cancelled_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    currency text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    id uuid NOT NULL,
    quantity integer NOT NULL,
    reserved_as text,
    sale_id uuid NOT NULL,
    state text DEFAULT 'held'::text NOT NULL,
    traceparent text,
    visitor bytea NOT NULL,
    warned boolean DEFAULT false NOT NULL
);
CREATE TABLE public.idempotency_keys (
    CONSTRAINT idempotency_keys_body_matches_status CHECK (((status IS NULL) = (body IS NULL))),
    CONSTRAINT idempotency_keys_key_is_bounded CHECK (((octet_length(key) >= 1) AND (octet_length(key) <= 255))),
    CONSTRAINT idempotency_keys_request_is_32_bytes CHECK ((octet_length(request) = 32)),
    CONSTRAINT idempotency_keys_scope_is_32_bytes CHECK ((octet_length(scope) = 32)),
    body text,
    key text NOT NULL,
    request bytea NOT NULL,
    scope bytea NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    status integer
);
CREATE TABLE public.installation (
    CONSTRAINT installation_is_one_row CHECK (is_only),
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    is_only boolean DEFAULT true NOT NULL
);
CREATE TABLE public.items (
    "position" smallint NOT NULL,
    CONSTRAINT items_attributes_are_a_list CHECK (public.is_attribute_list(attributes)),
    CONSTRAINT items_limit_is_positive CHECK ((per_shopper_limit > 0)),
    CONSTRAINT items_list_price_is_not_lower CHECK ((list_minor >= price_minor)),
    CONSTRAINT items_name_is_bounded CHECK (((char_length(name) >= 1) AND (char_length(name) <= 250))),
    CONSTRAINT items_number_is_bounded CHECK (((item >= 1) AND (item <= 200))),
    CONSTRAINT items_position_is_bounded CHECK ((("position" >= 0) AND ("position" <= 199))),
    CONSTRAINT items_price_is_not_negative CHECK ((price_minor >= 0)),
    CONSTRAINT items_sku_is_plain CHECK ((sku ~ '^[A-Za-z0-9][A-Za-z0-9._/+-]{0,63}$'::text)),
    CONSTRAINT items_version_is_positive CHECK ((version > 0)),
    attributes jsonb DEFAULT '[]'::jsonb NOT NULL,
    item smallint NOT NULL,
    list_minor bigint,
    name text NOT NULL,
    per_shopper_limit integer,
    price_minor bigint NOT NULL,
    sale_id uuid NOT NULL,
    sku text NOT NULL,
    variant_id uuid,
    version integer DEFAULT 1 NOT NULL,
    withdrawn boolean DEFAULT false NOT NULL
);
CREATE TABLE public.lines (
    CONSTRAINT lines_admit_now_is_not_negative CHECK ((admit_now >= 0)),
    CONSTRAINT lines_counters_are_not_negative CHECK (((joined >= 0) AND (admitted >= 0) AND (waiting >= 0) AND (present >= 0))),
    CONSTRAINT lines_cursor_is_in_range CHECK (((epoch >= 0) AND (cursor >= 0) AND (highest_ordinal >= cursor))),
    CONSTRAINT lines_draw_has_a_key CHECK (((drawn IS NULL) = (draw_key IS NULL))),
    CONSTRAINT lines_draw_key_is_32_bytes CHECK ((octet_length(draw_key) = 32)),
    CONSTRAINT lines_expected_is_not_negative CHECK ((expected >= 0)),
    CONSTRAINT lines_granted_covers_highest_ordinal CHECK ((granted >= highest_ordinal)),
    CONSTRAINT lines_invitation_key_is_32_bytes CHECK ((octet_length(invitation_key) = 32)),
    CONSTRAINT lines_lane_is_plain CHECK ((lane ~ '^[a-z0-9](-?[a-z0-9]){0,31}$'::text)),
    CONSTRAINT lines_lanes_have_a_key CHECK (((lane IS NULL) = (invitation_key IS NULL))),
    CONSTRAINT lines_lanes_have_a_share CHECK (((lane IS NULL) = (share IS NULL))),
    CONSTRAINT lines_nodes_are_not_negative CHECK (((nodes >= 0) AND (expected_nodes >= 0))),
    CONSTRAINT lines_own_line_is_no_lane CHECK (((id = sale_id) = (lane IS NULL))),
    CONSTRAINT lines_record_hash_is_32_bytes CHECK ((octet_length(record_hash) = 32)),
    CONSTRAINT lines_share_is_a_fraction CHECK (((share >= (0)::double precision) AND (share <= (1)::double precision))),
    above bigint DEFAULT 0 NOT NULL,
    admit_now integer DEFAULT 0 NOT NULL,
    admitted bigint DEFAULT 0 NOT NULL,
    cursor bigint DEFAULT 0 NOT NULL,
    draw_key bytea,
    drawn bigint,
    epoch integer DEFAULT 0 NOT NULL,
    epoch_began_at timestamp with time zone DEFAULT now() NOT NULL,
    expected bigint DEFAULT 0 NOT NULL,
    expected_nodes bigint DEFAULT 0 NOT NULL,
    granted bigint DEFAULT 0 NOT NULL,
    highest_ordinal bigint DEFAULT 0 NOT NULL,
    home text,
    id uuid NOT NULL,
    invitation_key bytea,
    invitations bigint DEFAULT 0 NOT NULL,
    joined bigint DEFAULT 0 NOT NULL,
    lane text,
    last_decision text,
    memory jsonb DEFAULT '{}'::jsonb NOT NULL,
    nodes bigint DEFAULT 0 NOT NULL,
    observed_at timestamp with time zone DEFAULT now() NOT NULL,
    present bigint DEFAULT 0 NOT NULL,
    prior jsonb,
    publication bigint DEFAULT 0 NOT NULL,
    published_status text,
    rapid_epochs integer DEFAULT 0 NOT NULL,
    record_hash bytea DEFAULT decode(repeat('00'::text, 32), 'hex'::text) NOT NULL,
    record_seq bigint DEFAULT 0,
    recorded_epoch integer DEFAULT 0 NOT NULL,
    recorded_rev bigint DEFAULT 0 NOT NULL,
    recorded_status text DEFAULT 'scheduled'::text NOT NULL,
    recorded_tickets bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    recovers_until timestamp with time zone,
    republish_below bigint,
    sale_id uuid NOT NULL,
    settled boolean DEFAULT false NOT NULL,
    share double precision,
    ticked_at timestamp with time zone DEFAULT now() NOT NULL,
    unreachable_from timestamp with time zone,
    unreachable_until timestamp with time zone,
    waiting bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.media (
    CONSTRAINT media_format_is_known CHECK ((format = ANY (ARRAY['jpg'::text, 'webp'::text]))),
    CONSTRAINT media_hash_is_32_bytes CHECK ((octet_length(hash) = 32)),
    CONSTRAINT media_size_is_positive CHECK (((width > 0) AND (height > 0) AND ((cardinality(widths) >= 1) AND (cardinality(widths) <= 3)))),
    CONSTRAINT media_uses_are_consistent CHECK (((uses >= 0) AND ((uses = 0) = (unused_since IS NOT NULL)))),
    format text NOT NULL,
    hash bytea NOT NULL,
    height integer NOT NULL,
    stored_at timestamp with time zone,
    unused_since timestamp with time zone DEFAULT now(),
    uses integer DEFAULT 0 NOT NULL,
    width integer NOT NULL,
    widths integer[] NOT NULL
);
CREATE TABLE public.notifications (
    CONSTRAINT notifications_pending_have_an_address CHECK (((state = ANY (ARRAY['waiting'::text, 'sending'::text])) = (address IS NOT NULL))),
    CONSTRAINT notifications_state_is_known CHECK ((state = ANY (ARRAY['waiting'::text, 'sending'::text, 'sent'::text, 'unknown'::text, 'given_up'::text]))),
    CONSTRAINT notifications_subject_is_bounded CHECK (((octet_length(subject) >= 1) AND (octet_length(subject) <= 200))),
    CONSTRAINT notifications_traceparent_check CHECK ((length(traceparent) = 55)),
    account_id uuid,
    address text,
    attempts integer DEFAULT 0 NOT NULL,
    content jsonb NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    error text,
    relevant_until timestamp with time zone NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    subject text NOT NULL,
    traceparent text
);
CREATE TABLE public.operator_sessions (
    CONSTRAINT operator_sessions_digest_is_32_bytes CHECK ((octet_length(digest) = 32)),
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    digest bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    operator text NOT NULL
);
CREATE TABLE public.operators (
    CONSTRAINT operators_name_is_plain CHECK ((name ~ '^[a-z0-9][a-z0-9._@-]{0,62}$'::text)),
    CONSTRAINT operators_role_is_known CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'owner'::text]))),
    CONSTRAINT operators_secret_is_long CHECK ((octet_length(totp_secret) >= 16)),
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone,
    name text NOT NULL,
    password text NOT NULL,
    role text NOT NULL,
    totp_secret bytea NOT NULL,
    totp_step bigint DEFAULT 0 NOT NULL
);
CREATE TABLE public.order_requests (
    CONSTRAINT order_requests_amount_is_positive CHECK (((amount_minor IS NULL) OR ((amount_minor > 0) AND (kind = 'refund'::text)))),
    CONSTRAINT order_requests_kind_is_known CHECK ((kind = ANY (ARRAY['refund'::text, 'cancel'::text]))),
    CONSTRAINT order_requests_reason_is_bounded CHECK (((char_length(reason) >= 1) AND (char_length(reason) <= 500))),
    CONSTRAINT order_requests_state_is_known CHECK ((state = ANY (ARRAY['requested'::text, 'done'::text, 'failed'::text]))),
    amount_minor bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    error text,
    id uuid NOT NULL,
    kind text NOT NULL,
    order_id uuid NOT NULL,
    reason text NOT NULL,
    requested_by text NOT NULL,
    sale_id uuid NOT NULL,
    state text DEFAULT 'requested'::text NOT NULL
);
CREATE TABLE public.orders (
    CONSTRAINT orders_have_a_payment_or_a_reference CHECK (((payment_id IS NULL) = (paid_as IS NOT NULL))),
    CONSTRAINT orders_reference_is_bounded CHECK (((octet_length(paid_as) >= 1) AND (octet_length(paid_as) <= 200))),
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    id uuid NOT NULL,
    paid_as text,
    paid_at timestamp with time zone DEFAULT now() NOT NULL,
    payment_id uuid,
    quantity integer NOT NULL,
    sale_id uuid NOT NULL,
    visitor bytea NOT NULL
);
CREATE TABLE public.outbox (
    CONSTRAINT outbox_numbers_cover_events CHECK (((json_array_length(data) > 0) AND (number >= json_array_length(data)))),
    data json NOT NULL,
    happened_at timestamp with time zone DEFAULT now() NOT NULL,
    kind text NOT NULL,
    number bigint NOT NULL,
    sale_id uuid NOT NULL
);
CREATE TABLE public.payments (
    CONSTRAINT payments_authorised_have_a_reference CHECK (((state <> ALL (ARRAY['authorised'::text, 'captured'::text, 'refund_due'::text, 'refunded'::text])) OR (gateway_ref IS NOT NULL))),
    CONSTRAINT payments_dispute_is_bounded CHECK (((octet_length(dispute) >= 1) AND (octet_length(dispute) <= 60))),
    CONSTRAINT payments_refunds_are_within_amount CHECK ((((refunded_minor >= 0) AND (refunded_minor <= amount_minor)) AND ((disputed_minor >= 0) AND (disputed_minor <= amount_minor)))),
    CONSTRAINT payments_rejection_is_bounded CHECK (((octet_length(rejected_as) >= 1) AND (octet_length(rejected_as) <= 100))),
    CONSTRAINT payments_state_is_known CHECK ((state = ANY (ARRAY['started'::text, 'authorised'::text, 'captured'::text, 'declined'::text, 'voided'::text, 'refund_due'::text, 'refunded'::text]))),
    amount_minor bigint NOT NULL,
    call_until timestamp with time zone,
    client_secret text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    currency text NOT NULL,
    dispute text,
    disputed_minor bigint DEFAULT 0 NOT NULL,
    gateway_ref text,
    hold_id uuid NOT NULL,
    id uuid NOT NULL,
    payment_method text NOT NULL,
    recovery_attempts integer DEFAULT 0 NOT NULL,
    refunded_minor bigint DEFAULT 0 NOT NULL,
    rejected_as text,
    settle_at timestamp with time zone,
    settle_no integer DEFAULT 0 NOT NULL,
    state text DEFAULT 'started'::text NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.product_images (
    "position" integer NOT NULL,
    CONSTRAINT product_images_alt_is_bounded CHECK ((char_length(alt) <= 250)),
    CONSTRAINT product_images_position_is_bounded CHECK ((("position" >= 0) AND ("position" <= 11))),
    alt text NOT NULL,
    media bytea NOT NULL,
    product_id uuid NOT NULL
);
CREATE TABLE public.products (
    CONSTRAINT products_attributes_are_a_list CHECK (public.is_attribute_list(attributes)),
    CONSTRAINT products_description_is_bounded CHECK ((char_length(description) <= 2000)),
    CONSTRAINT products_name_is_bounded CHECK (((char_length(name) >= 1) AND (char_length(name) <= 120))),
    CONSTRAINT products_version_is_positive CHECK ((version > 0)),
    archived boolean DEFAULT false NOT NULL,
    attributes jsonb DEFAULT '[]'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL
);
CREATE TABLE public.push_subscriptions (
    CONSTRAINT push_subscriptions_are_bounded CHECK (((octet_length(endpoint) <= 1000) AND (octet_length(p256dh) = 87) AND (octet_length(auth) = 22))),
    account_id uuid NOT NULL,
    auth text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    endpoint text NOT NULL,
    p256dh text NOT NULL
);
CREATE TABLE public.record_entries (
    CONSTRAINT record_entries_hash_is_32_bytes CHECK ((octet_length(hash) = 32)),
    CONSTRAINT record_entries_seq_is_positive CHECK ((seq > 0)),
    body text NOT NULL,
    hash bytea NOT NULL,
    line_id uuid NOT NULL,
    seq bigint NOT NULL
);
CREATE TABLE public.refresh_tokens (
    CONSTRAINT refresh_tokens_digest_is_32_bytes CHECK ((octet_length(digest) = 32)),
    digest bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    session_id uuid NOT NULL,
    used_at timestamp with time zone
);
CREATE TABLE public.rehearsals (
    CONSTRAINT rehearsals_ended_at_matches_state CHECK (((ended_at IS NULL) = (state = ANY (ARRAY['running'::text, 'stopping'::text])))),
    CONSTRAINT rehearsals_state_is_known CHECK ((state = ANY (ARRAY['running'::text, 'stopping'::text, 'passed'::text, 'failed'::text, 'stopped'::text]))),
    ended_at timestamp with time zone,
    heartbeat_at timestamp with time zone DEFAULT now() NOT NULL,
    id uuid NOT NULL,
    original_id uuid NOT NULL,
    progress text,
    report jsonb,
    sale_id uuid NOT NULL,
    shoppers integer NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    state text DEFAULT 'running'::text NOT NULL
);
CREATE TABLE public.relays (
    number bigint NOT NULL,
    sale_id uuid NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.reminders (
    account_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    epoch bigint NOT NULL,
    id uuid NOT NULL,
    line_id uuid NOT NULL,
    ordinal bigint NOT NULL,
    sent_at timestamp with time zone
);
CREATE TABLE public.revoked_keys (
    kid text NOT NULL,
    revoked_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.sale_counters (
    active_at timestamp with time zone DEFAULT now() NOT NULL,
    events bigint DEFAULT 0 NOT NULL,
    orders bigint DEFAULT 0 NOT NULL,
    sale_id uuid NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.sales (
    CONSTRAINT sales_account_limit_is_positive CHECK ((per_account_limit > 0)),
    CONSTRAINT sales_banner_alt_is_bounded CHECK ((char_length(banner_alt) <= 250)),
    CONSTRAINT sales_banner_has_an_alt CHECK (((banner IS NULL) = (banner_alt IS NULL))),
    CONSTRAINT sales_currency_is_iso CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT sales_deletion_requires_closed CHECK (((retention_state = 'kept'::text) OR (status = 'closed'::text))),
    CONSTRAINT sales_draws_have_a_seed CHECK (((line_order = 'draw'::text) = (seed IS NOT NULL))),
    CONSTRAINT sales_end_after_they_open CHECK (((ends_at IS NULL) OR (ends_at > opens_at))),
    CONSTRAINT sales_grace_is_in_range CHECK (((grace_s >= 1) AND (grace_s <= 86400))),
    CONSTRAINT sales_in_checkout_max_is_positive CHECK ((in_checkout_max > 0)),
    CONSTRAINT sales_limit_is_positive CHECK ((per_shopper_limit > 0)),
    CONSTRAINT sales_line_order_is_known CHECK ((line_order = ANY (ARRAY['fifo'::text, 'draw'::text]))),
    CONSTRAINT sales_mode_is_known CHECK ((mode = ANY (ARRAY['guarantee'::text, 'yield'::text]))),
    CONSTRAINT sales_price_is_not_negative CHECK ((price_minor >= 0)),
    CONSTRAINT sales_prior_sale_is_another CHECK ((prior_sale <> id)),
    CONSTRAINT sales_rate_cap_is_positive CHECK ((rate_cap_per_s > (0)::double precision)),
    CONSTRAINT sales_recall_window_is_positive CHECK ((recall_window_s > 0)),
    CONSTRAINT sales_rehearsal_of_is_another CHECK ((rehearsal_of <> id)),
    CONSTRAINT sales_retention_state_is_known CHECK ((retention_state = ANY (ARRAY['kept'::text, 'deleting'::text, 'deleted'::text]))),
    CONSTRAINT sales_risk_is_a_share CHECK (((risk > (0)::double precision) AND (risk <= (0.1)::double precision))),
    CONSTRAINT sales_seed_is_32_bytes CHECK ((octet_length(seed) = 32)),
    CONSTRAINT sales_slug_is_plain CHECK ((slug ~ '^[a-z0-9](-?[a-z0-9]){0,62}$'::text)),
    CONSTRAINT sales_status_is_known CHECK ((status = ANY (ARRAY['scheduled'::text, 'open'::text, 'paused'::text, 'closed'::text]))),
    CONSTRAINT sales_time_zone_is_a_name CHECK ((time_zone ~ '^[A-Za-z0-9_+/-]{1,64}$'::text)),
    CONSTRAINT sales_windows_are_positive CHECK (((token_ttl_s > 0) AND (claim_window_s > 0) AND (hold_s > 0))),
    banner bytea,
    banner_alt text,
    claim_window_s integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    currency text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    ends_at timestamp with time zone,
    grace_s integer,
    hold_s integer NOT NULL,
    id uuid NOT NULL,
    in_checkout_max integer,
    line_order text DEFAULT 'fifo'::text NOT NULL,
    message text,
    mode text DEFAULT 'guarantee'::text NOT NULL,
    name text NOT NULL,
    opens_at timestamp with time zone NOT NULL,
    per_account_limit integer,
    per_shopper_limit integer DEFAULT 1 NOT NULL,
    price_minor bigint NOT NULL,
    prior_sale uuid,
    rate_cap_per_s double precision NOT NULL,
    recall_window_s integer DEFAULT 1800 NOT NULL,
    rehearsal_of uuid,
    retention_state text DEFAULT 'kept'::text NOT NULL,
    risk double precision DEFAULT 0.001 NOT NULL,
    seed bytea,
    slug text NOT NULL,
    status text DEFAULT 'scheduled'::text NOT NULL,
    theme jsonb DEFAULT '{}'::jsonb NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    token_ttl_s integer NOT NULL
);
CREATE TABLE public.samples (
    admitted bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    held integer NOT NULL,
    highest bigint NOT NULL,
    inside bigint NOT NULL,
    joined bigint NOT NULL,
    likely_wait_s bigint,
    orders bigint NOT NULL,
    present bigint NOT NULL,
    promised integer NOT NULL,
    sale_id uuid NOT NULL,
    sold integer NOT NULL,
    total integer NOT NULL,
    waiting bigint NOT NULL
);
CREATE TABLE public.sessions (
    account_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    id uuid NOT NULL
);
CREATE TABLE public.shopper_allowances (
    CONSTRAINT shopper_allowances_within_limit CHECK (((units >= 0) AND (units <= most))),
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    most integer NOT NULL,
    sale_id uuid NOT NULL,
    units integer NOT NULL,
    visitor bytea NOT NULL
)
WITH (fillfactor='90');
CREATE TABLE public.sign_in_failures (
    CONSTRAINT sign_in_failures_attempt_is_32_bytes CHECK ((octet_length(attempt) = 32)),
    attempt bytea NOT NULL,
    failed_at timestamp with time zone NOT NULL,
    failures integer NOT NULL
);
CREATE TABLE public.sign_ins (
    CONSTRAINT sign_ins_address_is_bounded CHECK (((octet_length(address) >= 3) AND (octet_length(address) <= 254))),
    address text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    done_at timestamp with time zone,
    id uuid NOT NULL
);
CREATE TABLE public.stock (
    CONSTRAINT stock_counters_are_not_negative CHECK (((total >= 0) AND (promised >= 0) AND (held >= 0) AND (sold >= 0) AND (overbook >= 0))),
    CONSTRAINT stock_is_never_overpromised CHECK ((((promised + held) + sold) <= (total + overbook))),
    CONSTRAINT stock_is_never_oversold CHECK (((held + sold) <= total)),
    held integer DEFAULT 0 NOT NULL,
    item smallint NOT NULL,
    overbook integer DEFAULT 0 NOT NULL,
    promised integer DEFAULT 0 NOT NULL,
    sale_id uuid NOT NULL,
    sold integer DEFAULT 0 NOT NULL,
    total integer NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.ticket_actions (
    CONSTRAINT ticket_actions_kind_is_known CHECK ((kind = ANY (ARRAY['removed'::text, 'preferred'::text]))),
    CONSTRAINT ticket_actions_reason_is_known CHECK ((reason = ANY (ARRAY['operator'::text, 'limit'::text]))),
    CONSTRAINT ticket_actions_visitor_is_16_bytes CHECK ((octet_length(visitor) = 16)),
    at timestamp with time zone DEFAULT now() NOT NULL,
    done boolean DEFAULT false NOT NULL,
    kind text NOT NULL,
    line_id uuid NOT NULL,
    ordinal bigint NOT NULL,
    published boolean DEFAULT false NOT NULL,
    published_epoch integer DEFAULT 0 NOT NULL,
    reason text DEFAULT 'operator'::text NOT NULL,
    visitor bytea NOT NULL
);
CREATE TABLE public.variants (
    "position" integer NOT NULL,
    CONSTRAINT variants_attributes_are_a_list CHECK (public.is_attribute_list(attributes)),
    CONSTRAINT variants_currency_is_iso CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT variants_gtin_is_valid CHECK ((gtin ~ '^([0-9]{8}|[0-9]{12,14})$'::text)),
    CONSTRAINT variants_position_is_bounded CHECK ((("position" >= 0) AND ("position" <= 199))),
    CONSTRAINT variants_price_is_bounded CHECK (((price_minor >= 1) AND (price_minor <= 1000000000))),
    CONSTRAINT variants_sku_is_plain CHECK ((sku ~ '^[A-Za-z0-9][A-Za-z0-9._/+-]{0,63}$'::text)),
    CONSTRAINT variants_title_is_bounded CHECK ((char_length(title) <= 120)),
    attributes jsonb DEFAULT '[]'::jsonb NOT NULL,
    currency text NOT NULL,
    gtin text,
    id uuid NOT NULL,
    price_minor bigint NOT NULL,
    product_id uuid NOT NULL,
    sku text NOT NULL,
    title text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.webhooks (
    CONSTRAINT webhooks_secret_is_long CHECK (((octet_length(secret) >= 24) AND (octet_length(secret) <= 64))),
    CONSTRAINT webhooks_url_is_bounded CHECK (((octet_length(url) >= 8) AND (octet_length(url) <= 2000))),
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    disabled_at timestamp with time zone,
    failing_since timestamp with time zone,
    id uuid NOT NULL,
    kinds text[] DEFAULT '{}'::text[] NOT NULL,
    last_error text,
    secret bytea NOT NULL,
    url text NOT NULL
);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.admissions
    ADD CONSTRAINT admissions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.allowances
    ADD CONSTRAINT allowances_pkey PRIMARY KEY (sale_id, account_id);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_digest_is_unique UNIQUE (digest);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.checkouts
    ADD CONSTRAINT checkouts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (webhook_id, sale_id, number);
ALTER TABLE ONLY public.enrolments
    ADD CONSTRAINT enrolments_digest_is_unique UNIQUE (digest);
ALTER TABLE ONLY public.enrolments
    ADD CONSTRAINT enrolments_pkey PRIMARY KEY (operator);
ALTER TABLE ONLY public.gateway_events
    ADD CONSTRAINT gateway_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.holds
    ADD CONSTRAINT holds_one_per_admission UNIQUE (admission_id);
ALTER TABLE ONLY public.holds
    ADD CONSTRAINT holds_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (scope, key);
ALTER TABLE ONLY public.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (is_only);
ALTER TABLE ONLY public.items
    ADD CONSTRAINT items_pkey PRIMARY KEY (sale_id, item);
ALTER TABLE ONLY public.items
    ADD CONSTRAINT items_position_is_unique UNIQUE (sale_id, "position") DEFERRABLE;
ALTER TABLE ONLY public.items
    ADD CONSTRAINT items_sku_is_unique UNIQUE (sale_id, sku);
ALTER TABLE ONLY public.lines
    ADD CONSTRAINT lines_lane_is_unique UNIQUE NULLS NOT DISTINCT (sale_id, lane);
ALTER TABLE ONLY public.lines
    ADD CONSTRAINT lines_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.media
    ADD CONSTRAINT media_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY public.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (subject);
ALTER TABLE ONLY public.operator_sessions
    ADD CONSTRAINT operator_sessions_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.operators
    ADD CONSTRAINT operators_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.order_requests
    ADD CONSTRAINT order_requests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_one_per_payment UNIQUE (payment_id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (sale_id, number);
ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.product_images
    ADD CONSTRAINT product_images_media_is_unique UNIQUE (product_id, media);
ALTER TABLE ONLY public.product_images
    ADD CONSTRAINT product_images_pkey PRIMARY KEY (product_id, "position");
ALTER TABLE ONLY public.products
    ADD CONSTRAINT products_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.push_subscriptions
    ADD CONSTRAINT push_subscriptions_pkey PRIMARY KEY (endpoint);
ALTER TABLE ONLY public.record_entries
    ADD CONSTRAINT record_entries_pkey PRIMARY KEY (line_id, seq);
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.rehearsals
    ADD CONSTRAINT rehearsals_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.relays
    ADD CONSTRAINT relays_pkey PRIMARY KEY (sale_id);
ALTER TABLE ONLY public.reminders
    ADD CONSTRAINT reminders_one_per_line UNIQUE (line_id, account_id);
ALTER TABLE ONLY public.reminders
    ADD CONSTRAINT reminders_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.revoked_keys
    ADD CONSTRAINT revoked_keys_pkey PRIMARY KEY (kid);
ALTER TABLE ONLY public.sale_counters
    ADD CONSTRAINT sale_counters_pkey PRIMARY KEY (sale_id);
ALTER TABLE ONLY public.sales
    ADD CONSTRAINT sales_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sales
    ADD CONSTRAINT sales_slug_is_unique UNIQUE (slug);
ALTER TABLE ONLY public.samples
    ADD CONSTRAINT samples_pkey PRIMARY KEY (sale_id, at);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.shopper_allowances
    ADD CONSTRAINT shopper_allowances_pkey PRIMARY KEY (sale_id, visitor);
ALTER TABLE ONLY public.sign_in_failures
    ADD CONSTRAINT sign_in_failures_pkey PRIMARY KEY (attempt);
ALTER TABLE ONLY public.sign_ins
    ADD CONSTRAINT sign_ins_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.stock
    ADD CONSTRAINT stock_pkey PRIMARY KEY (sale_id, item);
ALTER TABLE ONLY public.ticket_actions
    ADD CONSTRAINT ticket_actions_pkey PRIMARY KEY (line_id, ordinal, kind);
ALTER TABLE ONLY public.variants
    ADD CONSTRAINT variants_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.variants
    ADD CONSTRAINT variants_position_is_unique UNIQUE (product_id, "position") DEFERRABLE;
ALTER TABLE ONLY public.variants
    ADD CONSTRAINT variants_sku_is_unique UNIQUE (sku) DEFERRABLE;
ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_pkey PRIMARY KEY (id);
CREATE INDEX accounts_by_address ON public.accounts USING btree (address) WHERE (address IS NOT NULL);
CREATE INDEX accounts_by_age ON public.accounts USING btree (seen_at);
CREATE INDEX admissions_claimed ON public.admissions USING btree (sale_id, claimed_at) WHERE (claimed_at IS NOT NULL);
CREATE INDEX admissions_lapsed ON public.admissions USING btree (line_id, ordinal) WHERE (state = 'lapsed'::text);
CREATE INDEX admissions_left ON public.admissions USING btree (sale_id, left_at) WHERE (left_at IS NOT NULL);
CREATE INDEX admissions_live_to_publish ON public.admissions USING btree (sale_id, line_id, published_epoch) WHERE (state = 'promised'::text);
CREATE UNIQUE INDEX admissions_one_live_per_ticket ON public.admissions USING btree (line_id, ordinal) WHERE (state <> 'lapsed'::text);
CREATE INDEX admissions_promised ON public.admissions USING btree (sale_id, expires_at) WHERE (state = 'promised'::text);
CREATE INDEX admissions_promised_by_visitor ON public.admissions USING btree (sale_id, visitor) WHERE (state = 'promised'::text);
CREATE INDEX admissions_to_anonymise ON public.admissions USING btree (issued_at) WHERE ((visitor <> '\x00000000000000000000000000000000'::bytea) AND (state <> 'promised'::text));
CREATE INDEX admissions_to_publish ON public.admissions USING btree (line_id, issued_at) WHERE ((published_state IS DISTINCT FROM state) OR (recorded_state <> state));
CREATE INDEX allowances_by_age ON public.allowances USING btree (changed_at);
CREATE INDEX audit_by_sale ON public.audit USING btree (sale_id, id) WHERE (sale_id IS NOT NULL);
CREATE INDEX deliveries_by_state ON public.deliveries USING btree (webhook_id, state, due_at) WHERE (state <> 'waiting'::text);
CREATE INDEX deliveries_done ON public.deliveries USING btree (due_at) WHERE (state <> 'waiting'::text);
CREATE INDEX deliveries_due ON public.deliveries USING btree (webhook_id, due_at) WHERE (state = 'waiting'::text);
CREATE INDEX gateway_events_by_age ON public.gateway_events USING btree (received_at);
CREATE INDEX holds_by_account ON public.holds USING btree (account_id, created_at) WHERE (account_id IS NOT NULL);
CREATE INDEX holds_by_age ON public.holds USING btree (sale_id, created_at);
CREATE INDEX holds_by_visitor ON public.holds USING btree (visitor);
CREATE INDEX holds_cancelled ON public.holds USING btree (sale_id, cancelled_at) WHERE (cancelled_at IS NOT NULL);
CREATE UNIQUE INDEX holds_one_per_reference ON public.holds USING btree (sale_id, reserved_as) WHERE (reserved_as IS NOT NULL);
CREATE INDEX holds_open ON public.holds USING btree (sale_id, expires_at) WHERE (state = ANY (ARRAY['promised'::text, 'held'::text]));
CREATE INDEX holds_to_anonymise ON public.holds USING btree (created_at) WHERE ((state <> ALL (ARRAY['promised'::text, 'held'::text])) AND ((visitor <> '\x00000000000000000000000000000000'::bytea) OR (account_id IS NOT NULL) OR (reserved_as <> ('forgotten '::text || (id)::text))));
CREATE INDEX holds_to_warn ON public.holds USING btree (expires_at) WHERE ((account_id IS NOT NULL) AND (NOT warned) AND (state = ANY (ARRAY['promised'::text, 'held'::text])));
CREATE INDEX idempotency_keys_by_age ON public.idempotency_keys USING btree (started_at);
CREATE INDEX items_by_variant ON public.items USING btree (variant_id) WHERE (variant_id IS NOT NULL);
CREATE INDEX lines_to_tick ON public.lines USING btree (id) WHERE ((id = sale_id) AND (NOT settled));
CREATE INDEX media_unused ON public.media USING btree (unused_since) WHERE (unused_since IS NOT NULL);
CREATE INDEX notifications_by_account ON public.notifications USING btree (account_id) WHERE (account_id IS NOT NULL);
CREATE INDEX notifications_due ON public.notifications USING btree (due_at) WHERE (state = ANY (ARRAY['waiting'::text, 'sending'::text]));
CREATE INDEX notifications_ended ON public.notifications USING btree (due_at) WHERE (state <> ALL (ARRAY['waiting'::text, 'sending'::text]));
CREATE INDEX operator_sessions_by_age ON public.operator_sessions USING btree (expires_at);
CREATE INDEX operator_sessions_by_operator ON public.operator_sessions USING btree (operator);
CREATE INDEX order_requests_by_order ON public.order_requests USING btree (order_id, created_at);
CREATE INDEX order_requests_by_sale ON public.order_requests USING btree (sale_id);
CREATE INDEX order_requests_due ON public.order_requests USING btree (due_at) WHERE (state = 'requested'::text);
CREATE UNIQUE INDEX order_requests_one_at_a_time ON public.order_requests USING btree (order_id) WHERE (state = 'requested'::text);
CREATE INDEX orders_by_time ON public.orders USING btree (sale_id, paid_at) INCLUDE (quantity);
CREATE INDEX orders_by_visitor ON public.orders USING btree (visitor);
CREATE INDEX orders_to_anonymise ON public.orders USING btree (paid_at) WHERE ((visitor <> '\x00000000000000000000000000000000'::bytea) OR (paid_as <> 'forgotten'::text));
CREATE INDEX outbox_by_age ON public.outbox USING btree (happened_at);
CREATE INDEX payments_by_age ON public.payments USING btree (created_at);
CREATE INDEX payments_by_hold ON public.payments USING btree (hold_id, created_at);
CREATE INDEX payments_by_reference ON public.payments USING btree (gateway_ref) WHERE (gateway_ref IS NOT NULL);
CREATE INDEX payments_failed ON public.payments USING btree (updated_at) WHERE (state = ANY (ARRAY['declined'::text, 'voided'::text]));
CREATE UNIQUE INDEX payments_one_live_per_hold ON public.payments USING btree (hold_id) WHERE (state = ANY (ARRAY['started'::text, 'authorised'::text, 'captured'::text]));
CREATE INDEX payments_to_anonymise ON public.payments USING btree (created_at) WHERE ((payment_method <> ''::text) AND (state <> ALL (ARRAY['started'::text, 'authorised'::text, 'refund_due'::text])));
CREATE INDEX payments_to_settle ON public.payments USING btree (settle_at) WHERE (settle_at IS NOT NULL);
CREATE INDEX payments_unfinished ON public.payments USING btree (updated_at) WHERE (state = ANY (ARRAY['started'::text, 'authorised'::text, 'refund_due'::text]));
CREATE INDEX product_images_by_media ON public.product_images USING btree (media);
CREATE INDEX products_by_age ON public.products USING btree (created_at, id);
CREATE INDEX push_subscriptions_by_account ON public.push_subscriptions USING btree (account_id);
CREATE INDEX refresh_tokens_by_age ON public.refresh_tokens USING btree (expires_at);
CREATE INDEX refresh_tokens_by_session ON public.refresh_tokens USING btree (session_id);
CREATE INDEX rehearsals_by_copy ON public.rehearsals USING btree (sale_id);
CREATE INDEX rehearsals_by_original ON public.rehearsals USING btree (original_id, started_at);
CREATE UNIQUE INDEX rehearsals_one_runs ON public.rehearsals USING btree ((true)) WHERE (ended_at IS NULL);
CREATE INDEX reminders_to_send ON public.reminders USING btree (line_id, epoch, ordinal) WHERE (sent_at IS NULL);
CREATE INDEX sale_counters_active ON public.sale_counters USING btree (active_at);
CREATE INDEX sales_by_age ON public.sales USING btree (created_at, id);
CREATE INDEX sales_by_banner ON public.sales USING btree (banner) WHERE (banner IS NOT NULL);
CREATE INDEX sales_closed ON public.sales USING btree (created_at) WHERE ((rehearsal_of IS NULL) AND (status = 'closed'::text) AND (retention_state = 'kept'::text));
CREATE INDEX sales_closed_rehearsals ON public.sales USING btree (created_at) WHERE ((rehearsal_of IS NOT NULL) AND (status = 'closed'::text) AND (retention_state = 'kept'::text));
CREATE INDEX sales_deleting ON public.sales USING btree (id) WHERE (retention_state = 'deleting'::text);
CREATE INDEX sales_rehearsals ON public.sales USING btree (rehearsal_of) WHERE (rehearsal_of IS NOT NULL);
CREATE INDEX sales_running ON public.sales USING btree (id) WHERE (status <> 'closed'::text);
CREATE INDEX samples_by_age ON public.samples USING btree (at);
CREATE INDEX sessions_by_account ON public.sessions USING btree (account_id);
CREATE INDEX shopper_allowances_due ON public.shopper_allowances USING btree (changed_at);
CREATE INDEX sign_in_failures_by_age ON public.sign_in_failures USING btree (failed_at);
CREATE INDEX sign_ins_by_address ON public.sign_ins USING btree (address, created_at);
CREATE INDEX sign_ins_by_age ON public.sign_ins USING btree (created_at);
CREATE INDEX ticket_actions_by_visitor ON public.ticket_actions USING btree (visitor) WHERE (visitor <> '\x00000000000000000000000000000000'::bytea);
CREATE INDEX ticket_actions_to_anonymise ON public.ticket_actions USING btree (at) WHERE ((visitor <> '\x00000000000000000000000000000000'::bytea) AND ((kind = 'removed'::text) OR done));
CREATE INDEX ticket_actions_to_do ON public.ticket_actions USING btree (line_id) WHERE ((NOT done) OR (NOT published));
CREATE INDEX ticket_actions_to_publish ON public.ticket_actions USING btree (line_id, published_epoch) WHERE (kind = 'removed'::text);
CREATE INDEX variants_by_sku ON public.variants USING btree (lower(sku) text_pattern_ops);
CREATE TRIGGER api_tokens_audit AFTER INSERT OR DELETE ON public.api_tokens FOR EACH ROW EXECUTE FUNCTION public.audit_change('name', 'role', 'expires_at');
CREATE TRIGGER audit_is_append_only BEFORE DELETE OR UPDATE ON public.audit FOR EACH ROW EXECUTE FUNCTION public.reject_audit_change();
CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.reject_audit_change();
CREATE TRIGGER holds_change_shopper_allowances AFTER UPDATE OF state ON public.holds FOR EACH ROW WHEN (((new.admission_id IS NOT NULL) AND ((old.state = ANY (ARRAY['expired'::text, 'cancelled'::text])) <> (new.state = ANY (ARRAY['expired'::text, 'cancelled'::text]))))) EXECUTE FUNCTION public.change_shopper_allowance();
CREATE TRIGGER holds_insert_shopper_allowances AFTER INSERT ON public.holds REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION public.insert_shopper_allowances();

CREATE TRIGGER holds_update_allowances AFTER INSERT OR UPDATE OF state ON public.holds FOR EACH ROW WHEN ((new.account_id IS NOT NULL)) EXECUTE FUNCTION public.update_allowance();
CREATE TRIGGER items_audit AFTER UPDATE ON public.items FOR EACH ROW EXECUTE FUNCTION public.audit_change('name', 'attributes', 'list_minor', 'price_minor', 'per_shopper_limit', 'withdrawn');
CREATE TRIGGER items_audit_added AFTER INSERT ON public.items FOR EACH ROW WHEN ((COALESCE(current_setting('fairline.what'::text, true), ''::text) <> ALL (ARRAY['create_sale'::text, 'rehearse'::text]))) EXECUTE FUNCTION public.audit_change('sku', 'name', 'attributes', 'list_minor', 'price_minor', 'per_shopper_limit', 'total');
CREATE TRIGGER items_fill BEFORE INSERT ON public.items FOR EACH ROW WHEN (((new.sku IS NULL) OR (new.name IS NULL) OR (new.price_minor IS NULL) OR (new."position" IS NULL))) EXECUTE FUNCTION public.fill_item();
CREATE TRIGGER lanes_audit AFTER INSERT OR UPDATE OF share, invitations ON public.lines FOR EACH ROW WHEN ((new.lane IS NOT NULL)) EXECUTE FUNCTION public.audit_change('lane', 'share', 'invitations');
CREATE TRIGGER operators_audit AFTER INSERT OR DELETE OR UPDATE OF role ON public.operators FOR EACH ROW EXECUTE FUNCTION public.audit_change('name', 'role');
CREATE TRIGGER order_requests_audit AFTER INSERT ON public.order_requests FOR EACH ROW EXECUTE FUNCTION public.audit_change('kind', 'order_id', 'amount_minor');
CREATE TRIGGER payments_clear_client_secret BEFORE UPDATE OF state ON public.payments FOR EACH ROW WHEN (((new.client_secret IS NOT NULL) AND (new.state <> 'started'::text))) EXECUTE FUNCTION public.clear_client_secret();
CREATE TRIGGER product_images_media_is_immutable BEFORE UPDATE OF media ON public.product_images FOR EACH ROW WHEN ((new.media <> old.media)) EXECUTE FUNCTION public.reject_media_change();
CREATE TRIGGER product_images_update_media_uses AFTER INSERT OR DELETE ON public.product_images FOR EACH ROW EXECUTE FUNCTION public.update_media_uses();
CREATE TRIGGER products_audit AFTER INSERT OR DELETE OR UPDATE ON public.products FOR EACH ROW EXECUTE FUNCTION public.audit_change('name', 'description', 'attributes', 'archived');
CREATE TRIGGER record_entries_are_append_only BEFORE DELETE OR UPDATE ON public.record_entries FOR EACH ROW EXECUTE FUNCTION public.reject_record_change();
CREATE TRIGGER revoked_keys_audit AFTER INSERT ON public.revoked_keys FOR EACH ROW EXECUTE FUNCTION public.audit_change('kid');
CREATE TRIGGER sales_audit AFTER INSERT OR UPDATE ON public.sales FOR EACH ROW EXECUTE FUNCTION public.audit_change('slug', 'name', 'description', 'price_minor', 'currency', 'per_shopper_limit', 'per_account_limit', 'status', 'message', 'rate_cap_per_s', 'token_ttl_s', 'claim_window_s', 'hold_s', 'recall_window_s', 'grace_s', 'opens_at', 'ends_at', 'line_order', 'mode', 'risk', 'in_checkout_max', 'prior_sale', 'theme', 'time_zone', 'total', 'rehearsal_of', 'items', 'banner', 'banner_alt');
CREATE TRIGGER sales_open_with_one_item BEFORE UPDATE OF status ON public.sales FOR EACH ROW WHEN (((old.status = 'scheduled'::text) AND (new.status = ANY (ARRAY['open'::text, 'paused'::text])))) EXECUTE FUNCTION public.reject_several_items();
CREATE TRIGGER sales_update_banner_uses AFTER UPDATE OF banner ON public.sales FOR EACH ROW WHEN ((new.banner IS DISTINCT FROM old.banner)) EXECUTE FUNCTION public.update_banner_uses();
CREATE TRIGGER stock_audit AFTER UPDATE OF total ON public.stock FOR EACH ROW EXECUTE FUNCTION public.audit_change('total');
CREATE TRIGGER variants_audit AFTER INSERT OR DELETE OR UPDATE ON public.variants FOR EACH ROW EXECUTE FUNCTION public.audit_change('sku', 'title', 'attributes', 'price_minor', 'currency', 'gtin');
CREATE TRIGGER webhooks_audit AFTER INSERT OR DELETE OR UPDATE OF disabled_at ON public.webhooks FOR EACH ROW EXECUTE FUNCTION public.audit_change('url', 'kinds', 'disabled_at');
ALTER TABLE ONLY public.admissions
    ADD CONSTRAINT admissions_line_id_fkey FOREIGN KEY (line_id) REFERENCES public.lines(id);
ALTER TABLE ONLY public.admissions
    ADD CONSTRAINT admissions_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.allowances
    ADD CONSTRAINT allowances_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES public.webhooks(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.enrolments
    ADD CONSTRAINT enrolments_operator_fkey FOREIGN KEY (operator) REFERENCES public.operators(name) ON DELETE CASCADE;
ALTER TABLE ONLY public.holds
    ADD CONSTRAINT holds_admission_id_fkey FOREIGN KEY (admission_id) REFERENCES public.admissions(id);
ALTER TABLE ONLY public.items
    ADD CONSTRAINT items_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.items
    ADD CONSTRAINT items_variant_id_fkey FOREIGN KEY (variant_id) REFERENCES public.variants(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.lines
    ADD CONSTRAINT lines_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.operator_sessions
    ADD CONSTRAINT operator_sessions_operator_fkey FOREIGN KEY (operator) REFERENCES public.operators(name) ON DELETE CASCADE;
ALTER TABLE ONLY public.order_requests
    ADD CONSTRAINT order_requests_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.holds(id);
ALTER TABLE ONLY public.order_requests
    ADD CONSTRAINT order_requests_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_id_fkey FOREIGN KEY (id) REFERENCES public.holds(id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES public.payments(id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.payments
    ADD CONSTRAINT payments_hold_id_fkey FOREIGN KEY (hold_id) REFERENCES public.holds(id);
ALTER TABLE ONLY public.product_images
    ADD CONSTRAINT product_images_media_fkey FOREIGN KEY (media) REFERENCES public.media(hash);
ALTER TABLE ONLY public.product_images
    ADD CONSTRAINT product_images_product_id_fkey FOREIGN KEY (product_id) REFERENCES public.products(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.push_subscriptions
    ADD CONSTRAINT push_subscriptions_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.record_entries
    ADD CONSTRAINT record_entries_line_id_fkey FOREIGN KEY (line_id) REFERENCES public.lines(id);
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.rehearsals
    ADD CONSTRAINT rehearsals_original_id_fkey FOREIGN KEY (original_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.rehearsals
    ADD CONSTRAINT rehearsals_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.relays
    ADD CONSTRAINT relays_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.reminders
    ADD CONSTRAINT reminders_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.reminders
    ADD CONSTRAINT reminders_line_id_fkey FOREIGN KEY (line_id) REFERENCES public.lines(id);
ALTER TABLE ONLY public.sale_counters
    ADD CONSTRAINT sale_counters_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.sales
    ADD CONSTRAINT sales_banner_fkey FOREIGN KEY (banner) REFERENCES public.media(hash);
ALTER TABLE ONLY public.sales
    ADD CONSTRAINT sales_prior_sale_fkey FOREIGN KEY (prior_sale) REFERENCES public.sales(id);
ALTER TABLE ONLY public.sales
    ADD CONSTRAINT sales_rehearsal_of_fkey FOREIGN KEY (rehearsal_of) REFERENCES public.sales(id);
ALTER TABLE ONLY public.samples
    ADD CONSTRAINT samples_sale_id_fkey FOREIGN KEY (sale_id) REFERENCES public.sales(id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.stock
    ADD CONSTRAINT stock_is_of_an_item FOREIGN KEY (sale_id, item) REFERENCES public.items(sale_id, item);
ALTER TABLE ONLY public.ticket_actions
    ADD CONSTRAINT ticket_actions_line_id_fkey FOREIGN KEY (line_id) REFERENCES public.lines(id);
ALTER TABLE ONLY public.variants
    ADD CONSTRAINT variants_product_id_fkey FOREIGN KEY (product_id) REFERENCES public.products(id) ON DELETE CASCADE;
