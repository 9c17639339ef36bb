//! `fairline sale`: a whole sale from a terminal, against a demo.

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use serde_json::Value;

use self::common::{command, fairline, start_demo};

#[test]
fn a_sale_is_run_from_a_terminal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("its permissions");
    let at = folder.path().to_str().expect("a path");
    let no_demo = fairline(&["sale", "--demo", at, "list"]);
    assert!(!no_demo.status.success() && String::from_utf8_lossy(&no_demo.stderr).contains("No demo runs in"));
    let _demo = start_demo(folder.path());
    let stdout_of = |arguments: &[&str]| {
        let output = fairline(&[&["sale", "--demo", at], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&stdout_of(&[arguments, &["--json"]].concat())).expect("JSON")
    };
    let refused = |arguments: &[&str]| {
        let output = fairline(&[&["sale", "--demo", at], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).expect("text")
    };

    let created = stdout_of(&[
        "create",
        "Brass lamp No. 7",
        "--price",
        "49.00",
        "--total",
        "5",
        "--opens-at",
        "2999-01-01T00:00:00Z",
        "--per-account",
        "2",
    ]);
    assert!(
        created.contains("Brass lamp No. 7 (brass-lamp-no-7)")
            && created.contains("€49.00, 1 per shopper, 2 per account"),
        "{created}"
    );
    assert!(
        stdout_of(&["list"]).lines().any(|line| line.starts_with("brass-lamp-no-7  ") && line.contains("scheduled"))
    );
    assert!(refused(&["create", "Brass lamp No. 7", "--price", "49", "--total", "5"]).contains("slug"));
    assert!(refused(&["create", "Lamp", "--price", "49.999", "--total", "5"]).contains("is not an amount in EUR"));
    assert!(refused(&["show", "nothing"]).contains("There is no sale `nothing`"));
    assert!(refused(&["set", "brass-lamp-no-7"]).contains("Nothing to change"));

    assert_eq!(json(&["open", "brass-lamp-no-7"])["status"], "open");
    assert_eq!(json(&["pause", "brass-lamp-no-7"])["status"], "paused");
    let changed = json(&[
        "set",
        "brass-lamp-no-7",
        "--rate",
        "2.5",
        "--total",
        "7",
        "--in-checkout-max",
        "3",
        "--message",
        "Soon",
    ]);
    assert_eq!(
        (&changed["rate_cap_per_s"], &changed["total"], &changed["in_checkout_max"]),
        (&2.5.into(), &7.into(), &3.into())
    );
    assert_eq!(changed["message"], "Soon");
    let back = json(&["set", "brass-lamp-no-7", "--in-checkout-max", "none", "--message", ""]);
    assert_eq!((&back["in_checkout_max"], &back["message"]), (&Value::Null, &Value::Null));
    let id = back["id"].as_str().expect("an id");
    assert_eq!(json(&["resume", id])["status"], "open", "by its id");

    // What the console has beside that.
    let changed = json(&["set", id, "--accent", "#7a0019", "--waiting-text", "Tea is ready.", "--grace", "45"]);
    assert_eq!((&changed["theme"]["accent"], &changed["grace_s"]), (&"#7a0019".into(), &45.into()));
    let changed = json(&["set", id, "--waiting-text", "", "--recall-window", "60"]);
    assert_eq!((&changed["theme"]["accent"], &changed["theme"]["waiting_text"]), (&"#7a0019".into(), &Value::Null));
    let copy = json(&["copy", "brass-lamp-no-7", "--opens-at", "2999-02-01T00:00:00Z", "--name", "Brass lamp No. 8"]);
    assert_eq!((&copy["slug"], &copy["name"]), (&"brass-lamp-no-7-copy".into(), &"Brass lamp No. 8".into()));
    assert_eq!((&copy["total"], &copy["grace_s"], &copy["theme"]), (&7.into(), &45.into(), &changed["theme"]));
    let moved = json(&["set", "brass-lamp-no-7-copy", "--opens-at", "2999-03-01T00:00:00Z"]);
    assert_eq!(moved["opens_at"], "2999-03-01T00:00:00Z");
    assert!(stdout_of(&["lanes", "add", id, "vip", "--share", "0.25"]).starts_with("vip  share 0.25  0 waiting"));
    assert_eq!(json(&["lanes", "set", id, "vip", "--share", "0.5"])["lanes"][0]["share"], 0.5);
    assert_eq!(stdout_of(&["lanes", "invite", id, "vip", "3"]).lines().count(), 3);
    assert!(stdout_of(&["audit", id]).contains("admin token  invite  brass-lamp-no-7"));
    assert_eq!(stdout_of(&["operators"]), "", "the admin token is no operator");
    let bearer = stdout_of(&["tokens", "add", "ci", "--role", "viewer"]);
    let with_token = |arguments: &[&str]| {
        let address = json(&["show", id])["id"].clone();
        assert_eq!(address, id);
        let demo: Value =
            serde_json::from_str(&fs::read_to_string(folder.path().join("demo.json")).expect("a demo")).expect("JSON");
        let shop = demo["shop_url"].as_str().expect("an address").to_owned();
        fairline(&[&["sale", "--admin", &shop, "--admin-token", bearer.trim()], arguments].concat())
    };
    assert!(with_token(&["show", id]).status.success());
    let may_not = with_token(&["pause", id, "--json"]);
    let error: Value = serde_json::from_slice(&may_not.stderr).expect("JSON");
    assert!(error["error"].as_str().is_some_and(|error| error.contains("This requires the role operator")), "{error}");
    assert_eq!(may_not.status.code(), Some(2));
    assert!(stdout_of(&["tokens", "list"]).starts_with("ci  viewer  expires at "));
    assert_eq!(stdout_of(&["tokens", "revoke", "ci"]), "revoked\n");
    assert!(!with_token(&["show", id]).status.success());
    assert!(stdout_of(&["webhooks", "add", "http://127.0.0.1:9/hook"]).starts_with("whsec_"));
    let hooks = json(&["webhooks", "list"]);
    let hook = hooks["webhooks"][0]["id"].as_str().expect("a webhook");
    assert_eq!(stdout_of(&["webhooks", "remove", hook]), "removed\n");
    assert!(refused(&["rehearse", id, "--stop"]).contains("No rehearsal of this sale is running"));

    let watching = command(&["sale", "--demo", at, "watch", "brass-lamp-no-7"]).stdout(Stdio::piped()).spawn();
    let mut watching = watching.expect("fairline runs");
    let mut lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(
        lines.next().is_some_and(|line| line.starts_with("open") && line.contains("0 sold, 0 held, 0 promised of 7"))
    );
    assert_eq!(json(&["admit", "brass-lamp-no-7", "5"])["status"], "open");
    assert!(refused(&["remove", "brass-lamp-no-7", "1", "--reason", "a test"]).contains("No such ticket"));
    assert!(refused(&["prefer", "brass-lamp-no-7", "1", "--reason", " "]).contains("reason"));
    assert_eq!(json(&["revoke", "brass-lamp-no-7", "--reason", "a test"])["revoked"], 0);
    assert!(stdout_of(&["report", "brass-lamp-no-7"]).contains("funnel    0 joined, 0 admitted"));
    assert_eq!(json(&["report", "brass-lamp-no-7"])["fairness"]["checked"], true);
    assert_eq!(json(&["close", "brass-lamp-no-7"])["status"], "closed");
    assert!(lines.last().is_some_and(|line| line.starts_with("closed")), "it ends with the sale");
    assert!(watching.wait().expect("it ended").success());
    assert!(refused(&["open", "brass-lamp-no-7"]).contains("closed"));
}

#[test]
fn an_unreachable_controller_is_reported() {
    let nowhere = fairline(&["sale", "list"]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("No controller given"));
    let silent = fairline(&["sale", "--admin", "http://127.0.0.1:1", "--admin-token", "x", "list"]);
    assert!(String::from_utf8_lossy(&silent.stderr).contains("The controller at http://127.0.0.1:1 does not answer"));
    assert_eq!(silent.status.code(), Some(2));
}

#[test]
fn shells_have_completions() {
    for (shell, says) in [("bash", "complete -F"), ("zsh", "#compdef fairline"), ("fish", "complete -c fairline")] {
        let output = fairline(&["completions", shell]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains(says), "{shell}");
    }
}
