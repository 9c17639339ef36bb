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
        title = "Fairline admission controller",
        description = "Run sales, and verify admission tokens.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(crate::admin_api::live::update::LiveUpdate)),
    modifiers(&Security)
)]
pub(crate) struct Document;

/// The security schemes of the API.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let admin = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The admin token, or an API token that an owner has created."))
            .build();
        let session = ApiKeyValue::with_description(
            "__Host-fairline-admin",
            "The session of an operator; signing in sets the cookie. Without TLS, its name is `fairline-admin`.",
        );
        let csrf = ApiKeyValue::with_description(
            "x-csrf-token",
            "`csrf` of the session. Requests that change something send it with the cookie.",
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admin", SecurityScheme::Http(admin));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
        components.add_security_scheme("csrf", SecurityScheme::ApiKey(ApiKey::Header(csrf)));
    }
}

/// Declares that every operation that takes a token also accepts an operator's session, and lists
/// the problems of the layer that authenticates.
pub(crate) fn list_credentials(document: &mut OpenApi) {
    const NO_SCOPES: [&str; 0] = [];
    for (method, operation) in operations(document) {
        let Some(security) = &mut operation.security else { continue };
        if !security.contains(&SecurityRequirement::new("admin", NO_SCOPES)) {
            continue;
        }
        let (changes, session) = (method != HttpMethod::Get, SecurityRequirement::new("session", NO_SCOPES));
        security.push(if changes { session.add("csrf", NO_SCOPES) } else { session });
        list_problem(operation, "401", "The caller is not signed in.");
        if changes {
            list_problem(operation, "403", "The caller is a viewer, or the session was sent without its `csrf`.");
        }
    }
}
