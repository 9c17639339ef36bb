//! Metrics of the accuracy of the waits that pages showed.

use fairline_update_policy::EndedWait;

/// Records a wait that has ended.
pub(crate) fn record(waited: EndedWait) {
    metrics::histogram!("line_wait_error_ratio").record(waited.ratio);
    metrics::counter!("line_waits_total", "within" => waited.within.as_str()).increment(1);
}
