//! The demo's sample sale.

use std::time::Duration;

use fairline_rush::counted;
use fairline_server::StartError;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::Api;

/// The slug of the sample sale; later ones get a numeric suffix.
const SLUG: &str = "first-drop";
const UNITS: u32 = 100;
const SHOWN_LIMIT: Duration = Duration::from_secs(15);
const POLL_EVERY: Duration = Duration::from_millis(50);

pub(super) struct SampleSale {
    pub(super) id: String,
    pub(super) slug: String,
    remaining: u64,
}

impl SampleSale {
    /// Returns the newest sample sale if it is still open, or creates one. A crowd always gets a
    /// new one, so that its report covers a complete sale. Its time windows are short, because
    /// simulated shoppers act faster than people.
    pub(super) async fn find_or_create(api: &Api, for_crowd: bool) -> Result<Self, StartError> {
        let answer = api.get("/api/admin/sales").await?;
        let sales = answer["sales"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ours: Vec<_> = sales.iter().filter_map(|sale| Some((number(sale["slug"].as_str()?)?, sale))).collect();
        let newest = ours.iter().max_by_key(|(number, _)| number);
        let sale = match newest {
            Some((_, sale)) if sale["status"] == "open" && !for_crowd => (*sale).clone(),
            _ => {
                let slug = slug(newest.map_or(1, |(number, _)| number + 1));
                api.post("/api/admin/sales", &new_sale(&slug, for_crowd)).await?
            }
        };
        let sale =
            Self::read(&sale).ok_or_else(|| StartError::new("The response of the admin API lacks the sale's id."))?;
        sale.wait_until_shown(api).await?;
        Ok(sale)
    }

    /// Waits until the waiting room shows the sale: the controller publishes it within a tick or
    /// two.
    async fn wait_until_shown(&self, api: &Api) -> Result<(), StartError> {
        let end = Instant::now() + SHOWN_LIMIT;
        loop {
            match api.get(&format!("/api/flash-sales/{}/status", self.id)).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => sleep(POLL_EVERY).await,
            }
        }
    }

    fn read(sale: &Value) -> Option<Self> {
        let text = |field: &str| sale[field].as_str().map(str::to_owned);
        Some(Self { id: text("id")?, slug: text("slug")?, remaining: sale["remaining"].as_u64()? })
    }

    pub(super) fn describe(&self) -> String {
        format!("{}, {}, first come, first served", self.slug, counted(self.remaining, "unit", "units"))
    }
}

fn new_sale(slug: &str, for_crowd: bool) -> Value {
    let (token_ttl_s, claim_window_s, hold_s) = if for_crowd { (20, 5, 20) } else { (60, 15, 180) };
    json!({
        "slug": slug,
        "name": "The Harbour Mug",
        "description": "Thrown and glazed by hand, a hundred of them. One each, first come, first served.",
        "price_minor": 2900,
        "currency": "EUR",
        "total": UNITS,
        "per_shopper_limit": 1,
        "rate_cap_per_s": 50,
        "token_ttl_s": token_ttl_s,
        "claim_window_s": claim_window_s,
        "hold_s": hold_s,
    })
}

/// `first-drop`, `first-drop-2`, `first-drop-3` …
fn slug(number: u32) -> String {
    if number == 1 { SLUG.to_owned() } else { format!("{SLUG}-{number}") }
}

fn number(slug: &str) -> Option<u32> {
    let rest = slug.strip_prefix(SLUG)?;
    if rest.is_empty() { Some(1) } else { rest.strip_prefix('-')?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_slugs_are_parsed() {
        for count in [1, 2, 30] {
            assert_eq!(number(&slug(count)), Some(count));
        }
        for other in ["first", "first-drops", "first-drop-two", "second-drop"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
