/** Generated from docs/openapi/waiting-room.json by scripts/generate-api.mjs. */

export interface paths {
    "/api/flash-sales/active": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The running and coming sales, the next to open first. */
        get: operations["active_sales"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/flash-sales/{id}/line": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Join or resume a line, as a WebSocket, as Server-Sent Events, or as JSON for polling. */
        get: operations["line"];
        put?: never;
        post?: never;
        /** Give the place up. */
        delete: operations["leave_line"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/flash-sales/{id}/line/claim": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Confirm that the token has arrived, from a page that can't send messages. */
        post: operations["claim_turn"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/flash-sales/{id}/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The status of a sale, and its remaining units. */
        get: operations["sale_status"];
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
        /** @description The running and coming sales. */
        ActiveSales: {
            sales: components["schemas"]["SaleCard"][];
        };
        /**
         * @description A colour, written `#rrggbb`.
         * @example #2743d2
         */
        Colour: string;
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
        /** @description A lane: a line beside a sale's own, to the same stock. Joining it needs an invitation. */
        LaneFacts: {
            /** @description The Ed25519 key that verifies its invitations, as base64url. */
            key: string;
            /** @description The end of its URL slug, after the sale's slug and two hyphens. */
            name: string;
            /** @description The sale that it leads to. */
            sale: components["schemas"]["SaleId"];
        };
        /** @description A message to a page. */
        LineMessage: {
            /**
             * Format: int64
             * @description Shoppers behind.
             */
            behind: number;
            /** @description Whether the remaining units are likely to be gone by then. */
            beyond_stock: boolean;
            /**
             * Format: int64
             * @description The ticket's number.
             */
            ordinal: number;
            /**
             * Format: int64
             * @description Shoppers ahead: 0 for the one who is next.
             */
            place: number;
            /**
             * Format: double
             * @description Places per second by which a page counts down until the next message; null: it does not.
             */
            rate_per_s: number | null;
            /**
             * Format: int64
             * @description Shoppers ahead who had departed and came back. While this grows, a place may grow.
             */
            recalled: number;
            /**
             * Format: int32
             * @description Units that are neither held, paid for nor promised.
             */
            remaining: number;
            /** @enum {string} */
            type: "place";
            wait: components["schemas"]["Wait"] | null;
        } | {
            /**
             * Format: int64
             * @description The ticket's number.
             */
            ordinal: number;
            /**
             * Format: int64
             * @description Participants of the draw.
             */
            participants: number;
            /** @enum {string} */
            type: "draw";
        } | {
            /** @description The facts. */
            sale: components["schemas"]["SaleCard"];
            /** @enum {string} */
            type: "sale";
        } | {
            /**
             * Format: date-time
             * @description Until when the page must send `claim`.
             */
            claim_by: string;
            /**
             * Format: date-time
             * @description Until when it can be redeemed.
             */
            expires_at: string;
            /**
             * Format: int32
             * @description Units promised.
             */
            quantity: number;
            /** @description The admission token. */
            token: string;
            /** @enum {string} */
            type: "turn";
        } | {
            /** @description Why. */
            outcome: components["schemas"]["Outcome"];
            /** @enum {string} */
            type: "over";
        } | {
            /**
             * Format: int32
             * @description Maximum seconds until the next message. A page without one has lost its connection.
             */
            next_in_s: number;
            /**
             * Format: int32
             * @description After a loss, reconnect at a random moment within this time, in milliseconds.
             */
            reconnect_within_ms: number;
            /** @enum {string} */
            type: "heartbeat";
        } | {
            /**
             * Format: int64
             * @description Milliseconds until the next message is likely.
             */
            retry_after_ms: number;
            /** @enum {string} */
            type: "reconnecting";
        };
        /**
         * @description The order of service of a line.
         * @enum {string}
         */
        LineOrder: "fifo" | "draw";
        /** @description The messages to a page that polls. */
        LineSnapshot: {
            /** @description All messages that the page lacks. */
            messages: components["schemas"]["LineMessage"][];
            /**
             * Format: int64
             * @description Milliseconds until the next poll.
             */
            poll_after_ms: number;
        };
        /**
         * @description Why the wait is over.
         * @enum {string}
         */
        Outcome: "sold_out" | "closed" | "expired" | "bought" | "left" | "removed" | "missed" | "limit";
        /** @description A message of a page. */
        PageMessage: {
            /** @enum {string} */
            type: "claim";
        } | {
            /** @enum {string} */
            type: "leave";
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
        /**
         * @description The status of a sale, as shoppers and administrators see it.
         * @enum {string}
         */
        Status: "scheduled" | "open" | "paused" | "sold_out" | "closed";
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
        /** @description The forecast wait, in seconds from now. */
        Wait: {
            /** @description From and to: 90 % of all such waits end within this range. */
            bounds_s: [
                number,
                number
            ];
            /** @description From and to: half of all such waits end within this range, in seconds from now. */
            likely_s: [
                number,
                number
            ];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    active_sales: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The sales. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ActiveSales"];
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
    line: {
        parameters: {
            query?: {
                /** @description `false`: only with the ticket in the cookie. */
                join?: boolean;
                /** @description `true`: exchange a ticket whose turn is over. The limit counts all turns of a shopper. */
                rejoin?: boolean;
                /** @description The account of the shopper: a JSON Web Token that the shop has signed. */
                account?: string;
                /** @description An invitation to the lane whose line this is. */
                invitation?: string;
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
            /** @description The line as a WebSocket: see docs/line-protocol.md. */
            101: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The line as it is now, or as a stream of events. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LineSnapshot"];
                    "text/event-stream": components["schemas"]["LineMessage"];
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
            /** @description The request comes from a page of another site, or the line is a lane and there is no invitation to it. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale, or (with join=false) no ticket. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The sale is over, and its line accepts no shoppers. */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Too many new tickets for one address. */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description The line can't be reached, or this node is full. The place is kept. */
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
    leave_line: {
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
            /** @description The place is given up. The ticket stays: `rejoin=true` exchanges it for a new one. */
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
            /** @description The request comes from a page of another site. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale, or no ticket. */
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
            /** @description The line can't be reached. */
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
    claim_turn: {
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
            /** @description The claim is recorded. */
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
            /** @description The request comes from a page of another site. */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description There is no such sale, or no ticket. */
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
            /** @description The line can't be reached. */
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
    sale_status: {
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
            /** @description The sale. May be cached for a second. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SaleCard"];
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
