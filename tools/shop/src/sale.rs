//! The one sale of a shop: made, opened, limited, and watched.

use std::{fs, time::Duration};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{POLL_EVERY, Shop};

/// Sales are opened by hand.
const LATER: &str = "2999-01-01T00:00:00Z";
/// Longer than the circuit breaker of checkout stays open after a killed gateway.
const COUNTED_WITHIN: Duration = Duration::from_secs(90);

impl<S> Shop<S> {
    /// Creates a sale, and returns its id.
    pub async fn create_sale(&self, settings: Value) -> String {
        let mut sale = json!({
            "slug": "lamp", "name": "A lamp", "description": "One lamp.", "price_minor": 4_900, "currency": "EUR",
            "rate_cap_per_s": 25, "token_ttl_s": 10, "claim_window_s": 5, "hold_s": 60, "opens_at": LATER,
        });
        for (field, value) in settings.as_object().expect("settings are an object") {
            sale[field] = value.clone();
        }
        let (status, made) = self.admin(Method::POST, "/api/admin/sales", Some(sale)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        made["id"].as_str().expect("a sale has an id").to_owned()
    }

    /// Adds a lane with this many invitations. Returns the arguments of a rush whose first shoppers
    /// are these guests.
    pub async fn invite(&self, guests: u32) -> Vec<String> {
        let path = format!("/api/admin/sales/{}/lanes", self.sale);
        let lane = json!({ "name": "guests", "share": 0.3 });
        let (status, sale) = self.admin(Method::POST, &path, Some(lane)).await;
        assert_eq!(status, StatusCode::CREATED, "{sale}");
        let invite = json!({ "count": guests });
        let (status, made) = self.admin(Method::POST, &format!("{path}/guests/invitations"), Some(invite)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let codes: Vec<&str> = made["codes"].as_array().expect("codes").iter().filter_map(Value::as_str).collect();
        let file = self.folder().join("invitations");
        fs::write(&file, codes.join("\n")).expect("the shop's folder can be written to");
        let lane = sale["lanes"][0]["id"].as_str().expect("an id");
        vec![format!("--lane={lane}"), format!("--invitations={}", file.display())]
    }

    /// Opens the sale.
    pub async fn open_sale(&self) {
        let path = format!("/api/admin/sales/{}/open", self.sale);
        let (status, opened) = self.admin(Method::POST, &path, None).await;
        assert_eq!(status, StatusCode::OK, "{opened}");
    }

    /// Admitted tickets of the sale's own line and of its lanes.
    pub async fn admitted(&self) -> (u64, u64) {
        let (_, sale) = self.admin(Method::GET, &format!("/api/admin/sales/{}", self.sale), None).await;
        let lanes = sale["lanes"].as_array().expect("lanes").iter().filter_map(|lane| lane["admitted"].as_u64());
        (sale["admitted"].as_u64().expect("a number"), lanes.sum())
    }

    /// A counter of the sale.
    pub async fn count(&self, counter: &str) -> u64 {
        self.until(counter, 0).await
    }

    /// Waits until `units` are sold: the middle of a rush.
    pub async fn until_sold(&self, units: u64) {
        self.until("sold", units).await;
    }

    /// Waits until a counter of the sale reaches a value.
    pub async fn until(&self, counter: &str, high: u64) -> u64 {
        let path = format!("/api/admin/sales/{}", self.sale);
        let mut last = Value::Null;
        let enough = async {
            while last[counter].as_u64().is_none_or(|count| count < high) {
                sleep(POLL_EVERY).await;
                last = self.admin(Method::GET, &path, None).await.1;
            }
        };
        let in_time = timeout(COUNTED_WITHIN, enough).await.is_ok();
        assert!(in_time, "`{counter}` was not {high} in time: {last}\n{}", self.logs());
        last[counter].as_u64().expect("a number")
    }

    /// Limits admissions per second.
    pub async fn cap(&self, rate_cap_per_s: f64) {
        let change = json!({ "rate_cap_per_s": rate_cap_per_s });
        let path = format!("/api/admin/sales/{}", self.sale);
        let (status, sale) = self.admin(Method::PATCH, &path, Some(change)).await;
        assert_eq!(status, StatusCode::OK, "{sale}");
    }
}
