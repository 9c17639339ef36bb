//! The messages and the display of one page. Pure.

use serde::{Deserialize, Serialize};

/// Maximum size of a message; the line's are a tenth of it.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Maximum size of the response head of a handshake.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// A place or turn that a page received, and when. The page counts down from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) at_us: u64,
    pub(crate) what: ShownContent,
}

/// The content of a message.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShownContent {
    /// The number ahead, which decreases by `rate_per_s` each second.
    Place { ahead: u64, rate_per_s: f64 },
    /// It is its turn.
    Turn,
}

/// A page, from its handshake on.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) stage: PageStage,
    pub(crate) ordinal: u64,
    pub(crate) shown: Option<Shown>,
    /// The received part of an incomplete frame or head.
    rest: Vec<u8>,
}

/// The progress of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum PageStage {
    /// It is not connected yet.
    #[default]
    Coming,
    /// The handshake is not complete.
    Knocking,
    /// It is connected, and holds a ticket if there are tickets.
    In,
    /// It has received its place.
    Waiting,
    /// It has a token.
    Called,
    /// It has received the last message.
    Over,
}

/// The reaction of a page to received bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PageReaction {
    /// The handshake has succeeded.
    Entered,
    /// The handshake was rejected; this is the response head.
    Refused(String),
    /// Answer a ping with its payload.
    Pong(Vec<u8>),
    /// A message of the line, of any kind.
    Received,
    /// A place, which the page shows from now on.
    Moved,
    /// A token, which the page must claim.
    Called,
    /// The last message.
    Over,
    /// Bytes that none of our servers sends.
    Nonsense,
}

#[derive(Deserialize)]
struct Place {
    ordinal: u64,
    place: u64,
    rate_per_s: Option<f64>,
}

impl Page {
    /// Processes received bytes, and calls `deed` for each reaction. `wants_ticket`: a handshake
    /// without a ticket cookie has failed.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        now_us: u64,
        wants_ticket: bool,
        mut deed: impl FnMut(&Self, PageReaction),
    ) {
        let joined;
        let mut bytes = if self.rest.is_empty() {
            bytes
        } else {
            self.rest.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.rest);
            joined.as_slice()
        };
        if self.stage <= PageStage::Knocking {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                if bytes.len() > HEAD_BYTES_MAX {
                    deed(self, PageReaction::Nonsense)
                } else {
                    self.rest = bytes.to_vec()
                }
                return;
            };
            let head = String::from_utf8_lossy(&bytes[..end]);
            let ticket = !wants_ticket || head.contains("set-cookie: fairline_ticket_");
            if !head.starts_with("HTTP/1.1 101 ") || !ticket {
                self.stage = PageStage::Over;
                deed(self, PageReaction::Refused(head.into_owned()));
                return;
            }
            bytes = &bytes[end + 4..];
            self.stage = PageStage::In;
            deed(self, PageReaction::Entered);
        }
        while let Some((opcode, payload, length)) = frame(bytes) {
            let done = match opcode {
                1 => self.read(payload, now_us),
                8 | 10 => None,
                9 => Some(PageReaction::Pong(payload.to_vec())),
                _ => Some(PageReaction::Nonsense),
            };
            done.into_iter().for_each(|done| deed(self, done));
            bytes = &bytes[length..];
        }
        if bytes.len() > FRAME_BYTES_MAX { deed(self, PageReaction::Nonsense) } else { self.rest = bytes.to_vec() }
    }

    /// Parses a message. The waiting room writes its `type` first.
    fn read(&mut self, message: &[u8], now_us: u64) -> Option<PageReaction> {
        let is = |kind: &str| message.get(9..).is_some_and(|rest| rest.starts_with(kind.as_bytes()));
        if is("place\"") {
            let Ok(Place { ordinal, place, rate_per_s }) = serde_json::from_slice(message) else {
                return Some(PageReaction::Nonsense);
            };
            let what = ShownContent::Place { ahead: place, rate_per_s: rate_per_s.unwrap_or(0.0) };
            (self.stage, self.ordinal, self.shown) = (PageStage::Waiting, ordinal, Some(Shown { at_us: now_us, what }));
            Some(PageReaction::Moved)
        } else if is("turn\"") {
            (self.stage, self.shown) = (PageStage::Called, Some(Shown { at_us: now_us, what: ShownContent::Turn }));
            Some(PageReaction::Called)
        } else if is("over\"") {
            self.stage = PageStage::Over;
            Some(PageReaction::Over)
        } else {
            Some(PageReaction::Received)
        }
    }
}

