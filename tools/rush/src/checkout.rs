//! A shopper at the checkout: redeems the token and pays the hold, or attempts what checkout must
//! reject.

use std::time::Duration;

use hyper::{Method, StatusCode, header};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    clock::now_us,
    forge::{Forgery, out_of_a_real_one, out_of_nothing},
    history::Happening,
    http::{Answer, NoAnswer, Target, request},
    messages::{Claims, Order, OrderStatus, Orders},
    plan::ShopperModel,
    record::{Accepted, NOTES_MAX, Outcome, Paid, Redemption, Rejection},
    shopper::{Shopper, Step},
    stage_counts::Stage,
};

/// After this many declines a shopper stops paying and requests the order's status.
const DECLINES_MAX: u32 = 5;

/// Minimum interval between two status requests for a payment in progress.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// The response to a purchase.
enum Purchase {
    Accepted(Order),
    /// The token has been used. Its holder receives the first response.
    Used(Option<Order>),
    Refused(String),
    /// The result is unknown; the shopper tries again.
    Unanswered {
        retry_after: Option<Duration>,
    },
}

/// The response to a payment.
enum Payment {
    Stands(OrderStatus),
    Declined,
    HoldExpired,
    NoUnit,
    /// The result is unknown; the order's status will show it.
    Unanswered {
        retry_after: Option<Duration>,
    },
}

