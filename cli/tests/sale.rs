//! `fairline sale`: a whole sale from a terminal, against a demo.

mod common;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use self::common::{command, fairline, start_demo};

/// A terminal beside a demo.
struct Terminal<'a> {
    /// The folder of the demo.
    demo: &'a str,
}

impl Terminal<'_> {
    fn sale(&self, arguments: &[&str]) -> Output {
        fairline(&[&["sale", "--demo", self.demo], arguments].concat())
    }

    fn stdout_of(&self, arguments: &[&str]) -> String {
        let output = self.sale(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.stdout_of(&[arguments, &["--json"]].concat())).expect("JSON")
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.sale(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).expect("text")
    }
}

#[test]
fn a_sale_is_run_from_a_terminal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("its permissions");
    let terminal = Terminal { demo: folder.path().to_str().expect("a path") };
    let no_demo = terminal.sale(&["list"]);
    assert!(!no_demo.status.success() && String::from_utf8_lossy(&no_demo.stderr).contains("No demo runs in"));
    let _demo = start_demo(folder.path());
    creates(&terminal);
    offers_items(&terminal, folder.path());
    let id = changes(&terminal);
    does_what_the_console_does(&terminal, &id);
    gives_tokens(&terminal, &id);
    adds_webhooks(&terminal);
    assert!(terminal.refused(&["rehearse", &id, "--stop"]).contains("No rehearsal of this sale is running"));
    watches_until_the_end(&terminal);
}

fn creates(terminal: &Terminal<'_>) {
    let created = terminal.stdout_of(&[
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
        terminal
            .stdout_of(&["list"])
            .lines()
            .any(|line| line.starts_with("brass-lamp-no-7  ") && line.contains("scheduled"))
    );
    assert!(terminal.refused(&["create", "Brass lamp No. 7", "--price", "49", "--total", "5"]).contains("slug"));
    assert!(
        terminal.refused(&["create", "Lamp", "--price", "49.999", "--total", "5"]).contains("is not an amount in EUR")
    );
    assert!(terminal.refused(&["show", "nothing"]).contains("There is no sale `nothing`"));
    assert!(terminal.refused(&["set", "brass-lamp-no-7"]).contains("Nothing to change"));
}

fn offers_items(terminal: &Terminal<'_>, folder: &Path) {
    let sale = "brass-lamp-no-7";
    let items = |arguments: &[&str]| terminal.stdout_of(&[&["items"], arguments].concat());
    assert!(items(&["list", sale]).starts_with("brass-lamp-no-7  Brass lamp No. 7  €49.00  "));
    let add = ["add", sale, "L-8", "--price", "59.00", "--total", "2", "--name", "Brass lamp No. 8"];
    assert!(items(&add).lines().nth(1).is_some_and(|line| line.starts_with("L-8  Brass lamp No. 8  €59.00  ")));
    let set = ["items", "set", sale, "L-8", "--list-price", "69.00", "--per-shopper", "1", "--place", "1"];
    let changed = &terminal.json(&set)["items"][0];
    assert_eq!(
        (&changed["sku"], &changed["list_minor"], &changed["version"]),
        (&"L-8".into(), &6900.into(), &2.into())
    );
    assert!(terminal.refused(&["items", "set", sale, "L-8"]).contains("Nothing to change"));
    assert!(terminal.refused(&["items", "withdraw", sale, "L-9"]).contains("has no item `L-9`"));
    assert!(terminal.refused(&["open", sale]).contains("The sale offers several items"));

    let table = folder.join("items.csv");
    let file = table.to_str().expect("a path");
    assert!(items(&["export", sale, file]).starts_with(file));
    assert_eq!(items(&["import", sale, file]), "2 rows; created 0 items; changed 0 items; done\n");
    fs::write(&table, "sku,total,price\nL-8,3,\nL-9,1,1.999\n").expect("written");
    let wrong = terminal.sale(&["items", "import", sale, file]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stdout).starts_with("line 3, price: It is not an amount in EUR"));
    fs::write(&table, "sku,total\nL-8,3\n").expect("written");
    let dry = items(&["import", sale, file, "--dry-run"]);
    assert_eq!(dry, "1 row; created 0 items; changed 1 item; a dry run: nothing was changed\n");
    assert!(items(&["withdraw", sale, "L-8"]).lines().next().is_some_and(|line| line.ends_with("  withdrawn")));
}

