//! The HTTP client of the S3 storage: that of all services, with its deadline, its bound and its
//! traces.

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};

/// Makes clients of the storage.
#[derive(Debug)]
pub(crate) struct Connector(pub(crate) fairline_http_client::HttpClient);

#[derive(Debug)]
struct S3Service(fairline_http_client::HttpClient);

/// The storage has not responded.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UnansweredRequest(String);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(S3Service(self.0.clone())))
    }
}

#[async_trait]
impl HttpService for S3Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        // It is in memory already.
        let body = body.collect().await?.to_bytes();
        let answered = self.0.call(Request::from_parts(parts, body.into())).await.map_err(|unanswered| {
            let kind = if unanswered.never_left { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
            HttpError::new(kind, UnansweredRequest(unanswered.why))
        })?;
        let mut response = Response::new(answered.body.into());
        (*response.status_mut(), *response.headers_mut()) = (answered.status, answered.headers);
        Ok(response)
    }
}
