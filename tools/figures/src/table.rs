//! Figures of a benchmark with their targets, as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// The target of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reach {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// No target: shown as the basis of others.
    Shown,
}

use Reach::{AtLeast, AtMost, Shown};

impl Reach {
    /// Whether a value reaches the target; `None` without one.
    fn is_reached_by(self, value: f64) -> Option<bool> {
        match self {
            AtMost(most) => Some(value <= most),
            AtLeast(least) => Some(value >= least),
            Shown => None,
        }
    }

    fn is_reached(self, value: f64) -> &'static str {
        match self.is_reached_by(value) {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        }
    }

    fn shown(self) -> String {
        match self {
            AtMost(most) => format!("<= {}", number(most)),
            AtLeast(least) => format!(">= {}", number(least)),
            Shown => String::new(),
        }
    }
}

/// A figure that was measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Its key in the JSON and in the table.
    pub key: &'static str,
    /// The figure.
    pub value: f64,
    /// For a ratio: the dividend and the divisor.
    pub ratio_of: Option<(f64, f64)>,
    /// Additional information.
    pub note: String,
}

impl Measured {
    /// A plain figure.
    #[must_use]
    pub fn plain(key: &'static str, value: f64, note: String) -> Self {
        Self { key, value, ratio_of: None, note }
    }

    /// A ratio; `value` may differ from `ours / baseline`, which are separate medians.
    #[must_use]
    pub fn ratio(key: &'static str, value: f64, ours: f64, baseline: f64, note: String) -> Self {
        Self { key, value, ratio_of: Some((ours, baseline)), note }
    }
}

/// The results by figure; a requested figure that could not be measured has a reason.
#[derive(Debug)]
pub struct Results {
    /// Every figure and its target, in display order.
    figures: &'static [(&'static str, Reach)],
    /// What was measured.
    pub measured: Vec<Measured>,
    /// Figures that could not be measured, and why.
    pub missing: Vec<(&'static str, String)>,
}

impl Results {
    /// No results yet, of these figures.
    #[must_use]
    pub fn of(figures: &'static [(&'static str, Reach)]) -> Self {
        Self { figures, measured: Vec::new(), missing: Vec::new() }
    }

    /// A figure, if it was measured.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.key == key)
    }

    /// One object with every key; null for figures that were not measured.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let value = |key| self.get(key).map_or(Value::Null, |measured| json!(rounded(measured.value)));
        Value::Object(self.figures.iter().map(|&(key, _)| (key.to_owned(), value(key))).collect::<Map<_, _>>())
    }

    /// Whether every requested figure was measured and reaches its target.
    #[must_use]
    pub fn are_reached(&self) -> bool {
        self.missing.is_empty() && self.missed().is_empty()
    }

    /// The measured figures that miss their target.
    fn missed(&self) -> Vec<String> {
        let missed = self.figures.iter().filter_map(|&(key, reach)| {
            let value = self.get(key)?.value;
            (reach.is_reached_by(value) == Some(false)).then(|| format!("{key} {} ({})", number(value), reach.shown()))
        });
        missed.collect()
    }

    /// The measured figures that miss their target, on one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let missed = self.missed();
        if missed.is_empty() {
            "Nothing that was measured was missed.".to_owned()
        } else {
            format!("Missed: {}.", missed.join(", "))
        }
    }

    /// A table, followed by additional information.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut table = String::new();
        let mut row = |cells: [&str; 6]| {
            let [key, ours, baseline, ratio, reach, reached] = cells;
            let line = format!("{key:<32} {ours:>12} {baseline:>12} {ratio:>8} {reach:>11}  {reached}");
            let _ = writeln!(table, "{}", line.trim_end());
        };
        row(["figure", "ours", "baseline", "ratio", "reach", "reached"]);
        for &(key, reach) in self.figures {
            match self.get(key) {
                Some(Measured { value, ratio_of: Some((ours, baseline)), .. }) => {
                    let reached = reach.is_reached(*value);
                    row([key, &number(*ours), &number(*baseline), &number(*value), &reach.shown(), reached]);
                }
                Some(Measured { value, .. }) => {
                    row([key, &number(*value), "", "", &reach.shown(), reach.is_reached(*value)]);
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
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() || value.abs() >= 1_000.0 {
        return value.round();
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// Formats a number with four digits and thousands separators.
#[must_use]
pub fn number(value: f64) -> String {
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
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: &[(&str, Reach)] = &[
        ("redeem_p99_ms", AtMost(25.0)),
        ("redeems_vs_hot_row", AtLeast(20.0)),
        ("oversold", AtMost(0.0)),
        ("lost_acks", AtMost(0.0)),
        ("crashes", Shown),
    ];

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.012_345_6, 0.8, 1.234_567, 123.456, 1_234.5, 100_000.0, 12_345_678.0].map(number);
        assert_eq!(shown, ["0", "0.01235", "0.8", "1.235", "123.5", "1,235", "100,000", "12,345,678"]);
    }

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn every_figure_has_its_key_in_the_json_and_its_line_in_the_table() {
        let results = Results {
            figures: FIGURES,
            measured: vec![
                Measured::plain("redeem_p99_ms", 24.004, "two rounds".to_owned()),
                Measured::ratio("redeems_vs_hot_row", 19.0, 19e3, 1e3, String::new()),
            ],
            missing: vec![("lost_acks", "no time".to_owned())],
        };
        let json = results.to_json();
        assert_eq!(json.as_object().map(Map::len), Some(FIGURES.len()));
        assert_eq!((&json["redeem_p99_ms"], &json["lost_acks"]), (&json!(24.0), &Value::Null));
        let table = results.to_table();
        let line =
            |key: &str| table.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap_or_default().to_owned();
        assert!(line("redeem_p99_ms").ends_with("yes"), "{table}");
        assert!(line("redeems_vs_hot_row").ends_with("NO"), "{table}");
        assert!(line("oversold").ends_with("not measured"), "{table}");
        assert!(table.ends_with("lost_acks: no time"), "{table}");
        assert_eq!(results.summary(), "Missed: redeems_vs_hot_row 19 (>= 20).");
        assert_eq!(Results::of(FIGURES).summary(), "Nothing that was measured was missed.");
    }

    #[test]
    fn figures_are_reached_unless_one_is_missing_or_misses_its_target() {
        let of = |p99_ms, missing| Results {
            figures: FIGURES,
            measured: vec![
                Measured::plain("redeem_p99_ms", p99_ms, String::new()),
                Measured::plain("crashes", 6.0, String::new()),
            ],
            missing,
        };
        assert!(of(25.0, Vec::new()).are_reached());
        assert!(!of(25.1, Vec::new()).are_reached());
        assert!(!of(f64::NAN, Vec::new()).are_reached());
        assert!(!of(25.0, vec![("oversold", "no time".to_owned())]).are_reached());
    }
}
