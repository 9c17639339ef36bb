//! The ways in which a link is broken, through its proxy.

use fairline_private_servers::testing::{Carry, Link, Proxy};

/// What a link does while it is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
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

impl Broken {
    /// Every way to break a link.
    pub const ALL: [Broken; 13] = [
        Broken::Cut,
        Broken::Reset,
        Broken::Refused,
        Broken::Stalled,
        Broken::Slow,
        Broken::Dead,
        Broken::Swallowed,
        Broken::OneWay { there: true },
        Broken::OneWay { there: false },
        Broken::LostOneWay { there: true },
        Broken::LostOneWay { there: false },
        Broken::HalfClosed { there: true },
        Broken::HalfClosed { there: false },
    ];

    /// Whether connections that are begun meanwhile lose bytes, and so never work.
    #[must_use]
    pub fn spoils_new_links(self) -> bool {
        matches!(self, Broken::Swallowed | Broken::LostOneWay { .. })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Broken::Cut => "cut",
            Broken::Reset => "reset",
            Broken::Refused => "refused",
            Broken::Stalled => "stalled",
            Broken::Slow => "slow",
            Broken::Dead => "dead",
            Broken::Swallowed => "swallowed",
            Broken::OneWay { there: true } => "requests stalled",
            Broken::OneWay { there: false } => "answers stalled",
            Broken::LostOneWay { there: true } => "requests lost",
            Broken::LostOneWay { there: false } => "answers lost",
            Broken::HalfClosed { there: true } => "half-closed",
            Broken::HalfClosed { there: false } => "half-closed by the other end",
        }
    }

    pub(super) fn begin(self, proxy: &Proxy) {
        let one_way = |there: bool, carry: Carry| match there {
            true => Link { there: carry, back: Carry::All },
            false => Link { there: Carry::All, back: carry },
        };
        let all = |link: Link| {
            proxy.set_new(Some(link));
            proxy.set_established(link);
        };
        match self {
            Broken::Cut => proxy.cut(),
            Broken::Reset => proxy.reset(),
            Broken::Refused => {
                proxy.set_new(None);
                proxy.reset();
            }
            Broken::Stalled => all(Link::both(Carry::Later)),
            Broken::Slow => all(Link::both(Carry::Slowly)),
            Broken::Dead => proxy.freeze_established(),
            Broken::Swallowed => proxy.swallow(),
            Broken::OneWay { there } => all(one_way(there, Carry::Later)),
            Broken::LostOneWay { there } => all(one_way(there, Carry::Never)),
            Broken::HalfClosed { there } => proxy.set_established(one_way(there, Carry::NoMore)),
        }
    }
}

/// Breaks no more. Connections whose bytes were lost stay dead; all others work again.
pub(super) fn mend(proxy: &Proxy) {
    proxy.heal();
    proxy.aim_at(None);
    proxy.set_established(Link::default());
}
