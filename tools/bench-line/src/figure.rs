//! The figures, their targets and their presentation.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// The target of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reach {
    AtMost(f64),
    AtLeast(f64),
}

use Reach::{AtLeast, AtMost};

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

impl Reach {
    fn is_reached(self, value: f64) -> bool {
        match self {
            AtMost(most) => value <= most,
            AtLeast(least) => value >= least,
        }
    }

    fn shown(self) -> String {
        match self {
            AtMost(most) => format!("<= {}", number(most)),
            AtLeast(least) => format!(">= {}", number(least)),
        }
    }
}

/// A figure that was measured.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) key: &'static str,
    pub(crate) value: f64,
    /// For a ratio: the dividend and the divisor.
    pub(crate) ratio_of: Option<(f64, f64)>,
    /// Additional information.
    pub(crate) note: String,
}

impl Measured {
    /// A plain figure.
    pub(crate) fn plain(key: &'static str, value: f64, note: String) -> Self {
        Self { key, value, ratio_of: None, note }
    }

    /// A ratio; `value` may differ from `ours / baseline`, which are separate medians.
    pub(crate) fn ratio(key: &'static str, value: f64, ours: f64, baseline: f64, note: String) -> Self {
        Self { key, value, ratio_of: Some((ours, baseline)), note }
    }
}

/// The results by figure; a requested figure that could not be measured has a reason.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) measured: Vec<Measured>,
    pub(crate) missing: Vec<(&'static str, String)>,
}

impl Results {
    pub(crate) fn get(&self, key: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.key == key)
    }

    /// One object with every key; null for figures that were not measured.
    pub(crate) fn to_json(&self) -> Value {
        let value = |key| self.get(key).map_or(Value::Null, |measured| json!(rounded(measured.value)));
        Value::Object(FIGURES.iter().map(|&(key, _)| (key.to_owned(), value(key))).collect::<Map<_, _>>())
    }

    /// A table, followed by additional information.
    pub(crate) fn to_table(&self) -> String {
        let mut table = String::new();
        let mut row = |cells: [&str; 6]| {
            let [key, ours, baseline, ratio, reach, reached] = cells;
            let _ = writeln!(table, "{key:<24} {ours:>12} {baseline:>12} {ratio:>8} {reach:>11}  {reached}");
        };
        row(["figure", "ours", "baseline", "ratio", "reach", "reached"]);
        for (key, reach) in FIGURES {
            match self.get(key) {
                Some(Measured { value, ratio_of: Some((ours, baseline)), .. }) => {
                    let reached = if reach.is_reached(*value) { "yes" } else { "NO" };
                    row([key, &number(*ours), &number(*baseline), &number(*value), &reach.shown(), reached]);
                }
                Some(Measured { value, .. }) => {
                    let reached = if reach.is_reached(*value) { "yes" } else { "NO" };
                    row([key, &number(*value), "", "", &reach.shown(), reached]);
                }
                None => row([key, "–", "", "", &reach.shown(), "not measured"]),
            }
        }
        let notes = self.measured.iter().map(|measured| (measured.key, &measured.note));
        let missing = self.missing.iter().map(|(key, why)| (*key, why));
        for (key, note) in notes.chain(missing) {
            let _ = write!(table, "\n{key}: {note}");
        }
        table
    }
}

/// Rounds to four significant digits, the precision of such a measurement; whole numbers stay
/// whole.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() || value.abs() >= 1_000.0 {
        return value.round();
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// Formats a number with four digits and thousands separators.
pub(crate) fn number(value: f64) -> String {
    let text = rounded(value).to_string();
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut shown = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !shown.ends_with('-') {
            shown.push(',');
        }
        shown.push(digit);
    }
    fraction.into_iter().for_each(|fraction| shown.extend([".", fraction]));
    shown
}

/// The median; of an even count, the upper of the two middle values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.012_345_6, 0.8, 1.234_567, 123.456, 1_234.5, 100_000.0, 12_345_678.0].map(number);
        assert_eq!(shown, ["0", "0.01235", "0.8", "1.235", "123.5", "1,235", "100,000", "12,345,678"]);
    }

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn every_figure_has_its_key_in_the_json_and_its_line_in_the_table() {
        let results = Results {
            measured: vec![
                Measured::plain("bytes_per_shopper", 2_400.4, "two rounds".to_owned()),
                Measured::ratio("place_vs_zrank", 19.0, 19e6, 1e6, String::new()),
            ],
            missing: vec![("news_all_ms", "no time".to_owned())],
        };
        let json = results.to_json();
        assert_eq!(json.as_object().map(Map::len), Some(FIGURES.len()));
        assert_eq!((&json["bytes_per_shopper"], &json["news_all_ms"]), (&json!(2_400.0), &Value::Null));
        let table = results.to_table();
        let line = |key: &str| table.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        assert!(line("bytes_per_shopper").ends_with("yes"), "{table}");
        assert!(line("place_vs_zrank").ends_with("NO"), "{table}");
        assert!(line("live_shoppers").ends_with("not measured"), "{table}");
        assert!(table.ends_with("news_all_ms: no time"), "{table}");
    }
}
