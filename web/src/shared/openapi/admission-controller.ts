/** Generated from docs/openapi/admission-controller.json by scripts/generate-api.mjs. */

export interface paths {
    "/.well-known/jwks.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read the public keys of the signing keys that are not revoked. */
        get: operations["key_set"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show the audit log, the newest entries first. */
        get: operations["show_audit"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/audit.csv": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Download the audit log as CSV: the newest 100,000 entries. */
        get: operations["audit_table"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/enrolment": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Enrol: choose a password with the code from an owner, and receive the secret for the
         *     authenticator app.
         */
        post: operations["enrol"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the signing keys. */
        get: operations["list_keys"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/keys/{kid}/revoke": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Revoke a key. Checkouts immediately reject the tokens that it has signed. Shoppers who hold one
         *     receive another, signed with the next key. Without a next key, no shopper is admitted. It can't
         *     be undone.
         */
        post: operations["revoke_key"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Open a WebSocket with live updates, as JSON: `{"type":"sales"}` whenever a sale changes; of one
         *     sale, `{"type":"stage"}` first (whether it can be rehearsed here), `{"type":"sale"}`,
         *     `{"type":"samples"}` with the new ones, and `{"type":"rehearsal"}`. After five seconds without a
         *     change, `{"type":"heartbeat"}`: a client that receives nothing for much longer shows that its
         *     data may be outdated.
         */
        get: operations["live"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/media": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Upload an image: JPEG, PNG or WebP, at most 10 MiB and 40 megapixels. */
        post: operations["upload_image"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/operators": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the operators. */
        get: operations["list_operators"];
        put?: never;
        /** Add an operator. The first is added with the admin token. */
        post: operations["add_operator"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/operators/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Remove an operator. The audit log keeps the operator's entries. */
        delete: operations["remove_operator"];
        options?: never;
        head?: never;
        /** Change an operator's role or password. */
        patch: operations["change_operator"];
        trace?: never;
    };
    "/api/admin/operators/{name}/enrolment": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Create a new enrolment code for an operator who has lost the first one, the password or the app.
         *     When it is used, the operator's sessions end.
         */
        post: operations["renew_enrolment"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/operators/{name}/totp": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Create a new secret for an operator who has lost the authenticator app. The operator's sessions
         *     end.
         */
        post: operations["renew_totp"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/products": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the products, the newest first. */
        get: operations["list_products"];
        put?: never;
        /** Create a product. */
        post: operations["create_product"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/products.csv": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Download all products as CSV, a row for each variant. */
        get: operations["product_table"];
        put?: never;
        /**
         * Import products from CSV: all rows, or none if one is wrong. A row updates the variant with its
         *     SKU, or adds one.
         */
        post: operations["import_products"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/products/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show a product. */
        get: operations["show_product"];
        put?: never;
        post?: never;
        /** Delete a product with its variants. */
        delete: operations["delete_product"];
        options?: never;
        head?: never;
        /** Change a product. Lists that are given replace the existing ones. */
        patch: operations["change_product"];
        trace?: never;
    };
    "/api/admin/products/{id}/archive": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Archive a product: it is no longer offered for new sales. */
        post: operations["archive_product"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/products/{id}/unarchive": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Take a product back from the archive. */
        post: operations["unarchive_product"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/rehearsals/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Stop a rehearsal. */
        delete: operations["stop_rehearsal"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the sales, the newest first. */
        get: operations["list_sales"];
        put?: never;
        /** Create a sale. */
        post: operations["create_sale"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show a sale. */
        get: operations["show_sale"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Change a sale. Its opening and its end can be changed while it is scheduled. */
        patch: operations["change_sale"];
        trace?: never;
    };
    "/api/admin/sales/{id}/admit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Admit extra shoppers immediately: above the rate, the cap on checkout and the back-off, never
         *     above the stock. Extra admissions without a waiting shopper or a unit are dropped.
         */
        post: operations["admit_now"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/banner": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show the banner of a sale. */
        get: operations["show_banner"];
        /** Set the banner of a sale: an uploaded image. */
        put: operations["set_banner"];
        post?: never;
        /** Remove the banner of a sale. */
        delete: operations["remove_banner"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/close": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** End a sale. Outstanding tokens can no longer be redeemed; holds can still be paid for. */
        post: operations["close_sale"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/items": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the items of a sale. */
        get: operations["list_items"];
        put?: never;
        /** Add an item to a sale that is scheduled. */
        post: operations["add_item"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/items.csv": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Download the items of a sale as CSV. */
        get: operations["item_table"];
        put?: never;
        /**
         * Import items from CSV: all rows, or none if one is wrong. A row updates the item with its SKU,
         *     or adds one.
         */
        post: operations["import_items"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/items/{item}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Withdraw an item of a sale that is scheduled. It keeps its number and its SKU. */
        delete: operations["withdraw_item"];
        options?: never;
        head?: never;
        /**
         * Change an item. Its price, its limit and whether it is withdrawn can be changed while the sale
         *     is scheduled.
         */
        patch: operations["change_item"];
        trace?: never;
    };
    "/api/admin/sales/{id}/lanes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Add a lane to a sale: a separate line for invited shoppers that sells from the same stock. */
        post: operations["add_lane"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/lanes/{lane}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /** Change the share of the admissions that a lane gets. */
        patch: operations["change_lane"];
        trace?: never;
    };
    "/api/admin/sales/{id}/lanes/{lane}/invitations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Create invitations to a lane. */
        post: operations["invite"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/open": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Open a scheduled sale now. */
        post: operations["open_sale"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/orders": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List or search the orders of a sale, the newest first. */
        get: operations["list_orders"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/orders/{order}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel an unpaid order. Its units are free for the next shopper, and a payment under way is
         *     withdrawn unless the bank has approved it.
         */
        post: operations["cancel_order"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/orders/{order}/refund": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Refund all or a part of a paid order. Its units stay sold: raise the stock to sell them again. A
         *     checkout executes the refund within a second, or as soon as the payment gateway responds;
         *     `request` of the order shows the state.
         */
        post: operations["refund_order"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Pause admissions. Places are kept, and admitted shoppers may buy. */
        post: operations["pause_sale"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/rehearsals": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the rehearsals of a sale; for a copy, its own. */
        get: operations["list_rehearsals"];
        put?: never;
        /**
         * Rehearse a sale: copy it, and send a crowd to the copy, which no public list contains. One
         *     rehearsal runs at a time. The crowd has no accounts and no invitations: a limit per account and
         *     lanes are not rehearsed.
         */
        post: operations["rehearse"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/report": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Show the report on a sale so far. */
        get: operations["show_report"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/report.csv": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Download the report on a sale as CSV: names and values, then the minutes. */
        get: operations["report_table"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Resume admissions. */
        post: operations["resume_sale"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/revoke": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Revoke all outstanding tokens of a sale. Their shoppers wait again, at the front; holds and
         *     orders are not affected.
         */
        post: operations["revoke_tokens"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/samples": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the samples of a sale: at most 2,000, thinned out evenly if there are more. */
        get: operations["samples"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/tickets/{ordinal}/prefer": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Serve a ticket before all others, as soon as a unit is free. The public record shows it. */
        post: operations["prefer_ticket"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/sales/{id}/tickets/{ordinal}/remove": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Remove a ticket from the line. Its shopper is notified, those behind move up, and the public
         *     record shows it.
         */
        post: operations["remove_ticket"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/session": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The session that the cookie belongs to. */
        get: operations["show_session"];
        put?: never;
        /** Sign in. The response sets the session cookie. */
        post: operations["sign_in"];
        /** Sign out. */
        delete: operations["sign_out"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/session/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Change your own password. All your sessions end. */
        post: operations["change_password"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the API tokens. */
        get: operations["list_tokens"];
        put?: never;
        /** Create an API token for a program, with a role. */
        post: operations["add_token"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/tokens/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revoke an API token immediately. */
        delete: operations["revoke_token"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/webhooks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the webhooks. */
        get: operations["list_webhooks"];
        put?: never;
        /** Add a webhook. It receives the events from now on. */
        post: operations["add_webhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/webhooks/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Delete a webhook. */
        delete: operations["delete_webhook"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/admin/webhooks/{id}/enable": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Enable a webhook again. Waiting events are delivered soon. */
        post: operations["enable_webhook"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/flash-sales/{id}/items": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read what a sale offers: names, prices and images, but not what is left. */
        get: operations["sale_items"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/flash-sales/{id}/record": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read the record of a sale: a chain of hashes, one entry a line, which `fairline verify` replays. */
        get: operations["sale_record"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/health/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether the process runs. */
        get: operations["health_live"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/health/ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether the service can do its work. */
        get: operations["health_ready"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/media/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read an image. The content of a path never changes. */
        get: operations["show_image"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Metrics, in the text format of Prometheus. */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/problems/{slug}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Explains a type of problem. */
        get: operations["problem_page"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description A new lane. */
        AddLane: {
            /** @description Its name in URLs: lower-case letters, digits and single hyphens, at most 32. */
            name: string;
            /**
             * Format: double
             * @description The share of the admissions while shoppers wait in the lane, from 0 to 1; with 0, the
             *     admissions that other lines do not use. The sale's own line has the remaining share.
             */
            share: number;
        };
        /** @description A new operator. */
        AddOperator: {
            /** @description Lower-case letters, digits, and `._@-`; at most 63. */
            name: string;
            /**
             * @description At least 12 characters. Without a password, the response contains an enrolment code. The
             *     operator chooses the password with it, and is the only one who sees the secret of the
             *     authenticator app.
             */
            password?: string | null;
            role: components["schemas"]["Role"];
        };
        /** @description A new token. */
        AddToken: {
            /**
             * Format: int32
             * @description Its lifetime in days; 90 by default.
             */
            lasts_days?: number;
            /** @description Lower-case letters, digits, and `._@-`; at most 63. */
            name: string;
            role: components["schemas"]["Role"];
        };
        /** @description A new webhook. */
        AddWebhook: {
            /**
             * @description The kinds of events to send; all if empty.
             * @example [
             *       "PurchaseCompleted"
             *     ]
             */
            kinds?: string[];
            /**
             * @description The address that receives events: http:// or https://.
             * @example https://shop.example/hooks/fairline
             */
            url: string;
        };
        /** @description A new operator, with the initial credentials. */
        AddedOperator: components["schemas"]["Proof"] & {
            operator: components["schemas"]["AdminOperator"];
        };
        /** @description A new token, which is stored only as a digest and not shown again. */
        AddedToken: {
            /** @description The token, to be sent as `Authorization: Bearer {bearer}`. */
            bearer: string;
            token: components["schemas"]["AdminToken"];
        };
        /** @description A new webhook. */
        AddedWebhook: {
            /** Format: uuid */
            id: string;
            /**
             * @description The key that signs its messages, as in Standard Webhooks. It is not shown again.
             * @example whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
             */
            secret: string;
        };
        /** @description An image of a product, or the banner of a sale. */
        AdminImage: {
            /** @description What the image shows, for screen readers; empty if it adds nothing to the text. */
            alt: string;
            /**
             * Format: int32
             * @description The height of the upload, in pixels.
             */
            height: number;
            media: string;
            /** @description Its files, from the narrowest. */
            sizes: components["schemas"]["MediaSize"][];
            /**
             * Format: int32
             * @description The width of the upload, in pixels.
             */
            width: number;
        };
        /** @description An item of a sale, with its stock. */
        AdminItem: {
            /** @description In the order of display. */
            attributes: components["schemas"]["Attribute"][];
            /**
             * Format: int32
             * @description Units in checkout.
             */
            held: number;
            /**
             * Format: int32
             * @description Its number in the sale, from 1 to 200, which never changes.
             */
            item: number;
            /**
             * Format: int64
             * @description The usual price, in the currency's minor unit; null: none is shown.
             */
            list_minor: number | null;
            /** @description What is sold. */
            name: string;
            /**
             * Format: int32
             * @description Units of the item that one shopper may buy; null: the sale's limit.
             */
            per_shopper_limit: number | null;
            /**
             * Format: int32
             * @description Its place in the order of display, from 0.
             */
            position: number;
            /**
             * Format: int64
             * @description The price of one unit in the sale, in the currency's minor unit.
             */
            price_minor: number;
            /**
             * Format: int32
             * @description Units out as tokens.
             */
            promised: number;
            /** @description Stock keeping unit: unique in the sale. */
            sku: string;
            /**
             * Format: int32
             * @description Units paid for.
             */
            sold: number;
            /**
             * Format: int32
             * @description Units in the sale.
             */
            total: number;
            /**
             * Format: uuid
             * @description The variant of the catalogue that it was made from; null without one.
             */
            variant_id: string | null;
            /**
             * Format: int32
             * @description Raised by each change. A change names the version that it is based on.
             */
            version: number;
            /** @description Whether it is withdrawn. */
            withdrawn: boolean;
        };
        /** @description The items of a sale. */
        AdminItems: {
            /** @description In the order of display, with withdrawn ones. */
            items: components["schemas"]["AdminItem"][];
        };
        /** @description One signing key. */
        AdminKey: {
            /** @description Its name in the key set and in every token. */
            kid: string;
            use: components["schemas"]["KeyUse"];
        };
        /** @description The signing keys of the controller that responds, the preferred one first. */
        AdminKeys: {
            keys: components["schemas"]["AdminKey"][];
        };
        /** @description A lane of a sale. */
        AdminLane: {
            /**
             * Format: int64
             * @description Tickets admitted from it.
             */
            admitted: number;
            /**
             * @description Its id, which can be used like a sale's in `/api/flash-sales/{id}/line` and in `fairline
             *     verify`.
             */
            id: components["schemas"]["SaleId"];
            /**
             * Format: int64
             * @description Invitations created.
             */
            invitations: number;
            /** @description Its name. */
            name: string;
            /**
             * Format: double
             * @description The share of the admissions while shoppers wait in the lane, from 0 to 1.
             */
            share: number;
            /** @description Its page is `/sales/{slug}`. */
            slug: string;
            /**
             * Format: int64
             * @description Shoppers who wait in it, as of the last tick.
             */
            waiting: number;
        };
        /** @description A stored image. */
        AdminMedia: {
            /**
             * Format: int32
             * @description The height of the upload, in pixels.
             */
            height: number;
            /**
             * @description The name by which products refer to it.
             * @example 5a3c1b…
             */
            media: string;
            /** @description Its files, from the narrowest. */
            sizes: components["schemas"]["MediaSize"][];
            /**
             * Format: int32
             * @description The width of the upload, in pixels.
             */
            width: number;
        };
        /** @description An operator. */
        AdminOperator: {
            /** Format: date-time */
            created_at: string;
            /**
             * Format: date-time
             * @description The time of the last sign-in.
             */
            last_seen_at: string | null;
            name: string;
            role: components["schemas"]["Role"];
        };
        /** @description Operators, by name. */
        AdminOperators: {
            operators: components["schemas"]["AdminOperator"][];
        };
        /** @description An order of a sale. */
        AdminOrder: {
            /** @description The e-mail address or phone number of its account, if it has one. */
            address: string | null;
            /**
             * Format: int64
             * @description In the currency's minor unit.
             */
            amount_minor: number;
            /** Format: date-time */
            created_at: string;
            currency: string;
            /** @description The status of the newest dispute, in the payment gateway's word. */
            dispute: string | null;
            /**
             * Format: int64
             * @description The disputed amount that the bank has taken back and not returned.
             */
            disputed_minor: number;
            /** Format: uuid */
            id: string;
            /**
             * Format: int64
             * @description The number of its ticket; null if the merchant has reserved it.
             */
            ordinal: number | null;
            /** Format: date-time */
            paid_at: string | null;
            /** Format: int32 */
            quantity: number;
            /** @description The payment gateway's reference; or the merchant's, if the merchant took the payment. */
            reference: string | null;
            /**
             * Format: int64
             * @description The refunded amount, whether it was refunded here or at the payment gateway.
             */
            refunded_minor: number;
            request: components["schemas"]["LastRequest"] | null;
            status: components["schemas"]["OrderStatus"];
        };
        /** @description Orders, the newest first. */
        AdminOrders: {
            /**
             * Format: uuid
             * @description The value of `before` for the next page, if there is one.
             */
            next: string | null;
            orders: components["schemas"]["AdminOrder"][];
        };
        /** @description A product, with its variants. */
        AdminProduct: {
            /** @description Whether it is offered for new sales no more. */
            archived: boolean;
            /** @description In the order of display. */
            attributes: components["schemas"]["Attribute"][];
            /** Format: date-time */
            created_at: string;
            description: string;
            /** Format: uuid */
            id: string;
            /** @description In the order of display. */
            images: components["schemas"]["AdminImage"][];
            name: string;
            /** Format: date-time */
            updated_at: string;
            /** @description In the order of display. */
            variants: components["schemas"]["AdminVariant"][];
            /**
             * Format: int32
             * @description Raised by each change. A change names the version that it is based on.
             */
            version: number;
        };
        /** @description A product in a list. */
        AdminProductSummary: {
            /** @description Whether it is offered for new sales no more. */
            archived: boolean;
            /** Format: date-time */
            created_at: string;
            /** @description The SKU of its first variant, if it has one. */
            first_sku: string | null;
            /** Format: uuid */
            id: string;
            image: components["schemas"]["AdminImage"] | null;
            name: string;
            /** Format: date-time */
            updated_at: string;
            /**
             * Format: int64
             * @description The number of its variants.
             */
            variants: number;
            /** Format: int32 */
            version: number;
        };
        /** @description Products, the newest first. */
        AdminProducts: {
            /**
             * Format: uuid
             * @description The value of `before` for the next page, if there is one.
             */
            next: string | null;
            products: components["schemas"]["AdminProductSummary"][];
        };
        /** @description A sale, with its stock, its lines and its settings. */
        AdminSale: components["schemas"]["SaleCard"] & {
            /**
             * Format: int64
             * @description Tickets admitted from all its lines; a ticket that was admitted again counts once.
             */
            admitted: number;
            /**
             * Format: int32
             * @description Seconds in which a page must claim its token.
             */
            claim_window_s: number;
            /**
             * Format: date-time
             * @description When the sale was created.
             */
            created_at: string;
            /**
             * Format: int64
             * @description The highest ordinal whose turn has come.
             */
            cursor: number;
            /**
             * Format: int32
             * @description Units in checkout.
             */
            held: number;
            /**
             * Format: int64
             * @description The highest ordinal given.
             */
            highest_ordinal: number;
            /**
             * Format: int32
             * @description Seconds in which a hold must be paid.
             */
            hold_s: number;
            /**
             * Format: int32
             * @description The maximum number of shoppers in checkout and on the way there; null: no limit.
             */
            in_checkout_max: number | null;
            /**
             * Format: int64
             * @description Shoppers in checkout and on the way there, a second ago.
             */
            inside: number;
            /** @description Its lanes. */
            lanes: components["schemas"]["AdminLane"][];
            /** @description What limits admissions, in words, after "Admission limited by". */
            last_decision: string | null;
            /**
             * Format: int64
             * @description Orders paid, a second ago.
             */
            orders: number;
            /**
             * Format: int64
             * @description Of these, the ones with the page open.
             */
            present: number;
            prior_sale: components["schemas"]["SaleId"] | null;
            /**
             * Format: int32
             * @description Units out as tokens.
             */
            promised: number;
            /**
             * Format: int32
             * @description Seconds after its turn for which a ticket is still recalled when its shopper comes back.
             */
            recall_window_s: number;
            rehearsal_of: components["schemas"]["SaleId"] | null;
            /**
             * Format: double
             * @description In yield mode: the accepted share of admitted shoppers who want to pay and find no unit.
             */
            risk: number;
            /**
             * Format: int32
             * @description Units paid for.
             */
            sold: number;
            /** @description The time zone of its operators: a name of the IANA time zone database. */
            time_zone: string;
            /**
             * Format: int32
             * @description Seconds in which a token can be redeemed.
             */
            token_ttl_s: number;
            /**
             * Format: int64
             * @description Shoppers who wait in all its lines, as of the last tick.
             */
            waiting: number;
        };
        /** @description Sales, the newest first. */
        AdminSales: {
            next: components["schemas"]["SaleId"] | null;
            sales: components["schemas"]["AdminSale"][];
        };
        /** @description An API token of a program. */
        AdminToken: {
            /** Format: date-time */
            created_at: string;
            /** @description The operator who created it. */
            created_by: string;
            /** Format: date-time */
            expires_at: string;
            /** @description Its purpose. The audit log names the author of its changes `token {name}`. */
            name: string;
            role: components["schemas"]["Role"];
        };
        /** @description API tokens by name, including expired ones. */
        AdminTokens: {
            tokens: components["schemas"]["AdminToken"][];
        };
        /** @description A variant of a product. */
        AdminVariant: {
            /** @description In the order of display. */
            attributes: components["schemas"]["Attribute"][];
            /** @description ISO 4217 code. */
            currency: string;
            /** @description Its Global Trade Item Number, if it has one. */
            gtin: string | null;
            /** Format: uuid */
            id: string;
            /**
             * Format: int64
             * @description The list price of one unit in the currency's minor unit.
             */
            price_minor: number;
            /** @description Stock keeping unit: unique in the shop. */
            sku: string;
            /** @description What distinguishes it from the product's other variants. */
            title: string;
        };
        /** @description A webhook. */
        AdminWebhook: {
            /** Format: date-time */
            created_at: string;
            /**
             * Format: int64
             * @description Events of the last week that were delivered: up to 500 are counted.
             */
            delivered: number;
            /**
             * Format: date-time
             * @description Since when deliveries fail.
             */
            failing_since: string | null;
            /**
             * Format: int64
             * @description Events of the last week that were given up: up to 500 are counted.
             */
            given_up: number;
            /** Format: uuid */
            id: string;
            /** @description The kinds of events that it receives; all if empty. */
            kinds: string[];
            /** @description Why the last delivery failed. */
            last_error: string | null;
            status: components["schemas"]["WebhookStatus"];
            url: string;
            /**
             * Format: int64
             * @description Events that wait for delivery, or for another attempt: up to 500 are counted.
             */
            waiting: number;
        };
        /** @description Webhooks, the oldest first. */
        AdminWebhooks: {
            webhooks: components["schemas"]["AdminWebhook"][];
        };
        /** @description The number of extra admissions. */
        AdmitNow: {
            /** Format: int32 */
            count: number;
        };
        /** @description An attribute, such as `Material: leather`. */
        Attribute: {
            /** @example Material */
            name: string;
            /** @example leather */
            value: string;
        };
        /** @description A change that an operator has made. */
        AuditEntry: {
            action: string;
            /** @description The fields that differ, after the change. */
            after: Record<string, unknown> | null;
            /** Format: date-time */
            at: string;
            /** @description The fields that differ, before the change. */
            before: Record<string, unknown> | null;
            /** Format: int64 */
            id: number;
            reason: string | null;
            sale: components["schemas"]["SaleId"] | null;
            /** @description The changed object: the slug of a sale, the name of an operator … */
            subject: string;
            /** @description The operator, or `admin token`. */
            who: string;
        };
        /** @description A page of the audit log, the newest first. */
        AuditPage: {
            entries: components["schemas"]["AuditEntry"][];
            /**
             * Format: int64
             * @description The value of `before` for the next page, if there is one.
             */
            next: number | null;
        };
        /** @description The reason of a cancellation. */
        CancelOrder: {
            /** @description For the audit log; at most 500 characters. */
            reason: string;
        };
        /** @description The changes of an item. Fields that are left out stay as they are. */
        ChangeItem: {
            /** @description All attributes, in the order of display. */
            attributes?: components["schemas"]["Attribute"][];
            /**
             * Format: int64
             * @description The usual price; null: none is shown.
             */
            list_minor?: number | null;
            name?: string;
            /**
             * Format: int32
             * @description Units that one shopper may buy; null: the sale's limit. Only while the sale is scheduled.
             */
            per_shopper_limit?: number | null;
            /**
             * Format: int32
             * @description Its place in the order of display, from 0; the items behind move.
             */
            position?: number;
            /**
             * Format: int64
             * @description The price; only while the sale is scheduled.
             */
            price_minor?: number;
            /**
             * Format: int32
             * @description Units in the sale; at least those that are promised, held or sold.
             */
            total?: number;
            /**
             * Format: int32
             * @description The version that the change is based on. If the item has another one by now, nothing is
             *     changed.
             */
            version: number;
            /** @description Whether it is withdrawn; only while the sale is scheduled. */
            withdrawn?: boolean;
        };
        /** @description The changes of a lane. */
        ChangeLane: {
            /**
             * Format: double
             * @description The share of the admissions while shoppers wait in the lane, from 0 to 1.
             */
            share: number;
        };
        /** @description The changes of an operator. Fields that are left out stay as they are. */
        ChangeOperator: {
            /** @description A new password of at least 12 characters. The operator's sessions end. */
            password?: string | null;
            role?: components["schemas"]["Role"] | null;
        };
        /** @description The old and the new password. */
        ChangePassword: {
            /** @description At least 12 characters. */
            new: string;
            old: string;
        };
        /** @description The changes of a product. Fields that are left out stay as they are. */
        ChangeProduct: {
            /** @description All attributes, in the order of display. */
            attributes?: components["schemas"]["Attribute"][];
            description?: string;
            /** @description All images, in the order of display. */
            images?: components["schemas"]["ImageFields"][];
            name?: string;
            /** @description All variants, in the order of display. Those that are missing are deleted. */
            variants?: components["schemas"]["VariantFields"][];
            /**
             * Format: int32
             * @description The version that the change is based on. If the product has another one by now, nothing is
             *     changed.
             */
            version: number;
        };
        /** @description The changes of a sale. Fields that are left out stay as they are. */
        ChangeSale: {
            /** @description When it ends; only while it is scheduled. Null: only when an operator closes it. */
            ends_at?: string | null;
            /**
             * Format: int32
             * @description Seconds for which a disconnected shopper keeps the place; null: the setting of the waiting
             *     rooms.
             */
            grace_s?: number | null;
            /**
             * Format: int32
             * @description The maximum number of shoppers in checkout and on the way there; null: no limit.
             */
            in_checkout_max?: number | null;
            /** @description A message to all waiting shoppers; null removes it. */
            message?: string | null;
            /**
             * Format: date-time
             * @description When it opens; only while it is scheduled.
             */
            opens_at?: string | null;
            /**
             * Format: double
             * @description The maximum admissions per second.
             */
            rate_cap_per_s?: number | null;
            /**
             * Format: int32
             * @description Seconds after its turn for which a ticket is still recalled when its shopper comes back.
             */
            recall_window_s?: number | null;
            theme?: components["schemas"]["Theme"] | null;
            /**
             * Format: int32
             * @description Units in the sale; at least those that are promised, held or sold.
             */
            total?: number | null;
        };
        /**
         * @description A colour, written `#rrggbb`.
         * @example #2743d2
         */
        Colour: string;
        /** @description A new product. */
        CreateProduct: {
            /** @description In the order of display; at most 30. */
            attributes?: components["schemas"]["Attribute"][];
            /** @description A sentence or two about it. */
            description?: string;
            /** @description In the order of display; at most 12. */
            images?: components["schemas"]["ImageFields"][];
            /** @example Running shoe */
            name: string;
            /** @description In the order of display; at most 200. */
            variants?: components["schemas"]["VariantFields"][];
        };
        /** @description A new sale. */
        CreateSale: {
            /**
             * Format: int32
             * @description Seconds in which a page must claim its token; 15 by default.
             */
            claim_window_s?: number;
            /** @description ISO 4217 code. */
            currency: string;
            /** @description A sentence or two about it. */
            description?: string;
            /**
             * Format: date-time
             * @description When it ends; by default only when an operator closes it.
             */
            ends_at?: string | null;
            /**
             * Format: int32
             * @description Seconds for which a disconnected shopper keeps the place, on phones proportionally longer;
             *     by default the setting of the waiting rooms.
             */
            grace_s?: number | null;
            /**
             * Format: int32
             * @description Seconds in which a hold must be paid; 300 by default.
             */
            hold_s?: number;
            /**
             * Format: int32
             * @description The maximum number of shoppers in checkout and on the way there; no limit by default.
             */
            in_checkout_max?: number | null;
            /**
             * @description What it offers, in the order of display, instead of `price_minor` and `total`: 1 to 200
             *     items. Without it, the sale offers one item with its slug as SKU and its name. A sale with
             *     more than one item can't open yet.
             */
            items?: components["schemas"]["NewItem"][];
            /** @description How it admits shoppers; `guarantee` by default. It can't be changed later. */
            mode?: components["schemas"]["SaleMode"];
            /** @description What is sold. */
            name: string;
            /**
             * Format: date-time
             * @description When it opens; now by default.
             */
            opens_at?: string | null;
            /**
             * @description The order in which the line is served; by default in the order of joining. It can't be
             *     changed later.
             */
            order?: components["schemas"]["LineOrder"];
            /**
             * Format: int32
             * @description Units that one account may buy with all its tickets. If it is set, shoppers must sign in to
             *     buy.
             */
            per_account_limit?: number | null;
            /**
             * Format: int32
             * @description Units that one shopper may buy; 1 by default.
             */
            per_shopper_limit?: number;
            /**
             * Format: int64
             * @description Price of one unit in the currency's minor unit. Required without `items`.
             */
            price_minor?: number;
            prior_sale?: components["schemas"]["SaleId"] | null;
            /**
             * Format: double
             * @description The maximum admissions per second; 10 by default.
             */
            rate_cap_per_s?: number;
            /**
             * Format: int32
             * @description Seconds after its turn for which a ticket is still recalled when its shopper comes back;
             *     1800 by default.
             */
            recall_window_s?: number;
            /**
             * Format: double
             * @description In yield mode: the accepted share of admitted shoppers who want to pay and find no unit;
             *     0.001 by default.
             */
            risk?: number;
            /** @description Its name in URLs: lower-case letters, digits and single hyphens. */
            slug: string;
            /** @description The colours and texts of its pages; the common ones by default. */
            theme?: components["schemas"]["Theme"];
            /**
             * @description The time zone of its operators: a name of the IANA time zone database. Only for display; UTC
             *     by default.
             */
            time_zone?: string;
            /**
             * Format: int32
             * @description Seconds in which a token can be redeemed; 120 by default.
             */
            token_ttl_s?: number;
            /**
             * Format: int32
             * @description Units in the sale. Required without `items`.
             */
            total?: number;
        };
        /** @description The commitment of a draw, and its proof once it is made. */
        DrawFacts: {
            /** @description The SHA-256 of the seed, as 64 hexadecimal digits. It never changes. */
            commitment: string;
            /**
             * Format: int64
             * @description Once the draw is made: the ordinals from 1 to this one were shuffled.
             */
            pool: number | null;
            /** @description Once the draw is made: the seed, as 64 hexadecimal digits. */
            seed: string | null;
        };
        /** @description An operator who enrols. */
        EnrolRequest: {
            code: string;
            /** @description At least 12 characters. */
            password: string;
        };
        /** @description An enrolled operator, who can sign in now. */
        Enrolled: components["schemas"]["TotpSecret"] & {
            name: string;
            role: components["schemas"]["Role"];
        };
        /** @description The single-use code with which an operator enrols within three days. It is not shown again. */
        EnrolmentCode: {
            enrolment_code: string;
        };
        /** @description Whether the lines were served in order, by a replay of their public records. */
        Fairness: {
            /**
             * Format: int64
             * @description Turns that were given.
             */
            admissions: number;
            /** @description Whether the records were replayed to their ends. */
            checked: boolean;
            /**
             * Format: int64
             * @description Turns that were given out of order; a replay ends at the first one.
             */
            out_of_order: number;
            /**
             * Format: int64
             * @description Tickets that an operator has preferred.
             */
            preferred: number;
            /** @description The result in words. */
            sentence: string;
            /** @description Whether at most the stock was sold. */
            stock_in_order: boolean;
        };
        /** @description The number of tickets that reached each step. */
        FunnelReport: {
            /**
             * Format: int64
             * @description Tickets whose turn came.
             */
            admitted: number;
            /**
             * Format: int64
             * @description Tickets whose page claimed the token.
             */
            claimed: number;
            /**
             * Format: int64
             * @description Tickets given.
             */
            joined: number;
            /**
             * Format: int64
             * @description Tickets whose token was given back.
             */
            left: number;
            /**
             * Format: int64
             * @description Tickets with a paid order.
             */
            paid: number;
            /**
             * Format: int64
             * @description Tickets whose token was redeemed.
             */
            redeemed: number;
            /**
             * Format: int64
             * @description Tickets that an operator has removed.
             */
            removed: number;
        };
        /**
         * Format: binary
         * @description The bytes of an image, for the OpenAPI document.
         */
        ImageBytes: string;
        /** @description An image, as it is written. */
        ImageFields: {
            /** @description What the image shows, for screen readers; empty if it adds nothing to the text. */
            alt?: string;
            /** @description `media` of an uploaded image. */
            media: string;
        };
        /** @description An error of an imported table. */
        ImportError: {
            /** @description The column, if the error is in one. */
            column: string | null;
            detail: string;
            /**
             * Format: int64
             * @description The line of the file at which the row begins, from 1.
             */
            line: number;
        };
        /** @description What an import has changed, or would change. */
        ImportReport: {
            /** @description Whether nothing was written. */
            dry_run: boolean;
            /** @description The number of all errors. */
            error_count: number;
            /** @description The first hundred errors, by line. With one, nothing is written. */
            errors: components["schemas"]["ImportError"][];
            products_changed: number;
            products_created: number;
            /** @description Rows of the table. */
            rows: number;
            variants_changed: number;
            variants_created: number;
        };
        /**
         * @description New invitations, each for one place in the lane on any device. They are not shown again, and not
         *     stored, except for a day with an `Idempotency-Key`.
         */
        Invitations: {
            /** @description The codes. The URL to send is `/sales/{slug of the lane}?invitation={code}`. */
            codes: string[];
        };
        /** @description The number of invitations. */
        InviteRequest: {
            /**
             * Format: int32
             * @description Invitations to make, at most 1000.
             */
            count: number;
        };
        /** @description What an import has changed, or would change. */
        ItemImportReport: {
            /** @description Whether nothing was written. */
            dry_run: boolean;
            /** @description The number of all errors. */
            error_count: number;
            /** @description The first hundred errors, by line. With one, nothing is written. */
            errors: components["schemas"]["ImportError"][];
            items_changed: number;
            items_created: number;
            /** @description Rows of the table. */
            rows: number;
        };
        /** @description A set of public keys (RFC 7517). */
        KeySet: {
            /** @description JSON Web Keys of Ed25519 (RFC 8037). */
            keys: Record<string, unknown>[];
        };
        /**
         * @description What a key is used for.
         * @enum {string}
         */
        KeyUse: "signs" | "shown" | "revoked";
        /** @description A lane: a line beside a sale's own, to the same stock. Joining it needs an invitation. */
        LaneFacts: {
            /** @description The Ed25519 key that verifies its invitations, as base64url. */
            key: string;
            /** @description The end of its URL slug, after the sale's slug and two hyphens. */
            name: string;
            /** @description The sale that it leads to. */
            sale: components["schemas"]["SaleId"];
        };
        /** @description The last request to refund or cancel an order. */
        LastRequest: {
            /** @description Why it failed. */
            error: string | null;
            kind: components["schemas"]["OrderRequestKind"];
            state: components["schemas"]["OrderRequestState"];
        };
        /**
         * @description The order of service of a line.
         * @enum {string}
         */
        LineOrder: "fifo" | "draw";
        /** @description A message of the console's WebSocket. */
        LiveUpdate: {
            is_set: boolean;
            /** @enum {string} */
            type: "stage";
        } | {
            sales: components["schemas"]["AdminSale"][];
            /** @enum {string} */
            type: "sales";
        } | {
            sale: components["schemas"]["AdminSale"];
            /** @enum {string} */
            type: "sale";
        } | {
            samples: components["schemas"]["Sample"][];
            /** @enum {string} */
            type: "samples";
        } | {
            rehearsal: components["schemas"]["Rehearsal"];
            /** @enum {string} */
            type: "rehearsal";
        } | {
            /** @enum {string} */
            type: "heartbeat";
        };
        /** @description A file of an image. */
        MediaSize: {
            /**
             * @description Its path on the public address.
             * @example /media/5a3c1b…-320.jpg
             */
            path: string;
            /**
             * Format: int32
             * @description In pixels.
             */
            width: number;
        };
        /** @description A minute of the sale. */
        MinuteReport: {
            /** Format: int64 */
            admitted: number;
            /** Format: date-time */
            at: string;
            /** Format: int64 */
            joined: number;
            /** Format: int64 */
            orders: number;
        };
        /** @description The reason, and the line of the ticket. */
        MoveTicket: {
            lane?: components["schemas"]["SaleId"] | null;
            /** @description For the audit log; at most 500 characters. */
            reason: string;
        };
        /** @description A ticket that an operator has moved. */
        MovedTicket: {
            /** Format: int64 */
            ordinal: number;
        };
        /** @description A new item. */
        NewItem: {
            /** @description In the order of display; by default the variant's. */
            attributes?: components["schemas"]["Attribute"][];
            /**
             * Format: int64
             * @description The usual price, in the currency's minor unit, which is shown beside the sale's; by default
             *     the variant's list price, unless that is in another currency or lower.
             */
            list_minor?: number | null;
            /** @description What is sold; by default the product's name with the variant's title. */
            name?: string;
            /**
             * Format: int32
             * @description Units of the item that one shopper may buy; by default the sale's limit.
             */
            per_shopper_limit?: number | null;
            /**
             * Format: int64
             * @description The price of one unit in the sale, in the currency's minor unit.
             */
            price_minor: number;
            /**
             * @description Stock keeping unit: unique in the sale. If a variant of the catalogue has it, the item is
             *     made from this variant. Letters, digits and `._/+-`.
             * @example SHOE-42
             */
            sku: string;
            /**
             * Format: int32
             * @description Units in the sale.
             */
            total: number;
        };
        /** @description An image of an item, or the banner of a sale. */
        OfferedImage: {
            /** @description What the image shows, for screen readers; empty if it adds nothing to the text. */
            alt: string;
            /**
             * Format: int32
             * @description The height of the upload, in pixels.
             */
            height: number;
            /** @description Its files, from the narrowest. */
            sizes: components["schemas"]["MediaSize"][];
            /**
             * Format: int32
             * @description The width of the upload, in pixels.
             */
            width: number;
        };
        /** @description An item that a sale offers. */
        OfferedItem: {
            /** @description In the order of display. */
            attributes: components["schemas"]["Attribute"][];
            image: components["schemas"]["OfferedImage"] | null;
            /**
             * Format: int32
             * @description Its number in the sale, from 1 to 200, which never changes.
             */
            item: number;
            /**
             * Format: int64
             * @description The usual price, in the currency's minor unit; null: none is shown.
             */
            list_minor: number | null;
            /** @description What is sold. */
            name: string;
            /**
             * Format: int32
             * @description Units that one shopper may buy.
             */
            per_shopper_limit: number;
            /**
             * Format: int64
             * @description The price of one unit, in the currency's minor unit.
             */
            price_minor: number;
            /** @description Stock keeping unit: unique in the sale. */
            sku: string;
            /** @description Whether it is withdrawn: shoppers can't choose it any more. */
            withdrawn: boolean;
        };
        /** @description What a sale offers. */
        OfferedItems: {
            banner: components["schemas"]["OfferedImage"] | null;
            /** @description ISO 4217 code of all prices. */
            currency: string;
            /** @description In the order of display. */
            items: components["schemas"]["OfferedItem"][];
        };
        /**
         * @description The kind of a request about an order.
         * @enum {string}
         */
        OrderRequestKind: "refund" | "cancel";
        /**
         * @description The state of a request about an order.
         * @enum {string}
         */
        OrderRequestState: "requested" | "done" | "failed";
        /**
         * @description The status of an order, as the shopper sees it.
         * @enum {string}
         */
        OrderStatus: "promised" | "held" | "payment_pending" | "paid" | "expired" | "refunded" | "cancelled";
        /** @description Orders and holds. */
        OrdersReport: {
            /**
             * Format: int64
             * @description Cancelled holds.
             */
            cancelled: number;
            /**
             * Format: int64
             * @description Orders that a bank disputes or has disputed.
             */
            disputed: number;
            /**
             * Format: int64
             * @description Expired holds.
             */
            expired: number;
            /** Format: int64 */
            paid: number;
            /**
             * Format: int64
             * @description Orders that were refunded as a whole, here or by the payment gateway.
             */
            refunded: number;
            /** Format: int64 */
            refunded_units: number;
            /** Format: int64 */
            units: number;
        };
        /** @description The body of a [`Problem`], for the OpenAPI documents. */
        Problem: {
            /** @description What happened here, and what to do. */
            detail?: string;
            /**
             * Format: int32
             * @description The HTTP status code.
             */
            status: number;
            /** @description The type of problem in a few words; the same for every occurrence. */
            title: string;
            /**
             * @description The type of problem, as a path on the service that responds: `GET` it for an explanation.
             * @example /problems/sale-not-found
             */
            type: string;
        };
        /** @description The secret or the enrolment code of a new operator. */
        Proof: components["schemas"]["TotpSecret"] | components["schemas"]["EnrolmentCode"];
        /** @description The last entry of a sale's record. */
        RecordHead: {
            /** @description Its hash, as 64 hexadecimal digits. */
            hash: string;
            /**
             * Format: int64
             * @description Its number.
             */
            seq: number;
        };
        /** @description The amount to refund, and the reason. */
        RefundOrder: {
            /**
             * Format: int64
             * @description In the currency's minor unit; by default the whole remaining amount.
             */
            amount_minor?: number | null;
            /** @description For the audit log; at most 500 characters. */
            reason: string;
        };
        /** @description A rehearsal. */
        Rehearsal: {
            /** Format: date-time */
            ended_at: string | null;
            /** Format: uuid */
            id: string;
            /** @description The sale that was copied. */
            original_id: components["schemas"]["SaleId"];
            /** @description The progress, in words. */
            progress: string | null;
            /** @description The crowd's findings on each promise: the last line of `fairline rush`. */
            report: Record<string, unknown> | null;
            /** @description The copy of the sale, which the crowd is sent to. */
            sale_id: components["schemas"]["SaleId"];
            /** Format: int32 */
            shoppers: number;
            /** Format: date-time */
            started_at: string;
            state: components["schemas"]["RehearsalState"];
        };
        /**
         * @description The state of a rehearsal.
         * @enum {string}
         */
        RehearsalState: "running" | "stopping" | "passed" | "failed" | "stopped";
        /** @description Rehearsals of a sale, the newest first; at most twenty. */
        Rehearsals: {
            rehearsals: components["schemas"]["Rehearsal"][];
        };
        /** @description The crowd of a rehearsal. */
        RehearseRequest: {
            /**
             * Format: double
             * @description The share of shoppers who leave, disconnect or hesitate; 0.2 by default.
             */
            abandon?: number;
            /**
             * Format: int32
             * @description Seconds within which they arrive; 10 by default.
             */
            arrival_s?: number;
            /**
             * Format: int32
             * @description The number of shoppers, at most 20,000.
             */
            shoppers: number;
        };
        /** @description The report on a sale. */
        Report: {
            /**
             * Format: double
             * @description The share of admitted tickets with a paid order.
             */
            conversion: number | null;
            /**
             * Format: int64
             * @description The disputed amount that banks have taken back and not returned.
             */
            disputed_minor: number;
            fairness: components["schemas"]["Fairness"];
            funnel: components["schemas"]["FunnelReport"];
            /** @description The minutes, the oldest first; at most one day. */
            minutes: components["schemas"]["MinuteReport"][];
            orders: components["schemas"]["OrdersReport"];
            /**
             * Format: int64
             * @description Refunded in whole or in part, here or by the payment gateway.
             */
            refunded_minor: number;
            /**
             * Format: int64
             * @description In the currency's minor unit, without refunded and disputed amounts.
             */
            revenue_minor: number;
            sale: components["schemas"]["AdminSale"];
            waits_s: components["schemas"]["WaitTimes"] | null;
        };
        /** @description The reason of a revocation. */
        RevokeTokens: {
            /** @description For the audit log; at most 500 characters. */
            reason: string;
        };
        /** @description The number of revoked tokens. */
        RevokedTokens: {
            /** Format: int64 */
            revoked: number;
        };
        /**
         * @description What an operator is allowed to do.
         * @enum {string}
         */
        Role: "viewer" | "operator" | "owner";
        /** @description The banner of a sale. */
        SaleBanner: {
            banner: components["schemas"]["AdminImage"] | null;
        };
        /**
         * @description The public facts of a sale. The controller publishes them; waiting rooms show them.
         *
         *     ```
         *     use fairline_sale::{SaleCard, Status, price_text};
         *
         *     fn price(card: &SaleCard) -> Option<String> {
         *         let is_on_sale = card.status == Status::Open && card.remaining > 0;
         *         is_on_sale.then(|| price_text(card.price_minor, &card.currency))
         *     }
         *     # assert!(price(&SaleCard::example()).is_some());
         *     ```
         */
        SaleCard: {
            /** @description ISO 4217 code. */
            currency: string;
            /** @description A short description. Plain text. */
            description: string;
            /** @description For a draw: its commitment, and its proof once it is made. */
            draw?: components["schemas"]["DrawFacts"];
            /**
             * Format: date-time
             * @description When it ends, if it ends at a set time.
             */
            ends_at: string | null;
            /**
             * Format: int32
             * @description Grace period in seconds, if the sale sets its own.
             */
            grace_s?: number;
            /** @description The sale. */
            id: components["schemas"]["SaleId"];
            /** @description For a lane: its sale and its key. Other facts, except id and slug, are the sale's. */
            lane?: components["schemas"]["LaneFacts"];
            /** @description A message of the shop to all waiting shoppers. */
            message: string | null;
            /** @description What an admission guarantees. */
            mode?: components["schemas"]["SaleMode"];
            /** @description What is sold. */
            name: string;
            /**
             * Format: date-time
             * @description When it opens or opened.
             */
            opens_at: string;
            /** @description The order of service. */
            order?: components["schemas"]["LineOrder"];
            /**
             * Format: int32
             * @description Units one account may buy, if the sale requires sign-in.
             */
            per_account_limit?: number;
            /**
             * Format: int32
             * @description Units one shopper may buy.
             */
            per_shopper_limit: number;
            /**
             * Format: int64
             * @description Price of one unit, in the currency's minor unit (cents).
             */
            price_minor: number;
            /**
             * Format: double
             * @description Maximum admissions per second.
             */
            rate_cap_per_s: number;
            /** @description The head of the sale's record. Messages of the line omit it. */
            record?: components["schemas"]["RecordHead"];
            /** @description Whether it is a rehearsal, which is not listed for shoppers. */
            rehearsal?: boolean;
            /**
             * Format: int32
             * @description Units that are neither held, paid for nor promised.
             */
            remaining: number;
            /** @description The URL slug: lower-case letters, digits and single hyphens. */
            slug: string;
            /** @description The status of the sale. */
            status: components["schemas"]["Status"];
            /** @description The theme of its pages. */
            theme?: components["schemas"]["Theme"];
            /**
             * Format: int32
             * @description Units in the sale.
             */
            total: number;
        };
        /**
         * Format: uuid
         * @description The id of one sale: also of its line, beside which lanes have ids of their own.
         */
        SaleId: string;
        /**
         * @description What an admission guarantees.
         * @enum {string}
         */
        SaleMode: "guarantee" | "yield";
        /** @description The state of a sale at a time. */
        Sample: {
            /**
             * Format: int64
             * @description Admissions made so far.
             */
            admitted: number;
            /** Format: date-time */
            at: string;
            /** Format: int32 */
            held: number;
            /**
             * Format: int64
             * @description Visits under way, from the token to the payment.
             */
            inside: number;
            /**
             * Format: int64
             * @description Tickets given so far.
             */
            joined: number;
            /**
             * Format: int64
             * @description Estimated wait of a shopper who joined then, in seconds, at the rate of the half minute
             *     before; null if no shopper was admitted in it.
             */
            likely_wait_s: number | null;
            /**
             * Format: int64
             * @description Orders paid so far.
             */
            orders: number;
            /**
             * Format: int64
             * @description Of these, the ones with the page open.
             */
            present: number;
            /** Format: int32 */
            promised: number;
            /** Format: int32 */
            sold: number;
            /** Format: int32 */
            total: number;
            /**
             * Format: int64
             * @description Shoppers who wait, in all its lines.
             */
            waiting: number;
        };
        /** @description Samples of a sale, the oldest first. While nothing changes, there is one every ten seconds. */
        Samples: {
            samples: components["schemas"]["Sample"][];
        };
        /** @description A session of an operator. */
        Session: {
            /** @description Must be sent as `x-csrf-token` with every request that changes something. */
            csrf: string;
            /**
             * Format: date-time
             * @description When the session ends.
             */
            expires_at: string;
            name: string;
            role: components["schemas"]["Role"];
        };
        /** @description The credentials of an operator who signs in. */
        SignIn: {
            /** @description The six digits that the authenticator app shows. */
            code: string;
            name: string;
            password: string;
        };
        /**
         * @description The status of a sale, as shoppers and administrators see it.
         * @enum {string}
         */
        Status: "scheduled" | "open" | "paused" | "sold_out" | "closed";
        /**
         * Format: binary
         * @description The bytes of an image, for the OpenAPI document.
         */
        StoredImage: string;
        /** @description The theme of a sale's pages: colours and texts. A missing field has the default. */
        Theme: {
            /** @description Buttons and links. */
            accent?: components["schemas"]["Colour"];
            /** @description The ground. */
            paper?: components["schemas"]["Colour"];
            /** @description For shoppers of a sold-out sale. Plain text. */
            sold_out_text?: string;
            /** @description For shoppers with a turn. Plain text. */
            turn_text?: string;
            /** @description For waiting shoppers. Plain text. */
            waiting_text?: string;
        };
        /** @description The secret for an operator's authenticator app. It is not shown again. */
        TotpSecret: {
            /** @description The secret as base32, to be typed into the app. */
            totp_secret: string;
            /** @description The secret as a URL, for a link or a QR code. */
            totp_url: string;
        };
        /** @description A variant, as it is written. */
        VariantFields: {
            /** @description In the order of display; at most 30. */
            attributes?: components["schemas"]["Attribute"][];
            /**
             * @description ISO 4217 code.
             * @example EUR
             */
            currency: string;
            /**
             * @description Its Global Trade Item Number (EAN, UPC), if it has one: 8, 12, 13 or 14 digits.
             * @example 4006381333931
             */
            gtin?: string | null;
            /**
             * Format: uuid
             * @description The id of an existing variant of the product, which this one replaces. By default the
             *     variant with the same SKU, or a new one.
             */
            id?: string;
            /**
             * Format: int64
             * @description The list price of one unit in the currency's minor unit.
             */
            price_minor: number;
            /**
             * @description Stock keeping unit: unique in the shop. Letters, digits and `._/+-`.
             * @example SHOE-42
             */
            sku: string;
            /**
             * @description What distinguishes it from the product's other variants.
             * @example EU 42
             */
            title?: string;
        };
        /**
         * @description How long tickets of the sale's own line waited, in seconds: from joining, or from the opening if
         *     that was later, to their turn.
         */
        WaitTimes: {
            /** @description Tickets that were measured. */
            count: number;
            /** Format: double */
            max: number;
            /** Format: double */
            mean: number;
            /** Format: double */
            p50: number;
            /** Format: double */
            p90: number;
            /** Format: double */
            p99: number;
        };
        /**
         * @description Whether a webhook receives events.
         * @enum {string}
         */
        WebhookStatus: "enabled" | "failing" | "disabled";
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    key_set: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The keys. May be cached for a minute. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeySet"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_audit: {
        parameters: {
            query?: {
                /** @description Only entries before this one. */
                before?: number;
                /** @description Only changes of this sale and of its rehearsals. */
                sale?: components["schemas"]["SaleId"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of at most 100 entries. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditPage"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    audit_table: {
        parameters: {
            query?: {
                /** @description Only entries before this one. */
                before?: number;
                /** @description Only changes of this sale and of its rehearsals. */
                sale?: components["schemas"]["SaleId"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The entries. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/csv": string;
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    enrol: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EnrolRequest"];
            };
        };
        responses: {
            /** @description The secret for the authenticator app, shown only once. Sign in with it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Enrolled"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The code is unknown, was used or has expired. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The password is too short. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many operators enrol or sign in at this moment. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_keys: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The keys of the controller that responds. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminKeys"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_key: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The id of the key. */
                kid: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The keys. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminKeys"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such key. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The first request with this Idempotency-Key has no response to repeat. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The Idempotency-Key was used with another body before. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    live: {
        parameters: {
            query?: {
                /** @description One sale; all by default. */
                sale?: components["schemas"]["SaleId"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The WebSocket is open. It is closed with 4401 when the session ends. */
            101: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The page belongs to another site. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Fifty consoles are connected to this controller already. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    upload_image: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "image/jpeg": components["schemas"]["ImageBytes"];
                "image/png": components["schemas"]["ImageBytes"];
                "image/webp": components["schemas"]["ImageBytes"];
            };
        };
        responses: {
            /** @description The image. It is deleted if no product uses it for a day. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminMedia"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No storage for images is configured. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The image is damaged, too large, or of another type. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_operators: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The operators. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminOperators"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    add_operator: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AddOperator"];
            };
        };
        responses: {
            /** @description The operator, and the secret for the authenticator app, or the enrolment code. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AddedOperator"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The name is taken, or there are 200 already. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_operator: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The operator's name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The operator is removed. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such operator. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_operator: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The operator's name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeOperator"];
            };
        };
        responses: {
            /** @description The operator. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminOperator"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such operator. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The password is too short. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    renew_enrolment: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The operator's name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The code. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EnrolmentCode"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such operator. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The first request with this Idempotency-Key has no response to repeat. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The Idempotency-Key was used with another body before. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    renew_totp: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The operator's name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The secret for the authenticator app. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TotpSecret"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such operator. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The first request with this Idempotency-Key has no response to repeat. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The Idempotency-Key was used with another body before. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_products: {
        parameters: {
            query?: {
                /** @description A part of the name, or the beginning of a SKU. */
                search?: string;
                /** @description Only archived products, or only others. */
                archived?: boolean;
                /** @description Only products that were created before this one. */
                before?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of at most 50 products. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminProducts"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The text to search for is too long. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_product: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateProduct"];
            };
        };
        responses: {
            /** @description The product. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminProduct"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A SKU is taken, or there are 10,000 products already. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    product_table: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The products. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/csv": string;
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    import_products: {
        parameters: {
            query?: {
                /** @description Whether only to check the table: nothing is written, and errors are part of the report. */
                dry_run?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "text/csv": string;
            };
        };
        responses: {
            /** @description What was changed; of a dry run, what would be, or the errors. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ImportReport"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There would be more than 10,000 products. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A row is wrong: `errors` has the lines. Nothing was changed. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_product: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The product. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The product. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminProduct"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such product. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    delete_product: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The product. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The product is deleted. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such product. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A sale that is not closed offers it. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_product: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The product. */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeProduct"];
            };
        };
        responses: {
            /** @description The product. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminProduct"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such product. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The product has another version by now, a SKU is taken, or a sale offers a variant that is missing. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    archive_product: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The product. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The product. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminProduct"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such product. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The first request with this Idempotency-Key has no response to repeat. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The Idempotency-Key was used with another body before. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    unarchive_product: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The product. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The product. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminProduct"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such product. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The first request with this Idempotency-Key has no response to repeat. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The Idempotency-Key was used with another body before. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    stop_rehearsal: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The rehearsal. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It ends within a few seconds. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description No such rehearsal is running. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_sales: {
        parameters: {
            query?: {
                /** @description Only sales that were created before this one. */
                before?: components["schemas"]["SaleId"];
                /** @description Only the sale with this slug. */
                slug?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of at most 200 sales. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSales"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_sale: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateSale"];
            };
        };
        responses: {
            /** @description The sale. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSale"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The slug is taken. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_sale: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The sale. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSale"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_sale: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeSale"];
            };
        };
        responses: {
            /** @description The sale. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSale"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The stock is below the promised, held and sold units, or the sale has opened and its window can't change. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    admit_now: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AdmitNow"];
            };
        };
        responses: {
            /** @description The sale. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSale"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The sale is not open. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_banner: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The banner. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SaleBanner"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    set_banner: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ImageFields"];
            };
        };
        responses: {
            /** @description The banner. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SaleBanner"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_banner: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The sale has no banner. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    close_sale: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The sale. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSale"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The sale has ended already. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The Idempotency-Key was used with another body before. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_items: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description At most 200 items, in the order of display. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminItems"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    add_item: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewItem"];
            };
        };
        responses: {
            /** @description The item. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminItem"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The sale is not scheduled, an item of it has the SKU, or it has 200 items. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    item_table: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The items. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/csv": string;
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    import_items: {
        parameters: {
            query?: {
                /** @description Whether only to check the table: nothing is written, and errors are part of the report. */
                dry_run?: boolean;
            };
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "text/csv": string;
            };
        };
        responses: {
            /** @description What was changed; of a dry run, what would be, or the errors. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ItemImportReport"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description A row is wrong: `errors` has the lines. Nothing was changed. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    withdraw_item: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
                /** @description The number of the item. */
                item: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The item is withdrawn. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale or item. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The sale has opened, or offers no other item. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_item: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
                /** @description The number of the item. */
                item: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeItem"];
            };
        };
        responses: {
            /** @description The item. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminItem"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale or item. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The item has another version by now, the sale has opened, its stock is too small, or it would offer no item. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    add_lane: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AddLane"];
            };
        };
        responses: {
            /** @description The sale, with the lane. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSale"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The name is taken, the sale has seven lanes already or has ended, the shares of its lanes would exceed 1, or its draw is made. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_lane: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
                /** @description The lane's name in URLs. */
                lane: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangeLane"];
            };
        };
        responses: {
            /** @description The sale. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSale"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale, or no such lane. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The shares of the lanes would exceed 1. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    invite: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
                /** @description The lane's name in URLs. */
                lane: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["InviteRequest"];
            };
        };
        responses: {
            /** @description The invitations. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Invitations"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale, or no such lane. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The first request with this Idempotency-Key has no response to repeat. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    open_sale: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The sale. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSale"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The sale is not scheduled, or offers several items. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The Idempotency-Key was used with another body before. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_orders: {
        parameters: {
            query?: {
                /**
                 * @description An order's id, a ticket's number, an e-mail address, a phone number, or the reference of the
                 *     payment gateway or of the merchant.
                 */
                search?: string;
                /** @description Only orders made before this one. */
                before?: string;
            };
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Up to 50 orders. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminOrders"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The text to search for is too long. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    cancel_order: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
                /** @description The order. */
                order: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CancelOrder"];
            };
        };
        responses: {
            /** @description The request is accepted. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminOrder"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale or order. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The order is paid or has ended, or another request has not ended. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    refund_order: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
                /** @description The order. */
                order: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RefundOrder"];
            };
        };
        responses: {
            /** @description The request is accepted. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminOrder"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale or order. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The amount exceeds what is left of the payment, or another request has not ended. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    pause_sale: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The sale. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSale"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The sale is not open. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The Idempotency-Key was used with another body before. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_rehearsals: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The rehearsals. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Rehearsals"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    rehearse: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RehearseRequest"];
            };
        };
        responses: {
            /** @description The rehearsal has begun. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Rehearsal"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Another rehearsal is running, or this controller is not set up for rehearsals. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_report: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The report. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Report"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    report_table: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The report. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/csv": string;
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    resume_sale: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The sale. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminSale"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The sale is not paused. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The Idempotency-Key was used with another body before. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_tokens: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["RevokeTokens"];
            };
        };
        responses: {
            /** @description The tokens are revoked: no checkout accepts them any more. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RevokedTokens"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The first request with this Idempotency-Key has no response to repeat. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    samples: {
        parameters: {
            query?: {
                /** @description Only samples after this time. */
                after?: string;
            };
            header?: never;
            path: {
                /** @description The sale. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The samples. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Samples"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    prefer_ticket: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
                /** @description The ticket's number. */
                ordinal: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MoveTicket"];
            };
        };
        responses: {
            /** @description The ticket is served next. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MovedTicket"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale, lane or ticket. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The ticket is not waiting, or the sale has ended, is sold out, or its draw is due. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_ticket: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The sale. */
                id: string;
                /** @description The ticket's number. */
                ordinal: number;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MoveTicket"];
            };
        };
        responses: {
            /** @description The ticket is removed within a tick. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MovedTicket"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is a viewer, or the session was sent without its `csrf`. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale, lane or ticket. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The ticket is not waiting, or the sale has ended. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_session: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The session. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no session, or it has ended. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sign_in: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["SignIn"];
            };
        };
        responses: {
            /** @description The session; its cookie is HttpOnly and SameSite=Strict. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The name, the password or the code is wrong, or the code was used already. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many attempts with this name have failed from this address. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many operators sign in at this moment. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sign_out: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The session has ended. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_password: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ChangePassword"];
            };
        };
        responses: {
            /** @description The password is changed: sign in again. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The old password is wrong. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The first request with this Idempotency-Key has no response to repeat. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The new password is too short. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The old password was wrong too often. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_tokens: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The tokens, without their secrets. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminTokens"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    add_token: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AddToken"];
            };
        };
        responses: {
            /** @description The token, shown only once. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AddedToken"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The name is taken, or there are 200 already. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_token: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The token's name. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is revoked. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such token. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_webhooks: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The webhooks, the oldest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminWebhooks"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    add_webhook: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["AddWebhook"];
            };
        };
        responses: {
            /** @description The webhook, with its secret. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AddedWebhook"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There are 20 webhooks already. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is too large. */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body does not have the content type that is documented. */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The request body is not valid: `detail` names the field. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    delete_webhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The webhook. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The webhook is deleted and receives no more events. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such webhook. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    enable_webhook: {
        parameters: {
            query?: never;
            header?: {
                /** @description Repeats the stored response of the same key for 24 hours. Rejected with 409 while the first request is being processed, or if its response contained a secret; with 422 if its body was another. */
                "Idempotency-Key"?: string;
            };
            path: {
                /** @description The webhook. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The webhooks. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AdminWebhooks"];
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not signed in. */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The caller is not an owner. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such webhook. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The first request with this Idempotency-Key has no response to repeat. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The Idempotency-Key was used with another body before. */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sale_items: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The sale, or its lane. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The items. May be cached for a minute. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["OfferedItems"];
                };
            };
            /** @description The items have the entity tag that the caller has. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sale_record: {
        parameters: {
            query?: {
                /** @description Only entries after this one. */
                after?: number;
            };
            header?: never;
            path: {
                /** @description The sale, or its lane. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The entries so far: see docs/verify.md. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": string;
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale, or it has no record. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    health_live: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It does. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    health_ready: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It can. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_image: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `{media}-{width}.{extension}`, as the product has it. */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The image. May be cached. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "image/jpeg": components["schemas"]["StoredImage"];
                    "image/webp": components["schemas"]["StoredImage"];
                };
            };
            /** @description The image has the entity tag that the caller has. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such image. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The metrics. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    problem_page: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The last part of a problem's `type`. */
                slug: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The explanation. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description The path, the query or a header is not valid. */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such type of problem. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
            /** @description Too many requests from this address. `Retry-After` states when to try again. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The service is temporarily unavailable. `Retry-After` states when to try again. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
