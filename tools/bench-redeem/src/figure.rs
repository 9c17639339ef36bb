//! The figures and their targets.

use fairline_figures::table::Reach::{self, AtLeast, AtMost, Shown};
pub(crate) use fairline_figures::table::{Measured, median, number};

/// Every figure, in display order.
pub(crate) const FIGURES: [(&str, Reach); 18] = [
    ("fsync_us", Shown),
    ("redeems_vs_hot_row", AtLeast(20.0)),
    ("redeems_vs_skip_locked", AtLeast(8.0)),
    ("http_redeems_vs_hot_row", Shown),
    ("http_redeems_vs_skip_locked", Shown),
    // With 1,000 clients, and with 64.
    ("http_redeems_per_s", Shown),
    ("http_redeems_per_s_at_64", Shown),
    ("redeem_p99_ms_at_1000", Shown),
    ("redeem_p99_ms", AtMost(25.0)),
    ("rejects_vs_hello", AtLeast(0.6)),
    ("transactions_per_s", AtLeast(5_000.0)),
    // A few more are offered: a paced run ends a moment after the last request is due.
    ("requests_per_s", AtLeast(20_000.0)),
    ("requests_p99_ms", AtMost(300.0)),
    ("requests_failed", AtMost(0.01)),
    ("oversold", AtMost(0.0)),
    ("lost_acks", AtMost(0.0)),
    ("double_used", AtMost(0.0)),
    ("crashes", Shown),
];
