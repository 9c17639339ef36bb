//! The OpenAPI document: its title, and how callers authenticate.

use utoipa::{
    Modify,
    openapi::{
        OpenApi,
        path::Operation,
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

/// Declares that every operation accepts an operator's session instead of a token.
pub(crate) fn accept_sessions(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let reads = item.get.iter_mut().map(|operation| (operation, false));
        let changes = [&mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        let changes = changes.into_iter().flatten().map(|operation| (operation, true));
        reads.chain(changes).for_each(|(operation, changes)| accept_session(operation, changes));
    }
}

fn accept_session(operation: &mut Operation, changes: bool) {
    const NO_SCOPES: [&str; 0] = [];
    let Some(security) = &mut operation.security else { return };
    if security.contains(&SecurityRequirement::new("admin", NO_SCOPES)) {
        let session = SecurityRequirement::new("session", NO_SCOPES);
        security.push(if changes { session.add("csrf", NO_SCOPES) } else { session });
    }
}
