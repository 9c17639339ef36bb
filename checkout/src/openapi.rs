//! The OpenAPI document: its title, and how callers authenticate.

use fairline_server::{list_problem, operations};
use utoipa::{
    Modify,
    openapi::{
        OpenApi,
        path::HttpMethod,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
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

/// Lists the problems of callers who are not authorised for an operation.
pub(crate) fn list_rejections(document: &mut OpenApi) {
    const NO_SCOPES: [&str; 0] = [];
    let merchant = vec![SecurityRequirement::new("merchant", NO_SCOPES)];
    let account = vec![SecurityRequirement::new("account", NO_SCOPES)];
    for (method, operation) in operations(document) {
        if operation.security.as_ref() == Some(&merchant) {
            list_problem(operation, "401", "No merchant key, or a wrong one.");
        }
        if operation.security.as_ref() == Some(&account) {
            list_problem(operation, "401", "Not signed in.");
            list_problem(operation, "404", "Accounts are not offered here.");
        }
        if method != HttpMethod::Get {
            list_problem(operation, "403", "The request comes from another site's page.");
        }
    }
}
