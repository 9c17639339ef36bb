//! The scenes: each measures one figure, or several in the same scene.

mod crashes;
mod mixed;
mod redeems;
mod rejects;

use crate::{Bench, Failure, figure::Measured};

/// Measures one figure after the other and reports each; a failure ends the scene.
type Measure = fn(&mut Bench, &mut dyn FnMut(Measured)) -> Result<(), Failure>;

/// Every scene, with its figures. The last one includes the violations of all scenes before it.
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
