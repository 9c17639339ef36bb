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
    history::HistoryEventKind,
    http::{FullResponse, RequestError, ServiceUrl, request},
    messages::{Claims, Order, OrderStatus, Orders},
    plan::ShopperModel,
    record::{AcceptedPurchase, ObservedRejection, Paid, RECORDED_MAX, RedeemedHold, VisitOutcome},
    shopper::{NextAction, Shopper},
    stage_counts::ShopperStage,
};

/// After this many declines a shopper stops paying and requests the order's status.
const DECLINES_MAX: u32 = 5;

/// Minimum interval between two status requests for a payment in progress.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// The response to a purchase.
enum PurchaseReply {
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
enum PaymentReply {
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
    pub(crate) async fn check_out(&mut self, token: &str, claims: &Claims) -> NextAction {
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
        self.record.redemption = Some(RedeemedHold { admission: claims.jti, order: order.id, took_ms });
        if self.plan.model == ShopperModel::Replay {
            self.redeem_once_more(token, claims.jti).await;
        }
        self.pay(order).await
    }

    /// Redeems until there is a response; after a lost response the request is repeated. If the
    /// token expired meanwhile, the line reports the outcome.
    pub(crate) async fn redeem(&mut self, token: &str, claims: &Claims) -> Result<Order, NextAction> {
        let admission = claims.jti;
        loop {
            let why = match self.purchase(token, admission, self.cookie_header()).await {
                PurchaseReply::Accepted(order) | PurchaseReply::Used(Some(order)) => return Ok(order),
                PurchaseReply::Unanswered { retry_after } => {
                    if OffsetDateTime::now_utc().unix_timestamp() > claims.exp {
                        return Err(NextAction::Again { retry_after });
                    }
                    self.pause(retry_after).await;
                    continue;
                }
                PurchaseReply::Used(None) => "token-used, without the order".to_owned(),
                PurchaseReply::Refused(why) => why,
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
            if self.record.rejections.len() < RECORDED_MAX {
                self.record.rejections.push(ObservedRejection { admission, at_us: now_us(), why });
            }
            return Err(NextAction::Again { retry_after: None });
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
            match self.record_purchase(answer, admission) {
                PurchaseReply::Accepted(known) | PurchaseReply::Used(Some(known)) => order = Some(known),
                PurchaseReply::Used(None) | PurchaseReply::Refused(_) | PurchaseReply::Unanswered { .. } => {}
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

    /// Tries the token that a `let-expire` shopper let expire.
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

    async fn purchase(&mut self, token: &str, admission: Uuid, cookie: Option<String>) -> PurchaseReply {
        let target = self.next_checkout();
        self.note(HistoryEventKind::RedeemSent { admission });
        let answer = self.send_purchase(&target, self.crowd.job.sale, token, cookie.as_deref()).await;
        let purchase = self.record_purchase(answer, admission);
        let answer = match &purchase {
            PurchaseReply::Accepted(_) => "held",
            PurchaseReply::Used(_) => "used",
            PurchaseReply::Refused(why) => why,
            PurchaseReply::Unanswered { .. } => "unanswered",
        };
        self.note(HistoryEventKind::RedeemAnswered { admission, answer: answer.to_owned() });
        purchase
    }

    async fn send_purchase(
        &self,
        target: &ServiceUrl,
        sale: Uuid,
        token: &str,
        cookie: Option<&str>,
    ) -> Result<FullResponse, RequestError> {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![(header::AUTHORIZATION, bearer.as_str())];
        headers.extend(cookie.map(|cookie| (header::COOKIE, cookie)));
        let path = format!("/api/flash-sales/{sale}/purchase");
        self.caller.call(target, request(target, Method::POST, &path, &headers, Some(&json!({ "quantity": 1 })))).await
    }

    fn record_purchase(&mut self, answer: Result<FullResponse, RequestError>, admission: Uuid) -> PurchaseReply {
        let Ok(answer) = answer else { return PurchaseReply::Unanswered { retry_after: None } };
        let (slug, problem) = answer.problem();
        match (answer.status, answer.read::<Order>()) {
            (StatusCode::CREATED, Some(order)) => {
                if self.record.accepted.len() < RECORDED_MAX {
                    self.record.accepted.push(AcceptedPurchase { admission, order: order.id });
                }
                PurchaseReply::Accepted(order)
            }
            (StatusCode::CONFLICT, _) if slug == "token-used" => PurchaseReply::Used(problem.order),
            (status, _) if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                PurchaseReply::Refused(format!("{} {slug}", status.as_u16()))
            }
            _ => PurchaseReply::Unanswered { retry_after: self.asked_for_patience("purchase", &answer) },
        }
    }

    /// How long to wait after a response without a result. Records it as unexpected unless it asks
    /// to retry later.
    pub(crate) fn asked_for_patience(&mut self, what: &str, answer: &FullResponse) -> Option<Duration> {
        if !asks_for_patience(answer.status) {
            self.record.record_unexpected(format!("{what}: {} {}", answer.status.as_u16(), answer.problem().0));
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
    pub(crate) async fn pay(&mut self, order: Order) -> NextAction {
        self.moves_to(ShopperStage::Held);
        sleep(self.plan.thinks[1]).await;
        let mut method = self.plan.payment.method();
        let (mut status, mut declines) = (order.status, 0);
        if self.plan.model == ShopperModel::Cancel && status == OrderStatus::Held {
            status = self.changes_its_mind(order.id).await;
        }
        loop {
            self.note(HistoryEventKind::Order { order: order.id, status: status.name() });
            status = match status {
                OrderStatus::Paid => {
                    self.record.paid = Some(Paid { order: order.id, units: order.quantity });
                    return NextAction::Done(VisitOutcome::Paid);
                }
                OrderStatus::Expired => return NextAction::Done(self.hold_expired(&order)),
                OrderStatus::Refunded => return NextAction::Done(VisitOutcome::Refunded),
                OrderStatus::Cancelled => return NextAction::Done(VisitOutcome::Cancelled),
                OrderStatus::PaymentPending => self.watch(order.id, Some(WATCH_EVERY)).await,
                OrderStatus::Promised | OrderStatus::Held => match self.send_payment(order.id, method).await {
                    PaymentReply::Stands(status) => status,
                    // Another shopper's payment may still fail.
                    PaymentReply::NoUnit => {
                        self.record.no_unit = true;
                        self.watch(order.id, None).await
                    }
                    PaymentReply::HoldExpired => {
                        self.note(HistoryEventKind::Order { order: order.id, status: OrderStatus::Expired.name() });
                        return NextAction::Done(self.hold_expired(&order));
                    }
                    PaymentReply::Unanswered { retry_after } => self.watch(order.id, retry_after).await,
                    PaymentReply::Declined => {
                        declines += 1;
                        method = "tok_visa";
                        if declines < DECLINES_MAX { OrderStatus::Held } else { self.watch(order.id, None).await }
                    }
                },
            };
        }
    }

    fn hold_expired(&mut self, order: &Order) -> VisitOutcome {
        self.record.expired_early |= OffsetDateTime::now_utc() < order.hold_expires_at;
        VisitOutcome::HoldExpired
    }

    async fn send_payment(&mut self, order: Uuid, method: &str) -> PaymentReply {
        let target = self.next_checkout();
        self.note(HistoryEventKind::PaySent { order });
        let click = || self.post_payment(&target, order, method);
        let answer = if self.plan.model == ShopperModel::Replay {
            // A double click: the order has the result, whichever response comes first.
            tokio::join!(click(), click()).0
        } else {
            click().await
        };
        let Ok(answer) = answer else { return PaymentReply::Unanswered { retry_after: None } };
        let (slug, _) = answer.problem();
        match (answer.status, answer.read::<Order>()) {
            (StatusCode::OK | StatusCode::ACCEPTED, Some(order)) => PaymentReply::Stands(order.status),
            (StatusCode::PAYMENT_REQUIRED, _) => PaymentReply::Declined,
            (StatusCode::CONFLICT, _) if slug == "hold-expired" => PaymentReply::HoldExpired,
            (StatusCode::CONFLICT, _) if slug == "no-unit-available" => PaymentReply::NoUnit,
            // A payment of this order is in progress.
            (StatusCode::CONFLICT, _) => PaymentReply::Unanswered { retry_after: answer.retry_after() },
            _ => PaymentReply::Unanswered { retry_after: self.asked_for_patience("payment", &answer) },
        }
    }

    pub(crate) async fn post_payment(
        &self,
        target: &ServiceUrl,
        order: Uuid,
        method: &str,
    ) -> Result<FullResponse, RequestError> {
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

    async fn get(&mut self, path: &str) -> Result<FullResponse, ()> {
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

    pub(crate) fn next_checkout(&mut self) -> ServiceUrl {
        let checkouts = &self.crowd.job.checkouts;
        checkouts[self.next_call() % checkouts.len()].clone()
    }
}

/// Whether a response is no verdict on the request but asks to retry later.
fn asks_for_patience(status: StatusCode) -> bool {
    [StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE].contains(&status)
}
