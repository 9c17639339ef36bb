//! The ways in which a link is broken, through its proxy.

use fairline_private_servers::testing::{Forwarding, LinkMode, Proxy};

/// What a link does while it is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkFault {
    /// Established connections end in good order; new ones work.
    Cut,
    /// Established connections are reset; new ones work.
    Reset,
    /// Established connections are reset, and new ones refused.
    Refused,
    /// Bytes are held back, and delivered in the end.
    Stalled,
    /// A few bytes at a time.
    Slow,
    /// Established connections are silent for ever; new ones work.
    Dead,
    /// Nothing gets through, on established connections and new ones, and nothing is delivered
    /// later.
    Swallowed,
    /// An asymmetric partition: one direction is held back.
    OneWay {
        /// Whether it is the client's side.
        there: bool,
    },
    /// An asymmetric partition whose bytes are lost: requests are executed, and their responses
    /// lost.
    LostOneWay {
        /// Whether it is the client's side.
        there: bool,
    },
    /// One direction of each established connection has ended; new ones work.
    HalfClosed {
        /// Whether it is the client's side.
        there: bool,
    },
}

impl LinkFault {
    /// Every way to break a link.
    pub const ALL: [LinkFault; 13] = [
        LinkFault::Cut,
        LinkFault::Reset,
        LinkFault::Refused,
        LinkFault::Stalled,
        LinkFault::Slow,
        LinkFault::Dead,
        LinkFault::Swallowed,
        LinkFault::OneWay { there: true },
        LinkFault::OneWay { there: false },
        LinkFault::LostOneWay { there: true },
        LinkFault::LostOneWay { there: false },
        LinkFault::HalfClosed { there: true },
        LinkFault::HalfClosed { there: false },
    ];

    /// Whether connections that are begun meanwhile lose bytes, and so never work.
    #[must_use]
    pub fn spoils_new_links(self) -> bool {
        matches!(self, LinkFault::Swallowed | LinkFault::LostOneWay { .. })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            LinkFault::Cut => "cut",
            LinkFault::Reset => "reset",
            LinkFault::Refused => "refused",
            LinkFault::Stalled => "stalled",
            LinkFault::Slow => "slow",
            LinkFault::Dead => "dead",
            LinkFault::Swallowed => "swallowed",
            LinkFault::OneWay { there: true } => "requests stalled",
            LinkFault::OneWay { there: false } => "answers stalled",
            LinkFault::LostOneWay { there: true } => "requests lost",
            LinkFault::LostOneWay { there: false } => "answers lost",
            LinkFault::HalfClosed { there: true } => "half-closed",
            LinkFault::HalfClosed { there: false } => "half-closed by the other end",
        }
    }

    pub(super) fn begin(self, proxy: &Proxy) {
        let one_way = |there: bool, carry: Forwarding| match there {
            true => LinkMode { there: carry, back: Forwarding::All },
            false => LinkMode { there: Forwarding::All, back: carry },
        };
        let all = |link: LinkMode| {
            proxy.set_new(Some(link));
            proxy.set_established(link);
        };
        match self {
            LinkFault::Cut => proxy.cut(),
            LinkFault::Reset => proxy.reset(),
            LinkFault::Refused => {
                proxy.set_new(None);
                proxy.reset();
            }
            LinkFault::Stalled => all(LinkMode::both(Forwarding::Later)),
            LinkFault::Slow => all(LinkMode::both(Forwarding::Slowly)),
            LinkFault::Dead => proxy.freeze_established(),
            LinkFault::Swallowed => proxy.swallow(),
            LinkFault::OneWay { there } => all(one_way(there, Forwarding::Later)),
            LinkFault::LostOneWay { there } => all(one_way(there, Forwarding::Never)),
            LinkFault::HalfClosed { there } => proxy.set_established(one_way(there, Forwarding::NoMore)),
        }
    }
}

/// Breaks no more. Connections whose bytes were lost stay dead; all others work again.
pub(super) fn mend(proxy: &Proxy) {
    proxy.heal();
    proxy.aim_at(None);
    proxy.set_established(LinkMode::default());
}
