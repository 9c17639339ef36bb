//! The baseline of `joins_vs_bare_upgrade`: accepts WebSockets with tokio-tungstenite, and holds
//! them. No line, no ticket, no limit: the minimum that a server can do for a connection.
//!
//! `bare-upgrade ADDRESS [small]`: with tokio-tungstenite's default settings, a read buffer of 128
//! kB for each socket, or with small buffers.

use std::{env, error::Error};

use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio_tungstenite::{accept_async_with_config, tungstenite::protocol::WebSocketConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().ok_or("bare-upgrade ADDRESS [small]")?;
    let small = arguments.next().map(|_| WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(1024));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let mut socket = accept_async_with_config(stream, small).await?;
            while let Some(Ok(_)) = socket.next().await {}
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        });
    }
}
