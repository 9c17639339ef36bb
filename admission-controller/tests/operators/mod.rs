//! Operators: roles, sign-in, enrolment, and the audit log.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use totp_rs::{Builder, Secret};

use super::test_controller::TestController;

const PASSWORD: &str = "correct horse battery";

/// An operator with a browser.
struct Person<'a> {
    controller: &'a TestController,
    name: &'a str,
    secret: String,
    cookie: String,
    csrf: String,
}

fn now_s() -> u64 {
    u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp()).expect("after 1970")
}

fn code(secret: &str, at_s: u64) -> String {
    let secret = Secret::try_from_base32(secret).expect("base32");
    Builder::new().with_secret(secret).build_noncompliant().generate(at_s).to_string()
}

impl<'a> Person<'a> {
    /// Creates an operator with the admin token, and signs in.
    async fn added(controller: &'a TestController, name: &'a str, role: &str) -> Self {
        let new = json!({ "name": name, "role": role, "password": PASSWORD });
        let (status, added) = controller.admin("POST", "/api/admin/operators", Some(&new)).await;
        assert_eq!(status, 201, "{added}");
        assert_eq!((&added["operator"]["name"], &added["operator"]["role"]), (&json!(name), &json!(role)));
        let secret = added["totp_secret"].as_str().expect("a secret").to_owned();
        assert!(added["totp_url"].as_str().is_some_and(|url| url.contains(&secret)));
        let mut person = Self { controller, name, secret, cookie: String::new(), csrf: String::new() };
        let code = code(&person.secret, now_s());
        let (status, head, session) = person.sign_in(PASSWORD, &code).await;
        assert_eq!(status, 200, "{session}");
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
        assert!(cookie.starts_with("__Host-fairline-admin="), "{cookie}");
        for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Secure", "; Max-Age=43200"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        person.cookie = cookie.split(';').next().expect("a value").to_owned();
        person.csrf = session["csrf"].as_str().expect("a token").to_owned();
        assert_eq!(session["role"], json!(role));
        person
    }

    async fn sign_in(&self, password: &str, code: &str) -> (u16, String, Value) {
        let body = json!({ "name": self.name, "password": password, "code": code }).to_string();
        let (status, head, body) = self.controller.exchange("POST", "/api/admin/session", "", &body).await;
        (status, head, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    async fn asks(&self, method: &str, path: &str, headers: &str, body: Option<&Value>) -> (u16, Value) {
        let headers = format!("cookie: other=1; {}\r\n{headers}", self.cookie);
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, body) = self.controller.request(method, path, &headers, &body).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    async fn does(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.asks(method, path, &format!("x-csrf-token: {}\r\n", self.csrf), body).await
    }
}

fn slug(problem: &Value) -> &str {
    problem["type"].as_str().and_then(|kind| kind.rsplit('/').next()).unwrap_or_default()
}

#[tokio::test]
async fn roles_limit_operators_and_changes_need_the_csrf_token() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({})).await;
    let (viewer, operator, owner) = (
        Person::added(&controller, "vera", "viewer").await,
        Person::added(&controller, "otto", "operator").await,
        Person::added(&controller, "olga", "owner").await,
    );
    let (show, pause) = (format!("/api/admin/sales/{sale}"), format!("/api/admin/sales/{sale}/pause"));
    for person in [&viewer, &operator, &owner] {
        assert_eq!(person.does("GET", &show, None).await.0, 200);
        assert_eq!(person.does("GET", "/api/admin/audit", None).await.0, 200);
        let (status, session) = person.asks("GET", "/api/admin/session", "", None).await;
        assert_eq!((status, &session["csrf"]), (200, &json!(person.csrf)));
    }
    let (status, problem) = viewer.does("POST", &pause, None).await;
    assert_eq!((status, slug(&problem)), (403, "insufficient-role"));
    assert_eq!(controller.show(sale).await["status"], json!("open"));
    for headers in ["", "x-csrf-token: \r\n", "x-csrf-token: guessed\r\n"] {
        let (status, problem) = operator.asks("POST", &pause, headers, None).await;
        assert_eq!((status, slug(&problem)), (403, "invalid-csrf-token"));
    }
    assert_eq!(operator.does("POST", &pause, None).await.1["status"], json!("paused"));
    for (method, path) in [
        ("GET", "/api/admin/operators"),
        ("POST", "/api/admin/operators"),
        ("DELETE", "/api/admin/operators/vera"),
        ("POST", "/api/admin/operators/vera/totp"),
        ("POST", "/api/admin/webhooks"),
        ("POST", "/api/admin/keys/a/revoke"),
    ] {
        let (status, problem) = operator.does(method, path, Some(&json!({}))).await;
        assert_eq!((status, slug(&problem)), (403, "insufficient-role"), "{method} {path}");
    }
    let (_, listed) = owner.does("GET", "/api/admin/operators", None).await;
    let names: Vec<_> = listed["operators"].as_array().expect("a list").iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["olga", "otto", "vera"]);
    assert!(!listed.to_string().contains("argon2"), "no secret is shown");

    // A changed role, and the removal of an operator, take effect at once.
    let (status, changed) = owner.does("PATCH", "/api/admin/operators/otto", Some(&json!({ "role": "viewer" }))).await;
    assert_eq!((status, &changed["role"]), (200, &json!("viewer")));
    assert_eq!(operator.does("POST", &format!("{show}/resume"), None).await.0, 403);
    assert_eq!(owner.does("DELETE", "/api/admin/operators/otto", None).await.0, 204);
    let (status, problem) = operator.does("GET", &show, None).await;
    assert_eq!((status, slug(&problem)), (401, "invalid-session"));
    assert_eq!(owner.does("DELETE", "/api/admin/operators/otto", None).await.0, 404);

    assert_eq!(viewer.does("DELETE", "/api/admin/session", None).await.0, 204);
    assert_eq!(viewer.does("GET", &show, None).await.0, 401);
    let (status, problem) = controller
        .admin("POST", "/api/admin/operators", Some(&json!({ "name": "olga", "role": "viewer", "password": PASSWORD })))
        .await;
    assert_eq!((status, slug(&problem)), (409, "name-taken"));
    for (name, password) in [("Olga", PASSWORD), ("", PASSWORD), ("x", "short")] {
        let new = json!({ "name": name, "role": "viewer", "password": password });
        assert_eq!(controller.admin("POST", "/api/admin/operators", Some(&new)).await.0, 422);
    }
}

