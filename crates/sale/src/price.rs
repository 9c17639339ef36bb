//! Amounts of money: the only table of currencies. `web/src/shared/currencies.ts` is generated from
//! it. The gateway's exceptions are listed beside it.

/// Currencies whose minor unit is not a hundredth (ISO 4217), with their decimals. Amounts in the
/// APIs and the database are in this minor unit.
pub const MINOR_DIGITS: [(&str, u32); 26] = [
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
];

/// Currencies whose minor unit differs between Stripe and ISO 4217, with Stripe's decimals
/// (<https://docs.stripe.com/currencies#special-cases>).
const GATEWAY_DIGITS: [(&str, u32); 3] = [("ISK", 2), ("MGA", 0), ("UGX", 2)];

/// Currencies with three decimals, of which Stripe requires the last to be 0.
const GATEWAY_TENS: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

/// Stripe's minimum charge, in our minor units
/// (<https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>).
const GATEWAY_LEAST: [(&str, i64); 24] = [
    ("AED", 200),
    ("AUD", 50),
    ("BGN", 100),
    ("BRL", 50),
    ("CAD", 50),
    ("CHF", 50),
    ("CZK", 1500),
    ("DKK", 250),
    ("EUR", 50),
    ("GBP", 30),
    ("HKD", 400),
    ("HUF", 17_500),
    ("INR", 50),
    ("JPY", 50),
    ("MXN", 1000),
    ("MYR", 200),
    ("NOK", 300),
    ("NZD", 50),
    ("PLN", 200),
    ("RON", 200),
    ("SEK", 300),
    ("SGD", 50),
    ("THB", 1000),
    ("USD", 50),
];

fn find<T: Copy>(table: &[(&str, T)], currency: &str) -> Option<T> {
    table.iter().find(|(code, _)| *code == currency).map(|(_, value)| *value)
}

/// The decimals of a currency's minor unit.
#[must_use]
pub fn decimals(currency: &str) -> u32 {
    find(&MINOR_DIGITS, currency).unwrap_or(2)
}

fn gateway_decimals(currency: &str) -> u32 {
    find(&GATEWAY_DIGITS, currency).unwrap_or_else(|| decimals(currency))
}

/// Converts an amount to the payment gateway's unit; `None` if the gateway can't represent it.
#[must_use]
pub fn gateway_amount(minor: i64, currency: &str) -> Option<i64> {
    let (ours, theirs) = (decimals(currency), gateway_decimals(currency));
    if GATEWAY_TENS.contains(&currency) && minor % 10 != 0 {
        return None;
    }
    if theirs >= ours {
        return minor.checked_mul(10_i64.pow(theirs - ours));
    }
    let unit = 10_i64.pow(ours - theirs);
    (minor % unit == 0).then_some(minor / unit)
}

/// Converts an amount from the payment gateway's unit. Truncates fractions of our minor unit, which
/// no gateway returns.
#[must_use]
pub fn amount_from_gateway(amount: i64, currency: &str) -> i64 {
    let (ours, theirs) = (decimals(currency), gateway_decimals(currency));
    if theirs >= ours {
        return amount / 10_i64.pow(theirs - ours);
    }
    amount.saturating_mul(10_i64.pow(ours - theirs))
}

/// Why the gateway rejects an amount, as a requirement on it; `None` if no reason is known.
#[must_use]
pub fn gateway_refuses(minor: i64, currency: &str) -> Option<String> {
    let least = find(&GATEWAY_LEAST, currency).unwrap_or(1);
    if minor < least {
        return Some(format!(
            "be {least} or more: the payment gateway takes no less than {}",
            price_text(least, currency)
        ));
    }
    if gateway_amount(minor, currency).is_some() {
        return None;
    }
    let step =
        if GATEWAY_TENS.contains(&currency) { 10 } else { 10_i64.pow(decimals(currency) - gateway_decimals(currency)) };
    Some(format!("be a multiple of {step}: the payment gateway takes no other amounts in {currency}"))
}

