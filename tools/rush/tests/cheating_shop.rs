//! The negative control over real sockets: a shop without a database that breaks promises must be
//! detected. It sells one unit to every shopper, and another beyond the limit, accepts every token,
//! forgets places, ignores leaving.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{
        Path, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{StatusCode, header::SET_COOKIE},
    response::IntoResponse,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Parser as _;
use fairline_rush::{Settings, send_crowd};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{net::TcpListener, time::sleep};
use uuid::Uuid;

const SALE: Uuid = Uuid::from_u128(1);
const TOKEN_LIVES_FOR: Duration = Duration::from_secs(1);

type Ordinals = State<Arc<AtomicU64>>;

fn card() -> Value {
    json!({
        "id": SALE, "slug": "lamp", "name": "A lamp", "total": 1, "remaining": 1, "status": "open", "per_shopper_limit": 1,
    })
}

fn order(status: &str) -> Value {
    let tomorrow = (OffsetDateTime::now_utc() + Duration::from_secs(86_400)).format(&Rfc3339).unwrap();
    json!({ "id": Uuid::new_v4(), "status": status, "quantity": 1, "hold_expires_at": tomorrow })
}

fn token() -> String {
    let now_s = OffsetDateTime::now_utc().unix_timestamp();
    let claims = json!({
        "iss": "fairline", "aud": "fairline-checkout", "sub": Uuid::new_v4(), "jti": Uuid::new_v4(), "sale": SALE,
        "qty": 1, "iat": now_s, "exp": now_s + TOKEN_LIVES_FOR.as_secs().cast_signed(),
    });
    format!(
        "{}.{}.AA",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k"}"#),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

async fn line(upgrade: WebSocketUpgrade, State(ordinals): Ordinals) -> impl IntoResponse {
    // A returning shopper gets the next ordinal.
    let ordinal = ordinals.fetch_add(1, Relaxed);
    (
        [(SET_COOKIE, format!("fairline_ticket_1={ordinal}; Path=/"))],
        upgrade.on_upgrade(move |socket| attend(socket, ordinal)),
    )
}

async fn attend(mut socket: WebSocket, ordinal: u64) {
    let place =
        json!({ "type": "place", "ordinal": ordinal, "place": 0, "behind": 0, "wait": null, "rate_per_s": null });
    let messages = [
        (Duration::ZERO, json!({ "type": "sale", "sale": card() })),
        (Duration::ZERO, place),
        (Duration::from_millis(300), json!({ "type": "turn", "token": token(), "quantity": 1 })),
        (TOKEN_LIVES_FOR, json!({ "type": "over", "outcome": "expired" })),
    ];
    for (after, message) in messages {
        // Sleeps: a slow shop.
        sleep(after).await;
        if socket.send(Message::text(message.to_string())).await.is_err() {
            return;
        }
    }
}

/// Joins, and receives nothing more.
async fn silent_line(upgrade: WebSocketUpgrade) -> impl IntoResponse {
    upgrade.on_upgrade(|mut socket| async move {
        let place = json!({ "type": "place", "ordinal": 1, "place": 0, "behind": 0, "wait": null, "rate_per_s": null });
        let _ = socket.send(Message::text(place.to_string())).await;
        while socket.recv().await.is_some() {}
    })
}

async fn open(line: axum::routing::MethodRouter<Arc<AtomicU64>>) -> SocketAddr {
    let shop = Router::new()
        .route("/api/flash-sales/{sale}/status", get(async || Json(card())))
        .route("/api/flash-sales/{sale}/line", line)
        .route("/api/flash-sales/{sale}/purchase", post(async || (StatusCode::CREATED, Json(order("held")))))
        .route("/api/orders/{order}/payment", post(async |Path(_): Path<Uuid>| Json(order("paid"))))
        .with_state(Arc::new(AtomicU64::new(1)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, shop).await });
    address
}

async fn rush(address: SocketAddr, arguments: &[&str]) -> fairline_rush::Report {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }
    let (shop, sale) = (format!("--waiting-room=http://{address}"), format!("--sale={SALE}"));
    let always = ["rush", &shop, &sale, "--seed=1", "--transports=websocket=1", "--payments=visa=1", "--arrive-s=0"];
    let settings = Line::parse_from(always.iter().chain(arguments)).settings;
    send_crowd(&settings).await.unwrap()
}

#[tokio::test]
async fn a_shop_that_cheats_is_caught() {
    let address = open(get(line)).await;
    let mix = "--mix=buy=1,let-expire=1,reconnect=1,replay=1,forge=1,buy-again=1";
    let report = rush(address, &["--shoppers=60", mix, "--act-within-s=0", "--think-ms=0", "--timeout-s=20"]).await;
    assert!(!report.ok && report.exit_code() == 1, "{report}");
    let found = [
        ("oversold", report.oversold.cast_unsigned()),
        ("accepted twice", report.double_used),
        ("forged", report.forged_accepted),
        ("stolen", report.stolen_accepted),
        ("expired", report.expired_accepted),
        ("places lost", report.places_lost),
        ("beyond the limit", report.over_limit),
    ];
    for (what, times) in found {
        assert!(times > 0, "{what} was not caught: {report}");
    }
}

#[tokio::test]
async fn a_silent_shop_is_caught() {
    let address = open(get(silent_line)).await;
    let report = rush(address, &["--shoppers=5", "--mix=buy=4,leave=1", "--timeout-s=2"]).await;
    assert_eq!((report.joined, report.unresolved, report.ok), (5, 5, false), "{report}");
}
