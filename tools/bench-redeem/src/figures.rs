//! The scenes: each measures one figure, or those that show in the same scene.

mod crashes;
mod mixed;
mod redeems;
mod rejects;

use crate::{Bench, Failure, figure::Measured};

/// Measures one figure after the other, and hands each in; a failure ends the scene.
type Measure = fn(&mut Bench, &mut dyn FnMut(Measured)) -> Result<(), Failure>;

/// Every scene, with the figures that it shows. The last one has the wrongs of all that ran before it, too.
pub(crate) const SCENES: [(&[&str], Measure); 4] = [
    (
        &[
            "fsync_us",
            "redeems_vs_hot_row",
            "redeems_vs_skip_locked",
            "http_redeems_vs_hot_row",
            "http_redeems_vs_skip_locked",
            "http_redeems_per_s",
            "http_redeems_per_s_at_64",
            "redeem_p99_ms_at_1000",
            "redeem_p99_ms",
            "transactions_per_s",
        ],
        redeems::measure,
    ),
    (&["rejects_vs_hello"], rejects::measure),
    (&["requests_per_s", "requests_p99_ms", "requests_failed"], mixed::measure),
    (&["oversold", "lost_acks", "double_used", "crashes"], crashes::measure),
];
