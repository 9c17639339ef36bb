//! OpenAPI documents: the parts that all services share.

use utoipa::{
    PartialSchema as _,
    openapi::{
        Content, ContentBuilder, OpenApi, Ref, RefOr, Required, Response, Server,
        path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItem},
        schema::{Object, Type},
        security::SecurityRequirement,
    },
};

use crate::problem::ProblemBody;

const PROBLEM_JSON: &str = "application/problem+json";
/// The name of the schema of a problem.
const PROBLEM: &str = "Problem";

/// Problems that any operation may return.
const ALWAYS: [(&str, &str); 3] = [
    ("400", "The path, the query or a header is not valid."),
    ("429", "Too many requests from this address. `Retry-After` states when to try again."),
    ("503", "The service is temporarily unavailable. `Retry-After` states when to try again."),
];
/// Problems of operations with a request body.
const WITH_BODY: [(&str, &str); 3] = [
    ("413", "The request body is too large."),
    ("415", "The request body does not have the content type that is documented."),
    ("422", "The request body is not valid: `detail` names the field."),
];

/// Path, operation id, summary and response description of the routes that every service has.
const PLUMBING: [(&str, &str, &str, &str); 3] = [
    ("/health/live", "health_live", "Whether the process runs.", "It does."),
    ("/health/ready", "health_ready", "Whether the service can do its work.", "It can."),
    ("/metrics", "metrics", "Metrics, in the text format of Prometheus.", "The metrics."),
];

/// Completes a document: declares the server, the routes that every service has, and which
/// operations are public; lists at each operation the problems of the layers and extractors of this
/// crate; and gives each error without a body that of a problem.
pub fn complete_document(document: &mut OpenApi) {
    document.servers.get_or_insert_with(|| vec![Server::new("/")]);
    document.components.get_or_insert_default().schemas.insert(PROBLEM.to_owned(), ProblemBody::schema());
    for (path, id, summary, answer) in PLUMBING {
        document.paths.paths.insert(path.to_owned(), common_route(id, summary, answer));
    }
    document.paths.paths.insert("/problems/{slug}".to_owned(), problem_route());
    operations(document).for_each(|(_, operation)| complete(operation));
}

/// The operations of a document, with their methods.
pub fn operations(document: &mut OpenApi) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    document.paths.paths.values_mut().flat_map(|item| {
        let operations = [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Delete, &mut item.delete),
            (HttpMethod::Patch, &mut item.patch),
        ];
        operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
    })
}

/// Lists a problem at an operation, unless the operation describes that status itself.
/// [`complete_document`] adds the body.
pub fn list_problem(operation: &mut Operation, status: &str, description: &str) {
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| Response::new(description).into());
}

fn text(description: &str) -> Response {
    let text = ContentBuilder::new().schema(Some(Object::with_type(Type::String))).build();
    Response::builder().description(description).content("text/plain", text).build()
}

fn common_route(id: &str, summary: &str, answer: &str) -> PathItem {
    let operation = OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).response("200", text(answer));
    PathItem::new(HttpMethod::Get, operation)
}

fn problem_route() -> PathItem {
    let slug = ParameterBuilder::new()
        .name("slug")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The last part of a problem's `type`."))
        .schema(Some(Object::with_type(Type::String)));
    let operation = OperationBuilder::new()
        .operation_id(Some("problem_page"))
        .summary(Some("Explains a type of problem."))
        .parameter(slug)
        .response("200", text("The explanation."))
        .response("404", text("There is no such type of problem."));
    PathItem::new(HttpMethod::Get, operation)
}

fn complete(operation: &mut Operation) {
    operation.security.get_or_insert_with(|| vec![SecurityRequirement::default()]);
    let with_body = if operation.request_body.is_some() { &WITH_BODY[..] } else { &[] };
    for (status, description) in ALWAYS.iter().chain(with_body) {
        list_problem(operation, status, description);
    }
    let errors = operation.responses.responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5']));
    for (_, response) in errors {
        if let RefOr::T(response) = response
            && response.content.is_empty()
        {
            let body = Content::new(Some(Ref::from_schema_name(PROBLEM)));
            response.content.insert(PROBLEM_JSON.to_owned(), RefOr::T(body));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_lists_the_problems_of_all_layers_and_keeps_its_own_descriptions() {
        let operation =
            OperationBuilder::new().response("200", Response::new("Done.")).response("503", Response::new("Full."));
        let mut document = OpenApi::default();
        document.paths.paths.insert("/things".to_owned(), PathItem::new(HttpMethod::Get, operation));
        complete_document(&mut document);
        let document = serde_json::to_value(&document).expect("a document is JSON");
        let responses = &document["paths"]["/things"]["get"]["responses"];
        for status in ["400", "429", "503"] {
            let schema = &responses[status]["content"][PROBLEM_JSON]["schema"];
            assert_eq!(schema["$ref"], "#/components/schemas/Problem", "{status}");
        }
        assert_eq!(responses["503"]["description"], "Full.");
        assert!(responses["200"]["content"].is_null() && responses["422"].is_null(), "{responses}");
        assert!(document["components"]["schemas"]["Problem"].is_object());
    }
}
