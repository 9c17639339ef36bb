//! What the templates render: the view models of the pages, and their texts.

use askama::Template;
use axum::{
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};
use fairline_sale::{SaleCard, Status, price_text};
use fairline_update_policy::LineMessage;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

/// Pages run only their own scripts and styles, and refuse to be framed.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// URLs of the built assets.
pub(super) struct Assets {
    pub(super) shopper_css: String,
    pub(super) shopper_js: String,
    pub(super) attention_js: String,
    pub(super) sign_in_js: String,
    pub(super) icon: String,
}

impl Assets {
    pub(super) fn new() -> Self {
        let address = |name| format!("/assets/{}", fairline_assets::file_name(name).unwrap_or(name));
        Self {
            shopper_css: address("shopper.css"),
            shopper_js: address("shopper.js"),
            attention_js: address("attention.js"),
            sign_in_js: address("sign-in.js"),
            icon: address("icon.svg"),
        }
    }
}

/// A sale as the templates render it.
pub(super) struct SaleCardView {
    id: String,
    slug: String,
    name: String,
    description: String,
    price_text: String,
    limit_text: String,
    /// Units that one account may buy, if the sale requires sign-in.
    account_limit: Option<u32>,
    total: u32,
    remaining: u32,
    status: String,
    status_text: String,
    opens_at_rfc3339: String,
    opens_at_text: String,
    message: String,
    /// The commitment of a draw; empty where the line is served in order of joining.
    commitment: String,
    /// "guarantee" or "yield".
    mode: String,
    /// The name of a lane; empty for a sale's own line.
    lane: String,
    /// The title of the sale that the lane belongs to.
    leads_to: String,
    /// The slug of that sale.
    own_slug: String,
    /// Whether the sale has its own theme colours.
    coloured: bool,
    /// The shop's texts for shoppers who wait, who have a turn, and who came too late; empty by
    /// default.
    waiting_text: String,
    turn_text: String,
    sold_out_text: String,
}

impl From<&SaleCard> for SaleCardView {
    fn from(card: &SaleCard) -> Self {
        let status_text = match card.status {
            Status::Scheduled => "Opens soon",
            Status::Open => "Open",
            Status::Paused => "Paused",
            Status::SoldOut => "Sold out",
            Status::Closed => "Closed",
        };
        let limit_text = match card.per_shopper_limit {
            1 => "One per shopper".to_owned(),
            limit => format!("Up to {limit} per shopper"),
        };
        let opens = format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
        let (lane, leads_to) = match &card.lane {
            Some(lane) => (lane.name.clone(), lane.sale),
            None => (String::new(), card.id),
        };
        Self {
            id: card.id.to_string(),
            leads_to: leads_to.to_string(),
            own_slug: card.slug.split_once("--").map_or(card.slug.as_str(), |(own, _)| own).to_owned(),
            lane,
            mode: card.mode.as_str().to_owned(),
            price_text: price_text(card.price_minor, &card.currency),
            limit_text,
            account_limit: card.per_account_limit,
            status: card.status.as_str().to_owned(),
            status_text: status_text.to_owned(),
            opens_at_rfc3339: card.opens_at.format(&Rfc3339).unwrap_or_default(),
            opens_at_text: card.opens_at.format(opens).unwrap_or_default(),
            slug: card.slug.clone(),
            name: card.name.clone(),
            description: card.description.clone(),
            total: card.total,
            remaining: card.remaining,
            message: card.message.clone().unwrap_or_default(),
            coloured: !card.theme.style_sheet().is_empty(),
            waiting_text: card.theme.waiting_text.clone().unwrap_or_default(),
            turn_text: card.theme.turn_text.clone().unwrap_or_default(),
            sold_out_text: card.theme.sold_out_text.clone().unwrap_or_default(),
            commitment: card.draw.as_ref().map(|draw| draw.commitment.clone()).unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "home.html")]
pub(super) struct HomePage {
    pub(super) assets: Assets,
    pub(super) sales: Vec<SaleCardView>,
}

#[derive(Template)]
#[template(path = "sale.html")]
pub(super) struct SalePage {
    pub(super) assets: Assets,
    pub(super) sale: SaleCardView,
    pub(super) can_join: bool,
    pub(super) invited: bool,
    pub(super) invitation: String,
    pub(super) joined: bool,
    pub(super) secure_cookies: bool,
    pub(super) now_rfc3339: String,
    pub(super) own_checkout: String,
}

#[derive(Template)]
#[template(path = "line.html")]
pub(super) struct LinePage {
    assets: Assets,
    sale: SaleCardView,
    turn: bool,
    /// The deadline to claim the turn; empty without an unclaimed turn.
    pub(super) claim_by_text: String,
    turn_ends_text: String,
    /// With a turn: the URL of the shop's own checkout, token included; empty without one.
    own_checkout: String,
    ordinal: u64,
    in_draw: Option<u64>,
    place: u64,
    behind: u64,
    recalled: u64,
    wait_text: String,
    bounds_text: String,
    beyond_stock: bool,
    pub(super) refresh_s: u64,
    pub(super) outcome: String,
}

impl LinePage {
    pub(super) fn new(card: &SaleCard, ordinal: u64) -> Self {
        Self {
            assets: Assets::new(),
            sale: card.into(),
            turn: false,
            claim_by_text: String::new(),
            turn_ends_text: String::new(),
            own_checkout: String::new(),
            ordinal,
            in_draw: None,
            place: 0,
            behind: 0,
            recalled: 0,
            wait_text: String::new(),
            bounds_text: String::new(),
            beyond_stock: false,
            refresh_s: 3,
            outcome: String::new(),
        }
    }

    /// Shows the content of a message.
    pub(super) fn show(&mut self, message: LineMessage, own_checkout: &str) {
        match message {
            LineMessage::Place { place, behind, recalled, wait, beyond_stock, .. } => {
                (self.place, self.behind, self.recalled) = (place, behind, recalled);
                self.wait_text = wait.map(|wait| range_text(wait.likely_s)).unwrap_or_default();
                self.bounds_text = wait.map(|wait| range_text(wait.bounds_s)).unwrap_or_default();
                self.beyond_stock = beyond_stock;
                self.refresh_s = if place < 20 { 3 } else { 10 };
            }
            LineMessage::Draw { participants, .. } => self.in_draw = Some(participants),
            LineMessage::Turn { expires_at, token, .. } => {
                self.turn = true;
                self.turn_ends_text = clock_text(expires_at);
                if !own_checkout.is_empty() {
                    self.own_checkout = format!("{own_checkout}{token}");
                }
            }
            LineMessage::Over { outcome } => self.outcome = outcome.as_str().to_owned(),
            LineMessage::Sale { .. } | LineMessage::Heartbeat { .. } | LineMessage::Reconnecting { .. } => {}
        }
    }
}

/// Renders a page with the common headers. Pages show current state, so caches must not store them.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "render page failed");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(html)).into_response()
}

pub(super) fn clock_text(at: OffsetDateTime) -> String {
    at.format(format_description!("[hour]:[minute]:[second] UTC")).unwrap_or_default()
}

fn range_text((from_s, to_s): (u64, u64)) -> String {
    let minutes = |s: u64| s.div_ceil(60);
    match to_s {
        0..=120 => format!("{from_s} to {to_s} seconds"),
        _ => format!("{} to {} minutes", minutes(from_s), minutes(to_s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_in_seconds_or_minutes() {
        assert_eq!(range_text((20, 40)), "20 to 40 seconds");
        assert_eq!(range_text((150, 290)), "3 to 5 minutes");
    }
}