/// Returns the id of the sale.
fn changes(terminal: &Terminal<'_>) -> String {
    assert_eq!(terminal.json(&["open", "brass-lamp-no-7"])["status"], "open");
    assert_eq!(terminal.json(&["pause", "brass-lamp-no-7"])["status"], "paused");
    let changed = terminal.json(&[
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
    let back = terminal.json(&["set", "brass-lamp-no-7", "--in-checkout-max", "none", "--message", ""]);
    assert_eq!((&back["in_checkout_max"], &back["message"]), (&Value::Null, &Value::Null));
    let id = back["id"].as_str().expect("an id").to_owned();
    assert_eq!(terminal.json(&["resume", &id])["status"], "open", "by its id");
    id
}

fn does_what_the_console_does(terminal: &Terminal<'_>, id: &str) {
    let changed =
        terminal.json(&["set", id, "--accent", "#7a0019", "--waiting-text", "Tea is ready.", "--grace", "45"]);
    assert_eq!((&changed["theme"]["accent"], &changed["grace_s"]), (&"#7a0019".into(), &45.into()));
    let changed = terminal.json(&["set", id, "--waiting-text", "", "--recall-window", "60"]);
    assert_eq!((&changed["theme"]["accent"], &changed["theme"]["waiting_text"]), (&"#7a0019".into(), &Value::Null));
    let copy =
        terminal.json(&["copy", "brass-lamp-no-7", "--opens-at", "2999-02-01T00:00:00Z", "--name", "Brass lamp No. 8"]);
    assert_eq!((&copy["slug"], &copy["name"]), (&"brass-lamp-no-7-copy".into(), &"Brass lamp No. 8".into()));
    assert_eq!((&copy["total"], &copy["grace_s"], &copy["theme"]), (&7.into(), &45.into(), &changed["theme"]));
    let moved = terminal.json(&["set", "brass-lamp-no-7-copy", "--opens-at", "2999-03-01T00:00:00Z"]);
    assert_eq!(moved["opens_at"], "2999-03-01T00:00:00Z");
    assert!(
        terminal.stdout_of(&["lanes", "add", id, "vip", "--share", "0.25"]).starts_with("vip  share 0.25  0 waiting")
    );
    assert_eq!(terminal.json(&["lanes", "set", id, "vip", "--share", "0.5"])["lanes"][0]["share"], 0.5);
    assert_eq!(terminal.stdout_of(&["lanes", "invite", id, "vip", "3"]).lines().count(), 3);
    assert!(terminal.stdout_of(&["audit", id]).contains("admin token  invite  brass-lamp-no-7"));
    assert_eq!(terminal.stdout_of(&["operators"]), "", "the admin token is no operator");
}

fn gives_tokens(terminal: &Terminal<'_>, id: &str) {
    let bearer = terminal.stdout_of(&["tokens", "add", "ci", "--role", "viewer"]);
    let with_token = |arguments: &[&str]| {
        let demo = fs::read_to_string(format!("{}/demo.json", terminal.demo)).expect("a demo");
        let demo: Value = serde_json::from_str(&demo).expect("JSON");
        let shop = demo["shop_url"].as_str().expect("an address");
        fairline(&[&["sale", "--admin", shop, "--admin-token", bearer.trim()], arguments].concat())
    };
    assert_eq!(terminal.json(&["show", id])["id"], id);
    assert!(with_token(&["show", id]).status.success());
    let may_not = with_token(&["pause", id, "--json"]);
    let error: Value = serde_json::from_slice(&may_not.stderr).expect("JSON");
    assert!(error["error"].as_str().is_some_and(|error| error.contains("This requires the role operator")), "{error}");
    assert_eq!(may_not.status.code(), Some(2));
    assert!(terminal.stdout_of(&["tokens", "list"]).starts_with("ci  viewer  expires at "));
    assert_eq!(terminal.stdout_of(&["tokens", "revoke", "ci"]), "revoked\n");
    assert!(!with_token(&["show", id]).status.success());
}

fn adds_webhooks(terminal: &Terminal<'_>) {
    assert!(terminal.stdout_of(&["webhooks", "add", "http://127.0.0.1:9/hook"]).starts_with("whsec_"));
    let hooks = terminal.json(&["webhooks", "list"]);
    let hook = hooks["webhooks"][0]["id"].as_str().expect("a webhook");
    assert_eq!(terminal.stdout_of(&["webhooks", "remove", hook]), "removed\n");
}

fn watches_until_the_end(terminal: &Terminal<'_>) {
    let watching =
        command(&["sale", "--demo", terminal.demo, "watch", "brass-lamp-no-7"]).stdout(Stdio::piped()).spawn();
    let mut watching = watching.expect("fairline runs");
    let mut lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(
        lines.next().is_some_and(|line| line.starts_with("open") && line.contains("0 sold, 0 held, 0 promised of 7"))
    );
    assert_eq!(terminal.json(&["admit", "brass-lamp-no-7", "5"])["status"], "open");
    assert!(terminal.refused(&["remove", "brass-lamp-no-7", "1", "--reason", "a test"]).contains("No such ticket"));
    assert!(terminal.refused(&["prefer", "brass-lamp-no-7", "1", "--reason", " "]).contains("reason"));
    assert_eq!(terminal.json(&["revoke", "brass-lamp-no-7", "--reason", "a test"])["revoked"], 0);
    assert!(terminal.stdout_of(&["report", "brass-lamp-no-7"]).contains("funnel    0 joined, 0 admitted"));
    assert_eq!(terminal.json(&["report", "brass-lamp-no-7"])["fairness"]["checked"], true);
    assert_eq!(terminal.json(&["close", "brass-lamp-no-7"])["status"], "closed");
    assert!(lines.last().is_some_and(|line| line.starts_with("closed")), "it ends with the sale");
    assert!(watching.wait().expect("it ended").success());
    assert!(terminal.refused(&["open", "brass-lamp-no-7"]).contains("closed"));
}

#[test]
fn an_unreachable_controller_is_reported() {
    let nowhere = fairline(&["sale", "list"]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("No controller given"));
    let silent = fairline(&["sale", "--admin", "http://127.0.0.1:1", "--admin-token", "x", "list"]);
    assert!(String::from_utf8_lossy(&silent.stderr).contains("The controller at http://127.0.0.1:1 does not respond"));
    assert_eq!(silent.status.code(), Some(2));
}

#[test]
fn shells_have_completions() {
    for (shell, says) in [("bash", "complete -F"), ("zsh", "#compdef fairline"), ("fish", "complete -c fairline")] {
        let output = fairline(&["completions", shell]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains(says), "{shell}");
    }
}
