//! A client of the services' API.

use fairline_server::{Secret, StartError};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, body::Bytes, header};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

pub(super) struct Api {
    url: String,
    token: Secret,
}

impl Api {
    /// A client of the services at `url` that authenticates with the admin token.
    pub(super) fn new(url: &str, token: Secret) -> Self {
        Self { url: url.to_owned(), token }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, StartError> {
        self.call(Method::GET, path, String::new()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, StartError> {
        self.call(Method::POST, path, body.to_string()).await
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Result<Value, StartError> {
        let failed = |reason: String| StartError::new(format!("{}{path} failed: {reason}.", self.url));
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(error.to_string()))?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.map_err(|error| failed(error.to_string()))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| failed(error.to_string()))?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() {
            let detail = answer["detail"].as_str().or(answer["title"].as_str()).unwrap_or_default();
            return Err(failed(format!("{status} {detail}")));
        }
        Ok(answer)
    }
}
