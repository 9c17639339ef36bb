//! How honest the waits were that pages were told, as metrics.

use fairline_update_policy::EndedWait;

/// Counts a wait that is over.
pub(crate) fn record(waited: EndedWait) {
    metrics::histogram!("line_wait_error_ratio").record(waited.ratio);
    metrics::counter!("line_waits_total", "within" => waited.within.as_str()).increment(1);
}
