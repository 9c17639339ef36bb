//! OpenAPI documents: the answers that every operation has in common.

use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, path::Operation, schema::Schema};

const PROBLEM_JSON: &str = "application/problem+json";
const PROBLEM: &str = "#/components/schemas/Problem";

/// Problems that any operation may answer with.
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

/// Completes a document: problems have the content type `application/problem+json`, and those that the layers and
/// extractors of this crate answer with stand at every operation.
pub fn document_problems(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        operations.into_iter().flatten().for_each(complete);
    }
}

fn complete(operation: &mut Operation) {
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
