//! The baseline of `rejects_vs_hello`: an axum server that answers every request with a greeting,
//! and does nothing else.
//!
//! `bare-hello ADDRESS`

use std::{env, error::Error};

use axum::{Router, serve::ListenerExt as _};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).ok_or("bare-hello ADDRESS")?;
    let listener = TcpListener::bind(address).await?.tap_io(|stream| {
        // A failure only makes it slower.
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, Router::new().fallback(|| async { "Hello" })).await?)
}
