//! Tells the merchant of each change, without insisting; a call that is repeated is told again.

use std::time::Duration;

use bytes::Bytes;
use fairline_service::{Shutdown, StartError};
use http_body_util::Full;
use hyper::{Method, Request, Uri, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::debug;
use uuid::Uuid;

use crate::company::Intent;

/// News that wait to be told at most; what is beyond is dropped, as a real company's may be late for hours.
const WAITING_MAX: usize = 1000;
const TIMEOUT: Duration = Duration::from_secs(5);

/// The merchant's ear.
#[derive(Clone)]
pub(crate) struct Webhook {
    news: mpsc::Sender<Bytes>,
}

impl Webhook {
    pub(crate) fn start(url: &str, shutdown: &Shutdown) -> Result<Self, StartError> {
        let uri: Uri = url
            .parse()
            .ok()
            .filter(|uri: &Uri| uri.scheme_str() == Some("http") && uri.host().is_some())
            .ok_or_else(|| StartError::new(format!("The webhook's address `{url}` is not an http:// one.")))?;
        let (news, mut waiting) = mpsc::channel(WAITING_MAX);
        let stop = shutdown.clone();
        shutdown.spawn(async move {
            let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
            loop {
                let body = tokio::select! {
                    body = waiting.recv() => body,
                    () = stop.triggered() => return,
                };
                let Some(body) = body else { return };
                tell(&client, &uri, body).await;
            }
        });
        Ok(Self { news })
    }

    /// Queues the news of an intent.
    pub(crate) fn tell(&self, intent: &Intent) {
        let event = json!({
            "id": format!("evt_{}", Uuid::new_v4().simple()),
            "type": "payment_intent.changed",
            "data": { "object": intent },
        });
        if self.news.try_send(event.to_string().into()).is_err() {
            debug!("a webhook was dropped: too many wait");
        }
    }
}

async fn tell(client: &Client<HttpConnector, Full<Bytes>>, uri: &Uri, body: Bytes) {
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .expect("a checked address and a constant header make a request");
    match tokio::time::timeout(TIMEOUT, client.request(request)).await {
        Ok(Ok(response)) if response.status().is_success() => {}
        Ok(Ok(response)) => debug!(status = response.status().as_u16(), "a webhook was refused"),
        Ok(Err(error)) => debug!(%error, "a webhook could not be told"),
        Err(_) => debug!("a webhook was not answered in time"),
    }
}