/// Parses an amount such as `49` or `49.00` into minor units; `None` if it is malformed or has too
/// many decimals.
#[must_use]
pub fn minor_units(text: &str, currency: &str) -> Option<i64> {
    let decimals = decimals(currency);
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_digits = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    let fits = !whole.is_empty() && is_digits(whole) && is_digits(part) && part.len() <= decimals as usize;
    let padded = format!("{part:0<width$}", width = decimals as usize);
    fits.then(|| format!("{whole}{padded}").parse().ok()).flatten()
}

/// Formats an amount for display.
///
/// ```
/// assert_eq!(fairline_sale::price_text(4_900, "EUR"), "€49.00");
/// assert_eq!(fairline_sale::price_text(500, "ISK"), "ISK 500");
/// ```
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
        assert_eq!(price_text(9900, "HUF"), "HUF 99.00");
        assert_eq!(
            (price_text(500, "ISK"), price_text(12_345, "CLF")),
            ("ISK 500".to_owned(), "CLF 1.2345".to_owned())
        );
    }

    #[test]
    fn the_gateway_has_other_minor_units_for_some_currencies() {
        for (minor, currency, theirs) in [
            (9900, "HUF", Some(9900)),
            (9900, "TWD", Some(9900)),
            (500, "JPY", Some(500)),
            (5, "ISK", Some(500)),
            (5, "UGX", Some(500)),
            (500, "MGA", Some(5)),
            (550, "MGA", None),
            (5120, "KWD", Some(5120)),
            (5124, "KWD", None),
            (i64::MAX, "ISK", None),
        ] {
            assert_eq!(gateway_amount(minor, currency), theirs, "{minor} {currency}");
            assert!(theirs.is_none_or(|theirs| amount_from_gateway(theirs, currency) == minor), "{minor} {currency}");
        }
    }

    #[test]
    fn amounts_that_the_gateway_rejects_are_known_beforehand() {
        for (minor, currency, refused) in [
            (49, "USD", true),
            (50, "USD", false),
            (29, "GBP", true),
            (30, "GBP", false),
            (17_499, "HUF", true),
            (17_500, "HUF", false),
            (49, "JPY", true),
            (5124, "KWD", true),
            (5120, "KWD", false),
            (150, "MGA", true),
            (0, "XXX", true),
            (1, "XXX", false),
        ] {
            assert_eq!(gateway_refuses(minor, currency).is_some(), refused, "{minor} {currency}");
        }
        assert_eq!(
            gateway_refuses(49, "EUR").as_deref(),
            Some("be 50 or more: the payment gateway takes no less than €0.50")
        );
    }

    /// Checks the pages' copy of the table; `make generate` renews it.
    #[test]
    fn the_table_of_the_pages_is_up_to_date() {
        let rows: Vec<String> = MINOR_DIGITS.iter().map(|(code, digits)| format!("  {code}: {digits},\n")).collect();
        let table = format!(
            "/** Generated from crates/sale/src/price.rs by its test: decimals of a currency, if not two. */\n\
             export const MINOR_DIGITS: Readonly<Record<string, number>> = {{\n{}}};\n",
            rows.concat()
        );
        // Samples of each kind of currency, as the services format them.
        let amounts = [1_i64, 99, 100, 4900, 9900, 1_234_567];
        let currencies =
            ["EUR", "USD", "HUF", "TWD", "MGA", "XXX"].into_iter().chain(MINOR_DIGITS.map(|(code, _)| code));
        let samples: Vec<String> = currencies
            .flat_map(|currency| {
                amounts.map(|minor| format!("  [\"{currency}\", {minor}, \"{}\"]", price_text(minor, currency)))
            })
            .collect();
        let samples = format!("[\n{}\n]\n", samples.join(",\n"));
        let web = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web");
        for (file, text) in [("src/shared/currencies.ts", table), ("test/unit/amounts.json", samples)] {
            let path = web.join(file);
            if std::env::var_os("FAIRLINE_REGENERATE").is_some() {
                std::fs::write(&path, &text).expect("written");
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(found, text, "{file} is stale: `make generate` renews it");
        }
    }

    #[test]
    fn amounts_are_parsed_or_rejected() {
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