#[tokio::test]
async fn a_former_owner_receives_no_stored_response_and_secrets_are_shown_once() {
    let controller = TestController::open().await;
    let (owner, other) =
        (Person::added(&controller, "olga", "owner").await, Person::added(&controller, "oona", "owner").await);
    let keyed = format!("x-csrf-token: {}\r\nidempotency-key: a-key\r\n", owner.csrf);
    let hook = json!({ "url": "https://shop.example/hook", "kinds": [] });
    let (status, added) = owner.asks("POST", "/api/admin/webhooks", &keyed, Some(&hook)).await;
    assert_eq!(status, 201, "{added}");
    // Another cookie of the browser does not change the identity.
    let (status, again) =
        owner.asks("POST", "/api/admin/webhooks", &format!("cookie: more=1\r\n{keyed}"), Some(&hook)).await;
    assert_eq!((status, slug(&again)), (409, "response-not-replayable"), "{again}");
    let (_, listed) = owner.does("GET", "/api/admin/webhooks", None).await;
    assert_eq!(listed["webhooks"].as_array().map(Vec::len), Some(1));
    let kept: Vec<Option<String>> =
        sqlx::query_scalar("SELECT body FROM idempotency_keys").fetch_all(&controller.pool).await.expect("answers");
    assert_eq!(kept.len(), 1);
    assert!(!format!("{kept:?}").contains("whsec_"), "{kept:?}");

    let (status, _) = other.does("PATCH", "/api/admin/operators/olga", Some(&json!({ "role": "operator" }))).await;
    assert_eq!(status, 200);
    let (status, refused) = owner.asks("POST", "/api/admin/webhooks", &keyed, Some(&hook)).await;
    assert_eq!((status, slug(&refused)), (403, "insufficient-role"));
}

#[tokio::test]
async fn a_code_works_once_and_guessing_is_delayed() {
    let controller = TestController::open().await;
    let ada = Person::added(&controller, "ada", "operator").await;
    let used = code(&ada.secret, now_s());
    assert_eq!(ada.sign_in(PASSWORD, &used).await.0, 401, "it was used to sign in the first time");
    // The code of the next time step is accepted too, once.
    let next = code(&ada.secret, now_s() + 30);
    let (first, second) = tokio::join!(ada.sign_in(PASSWORD, &next), ada.sign_in(PASSWORD, &next));
    let mut statuses = [first.0, second.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "of two at once, one");

    // The success above has reset the first failure; the second may count, or not.
    for _ in 0..5 {
        let (status, _, problem) = ada.sign_in("not the password", "000000").await;
        assert!(
            matches!((status, slug(&problem)), (401, "invalid-credentials") | (429, "too-many-sign-ins")),
            "{problem}"
        );
    }
    let (status, head, problem) = ada.sign_in(PASSWORD, "000000").await;
    assert_eq!((status, slug(&problem)), (429, "too-many-sign-ins"));
    assert!(head.contains("retry-after: "), "{head}");
    let unknown = Person {
        controller: &controller,
        name: "unknown",
        secret: String::new(),
        cookie: String::new(),
        csrf: String::new(),
    };
    // The response does not reveal that there is no such operator, neither by its text nor by its
    // delay.
    for _ in 0..5 {
        let (status, _, problem) = unknown.sign_in(PASSWORD, "000000").await;
        assert_eq!((status, slug(&problem)), (401, "invalid-credentials"));
    }
    let (status, _, problem) = unknown.sign_in(PASSWORD, "000000").await;
    assert_eq!((status, slug(&problem)), (429, "too-many-sign-ins"));
    assert_eq!(ada.does("GET", "/api/admin/session", None).await.0, 200, "who is signed in stays so");
}

