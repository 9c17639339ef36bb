//! `fairline demo`, as a person or a program starts and stops it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A demo on a free port, stopped when dropped.
struct Demo {
    child: Child,
    output: Vec<String>,
    ready: Value,
}

impl Demo {
    fn start(folder: &Path) -> Self {
        let child = command(folder, &["--port", "0"]).stdout(Stdio::piped()).spawn().expect("fairline runs");
        let mut demo = Self { child, output: Vec::new(), ready: Value::Null };
        let mut lines = BufReader::new(demo.child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        while !demo.output.last().is_some_and(|line| line.starts_with("Ctrl-C")) {
            demo.output.push(lines.next().unwrap_or_else(|| panic!("the demo ended early: {:?}", demo.output)));
        }
        let ready = fs::read_to_string(folder.join("demo.json")).expect("demo.json");
        demo.ready = serde_json::from_str(&ready).expect("JSON");
        demo
    }

    fn url(&self, which: &str) -> &str {
        self.ready[which].as_str().expect("an address")
    }

    fn stop(mut self, signal: &str) -> ExitStatus {
        kill(signal, &self.child.id().to_string());
        eventually(STOP_LIMIT, "the demo ends", || self.child.try_wait().expect("a child"))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairline"));
    command.arg("demo").arg("--dir").arg(folder).args(arguments);
    command
}

/// A folder that the servers' own users can pass through, too.
fn passable() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("its permissions");
    folder
}

fn eventually<T>(limit: Duration, what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        #[expect(clippy::disallowed_methods, reason = "no runtime here, and the condition is in another process")]
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Requests a page, and returns the response with its head.
fn get(url: &str) -> String {
    let (host, path) = url.strip_prefix("http://").expect("an address").split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("a connection");
    stream.set_read_timeout(Some(START_LIMIT)).expect("a limit");
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a response");
    answer
}

/// `docs/openapi` has a copy of each document, from which the types of the pages are generated.
fn assert_committed(service: &str, served: &str) {
    let served: Value = serde_json::from_str(served).expect("JSON");
    let served = serde_json::to_string_pretty(&served).expect("JSON") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/openapi/{service}.json"));
    if std::env::var_os("FAIRLINE_REGENERATE").is_some() {
        fs::write(&path, &served).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == served, "docs/openapi/{service}.json is stale: `make generate` renews it");
}

/// The processes that work under `folder`.
fn working_in(folder: &Path) -> Vec<String> {
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let working =
        processes.filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder)));
    working.map(|process| process.file_name().to_string_lossy().into_owned()).collect()
}

/// How many processes the private servers of a demo are.
fn servers_in(folder: &Path) -> usize {
    ["redis", "postgres"].iter().map(|server| working_in(&folder.join(server)).len()).sum()
}

/// Sends a signal, unless the process has ended.
fn kill(signal: &str, pid: &str) {
    Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).output().expect("sh runs");
}

