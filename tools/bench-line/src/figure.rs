//! The figures and their targets.

use fairline_figures::table::Reach::{self, AtLeast, AtMost};
pub(crate) use fairline_figures::table::{Measured, median, number};

/// Every figure, in display order.
pub(crate) const FIGURES: [(&str, Reach); 11] = [
    ("bytes_per_shopper", AtMost(2_500.0)),
    ("memory_vs_node_ws", AtMost(0.5)),
    ("joins_vs_bare_upgrade", AtLeast(0.8)),
    ("redis_us_per_join", AtMost(2.0)),
    ("place_vs_zrank", AtLeast(20.0)),
    ("live_shoppers", AtLeast(100_000.0)),
    ("push_p99_ms", AtMost(250.0)),
    ("news_all_ms", AtMost(1_000.0)),
    ("messages_vs_1hz", AtMost(0.02)),
    ("cpu_growth", AtMost(1.2)),
    ("redis_bytes_per_shopper", AtMost(32.0)),
];
