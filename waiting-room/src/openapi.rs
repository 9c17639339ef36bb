//! The OpenAPI document: its title, and how callers authenticate.

use utoipa::{
    Modify,
    openapi::{
        OpenApi,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Fairline waiting room",
        description = "Join the line of a sale, and wait in it.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(fairline_update_policy::PageMessage)),
    modifiers(&Security)
)]
pub(crate) struct Document;

/// Declares the ticket cookie as the API's security scheme.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let ticket = ApiKeyValue::with_description(
            "fairline_ticket_{sale}",
            "The ticket, one cookie for each sale. Joining the line sets it.",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Cookie(ticket)));
    }
}
