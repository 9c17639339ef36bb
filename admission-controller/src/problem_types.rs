//! The admission controller's problem types.

fairline_server::problem_types! {
    INVALID_CSRF_TOKEN = FORBIDDEN "invalid-csrf-token" "No CSRF token" {
        operator: "Programs with a session send its `csrf` as the header `x-csrf-token`; simpler, use an API token.",
    }
    ORIGIN_NOT_ALLOWED = FORBIDDEN "origin-not-allowed" "Origin not allowed" {
        operator: "Open the console at its own address, or set FAIRLINE_PUBLIC_ORIGINS if the proxy rewrites the Host header.",
    }
    INVALID_TRANSITION = CONFLICT "invalid-transition" "Not possible in the sale's current status" {
        operator: "Check the sale's status; a closed sale stays closed.",
    }
    IMAGE_REJECTED = UNPROCESSABLE_ENTITY "image-rejected" "The image was rejected" {
        operator: "Upload a JPEG, PNG or WebP image within the limits that `detail` names.",
    }
    IMPORT_REJECTED = UNPROCESSABLE_ENTITY "import-rejected" "The table was rejected" {
        operator: "Correct the lines that `errors` names, and import the table again: nothing was changed.",
    }
    ITEM_CHANGED = CONFLICT "item-changed" "The item was changed meanwhile" {
        operator: "Load the items again, and repeat the change with the item's new `version`.",
    }
    ITEM_EXISTS = CONFLICT "item-exists" "The sale has an item with the SKU" {
        operator: "Change the existing item, which may be withdrawn, or choose another SKU.",
    }
    LAST_ITEM = CONFLICT "last-item" "The sale would offer no item" {
        operator: "Close the sale, or add another item first.",
    }
    LANE_REJECTED = CONFLICT "lane-rejected" "The lane was rejected" {
        operator: "`detail` has the limit: number of lanes, sum of the shares, or time.",
    }
    LANE_TAKEN = CONFLICT "lane-taken" "The name of the lane is taken" {
        operator: "Choose another name: a lane of this sale has it.",
    }
    NAME_TAKEN = CONFLICT "name-taken" "The name of the operator or token is taken" {
        operator: "Choose another name, or remove the operator or token that has it.",
    }
    MISSING_CREDENTIALS = UNAUTHORIZED "missing-credentials" "No credentials" {
        operator: "Sign in, or send `Authorization: Bearer` with an API token.",
    }
    IMAGES_NOT_CONFIGURED = CONFLICT "images-not-configured" "Images are not set up" {
        operator: "Set FAIRLINE_MEDIA_URL of the controllers: a folder that all of them share, or a bucket.",
    }
    REHEARSALS_NOT_CONFIGURED = CONFLICT "rehearsals-not-configured" "Rehearsals are not set up" {
        operator: "Set `--rehearsal-program` and `--rehearsal-url` of the controller.",
    }
    INVALID_SESSION = UNAUTHORIZED "invalid-session" "Not signed in to the console" {
        operator: "Sign in again: the session has ended.",
    }
    WEBSOCKET_REQUIRED = BAD_REQUEST "websocket-required" "The request is not a WebSocket handshake" {
        operator: "Check that the proxy forwards the headers `Upgrade` and `Connection`.",
    }
    ORDER_NOT_CANCELLABLE = CONFLICT "order-not-cancellable" "The shop can't cancel the order now" {
        operator: "The order is paid or has ended. A paid order can be refunded.",
    }
    CSV_REQUIRED = UNSUPPORTED_MEDIA_TYPE "csv-required" "The request body is not CSV" {
        operator: "Send the header `Content-Type: text/csv`.",
    }
    NOT_REFUNDABLE = CONFLICT "not-refundable" "The amount can't be refunded" {
        operator: "Refund at most `left_minor`. An order that was paid at the shop is refunded there.",
    }
    NOT_WAITING = CONFLICT "not-waiting" "The ticket is not waiting" {
        operator: "The ticket has left the line or has had its turn. To stop its token, revoke all unused tokens of the sale.",
    }
    PRODUCT_IN_USE = CONFLICT "product-in-use" "A sale offers the product" {
        operator: "Archive the product, or close the sale first.",
    }
    PRODUCT_CHANGED = CONFLICT "product-changed" "The product was changed meanwhile" {
        operator: "Load the product again, and repeat the change with its new `version`.",
    }
    REHEARSAL_IN_PROGRESS = CONFLICT "rehearsal-in-progress" "Another rehearsal is running" {
        operator: "Wait until it ends, or stop it. One rehearsal runs at a time.",
    }
    ORDER_REQUEST_IN_PROGRESS = CONFLICT "order-request-in-progress" "Another request for the order is in progress" {
        operator: "Wait until it ends: `request` of the order shows its state.",
    }
    INSUFFICIENT_ROLE = FORBIDDEN "insufficient-role" "Not allowed" {
        operator: "Ask an owner for the role that `detail` names.",
    }
    SEVERAL_ITEMS = CONFLICT "several-items" "The sale offers several items" {
        operator: "Withdraw all items but the first: this version sells one item per sale.",
    }
    SKU_TAKEN = CONFLICT "sku-taken" "The SKU is taken" {
        operator: "Choose another SKU: a variant of another product has it.",
    }
    SLUG_TAKEN = CONFLICT "slug-taken" "The slug is taken" {
        operator: "Choose another URL slug: a sale has it.",
    }
    STOCK_BELOW_COMMITMENTS = CONFLICT "stock-below-commitments" "The stock is too small" {
        operator: "Set the stock to at least the units that are promised, held or sold.",
    }
    TOO_MANY_ITEMS = CONFLICT "too-many-items" "Too many items" {
        operator: "Restore a withdrawn item, or create another sale.",
    }
    TOO_MANY_OPERATORS = CONFLICT "too-many-operators" "Too many operators" {
        operator: "Remove an operator who has left.",
    }
    TOO_MANY_PRODUCTS = CONFLICT "too-many-products" "Too many products" {
        operator: "Delete products that no sale uses.",
    }
    TOO_MANY_SIGN_INS = TOO_MANY_REQUESTS "too-many-sign-ins" "Too many failed attempts to sign in" {
        operator: "Wait for the time in `Retry-After`.",
    }
    TOO_MANY_TOKENS = CONFLICT "too-many-tokens" "Too many tokens" {
        operator: "Revoke a token that no program uses.",
    }
    TOO_MANY_WEBHOOKS = CONFLICT "too-many-webhooks" "Too many webhooks" {
        operator: "Delete a webhook that is not used.",
    }
    IMAGE_NOT_FOUND = NOT_FOUND "image-not-found" "No such image" {
        operator: "Upload the image again: unused ones are deleted after a day.",
    }
    ITEM_NOT_FOUND = NOT_FOUND "item-not-found" "No such item" {
        operator: "`GET /api/admin/sales/{id}/items` lists a sale's items.",
    }
    KEY_NOT_FOUND = NOT_FOUND "key-not-found" "No such key" {
        operator: "`GET /api/admin/keys` lists the signing keys.",
    }
    LANE_NOT_FOUND = NOT_FOUND "lane-not-found" "No such lane" {
        operator: "`GET /api/admin/sales/{id}` lists a sale's lanes.",
    }
    OPERATOR_NOT_FOUND = NOT_FOUND "operator-not-found" "No such operator" {
        operator: "`GET /api/admin/operators` lists the operators.",
    }
    ORDER_NOT_FOUND = NOT_FOUND "order-not-found" "No such order" {
        operator: "`GET /api/admin/sales/{id}/orders` lists a sale's orders.",
    }
    PRODUCT_NOT_FOUND = NOT_FOUND "product-not-found" "No such product" {
        operator: "`GET /api/admin/products` lists the products.",
    }
    REHEARSAL_NOT_FOUND = NOT_FOUND "rehearsal-not-found" "No such rehearsal is running" {
        operator: "It has ended, or never existed.",
    }
    SALE_NOT_FOUND = NOT_FOUND "sale-not-found" "No such sale" {
        operator: "`GET /api/admin/sales` lists all sales.",
    }
    TICKET_NOT_FOUND = NOT_FOUND "ticket-not-found" "No such ticket" {
        operator: "Check the ticket number: the shopper's page shows it.",
    }
    TOKEN_NOT_FOUND = NOT_FOUND "token-not-found" "No such token" {
        operator: "`GET /api/admin/tokens` lists the API tokens.",
    }
    WEBHOOK_NOT_FOUND = NOT_FOUND "webhook-not-found" "No such webhook" {
        operator: "`GET /api/admin/webhooks` lists the webhooks.",
    }
    UNSUPPORTED_IMAGE = UNSUPPORTED_MEDIA_TYPE "unsupported-image" "The request body is not an image" {
        operator: "Send a JPEG, PNG or WebP image with its `Content-Type`.",
    }
    INVALID_ADMIN_TOKEN = UNAUTHORIZED "invalid-admin-token" "Wrong admin token" {
        operator: "Use the controller's admin token, or an API token that is neither revoked nor expired.",
    }
    INVALID_CREDENTIALS = UNAUTHORIZED "invalid-credentials" "Invalid name, password or code" {
        operator: "Check the name, the password and the code. A code is valid once: after a failed attempt, wait for the next one.",
    }
    INVALID_ENROLMENT_CODE = UNAUTHORIZED "invalid-enrolment-code" "Invalid enrolment code" {
        operator: "This code is wrong, used or expired. Ask an owner for a new one.",
    }
}
