//! The console's live picture: sales, and samples of one, over a WebSocket.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderMap,
    response::Response,
};
use fairline_sale::SaleId;
use fairline_server::{Path, Problem, ProblemBody, Query, Shutdown};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Admin, AdminSale, rehearsals::Rehearsal, sessions::Operator};
use crate::{problem::AdminError, problem_types, store::SampleRow};

/// Consoles that look at the same time at one controller.
const CONSOLES_MAX: usize = 50;
/// How often a console's picture is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it is asked whether the console's operator is signed in still, and the browser there.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Without a change for this long a console receives a heartbeat, so that silence means a fault.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// A browser that takes nothing for so long has gone.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// What browsers send: nothing but answers to pings.
const HEARD_BYTES_MAX: usize = 1024;
/// Closes the socket of a session that has ended.
const SESSION_ENDED: u16 = 4401;

/// How many consoles look, and when to stop.
#[derive(Clone)]
pub(crate) struct Consoles {
    free: Arc<Semaphore>,
    shutdown: Shutdown,
}

impl Consoles {
    pub(crate) fn new(shutdown: &Shutdown) -> Self {
        Self { free: Arc::new(Semaphore::new(CONSOLES_MAX)), shutdown: shutdown.clone() }
    }
}

pub(super) fn routes() -> OpenApiRouter<Admin> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(samples))
}

/// How a sale stood at a moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sample {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// People who wait, in all its lines.
    waiting: i64,
    /// Of these, the ones with the page open.
    present: i64,
    /// Visits under way, from the token to the payment.
    inside: i64,
    total: i32,
    promised: i32,
    held: i32,
    sold: i32,
    /// Tickets given so far.
    joined: i64,
    /// Admissions made so far.
    admitted: i64,
    /// Orders paid so far.
    orders: i64,
    /// Estimated wait of a shopper who joined then, in seconds, at the rate of the half minute before; null
    /// if no shopper was admitted in it.
    #[schema(required)]
    likely_wait_s: Option<i64>,
}

impl From<SampleRow> for Sample {
    fn from(row: SampleRow) -> Self {
        let SampleRow { at, waiting, present, inside, total, promised, held, sold, joined, admitted, orders, .. } = row;
        let likely_wait_s = row.likely_wait_s;
        Self { at, waiting, present, inside, total, promised, held, sold, joined, admitted, orders, likely_wait_s }
    }
}

/// How a sale went, the oldest first. Where nothing changes, there is a sample every ten seconds only.
#[derive(Debug, Serialize, ToSchema)]
struct Samples {
    samples: Vec<Sample>,
}

/// From when on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct After {
    /// Only samples after this moment.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[param(value_type = Option<String>)]
    after: Option<OffsetDateTime>,
}

/// What to look at.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Subject {
    /// One sale; all, else.
    sale: Option<SaleId>,
}

/// A message of the console's WebSocket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = LiveUpdate)]
pub(crate) enum News {
    /// Whether this controller can send a crowd to a copy of the sale.
    Stage {
        is_set: bool,
    },
    Sales {
        sales: Vec<AdminSale>,
    },
    Sale {
        sale: Box<AdminSale>,
    },
    Samples {
        samples: Vec<Sample>,
    },
    Rehearsal {
        rehearsal: Rehearsal,
    },
    /// What was told last is so still.
    Beat,
}

/// How a sale went: at most 2,000 samples, thinned out evenly where there are more.
#[utoipa::path(get, path = "/api/admin/sales/{id}/samples", params(("id" = String, Path), After), security(("admin" = [])), responses(
    (status = 200, description = "The samples.", body = Samples),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
))]
async fn samples(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(after): Query<After>,
) -> Result<axum::Json<Samples>, Problem> {
    let sale = admin.sale(&id).await?.row.sale();
    let after = after.after.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let rows = admin.store.samples(sale, after).await.map_err(AdminError::from)?;
    Ok(axum::Json(Samples { samples: rows.into_iter().map(Sample::from).collect() }))
}