#[tokio::test]
async fn parallel_guesses_count_like_sequential_ones_and_lock_no_other_operator_out() {
    let mut controller = TestController::open().await;
    let other = fairline_server::Shutdown::new();
    controller.address = controller.controller_with(&other, &["--trusted-proxies", "127.0.0.1"]).await;
    controller.until("the other controller", async || TcpStream::connect(controller.address).await.is_ok()).await;
    let ada = Person::added(&controller, "ada", "operator").await;
    let tries = async |address: &str, password: &str, code: &str| {
        let body = json!({ "name": "ada", "password": password, "code": code }).to_string();
        let headers = format!("x-forwarded-for: {address}\r\n");
        controller.request("POST", "/api/admin/session", &headers, &body).await.0
    };
    let guesses = (0..20).map(|_| tries("203.0.113.9", "not the password", "000000"));
    let statuses = join_all(guesses).await;
    let of = |status: u16| statuses.iter().filter(|got| **got == status).count();
    assert_eq!((of(401), of(429)), (5, 15), "{statuses:?}");

    // The guessing client is locked out, but not ada in another network.
    let good = code(&ada.secret, now_s() + 30);
    assert_eq!(tries("203.0.113.9", PASSWORD, &good).await, 429);
    assert_eq!(tries("198.51.100.7", PASSWORD, &good).await, 200);
    assert_eq!(ada.does("DELETE", "/api/admin/session", None).await.0, 204);
    let (_, page) = controller.admin("GET", "/api/admin/audit", None).await;
    let entries = page["entries"].as_array().expect("entries");
    let times = |action: &str| {
        entries.iter().filter(|entry| entry["action"] == json!(action) && entry["who"] == json!("ada")).count()
    };
    let noted = ["sign_in", "sign_in_failed", "sign_in_locked", "sign_out"].map(times);
    assert_eq!(noted, [2, 4, 1, 1], "{entries:?}");
    other.trigger();
}

