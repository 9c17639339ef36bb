//! The scenes: each measures one figure, or several in the same scene.

mod joins;
mod memory;
mod messages;
mod place;
mod push;
mod waiting;

use crate::{Bench, Failure, figure::Measured};

/// Measures one figure after the other and reports each; a failure ends the scene.
type Measure = fn(&Bench, &mut dyn FnMut(Measured)) -> Result<(), Failure>;

/// Every scene, with its figures.
pub(crate) const SCENES: [(&[&str], Measure); 5] = [
    (&["place_vs_zrank"], place::measure),
    (&["bytes_per_shopper", "memory_vs_node_ws"], memory::measure),
    (&["joins_vs_bare_upgrade", "redis_us_per_join"], joins::measure),
    (&["live_shoppers", "push_p99_ms", "news_all_ms", "cpu_growth", "redis_bytes_per_shopper"], waiting::measure),
    (&["messages_vs_1hz"], messages::measure),
];
