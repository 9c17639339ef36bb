//! WebSocket frames (RFC 6455), as far as a line needs them: short texts in both directions. Pure.
//!
//! An idle socket has no parser of its own. Frames are read in place, and only an incomplete frame
//! is buffered, in at most [`PARTIAL_BYTES_MAX`].

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

/// Maximum length of a text from a page, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;
/// Maximum payload of a control frame, in bytes (RFC 6455, section 5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// Maximum length of a frame header, in bytes.
const HEADER_BYTES_MAX: usize = 14;
/// An incomplete frame is shorter than this, in bytes.
pub(crate) const PARTIAL_BYTES_MAX: usize = HEADER_BYTES_MAX + TEXT_BYTES_MAX;

/// One frame from a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Text(&'a str),
    /// Requires a pong with the same payload.
    Ping(&'a [u8]),
    Pong,
    Close,
}

/// A frame that ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// Not a valid frame of the RFC.
    ProtocolError,
    /// A valid frame that a line does not accept: binary, fragmented, not UTF-8, or too long.
    Unsupported,
}

/// Reads and unmasks the first frame of `bytes` in place and returns it with its length, or `None`
/// while it is incomplete.
pub(crate) fn read(bytes: &mut [u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let mut cursor = Cursor::new(&*bytes);
    let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| FrameError::ProtocolError)? else {
        return Ok(None);
    };
    let start = usize::try_from(cursor.position()).map_err(|_| FrameError::ProtocolError)?;
    // No extension that uses the reserved bits was negotiated, and clients must mask their frames.
    let (false, false, false, Some(mask)) = (header.rsv1, header.rsv2, header.rsv3, header.mask) else {
        return Err(FrameError::ProtocolError);
    };
    let longest = match header.opcode {
        OpCode::Control(_) if !header.is_final => return Err(FrameError::ProtocolError),
        OpCode::Control(_) => CONTROL_BYTES_MAX,
        OpCode::Data(Data::Text) if header.is_final => TEXT_BYTES_MAX,
        OpCode::Data(_) => return Err(FrameError::Unsupported),
    };
    let length = usize::try_from(length).ok().filter(|length| *length <= longest).ok_or(FrameError::Unsupported)?;
    let end = start + length;
    let Some(payload) = bytes.get_mut(start..end) else { return Ok(None) };
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    let received = match header.opcode {
        OpCode::Control(Control::Ping) => Frame::Ping(payload),
        OpCode::Control(Control::Pong) => Frame::Pong,
        OpCode::Control(Control::Close) => Frame::Close,
        OpCode::Control(Control::Reserved(_)) => return Err(FrameError::ProtocolError),
        OpCode::Data(_) => Frame::Text(std::str::from_utf8(payload).map_err(|_| FrameError::Unsupported)?),
    };
    Ok(Some((received, end)))
}

/// Appends a frame to `out`.
fn write(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    header.format(payload.len() as u64, out).expect("writing to memory never fails");
    out.extend_from_slice(payload);
}

/// Appends a text frame to `out`.
pub(crate) fn text(text: &[u8], out: &mut Vec<u8>) {
    write(OpCode::Data(Data::Text), text, out);
}

/// Appends a ping to `out`.
pub(crate) fn ping(out: &mut Vec<u8>) {
    write(OpCode::Control(Control::Ping), &[], out);
}

/// Appends a pong to `out`.
pub(crate) fn pong(payload: &[u8], out: &mut Vec<u8>) {
    write(OpCode::Control(Control::Pong), payload, out);
}