/// Open a WebSocket with live updates, as JSON: `{"type":"sales"}` whenever a sale changes; of one sale,
/// `{"type":"stage"}` first (whether it can be rehearsed here), `{"type":"sale"}`, `{"type":"samples"}` with
/// the new ones, and `{"type":"rehearsal"}`. After five seconds without a change, `{"type":"beat"}`: a client
/// that receives nothing for much longer shows that its data may be outdated.
#[utoipa::path(get, path = "/api/admin/live", params(Subject), security(("admin" = [])), responses(
    (status = 101, description = "The conversation begins. It is closed with 4401 when the session ends."),
    (status = 403, description = "Another site's page asks.", body = ProblemBody),
    (status = 404, description = "There is no such sale.", body = ProblemBody),
    (status = 503, description = "Fifty consoles look at this controller already.", body = ProblemBody),
))]
async fn live(
    State(admin): State<Admin>,
    Extension(operator): Extension<Operator>,
    Query(subject): Query<Subject>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade =
        upgrade.map_err(|rejected| Problem::new(&problem_types::NOT_A_WEBSOCKET).detail(rejected.body_text()))?;
    // Browsers send the cookie with WebSockets that other sites' pages open, and say which page it is.
    if admin.origins.is_foreign(&headers) {
        return Err(AdminError::OtherOrigin.into());
    }
    if let Some(sale) = subject.sale {
        admin.sale(&sale.to_string()).await?;
    }
    let permit = admin.consoles.free.clone().try_acquire_owned().map_err(|_| AdminError::TooManyConsoles)?;
    let console = Console { admin, operator, subject: subject.sale, _permit: permit };
    let upgrade = upgrade.max_message_size(HEARD_BYTES_MAX).max_frame_size(HEARD_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let shutdown = console.admin.consoles.shutdown.clone();
        let _ = shutdown.spawn(console.tell(socket)).await;
    }))
}

struct Console {
    admin: Admin,
    operator: Operator,
    subject: Option<SaleId>,
    _permit: OwnedSemaphorePermit,
}

/// What a console has been told.
#[derive(Clone, Default)]
struct Told {
    picture: String,
    rehearsal: String,
    sampled_at: Option<OffsetDateTime>,
}

impl Console {
    async fn tell(self, mut socket: WebSocket) {
        let shutdown = self.admin.consoles.shutdown.clone();
        let mut beat = interval(LOOK_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut asked, mut spoke) = (Told::default(), Instant::now(), Instant::now());
        let close = loop {
            tokio::select! {
                () = shutdown.triggered() => break close_code::AWAY,
                heard = socket.recv() => match heard {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => continue,
                },
                _ = beat.tick() => {}
            }
            if asked.elapsed() >= ASK_EVERY {
                asked = Instant::now();
                if !self.operator.is_here(&self.admin).await {
                    break SESSION_ENDED;
                }
                if send(&mut socket, Message::Ping(Vec::new().into())).await.is_none() {
                    return;
                }
            }
            // A database that does not answer is looked at again. No beat goes out meanwhile, and the page says since when it has
            // heard nothing.
            let mut telling = told.clone();
            let Ok(mut news) = self.news(&mut telling).await else { continue };
            told = telling;
            if news.is_empty() && spoke.elapsed() >= BEAT_EVERY {
                news.extend(serde_json::to_string(&News::Beat));
            }
            if !news.is_empty() {
                spoke = Instant::now();
            }
            for text in news {
                if send(&mut socket, Message::Text(Utf8Bytes::from(text))).await.is_none() {
                    return;
                }
            }
        };
        send(&mut socket, Message::Close(Some(CloseFrame { code: close, reason: Utf8Bytes::default() }))).await;
    }

    /// What has changed since the last look.
    async fn news(&self, told: &mut Told) -> Result<Vec<String>, AdminError> {
        let mut news = Vec::new();
        let Some(sale) = self.subject else {
            let sales = self.admin.sales().await?;
            news.extend(unless_told(&mut told.picture, &News::Sales { sales }));
            return Ok(news);
        };
        let shown = self.admin.shown(&sale.to_string()).await?;
        if told.picture.is_empty() {
            news.extend(serde_json::to_string(&News::Stage { is_set: self.admin.stage.is_some() }));
        }
        news.extend(unless_told(&mut told.picture, &News::Sale { sale: Box::new(shown) }));
        let after = told.sampled_at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let samples = self.admin.store.samples(sale, after).await?;
        let is_first = told.sampled_at.is_none();
        told.sampled_at = samples.last().map(|sample| sample.at).or(Some(after));
        if is_first || !samples.is_empty() {
            let samples = samples.into_iter().map(Sample::from).collect();
            news.extend(serde_json::to_string(&News::Samples { samples }));
        }
        if let Some(rehearsal) = self.admin.store.rehearsals(sale).await?.into_iter().next() {
            let rehearsal = Rehearsal::from(rehearsal);
            news.extend(unless_told(&mut told.rehearsal, &News::Rehearsal { rehearsal }));
        }
        Ok(news)
    }
}

/// News as text, unless they are what was told last.
fn unless_told(last: &mut String, news: &News) -> Option<String> {
    let text = serde_json::to_string(news).ok().filter(|text| text != last)?;
    last.clone_from(&text);
    Some(text)
}

/// Nothing when the browser has gone.
async fn send(socket: &mut WebSocket, message: Message) -> Option<()> {
    timeout(SEND_WITHIN, socket.send(message)).await.ok()?.ok()
}
