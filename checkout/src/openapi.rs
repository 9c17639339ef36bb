//! The OpenAPI document: its title, and how callers authenticate.

use utoipa::{
    Modify,
    openapi::{
        OpenApi,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Fairline checkout",
        description = "Redeem an admission token, pay for an order, and read orders.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    modifiers(&Security)
)]
pub(crate) struct Document;

/// The security schemes of the API.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let admission = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The admission token, sent together with the ticket cookie of its holder."))
            .build();
        let ticket = ApiKeyValue::with_description(
            "fairline_ticket_{sale}",
            "The ticket cookie that the waiting room sets, one for each sale.",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admission", SecurityScheme::Http(admission));
        let merchant =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The key of the merchant's systems."));
        components.add_security_scheme("merchant", SecurityScheme::Http(merchant.build()));
        let account = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(
            "The access token of an account; in `Fairline-Account` if the request has an admission token.",
        ));
        components.add_security_scheme("account", SecurityScheme::Http(account.build()));
        components.add_security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Cookie(ticket)));
    }
}
