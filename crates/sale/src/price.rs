//! Amounts of money, as people write them.

/// ISO 4217 gives most currencies two decimals; these are the ones of shops that do not.
fn decimals(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// The minor units of an amount that somebody wrote, such as `49` or `49.00`; nothing if it is none, or has too many decimals.
#[must_use]
pub fn minor_units(text: &str, currency: &str) -> Option<i64> {
    let decimals = decimals(currency);
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_digits = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    let fits = !whole.is_empty() && is_digits(whole) && is_digits(part) && part.len() <= decimals as usize;
    let padded = format!("{part:0<width$}", width = decimals as usize);
    fits.then(|| format!("{whole}{padded}").parse().ok()).flatten()
}

/// An amount as people write it.
#[must_use]
pub fn price_text(minor: i64, currency: &str) -> String {
    let decimals = decimals(currency);
    let unit = 10_i64.pow(decimals);
    let amount = match decimals {
        0 => minor.to_string(),
        _ => format!("{}.{:0width$}", minor / unit, minor % unit, width = decimals as usize),
    };
    match currency {
        "EUR" => format!("€{amount}"),
        "GBP" => format!("£{amount}"),
        "USD" => format!("${amount}"),
        "JPY" => format!("¥{amount}"),
        _ => format!("{currency} {amount}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_people_write_them() {
        assert_eq!(price_text(4900, "EUR"), "€49.00");
        assert_eq!(price_text(5, "USD"), "$0.05");
        assert_eq!(price_text(1200, "JPY"), "¥1200");
        assert_eq!(price_text(1234, "KWD"), "KWD 1.234");
    }

    #[test]
    fn what_was_written_is_read() {
        for (text, currency, minor) in [
            ("49", "EUR", Some(4900)),
            ("49.9", "EUR", Some(4990)),
            (" 0.05 ", "USD", Some(5)),
            ("1200", "JPY", Some(1200)),
            ("1.234", "KWD", Some(1234)),
            ("49.999", "EUR", None),
            ("1.5", "JPY", None),
            ("-1", "EUR", None),
            ("1,5", "EUR", None),
            (".5", "EUR", None),
            ("", "EUR", None),
            ("99999999999999999999", "EUR", None),
        ] {
            assert_eq!(minor_units(text, currency), minor, "{text} {currency}");
        }
    }
}
