//! OpenAPI documents: the parts that all services share.

use utoipa::openapi::{
    Content, ContentBuilder, OpenApi, Ref, RefOr, Response, Server,
    path::{HttpMethod, Operation, OperationBuilder, PathItem},
    schema::{Object, Schema, Type},
    security::SecurityRequirement,
};

const PROBLEM_JSON: &str = "application/problem+json";
const PROBLEM: &str = "#/components/schemas/Problem";

/// Problems that any operation may return.
const ALWAYS: [(&str, &str); 3] = [
    ("400", "The path, the query or a header is not valid."),
    ("429", "Too many requests from this address. `Retry-After` says when to try again."),
    ("503", "The service can't answer now. `Retry-After` says when to try again."),
];
/// Problems of operations with a request body.
const WITH_BODY: [(&str, &str); 3] = [
    ("413", "The request body is too large."),
    ("415", "The request body does not have the content type that is documented."),
    ("422", "The request body is not valid."),
];

/// Path, operation id, summary and response description of the routes that every service has.
const PLUMBING: [(&str, &str, &str, &str); 3] = [
    ("/health/live", "health_live", "Whether the process runs.", "It does."),
    ("/health/ready", "health_ready", "Whether the service can do its work.", "It can."),
    ("/metrics", "metrics", "Metrics, in the text format of Prometheus.", "The metrics."),
];

/// Completes a document: declares the server, the routes of health and metrics, and which
/// operations are public; gives problems the content type `application/problem+json`; and lists at
/// each operation the problems of the layers and extractors of this crate.
pub fn complete_document(document: &mut OpenApi) {
    document.servers.get_or_insert_with(|| vec![Server::new("/")]);
    for (path, id, summary, answer) in PLUMBING {
        document.paths.paths.insert(path.to_owned(), common_route(id, summary, answer));
    }
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        operations.into_iter().flatten().for_each(complete);
    }
}

fn common_route(id: &str, summary: &str, answer: &str) -> PathItem {
    let text = ContentBuilder::new().schema(Some(Object::with_type(Type::String))).build();
    let answer = Response::builder().description(answer).content("text/plain", text).build();
    let operation = OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).response("200", answer);
    PathItem::new(HttpMethod::Get, operation)
}

fn complete(operation: &mut Operation) {
    operation.security.get_or_insert_with(|| vec![SecurityRequirement::default()]);
    let responses = &mut operation.responses.responses;
    for response in responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let content = std::mem::take(&mut response.content);
        let named = |(kind, content): (String, RefOr<Content>)| {
            if is_problem(&content) { (PROBLEM_JSON.to_owned(), content) } else { (kind, content) }
        };
        response.content = content.into_iter().map(named).collect();
    }
    let with_body = if operation.request_body.is_some() { &WITH_BODY[..] } else { &[] };
    for (status, description) in ALWAYS.iter().chain(with_body) {
        responses.entry((*status).to_owned()).or_insert_with(|| problem(description).into());
    }
}

fn is_problem(content: &RefOr<Content>) -> bool {
    let RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) = content else { return false };
    schema.ref_location == PROBLEM
}

fn problem(description: &str) -> Response {
    let body = Content::new(Some(RefOr::<Schema>::Ref(Ref::new(PROBLEM))));
    Response::builder().description(description).content(PROBLEM_JSON, body).build()
}