/// Appends a close frame to `out`.
pub(crate) fn close(code: CloseCode, reason: &str, out: &mut Vec<u8>) {
    let payload = [u16::from(code).to_be_bytes().as_slice(), reason.as_bytes()].concat();
    write(OpCode::Control(Control::Close), &payload, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as a browser would send it.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0xa5, 0x00, 0xff];
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    const TEXT: u8 = 0x81;
    const PING: u8 = 0x89;

    /// All texts in a stream of bytes that arrives in these pieces, and the error that ends it.
    fn receive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<FrameError>) {
        let (mut received, mut bytes) = (Vec::new(), Vec::new());
        for piece in pieces {
            bytes.extend_from_slice(piece);
            loop {
                match read(&mut bytes) {
                    Ok(Some((frame, length))) => {
                        received.push(format!("{frame:?}"));
                        bytes.drain(..length);
                    }
                    Ok(None) => break,
                    Err(rejected) => return (received, Some(rejected)),
                }
            }
            assert!(bytes.len() < PARTIAL_BYTES_MAX, "{} bytes kept", bytes.len());
        }
        (received, None)
    }

    #[test]
    fn a_masked_frame_is_parsed() {
        let frames = [
            (masked(TEXT, br#"{"type":"claim"}"#), Frame::Text(r#"{"type":"claim"}"#)),
            (masked(TEXT, &[b'x'; TEXT_BYTES_MAX]), Frame::Text(&"x".repeat(TEXT_BYTES_MAX))),
            (masked(PING, b"now"), Frame::Ping(b"now")),
            (masked(0x8a, b""), Frame::Pong),
            (masked(0x88, &[3, 232]), Frame::Close),
        ];
        for (mut frame, expected) in frames {
            let length = frame.len();
            assert_eq!(read(&mut frame), Ok(Some((expected, length))));
        }
    }

    #[test]
    fn invalid_frames_are_rejected_at_the_first_invalid_byte() {
        let unmasked = [TEXT, 2, b'{', b'}'].to_vec();
        let too_long = masked(TEXT, &[b'x'; TEXT_BYTES_MAX + 1]);
        let huge = [TEXT, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4].to_vec();
        for (what, frame, expected) in [
            ("unmasked", unmasked, FrameError::ProtocolError),
            ("a reserved bit", masked(TEXT | 0x40, b"{}"), FrameError::ProtocolError),
            ("an unknown opcode", masked(0x83, b""), FrameError::ProtocolError),
            ("an unknown control opcode", masked(0x8b, b""), FrameError::ProtocolError),
            ("a ping in fragments", masked(0x09, b""), FrameError::ProtocolError),
            ("a long ping", masked(PING, &[0; 126]), FrameError::Unsupported),
            ("binary", masked(0x82, b"{}"), FrameError::Unsupported),
            ("a first fragment", masked(0x01, b"{"), FrameError::Unsupported),
            ("a later fragment", masked(0x80, b"}"), FrameError::Unsupported),
            ("too long", too_long[..8].to_vec(), FrameError::Unsupported),
            ("beyond all memory", huge, FrameError::Unsupported),
            ("not UTF-8", masked(TEXT, &[0xc3]), FrameError::Unsupported),
        ] {
            assert_eq!(receive([frame.as_slice()]), (Vec::new(), Some(expected)), "{what}");
        }
    }

    #[test]
    fn tungstenite_reads_our_frames() {
        use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
        for length in [0, 1, 125, 126, 1000, 70_000] {
            let sent = "y".repeat(length);
            let mut bytes = Vec::new();
            text(sent.as_bytes(), &mut bytes);
            ping(&mut bytes);
            pong(b"now", &mut bytes);
            close(CloseCode::Restart, "reconnect", &mut bytes);
            let mut page = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Client, None);
            assert_eq!(page.read().expect("a message").into_text().expect("text").as_str(), sent);
            assert!(page.read().expect("a message").is_ping());
            assert_eq!(page.read().expect("a message").into_data().as_ref(), b"now");
            assert_eq!(page.read().expect("a message").into_text().expect("text").as_str(), "reconnect");
        }
    }

    prop_compose! {
        fn frame()(kind in 0..6, payload in prop::collection::vec(any::<u8>(), 0..300)) -> Vec<u8> {
            let text: String = payload.iter().map(|byte| char::from(byte % 64 + 32)).collect();
            match kind {
                0..3 => masked(TEXT, text.as_bytes()),
                3 => masked(PING, &payload[..payload.len().min(125)]),
                4 => masked(0x8a, &payload[..payload.len().min(125)]),
                _ => masked(*payload.first().unwrap_or(&0), &payload),
            }
        }
    }

    proptest! {
        #[test]
        fn cutting_the_stream_anywhere_gives_the_same_messages(
            frames in prop::collection::vec(frame(), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let stream = frames.concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|ends| &stream[ends[0]..ends[1]]);
            prop_assert_eq!(receive(pieces), receive(stream.chunks(1)));
        }

        #[test]
        fn no_bytes_make_it_panic_or_fill_the_buffer(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            receive(bytes.chunks(7));
        }
    }
}
