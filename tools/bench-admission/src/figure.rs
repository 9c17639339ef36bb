//! The figures, their targets and their presentation.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// Every figure in display order, with its upper limit if it has a target.
pub(crate) const FIGURES: [(&str, Option<f64>); 11] = [
    ("guarantee_turned_away", Some(0.0)),
    ("guarantee_idle", Some(0.005)),
    ("yield_known_t99", Some(1.10)),
    ("yield_known_turned_away", Some(0.001)),
    ("yield_t99_vs_clairvoyant", Some(1.30)),
    ("yield_turned_away", Some(0.002)),
    ("yield_worst_turned_away", Some(0.01)),
    ("yield_shift_turned_away", Some(0.02)),
    ("best_fixed_rate_turned_away", None),
    ("one_per_unit_t99_vs_clairvoyant", None),
    ("decide_us", Some(200.0)),
];

/// A figure that was measured.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) key: &'static str,
    pub(crate) value: f64,
    /// Additional information.
    pub(crate) note: String,
}

/// One object with every key.
pub(crate) fn to_json(measured: &[Measured]) -> Value {
    let value =
        |key| measured.iter().find(|figure| figure.key == key).map_or(Value::Null, |figure| json!(figure.value));
    Value::Object(FIGURES.iter().map(|&(key, _)| (key.to_owned(), value(key))).collect::<Map<_, _>>())
}

/// A table of all figures.
pub(crate) fn to_table(measured: &[Measured]) -> String {
    let mut table = format!("{:<32} {:>9} {:>8}  {:<8} {}\n", "figure", "value", "reach", "reached", "");
    for (key, reach) in FIGURES {
        let Some(figure) = measured.iter().find(|figure| figure.key == key) else { continue };
        let reached = match reach {
            Some(most) if figure.value <= most => "yes",
            Some(_) => "NO",
            None => "",
        };
        let reach = reach.map_or(String::new(), |most| format!("<= {most}"));
        let _ = writeln!(table, "{key:<32} {:>9} {reach:>8}  {reached:<8} {}", short(figure.value), figure.note);
    }
    table
}

/// Formats a number with four digits, or as many as there are.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 7) as usize;
    format!("{value:.digits$}")
}

/// The values of one figure over many runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values(Vec<f64>);

impl Values {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The quantile of a share; for the middle of an even count, the upper of the two values.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() as f64 * share) as usize;
        sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    pub(crate) fn worst(&self) -> f64 {
        self.quantile(1.0)
    }

    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 0.012_345, 1.234_56, 123.456, 12_345.6].map(short),
            ["0", "0.01235", "1.235", "123.5", "12346"]
        );
    }

    #[test]
    fn values_have_a_median_a_worst_and_a_mean() {
        let mut values = Values::default();
        [9.0, 1.0, 5.0].into_iter().for_each(|value| values.add(value));
        assert_eq!((values.median(), values.worst(), values.mean()), (5.0, 9.0, 5.0));
    }

    #[test]
    fn every_figure_has_its_key() {
        let one = [Measured { key: "decide_us", value: 20.0, note: String::new() }];
        assert_eq!(to_json(&one).as_object().map(Map::len), Some(FIGURES.len()));
        assert!(to_table(&one).contains("yes"));
    }
}