/// The first complete frame: its opcode, its payload, and its total length. Servers never mask.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (head, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
        length => (2, usize::from(length)),
    };
    let end = length.checked_add(head)?;
    Some((first & 0x0f, bytes.get(head..end)?, end))
}

/// A short frame of a page, masked with zeros, as clients must mask.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap_or(0).min(125);
    let mut frame = vec![0x80 | opcode, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(&payload[..usize::from(length)]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTERED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nset-cookie: fairline_ticket_1=x\r\n\r\n";

    fn text(message: &str) -> Vec<u8> {
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        [&[0x81, 126], &length[..], message.as_bytes()].concat()
    }

    #[test]
    fn a_page_parses_messages_split_at_any_byte() {
        let messages = [
            r#"{"type":"sale","sale":{}}"#,
            r#"{"type":"place","ordinal":42,"place":17,"behind":3,"wait":null,"rate_per_s":0.5}"#,
            r#"{"type":"turn","token":"a.b.c"}"#,
            r#"{"type":"over","outcome":"bought"}"#,
        ];
        let mut all = ENTERED.to_vec();
        messages.iter().for_each(|message| all.extend(text(message)));
        all.extend([0x89, 2, b'h', b'i']);
        let shown = Shown { at_us: 7, what: ShownContent::Place { ahead: 17, rate_per_s: 0.5 } };
        for cut in 1..all.len() {
            let (mut page, mut deeds, mut places) = (Page::default(), Vec::new(), Vec::new());
            for bytes in all.chunks(cut) {
                page.receive(bytes, 7, true, |page, deed| {
                    places.extend(page.shown.filter(|_| deed == PageReaction::Moved));
                    deeds.push(deed);
                });
            }
            let expected = [
                PageReaction::Entered,
                PageReaction::Received,
                PageReaction::Moved,
                PageReaction::Called,
                PageReaction::Over,
                PageReaction::Pong(b"hi".into()),
            ];
            assert_eq!((deeds.as_slice(), places.as_slice()), (&expected[..], &[shown][..]));
            assert_eq!((page.stage, page.ordinal), (PageStage::Over, 42));
        }
    }

    #[test]
    fn rejected_handshakes_are_recognised() {
        let deeds_of = |answer: &[u8], wants_ticket| {
            let mut deeds = Vec::new();
            Page::default().receive(answer, 0, wants_ticket, |_, deed| deeds.push(deed));
            deeds
        };
        assert_eq!(deeds_of(ENTERED, true), [PageReaction::Entered]);
        assert_eq!(deeds_of(b"HTTP/1.1 101 Yes\r\n\r\n", false), [PageReaction::Entered]);
        assert!(matches!(deeds_of(b"HTTP/1.1 101 Yes\r\n\r\n", true)[..], [PageReaction::Refused(_)]));
        assert!(matches!(deeds_of(b"HTTP/1.1 503 No\r\n\r\n", false)[..], [PageReaction::Refused(_)]));
        assert_eq!(deeds_of(&[b'a'; HEAD_BYTES_MAX + 1], true), [PageReaction::Nonsense]);
    }

    #[test]
    fn messages_of_a_page_are_masked_and_short() {
        assert_eq!(masked(10, b"hi"), [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(masked(1, &[0; 300]).len(), 6);
    }
}