#[tokio::test]
async fn an_api_token_has_a_role_and_is_revoked_at_once() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "slug": "automated" })).await;
    let hire = async |name: &str, role: &str| {
        let new = json!({ "name": name, "role": role, "lasts_days": 7 });
        let (status, added) = controller.admin("POST", "/api/admin/tokens", Some(&new)).await;
        assert_eq!(status, 201, "{added}");
        assert_eq!((&added["token"]["role"], &added["token"]["created_by"]), (&json!(role), &json!("admin token")));
        added["bearer"].as_str().expect("a token").to_owned()
    };
    let tokens = [hire("looks", "viewer").await, hire("ci", "operator").await, hire("terraform", "owner").await];
    let asks = async |token: &str, method: &str, path: &str, body: &str| {
        let (status, body) =
            controller.request(method, path, &format!("authorization: Bearer {token}\r\n"), body).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    };
    let show = format!("/api/admin/sales/{sale}");
    let change = r#"{"message":"Soon"}"#;
    let table = [
        ("GET", show.as_str(), "", [200, 200, 200]),
        ("GET", "/api/admin/audit", "", [200, 200, 200]),
        ("PATCH", &show, change, [403, 200, 200]),
        ("GET", "/api/admin/tokens", "", [403, 403, 200]),
        ("POST", "/api/admin/tokens", r#"{"name":"more","role":"viewer"}"#, [403, 403, 201]),
        ("DELETE", "/api/admin/tokens/more", "", [403, 403, 204]),
        ("GET", "/api/admin/operators", "", [403, 403, 200]),
    ];
    for (method, path, body, statuses) in table {
        for (token, wanted) in tokens.iter().zip(statuses) {
            assert_eq!(asks(token, method, path, body).await.0, wanted, "{method} {path}");
        }
    }
    let (_, page) = controller.admin("GET", &format!("/api/admin/audit?sale={sale}"), None).await;
    assert_eq!(page["entries"][0]["who"], json!("token ci"));
    let (_, listed) = controller.admin("GET", "/api/admin/tokens", None).await;
    assert_eq!(listed["tokens"].as_array().map(Vec::len), Some(3));
    let all: Vec<String> = sqlx::query_scalar("SELECT api_tokens::text || audit::text FROM api_tokens, audit")
        .fetch_all(&controller.pool)
        .await
        .expect("read");
    assert!(
        !tokens.iter().any(|token| listed.to_string().contains(token) || all.iter().any(|row| row.contains(token)))
    );

    for (new, status) in [
        (json!({ "name": "ci", "role": "viewer" }), 409),
        (json!({ "name": "Not plain", "role": "viewer" }), 422),
        (json!({ "name": "x", "role": "king" }), 422),
        (json!({ "name": "x", "role": "viewer", "lasts_days": 0 }), 422),
    ] {
        assert_eq!(controller.admin("POST", "/api/admin/tokens", Some(&new)).await.0, status, "{new}");
    }
    assert_eq!(controller.admin("DELETE", "/api/admin/tokens/ci", None).await.0, 204);
    assert_eq!(controller.admin("DELETE", "/api/admin/tokens/ci", None).await.0, 404);
    let (status, problem) = asks(&tokens[1], "GET", &show, "").await;
    assert_eq!((status, slug(&problem)), (401, "invalid-admin-token"));
    sqlx::query("UPDATE api_tokens SET expires_at = now() WHERE name = 'looks'")
        .execute(&controller.pool)
        .await
        .expect("set");
    assert_eq!(asks(&tokens[0], "GET", &show, "").await.0, 401, "it has run out");
}

#[tokio::test]
async fn an_operator_enrols_once_and_no_other_sees_the_password_or_the_secret() {
    let controller = TestController::open().await;
    let (status, added) =
        controller.admin("POST", "/api/admin/operators", Some(&json!({ "name": "nora", "role": "operator" }))).await;
    assert_eq!((status, &added["totp_secret"]), (201, &Value::Null), "{added}");
    let first = added["enrolment_code"].as_str().expect("a code").to_owned();
    let mut nora = Person {
        controller: &controller,
        name: "nora",
        secret: String::new(),
        cookie: String::new(),
        csrf: String::new(),
    };
    assert_eq!(nora.sign_in("", "000000").await.0, 401, "not before");
    let enrol = async |code: &str, password: &str| {
        let body = json!({ "code": code, "password": password }).to_string();
        let (status, body) = controller.request("POST", "/api/admin/enrolment", "", &body).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    };
    // A new code invalidates the first one.
    let (_, renewed) = controller.admin("POST", "/api/admin/operators/nora/enrolment", None).await;
    let second = renewed["enrolment_code"].as_str().expect("a code").to_owned();
    for (code, password, status) in [(&*first, PASSWORD, 401), ("guessed", PASSWORD, 401), (&second, "short", 422)] {
        assert_eq!(enrol(code, password).await.0, status);
    }
    let (one, other) = tokio::join!(enrol(&second, PASSWORD), enrol(&second, PASSWORD));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "once");
    let enrolled = if one.0 == 200 { one.1 } else { other.1 };
    assert_eq!((&enrolled["name"], &enrolled["role"]), (&json!("nora"), &json!("operator")));
    nora.secret = enrolled["totp_secret"].as_str().expect("a secret").to_owned();
    assert_eq!(nora.sign_in(PASSWORD, &code(&nora.secret, now_s())).await.0, 200);
    assert_eq!(controller.admin("POST", "/api/admin/operators/unknown/enrolment", None).await.0, 404);
    let (_, page) = controller.admin("GET", "/api/admin/audit", None).await;
    let actions: Vec<_> = page["entries"].as_array().expect("entries").iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["sign_in", "enrol", "renew_enrolment", "sign_in_failed", "add_operator"]);
}

