//! Reads the public record of a sale from its URL and replays it as it arrives.

use std::time::Duration;

use bytes::Bytes;
use fairline_record::verify::{InvalidRecord, Verdict, Verifier};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// Timeout for the connection, for the response head, and for each part of the record.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Maximum length of a line: an entry is below 50 kB.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Replays the record at a URL. The outer error states why it could not be read.
///
/// # Errors
/// When the server does not respond, or returns an incomplete record.
pub async fn replay(record: &Uri, mut verifier: Verifier) -> Result<Result<Verdict, InvalidRecord>, String> {
    let sentence = |why: String| format!("{record} could not be read: {why}");
    let late = |_| sentence("no response in time".to_owned());
    if record.scheme_str() != Some("http") {
        return Err(sentence(
            "only plain http is spoken here; fetch the record with curl, and replay the file".to_owned(),
        ));
    }
    let authority = record.authority().ok_or_else(|| sentence("it names no host".to_owned()))?;
    let address = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let stream = timeout(ANSWER_WITHIN, TcpStream::connect(address)).await.map_err(late)?;
    let stream = stream.map_err(|error| sentence(error.to_string()))?;
    let broke = |error: hyper::Error| sentence(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
    // The task ends with the exchange.
    tokio::spawn(connection);
    let path = record.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).header(header::HOST, authority.as_str()).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| sentence(error.to_string()))?;
    let response = timeout(ANSWER_WITHIN, sender.send_request(request)).await.map_err(late)?.map_err(broke)?;
    if response.status() != StatusCode::OK {
        return Err(sentence(format!("the response was {}", response.status())));
    }
    let mut body = response.into_body();
    let mut unread: Vec<u8> = Vec::new();
    while let Some(frame) = timeout(ANSWER_WITHIN, body.frame()).await.map_err(late)? {
        let frame = frame.map_err(broke)?;
        unread.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]);
            if let Err(fault) = verifier.take(&line) {
                return Ok(Err(fault));
            }
        }
        if unread.len() > LINE_BYTES_MAX {
            return Err(sentence("it has a line without an end".to_owned()));
        }
    }
    if unread.is_empty() { Ok(verifier.finish()) } else { Err(sentence("it broke off in a line".to_owned())) }
}