#[test]
fn a_demo_serves_everything_on_one_port_and_leaves_nothing_behind() {
    let folder = passable();
    let demo = Demo::start(folder.path());
    let shop = demo.url("shop_url").to_owned();
    assert!(demo.output.contains(&format!("  shop      {shop}")), "{:?}", demo.output);

    let slug = demo.url("slug");
    assert!(get(&shop).contains(&format!("/sales/{slug}")));
    assert!(get(&format!("{shop}sales/{slug}")).starts_with("HTTP/1.1 200"));
    let id = demo.url("sale_id");
    assert!(get(&format!("{shop}api/flash-sales/{id}/status")).contains("\"remaining\":100"));
    for part in ["health/live", "health/ready", "metrics", ".well-known/jwks.json", "admin"] {
        let answer = get(&format!("{shop}{part}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{part}: {answer}");
    }
    for service in ["waiting-room", "admission-controller", "checkout"] {
        let answer = get(&format!("{shop}openapi/{service}.json"));
        assert_committed(service, answer.split_once("\r\n\r\n").expect("a body").1);
    }

    assert!(servers_in(folder.path()) > 1);
    assert!(demo.stop("TERM").success());
    assert_eq!(servers_in(folder.path()), 0);
    assert!(!folder.path().join("demo.json").exists());
}

#[test]
fn a_second_demo_continues_and_a_fresh_one_starts_over() {
    let folder = passable();
    let first = Demo::start(folder.path());
    let (id, token) = (first.ready["sale_id"].clone(), first.ready["admin_token"].clone());

    let refused = command(folder.path(), &["--port", "0"]).output().expect("fairline runs");
    assert_eq!(refused.status.code(), Some(2));
    let sentence = String::from_utf8_lossy(&refused.stderr);
    assert!(sentence.starts_with("✗ Another Fairline is running in /"), "{sentence}");

    assert!(first.stop("INT").success());
    let second = Demo::start(folder.path());
    assert_eq!((&second.ready["sale_id"], &second.ready["admin_token"]), (&id, &token));

    // Even after a kill that it could not notice.
    assert!(!second.stop("KILL").success());
    let third = Demo::start(folder.path());
    assert_eq!((&third.ready["sale_id"], &third.ready["admin_token"]), (&id, &token));
    assert!(third.stop("TERM").success());

    let mut fresh = command(folder.path(), &["--port", "0", "--fresh"]).stdout(Stdio::null()).spawn().expect("it runs");
    let ready =
        eventually(START_LIMIT, "the fresh demo is ready", || fs::read_to_string(folder.path().join("demo.json")).ok());
    let ready: Value = serde_json::from_str(&ready).expect("JSON");
    assert!(ready["sale_id"] != id && ready["admin_token"] != token);
    fresh.kill().expect("killed");
    fresh.wait().expect("ended");
    eventually(STOP_LIMIT, "its servers end", || (servers_in(folder.path()) == 0).then_some(()));
}

#[test]
fn killed_servers_are_restarted() {
    let folder = passable();
    let demo = Demo::start(folder.path());
    let ready = format!("{}health/ready", demo.url("shop_url"));
    for server in ["redis", "postgres"] {
        let data = folder.path().join(server).join("data");
        let killed = working_in(&data);
        killed.iter().for_each(|pid| kill("KILL", pid));
        eventually(START_LIMIT, "the server runs again", || {
            working_in(&data).iter().any(|pid| !killed.contains(pid)).then_some(())
        });
        eventually(START_LIMIT, "the services are ready again", || {
            get(&ready).starts_with("HTTP/1.1 200").then_some(())
        });
    }
    assert!(demo.stop("TERM").success());
}

#[test]
fn a_port_in_use_is_reported() {
    let folder = passable();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let refused = command(folder.path(), &["--port", &port]).output().expect("fairline runs");
    assert_eq!(refused.status.code(), Some(2));
    let sentence = String::from_utf8_lossy(&refused.stderr);
    assert!(
        sentence.starts_with(&format!("✗ Port {port} is in use. Stop the program that listens there")),
        "{sentence}"
    );
    assert_eq!(servers_in(folder.path()), 0);
}

#[test]
fn a_demo_can_be_stopped_while_it_starts() {
    let folder = passable();
    let mut demo = command(folder.path(), &["--port", "0"]).stdout(Stdio::null()).spawn().expect("fairline runs");
    eventually(START_LIMIT, "Redis runs", || (servers_in(folder.path()) > 0).then_some(()));
    kill("TERM", &demo.id().to_string());
    let ended = eventually(STOP_LIMIT, "the demo ends", || demo.try_wait().expect("a child"));
    assert!(ended.success());
    assert_eq!(servers_in(folder.path()), 0);
}

#[test]
fn a_crowd_for_a_stopped_demo_is_reported() {
    let folder = passable();
    let nowhere = Command::new(env!("CARGO_BIN_EXE_fairline"))
        .args(["rush", "--demo"])
        .arg(folder.path())
        .output()
        .expect("fairline runs");
    assert_eq!(nowhere.status.code(), Some(2));
    let sentence = String::from_utf8_lossy(&nowhere.stderr);
    assert!(sentence.starts_with("✗ No demo runs in "), "{sentence}");
}

#[test]
fn a_crowd_buys_the_sale_out_and_the_demo_ends_with_its_report() {
    let folder = passable();
    let demo = command(folder.path(), &["--port", "0", "--crowd", "150"]).output().expect("fairline runs");
    let output = String::from_utf8_lossy(&demo.stdout);
    assert!(demo.status.success(), "{output}\n{}", String::from_utf8_lossy(&demo.stderr));
    let report: Value = serde_json::from_str(output.lines().last().expect("a report")).expect("JSON");
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!((&report["stock"], &report["sold"]), (&100.into(), &100.into()), "{report}");
    assert_eq!(servers_in(folder.path()), 0);
}