impl Shopper<'_> {
    /// Takes a turn to its outcome, or returns to the line.
    pub(crate) async fn check_out(&mut self, token: &str, claims: &Claims) -> Step {
        if self.plan.model == ShopperModel::Forge {
            let now_s = OffsetDateTime::now_utc().unix_timestamp();
            let forgeries = out_of_a_real_one(token, now_s, &mut self.plan.dice);
            self.try_forgeries(forgeries).await;
        }
        sleep(self.plan.thinks[0]).await;
        let started = Instant::now();
        let at_once = match self.plan.model {
            ShopperModel::Replay => self.redeem_many_times_at_once(token, claims.jti).await,
            _ => None,
        };
        let order = match at_once {
            Some(order) => order,
            None => match self.redeem(token, claims).await {
                Ok(order) => order,
                Err(step) => return step,
            },
        };
        let took_ms = started.elapsed().as_secs_f64() * 1_000.0;
        self.record.redemption = Some(Redemption { admission: claims.jti, order: order.id, took_ms });
        if self.plan.model == ShopperModel::Replay {
            self.redeem_once_more(token, claims.jti).await;
        }
        self.pay(order).await
    }

    /// Redeems until there is a response; after a lost response the request is repeated. If the
    /// token expired meanwhile, the line reports the outcome.
    pub(crate) async fn redeem(&mut self, token: &str, claims: &Claims) -> Result<Order, Step> {
        let admission = claims.jti;
        loop {
            let why = match self.purchase(token, admission, self.cookie_header()).await {
                Purchase::Accepted(order) | Purchase::Used(Some(order)) => return Ok(order),
                Purchase::Unanswered { retry_after } => {
                    if OffsetDateTime::now_utc().unix_timestamp() > claims.exp {
                        return Err(Step::Again { retry_after });
                    }
                    self.pause(retry_after).await;
                    continue;
                }
                Purchase::Used(None) => "token-used, without the order".to_owned(),
                Purchase::Refused(why) => why,
            };
            // An earlier attempt may have succeeded although its response was lost.
            match self.find_order().await {
                Ok(Some(order)) => return Ok(order),
                Ok(None) => {}
                Err(()) => {
                    self.pause(None).await;
                    continue;
                }
            }
            if self.record.rejections.len() < NOTES_MAX {
                self.record.rejections.push(Rejection { admission, at_us: now_us(), why });
            }
            return Err(Step::Again { retry_after: None });
        }
    }

    /// Attempts a purchase with another shopper's ticket, then three at once with the same token.
    async fn redeem_many_times_at_once(&mut self, token: &str, admission: Uuid) -> Option<Order> {
        self.redeem_as_another_shopper(token).await;
        let cookie = self.cookie_header();
        let targets = [(); 3].map(|()| self.next_checkout());
        let sale = self.crowd.job.sale;
        let [one, two, three] = &targets;
        let answers: [_; 3] = tokio::join!(
            self.send_purchase(one, sale, token, cookie.as_deref()),
            self.send_purchase(two, sale, token, cookie.as_deref()),
            self.send_purchase(three, sale, token, cookie.as_deref()),
        )
        .into();
        let mut order = None;
        for answer in answers {
            match self.note_purchase(answer, admission) {
                Purchase::Accepted(known) | Purchase::Used(Some(known)) => order = Some(known),
                Purchase::Used(None) | Purchase::Refused(_) | Purchase::Unanswered { .. } => {}
            }
        }
        order
    }

    async fn redeem_once_more(&mut self, token: &str, admission: Uuid) {
        let _ = self.purchase(token, admission, self.cookie_header()).await;
        self.redeem_as_another_shopper(token).await;
    }

    async fn redeem_as_another_shopper(&mut self, token: &str) {
        let Some(cookie) = self.crowd.found_cookies.of_another_shopper(self.plan.index) else { return };
        let target = self.next_checkout();
        let Ok(answer) = self.send_purchase(&target, self.crowd.job.sale, token, Some(&cookie)).await else { return };
        self.record.stolen_tried += u32::from(!asks_for_patience(answer.status));
        self.record.stolen_accepted += u32::from(answer.status.is_success());
        self.record.leaked += u32::from(answer.problem().1.order.is_some());
    }

    /// Tries the token that a dawdler let expire.
    pub(crate) async fn try_dead_token(&mut self, token: &str) {
        let target = self.next_checkout();
        let cookie = self.cookie_header();
        let answer = self.send_purchase(&target, self.crowd.job.sale, token, cookie.as_deref()).await;
        self.record.expired_accepted += u32::from(answer.is_ok_and(|answer| answer.status.is_success()));
    }

    /// Tries to buy one more than the limit. Returns whether that was accepted; `None` if checkout
    /// did not decide.
    pub(crate) async fn buys_more(&mut self, token: &str) -> Option<bool> {
        let target = self.next_checkout();
        let cookie = self.cookie_header();
        let answer = self.send_purchase(&target, self.crowd.job.sale, token, cookie.as_deref()).await.ok()?;
        if answer.status.is_success() {
            return Some(true);
        }
        (answer.problem().0 == "shopper-over-limit").then_some(false)
    }

    /// Tries tokens that a shopper without a turn can forge.
    pub(crate) async fn forge_out_of_nothing(&mut self) {
        let (now_s, sale) = (OffsetDateTime::now_utc().unix_timestamp(), self.crowd.job.sale);
        let forgeries = out_of_nothing(sale, now_s, &mut self.plan.dice);
        self.try_forgeries(forgeries).await;
    }

    async fn try_forgeries(&mut self, forgeries: Vec<Forgery>) {
        for Forgery { kind, token, sale } in forgeries {
            let target = self.next_checkout();
            let cookie = self.cookie_header();
            let Ok(answer) = self.send_purchase(&target, sale, &token, cookie.as_deref()).await else { continue };
            self.record.forged_tried += u32::from(!asks_for_patience(answer.status));
            if answer.status.is_success() {
                self.record.forged_accepted.push(kind.to_owned());
            }
        }
    }

    async fn purchase(&mut self, token: &str, admission: Uuid, cookie: Option<String>) -> Purchase {
        let target = self.next_checkout();
        self.note(Happening::RedeemSent { admission });
        let answer = self.send_purchase(&target, self.crowd.job.sale, token, cookie.as_deref()).await;
        let purchase = self.note_purchase(answer, admission);
        let answer = match &purchase {
            Purchase::Accepted(_) => "held",
            Purchase::Used(_) => "used",
            Purchase::Refused(why) => why,
            Purchase::Unanswered { .. } => "unanswered",
        };
        self.note(Happening::RedeemAnswered { admission, answer: answer.to_owned() });
        purchase
    }

    async fn send_purchase(
        &self,
        target: &Target,
        sale: Uuid,
        token: &str,
        cookie: Option<&str>,
    ) -> Result<Answer, NoAnswer> {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![(header::AUTHORIZATION, bearer.as_str())];
        headers.extend(cookie.map(|cookie| (header::COOKIE, cookie)));
        let path = format!("/api/flash-sales/{sale}/purchase");
        self.caller.call(target, request(target, Method::POST, &path, &headers, Some(&json!({ "quantity": 1 })))).await
    }

    fn note_purchase(&mut self, answer: Result<Answer, NoAnswer>, admission: Uuid) -> Purchase {
        let Ok(answer) = answer else { return Purchase::Unanswered { retry_after: None } };
        let (slug, problem) = answer.problem();
        match (answer.status, answer.read::<Order>()) {
            (StatusCode::CREATED, Some(order)) => {
                if self.record.accepted.len() < NOTES_MAX {
                    self.record.accepted.push(Accepted { admission, order: order.id });
                }
                Purchase::Accepted(order)
            }
            (StatusCode::CONFLICT, _) if slug == "token-used" => Purchase::Used(problem.order),
            (status, _) if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                Purchase::Refused(format!("{} {slug}", status.as_u16()))
            }
            _ => Purchase::Unanswered { retry_after: self.asked_for_patience("purchase", &answer) },
        }
    }

    /// How long to wait after a response without a result. Records it as unexpected unless it asks
    /// to retry later.
    pub(crate) fn asked_for_patience(&mut self, what: &str, answer: &Answer) -> Option<Duration> {
        if !asks_for_patience(answer.status) {
            self.record.surprised_by(format!("{what}: {} {}", answer.status.as_u16(), answer.problem().0));
        }
        answer.retry_after()
    }

    /// The shopper's own order, if there is one.
    pub(crate) async fn find_order(&mut self) -> Result<Option<Order>, ()> {
        let answer = self.get("/api/orders").await?;
        let orders: Orders = answer.read().ok_or(())?;
        Ok(orders.orders.into_iter().next())
    }

    /// Pays until the order has an outcome.
    pub(crate) async fn pay(&mut self, order: Order) -> Step {
        self.moves_to(Stage::Held);
        sleep(self.plan.thinks[1]).await;
        let mut method = self.plan.payment.method();
        let (mut status, mut declines) = (order.status, 0);
        if self.plan.model == ShopperModel::Cancel && status == OrderStatus::Held {
            status = self.changes_its_mind(order.id).await;
        }
        loop {
            self.note(Happening::Order { order: order.id, status: status.name() });
            status = match status {
                OrderStatus::Paid => {
                    self.record.paid = Some(Paid { order: order.id, units: order.quantity });
                    return Step::Done(Outcome::Paid);
                }
                OrderStatus::Expired => return Step::Done(self.hold_expired(&order)),
                OrderStatus::Refunded => return Step::Done(Outcome::Refunded),
                OrderStatus::Cancelled => return Step::Done(Outcome::Cancelled),
                OrderStatus::PaymentPending => self.watch(order.id, Some(WATCH_EVERY)).await,
                OrderStatus::Promised | OrderStatus::Held => match self.send_payment(order.id, method).await {
                    Payment::Stands(status) => status,
                    // Another shopper's payment may still fail.
                    Payment::NoUnit => {
                        self.record.no_unit = true;
                        self.watch(order.id, None).await
                    }
                    Payment::HoldExpired => {
                        self.note(Happening::Order { order: order.id, status: OrderStatus::Expired.name() });
                        return Step::Done(self.hold_expired(&order));
                    }
                    Payment::Unanswered { retry_after } => self.watch(order.id, retry_after).await,
                    Payment::Declined => {
                        declines += 1;
                        method = "tok_visa";
                        if declines < DECLINES_MAX { OrderStatus::Held } else { self.watch(order.id, None).await }
                    }
                },
            };
        }
    }

    fn hold_expired(&mut self, order: &Order) -> Outcome {
        self.record.expired_early |= OffsetDateTime::now_utc() < order.hold_expires_at;
        Outcome::HoldExpired
    }

    async fn send_payment(&mut self, order: Uuid, method: &str) -> Payment {
        let target = self.next_checkout();
        self.note(Happening::PaySent { order });
        let click = || self.post_payment(&target, order, method);
        let answer = if self.plan.model == ShopperModel::Replay {
            // A double click: the order has the result, whichever response comes first.
            tokio::join!(click(), click()).0
        } else {
            click().await
        };
        let Ok(answer) = answer else { return Payment::Unanswered { retry_after: None } };
        let (slug, _) = answer.problem();
        match (answer.status, answer.read::<Order>()) {
            (StatusCode::OK | StatusCode::ACCEPTED, Some(order)) => Payment::Stands(order.status),
            (StatusCode::PAYMENT_REQUIRED, _) => Payment::Declined,
            (StatusCode::CONFLICT, _) if slug == "hold-expired" => Payment::HoldExpired,
            (StatusCode::CONFLICT, _) if slug == "no-unit-now" => Payment::NoUnit,
            // A payment of this order is in progress.
            (StatusCode::CONFLICT, _) => Payment::Unanswered { retry_after: answer.retry_after() },
            _ => Payment::Unanswered { retry_after: self.asked_for_patience("payment", &answer) },
        }
    }

    pub(crate) async fn post_payment(&self, target: &Target, order: Uuid, method: &str) -> Result<Answer, NoAnswer> {
        let cookie = self.cookie_header().unwrap_or_default();
        let path = format!("/api/orders/{order}/payment");
        let body = json!({ "payment_method": method });
        let request = request(target, Method::POST, &path, &[(header::COOKIE, cookie.as_str())], Some(&body));
        self.caller.call(target, request).await
    }

    /// Requests the order's status until there is a response.
    pub(crate) async fn watch(&mut self, order: Uuid, retry_after: Option<Duration>) -> OrderStatus {
        self.pause(retry_after).await;
        loop {
            let answer = self.get(&format!("/api/orders/{order}")).await;
            if let Some(order) = answer.ok().and_then(|answer| answer.read::<Order>()) {
                self.backoff = Default::default();
                return order.status;
            }
            self.pause(None).await;
        }
    }

    async fn get(&mut self, path: &str) -> Result<Answer, ()> {
        let target = self.next_checkout();
        let cookie = self.cookie_header().unwrap_or_default();
        let request = request(&target, Method::GET, path, &[(header::COOKIE, cookie.as_str())], None);
        let answer = self.caller.call(&target, request).await.map_err(drop)?;
        if answer.status != StatusCode::OK {
            self.asked_for_patience("orders", &answer);
            return Err(());
        }
        Ok(answer)
    }

    pub(crate) fn next_checkout(&mut self) -> Target {
        let checkouts = &self.crowd.job.checkouts;
        checkouts[self.next_call() % checkouts.len()].clone()
    }
}

/// Whether a response is no verdict on the request but asks to retry later.
fn asks_for_patience(status: StatusCode) -> bool {
    [StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE].contains(&status)
}