#[tokio::test]
async fn a_new_password_or_secret_ends_all_sessions() {
    let controller = TestController::open().await;
    let ada = Person::added(&controller, "ada", "viewer").await;
    let change = |old: &str| json!({ "old": old, "new": "another good password" });
    assert_eq!(ada.does("POST", "/api/admin/session/password", Some(&change("wrong"))).await.0, 401);
    let short = json!({ "old": PASSWORD, "new": "short" });
    assert_eq!(ada.does("POST", "/api/admin/session/password", Some(&short)).await.0, 422);
    assert_eq!(ada.does("POST", "/api/admin/session/password", Some(&change(PASSWORD))).await.0, 204);
    assert_eq!(ada.does("GET", "/api/admin/session", None).await.0, 401);
    let next = code(&ada.secret, now_s() + 30);
    assert_eq!(ada.sign_in(PASSWORD, &next).await.0, 401);
    assert_eq!(ada.sign_in("another good password", &next).await.0, 200);

    let (status, renewed) = controller.admin("POST", "/api/admin/operators/ada/totp", None).await;
    assert_eq!(status, 200);
    let secret = renewed["totp_secret"].as_str().expect("a secret");
    assert_eq!(ada.sign_in("another good password", &code(&ada.secret, now_s())).await.0, 401);
    assert_eq!(ada.sign_in("another good password", &code(secret, now_s())).await.0, 200);
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_which_can_not_be_changed() {
    let controller = TestController::open().await;
    let sale = controller.sale(json!({ "slug": "noted", "total": 10 })).await;
    let ada = Person::added(&controller, "ada", "owner").await;
    let path = format!("/api/admin/sales/{sale}");
    let change = json!({ "rate_cap_per_s": 5.0, "total": 20, "message": "=SOON" });
    assert_eq!(ada.does("PATCH", &path, Some(&change)).await.0, 200);
    ada.does("POST", &format!("{path}/pause"), None).await;
    ada.does("POST", &format!("{path}/lanes"), Some(&json!({ "name": "vip", "share": 0.2 }))).await;
    let hook = json!({ "url": "http://127.0.0.1:9/hook" });
    ada.does("POST", "/api/admin/webhooks", Some(&hook)).await;
    // A request without effect is not audited, and neither is a tick.
    ada.does("PATCH", &path, Some(&json!({ "total": 20 }))).await;

    let (_, page) = ada.does("GET", "/api/admin/audit", None).await;
    let actions: Vec<_> = page["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| {
            (
                entry["who"].as_str().unwrap_or(""),
                entry["action"].as_str().unwrap_or(""),
                entry["subject"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(
        actions,
        [
            ("ada", "add_webhook", "http://127.0.0.1:9/hook"),
            ("ada", "add_lane", "noted"),
            ("ada", "pause_sale", "noted"),
            ("ada", "change_sale", "noted"),
            ("ada", "change_sale", "noted"),
            ("ada", "sign_in", "ada"),
            ("admin token", "add_operator", "ada"),
            ("admin token", "create_sale", "noted"),
        ]
    );
    let entries = page["entries"].as_array().expect("entries");
    assert_eq!(
        (&entries[2]["before"], &entries[2]["after"]),
        (&json!({ "status": "open" }), &json!({ "status": "paused" }))
    );
    let changed = [&entries[3], &entries[4]].map(|entry| (entry["before"].clone(), entry["after"].clone()));
    let stock = (json!({ "total": 10 }), json!({ "total": 20 }));
    let terms =
        (json!({ "rate_cap_per_s": 1000, "message": null }), json!({ "rate_cap_per_s": 5, "message": "=SOON" }));
    assert!(changed == [stock.clone(), terms.clone()] || changed == [terms, stock], "{changed:?}");
    assert_eq!(entries[7]["after"]["total"], json!(10));
    let (_, of_sale) = ada.does("GET", &format!("/api/admin/audit?sale={sale}"), None).await;
    assert_eq!(of_sale["entries"].as_array().map(Vec::len), Some(5));
    let (_, earlier) = ada.does("GET", &format!("/api/admin/audit?before={}", entries[6]["id"]), None).await;
    assert_eq!(earlier["entries"], json!([entries[7]]));
    let headers = format!("cookie: {}\r\n", ada.cookie);
    let (_, head, table) = controller.exchange("GET", "/api/admin/audit.csv", &headers, "").await;
    assert!(head.contains("attachment; filename=\"audit.csv\""), "{head}");
    assert_eq!(table.lines().filter(|line| line.contains(",noted,")).count(), 5, "{table}");

    for statement in ["DELETE FROM audit", "UPDATE audit SET who = 'unknown'", "TRUNCATE audit"] {
        let refused = sqlx::raw_sql(statement).execute(&controller.pool).await.expect_err("refused").to_string();
        assert!(refused.contains("never changed"), "{refused}");
    }
    // The secrets of a draw, of a webhook and of an operator are not in it.
    let all: Vec<String> =
        sqlx::query_scalar("SELECT audit::text FROM audit").fetch_all(&controller.pool).await.expect("read");
    assert!(all.iter().all(|entry| !entry.contains("argon2") && !entry.contains("seed") && !entry.contains("secret")));
}
