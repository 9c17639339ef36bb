//! The servers as the demo and the tests use them: real programs, real signals.

mod replicated;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use fairline_private_servers::{Folder, PrivatePostgres, PrivateRedis, ServerError, Survives, testing, versions};
use tempfile::TempDir;

/// A folder that the servers' own users can pass through, too.
fn passable() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("its permissions");
    folder
}

/// Sends Redis one command and returns the reply.
fn ask(url: &str, command: &str) -> String {
    let address = url.strip_prefix("redis://").expect("the address of a Redis");
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(stream, "{command}\r\nQUIT\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a response");
    answer
}

/// Runs SQL and returns what it selects.
fn sql(url: &str, statement: &str) -> String {
    let output = Command::new("psql").args(["-X", "-qAt", "-c", statement, url]).output().expect("psql runs");
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within 20 seconds");
        #[expect(clippy::disallowed_methods, reason = "no runtime here, and the condition is in another process")]
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn redis_keeps_its_data_and_its_address_over_a_kill_and_a_stop() {
    let place = passable();
    let folder = Folder::claim(place.path()).expect("claimed");
    let mut redis = PrivateRedis::start(&folder, Survives::PowerLoss).expect("started");
    let url = redis.url();
    assert_eq!(ask(&url, "SET cursor 41"), "+OK\r\n+OK\r\n");
    assert!(ask(&url, "CONFIG GET appendonly").contains("yes"));
    assert!(ask(&url, "CONFIG GET appendfsync").contains("everysec"));
    assert!(ask(&url, "CONFIG GET maxmemory-policy").contains("noeviction"));
    assert!(ask(&url, "CONFIG GET bind").contains("127.0.0.1\r\n"));

    assert!(redis.is_running());
    redis.kill().expect("killed");
    assert!(!redis.is_running());
    assert!(TcpStream::connect(url.trim_start_matches("redis://")).is_err());
    redis.restart().expect("started again");
    assert_eq!(redis.url(), url);
    assert!(ask(&url, "GET cursor").contains("41"));

    drop(redis);
    let redis = PrivateRedis::start(&folder, Survives::PowerLoss).expect("restarted");
    assert!(ask(&redis.url(), "GET cursor").contains("41"));
}

#[test]
fn postgres_keeps_its_data_and_its_address_over_a_kill_and_a_stop() {
    let place = passable();
    let folder = Folder::claim(place.path()).expect("claimed");
    let mut postgres = PrivatePostgres::start(&folder, Survives::PowerLoss).expect("started");
    let url = postgres.create_database("shop").expect("a database");
    assert_eq!(postgres.create_database("shop").expect("it is there"), url);
    sql(&url, "CREATE TABLE units (sold int); INSERT INTO units VALUES (7)");
    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("password_encryption", "scram-sha-256"),
    ] {
        assert_eq!(sql(&url, &format!("SHOW {setting}")), value, "{setting}");
    }
    let collation = "SELECT datcollate FROM pg_database WHERE datname = 'shop'";
    assert_eq!(sql(&url, collation), "C.UTF-8");

    // A session is open while the server dies, as it would be.
    let mut session = Command::new("psql")
        .args(["-X", "-qAt", "-c", "SELECT pg_sleep(60)", &url])
        .stderr(Stdio::null())
        .spawn()
        .expect("psql runs");
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'";
    eventually("the session runs", || sql(&url, sleeping) == "1");
    postgres.kill().expect("killed");
    assert!(!session.wait().expect("psql ends").success());
    postgres.restart().expect("started again");
    assert_eq!(sql(&url, "SELECT sold FROM units"), "7");

    drop(postgres);
    let postgres = PrivatePostgres::start(&folder, Survives::PowerLoss).expect("restarted");
    let url = postgres.create_database("shop").expect("the database");
    assert_eq!(sql(&url, "SELECT sold FROM units"), "7");
}

#[test]
fn postgres_restarts_after_it_was_killed_from_outside() {
    let place = passable();
    let folder = Folder::claim(place.path()).expect("claimed");
    let mut postgres = PrivatePostgres::start(&folder, Survives::Kill).expect("started");
    let pid = fs::read_to_string(place.path().join("postgres/data/postmaster.pid")).expect("a pid file");
    let pid = pid.lines().next().expect("a process id");
    assert!(Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status().expect("sh runs").success());
    eventually("Postgres has ended", || !postgres.is_running());
    postgres.restart().expect("started again");
    assert_eq!(sql(&postgres.url(), "SELECT 1"), "1");
}

/// A session that executes the statements written to it.
fn session(url: &str) -> Child {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", url]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    psql.spawn().expect("psql runs")
}

#[test]
fn deadlocks_of_postgres_are_known_after_a_restart() {
    let mut own = testing::OwnServer::postgres().expect("started");
    let url = own.server.url();
    let mut sessions = [session(&url), session(&url)];
    let mut lock = |nth: usize, key: usize| {
        let stdin = sessions[nth].stdin.as_mut().expect("its input");
        writeln!(stdin, "BEGIN; SELECT pg_advisory_xact_lock({key});").expect("sent");
    };
    lock(0, 0);
    lock(1, 1);
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    eventually("both locks are held", || sql(&url, held) == "2");
    assert_eq!(own.server.deadlocks().expect("read"), [""; 0]);
    lock(0, 1);
    lock(1, 0);
    eventually("a deadlock", || !own.server.deadlocks().expect("read").is_empty());
    for mut session in sessions {
        drop(session.stdin.take());
        session.wait().expect("it ends");
    }
    own.server.restart().expect("started again");
    let deadlocks = own.server.deadlocks().expect("read");
    assert!(deadlocks.len() == 1 && deadlocks[0].contains("waits for"), "{deadlocks:?}");
}

#[test]
fn postgres_requires_the_password_and_its_file_is_private() {
    let place = passable();
    let folder = Folder::claim(place.path()).expect("claimed");
    let postgres = PrivatePostgres::start(&folder, Survives::Kill).expect("started");
    let url = postgres.url();
    assert_eq!(sql(&url, "SELECT 1"), "1");
    let (credentials, rest) = url.split_once('@').expect("a password");
    let password = credentials.rsplit(':').next().expect("a password");
    let refused = Command::new("psql")
        .args(["-X", "-c", "SELECT 1", &format!("postgres://fairline:wrong@{rest}")])
        .output()
        .expect("psql runs");
    assert!(!refused.status.success());
    let file = place.path().join("postgres/password");
    assert_eq!(fs::read_to_string(&file).expect("the password").trim(), password);
    assert_eq!(file.metadata().expect("the password").mode() & 0o777, 0o600);
}

#[test]
fn a_folder_is_claimed_by_one_at_a_time() {
    let place = passable();
    let first = Folder::claim(place.path().join("demo")).expect("claimed");
    let refused = Folder::claim(place.path().join("demo")).expect_err("claimed already");
    assert!(matches!(&refused, ServerError::InUse { .. }));
    assert!(refused.to_string().starts_with("Another Fairline is running in /"), "{refused}");
    drop(first);
    Folder::claim(place.path().join("demo")).expect("free again");
}

#[test]
fn an_unusable_postgres_folder_is_reported() {
    let place = passable();
    let folder = Folder::claim(place.path()).expect("claimed");
    drop(PrivatePostgres::start(&folder, Survives::Kill).expect("started"));
    let data = place.path().join("postgres/data");
    let refusal = || PrivatePostgres::start(&folder, Survives::Kill).expect_err("not startable").to_string();

    fs::write(data.join("PG_VERSION"), "9\n").expect("written");
    let installed = versions().expect("installed").postgres;
    let installed = installed.split('.').next().expect("a version");
    let sentence = refusal();
    assert!(sentence.contains(&format!("Postgres 9 made it, and Postgres {installed} is installed now")), "{sentence}");
    assert!(sentence.contains("make demo FRESH=1"), "{sentence}");

    fs::remove_file(data.join("PG_VERSION")).expect("removed");
    assert!(refusal().contains("no database, or half of one"));

    folder.clear().expect("cleared");
    drop(PrivatePostgres::start(&folder, Survives::Kill).expect("started over"));
    fs::remove_file(place.path().join("postgres/password")).expect("removed");
    assert!(refusal().contains("the password of its database"));
}

#[test]
fn an_interrupted_initialisation_is_repeated() {
    let place = passable();
    let folder = Folder::claim(place.path()).expect("claimed");
    drop(PrivatePostgres::start(&folder, Survives::Kill).expect("started"));
    let home = place.path().join("postgres");
    fs::rename(home.join("data"), home.join("data.partial")).expect("moved");
    fs::remove_file(home.join("data.partial/PG_VERSION")).expect("removed");
    let postgres = PrivatePostgres::start(&folder, Survives::Kill).expect("started over");
    assert_eq!(sql(&postgres.url(), "SELECT 1"), "1");
}

#[test]
fn clearing_removes_the_data_and_nothing_else() {
    let place = passable();
    fs::write(place.path().join("letter"), "mine").expect("written");
    let folder = Folder::claim(place.path()).expect("claimed");
    let redis = PrivateRedis::start(&folder, Survives::Kill).expect("started");
    ask(&redis.url(), "SET cursor 41");
    drop(redis);
    folder.clear().expect("cleared");
    let redis = PrivateRedis::start(&folder, Survives::Kill).expect("started");
    assert!(ask(&redis.url(), "GET cursor").starts_with("$-1"));
    assert_eq!(fs::read_to_string(place.path().join("letter")).expect("still there"), "mine");
}

#[test]
fn data_moves_elsewhere_if_postgres_cannot_access_the_folder() {
    let closed = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).expect("its permissions");
    let folder = Folder::claim(closed.path().join("demo")).expect("claimed");
    let postgres = PrivatePostgres::start(&folder, Survives::Kill).expect("started");
    assert_eq!(sql(&postgres.url(), "SELECT 1"), "1");
    drop(postgres);
    let home = folder.path().join("postgres");
    // Without root, Postgres runs as the caller, who can access all of its own folders.
    let is_root = closed.path().metadata().expect("a folder").uid() == 0;
    assert_eq!(home.is_symlink(), is_root);
    let place = home.canonicalize().expect("a folder");
    let postgres = PrivatePostgres::start(&folder, Survives::Kill).expect("started again");
    assert_eq!(sql(&postgres.url(), "SELECT 1"), "1");
    drop(postgres);
    folder.clear().expect("cleared");
    assert!(!place.exists() && !home.is_symlink());

    // Removing the folder leaves the data behind until the next start with such data.
    let postgres = PrivatePostgres::start(&folder, Survives::Kill).expect("started over");
    drop((postgres, folder));
    fs::remove_dir_all(closed.path().join("demo")).expect("removed");
    let folder = Folder::claim(closed.path().join("next")).expect("claimed");
    drop(PrivateRedis::start(&folder, Survives::Kill).expect("started"));
    assert!(!place.exists());
    folder.clear().expect("cleared");
}

#[test]
fn an_empty_folder_is_made_passable_and_another_is_left_as_it_is() {
    for (letter, mode) in [(None, 0o711), (Some("letter"), 0o700)] {
        let place = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).expect("its permissions");
        if let Some(letter) = letter {
            fs::write(place.path().join(letter), "mine").expect("written");
        }
        drop(Folder::claim(place.path()).expect("claimed"));
        assert_eq!(place.path().metadata().expect("a folder").mode() & 0o777, mode);
    }
}

/// A run of `with-private-servers` whose command waits for the end of its input; to be killed.
struct Run {
    child: Child,
    temporary: TempDir,
}

impl Run {
    fn start() -> Self {
        let temporary = passable();
        let child = Command::new(env!("CARGO_BIN_EXE_with-private-servers"))
            .args(["sh", "-c", "echo $FAIRLINE_TEST_REDIS_URL >$OUT.new && mv $OUT.new $OUT && exec cat"])
            .stdin(Stdio::piped())
            .env("TMPDIR", temporary.path())
            .env("OUT", temporary.path().join("redis-url"))
            .spawn()
            .expect("it runs");
        let run = Self { child, temporary };
        eventually("the servers run", || run.redis_url().is_ok());
        run
    }

    fn redis_url(&self) -> std::io::Result<String> {
        fs::read_to_string(self.temporary.path().join("redis-url"))
    }

    fn folder(&self) -> PathBuf {
        let entries = fs::read_dir(self.temporary.path()).expect("a folder").flatten().map(|entry| entry.path());
        entries.into_iter().find(|path| path.is_dir()).expect("the servers' folder")
    }
}

/// How many processes work in the data folders of the servers under `folder`.
fn servers_in(folder: &Path) -> usize {
    let folder = folder.canonicalize().expect("a folder");
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let working = processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok());
    working.filter(|cwd| cwd.starts_with(&folder)).count()
}

#[test]
fn servers_end_when_their_owner_is_killed() {
    let mut run = Run::start();
    let folder = run.folder();
    assert!(servers_in(&folder) > 1);
    run.child.kill().expect("killed");
    run.child.wait().expect("ended");
    eventually("the servers end", || servers_in(&folder) == 0);
}

#[test]
fn servers_of_a_killed_owner_are_stopped_by_the_next() {
    let place = passable();
    let mut run = Run::start();
    let data = place.path().join("redis/data");
    fs::create_dir_all(&data).expect("a folder");
    // A Redis of an earlier run whose owner has ended without stopping it.
    let mut leftover = Command::new("redis-server")
        .args(["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--dir"])
        .arg(&data)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server runs");
    eventually("the leftover runs", || data.join("redis.sock").exists());
    let folder = Folder::claim(place.path()).expect("claimed");
    folder.clear().expect("cleared");
    assert!(!leftover.wait().expect("ended").success());
    // Another's servers keep running.
    assert!(ask(run.redis_url().expect("an address").trim(), "PING").starts_with("+PONG"));
    run.child.kill().expect("killed");
    run.child.wait().expect("ended");
}

#[test]
fn every_test_has_its_own_database() {
    let (one, two) = (testing::database_url(), testing::database_url());
    sql(&one, "CREATE TABLE mine ()");
    assert_eq!(sql(&two, "SELECT count(*) FROM pg_tables WHERE tablename = 'mine'"), "0");
    assert_eq!(ask(&testing::redis_url(), "PING"), "+PONG\r\n+OK\r\n");
}

#[test]
fn redis_restarts_empty_or_as_of_an_earlier_moment() {
    let place = passable();
    let folder = Folder::claim(place.path()).expect("claimed");
    let mut redis = PrivateRedis::start(&folder, Survives::Kill).expect("started");
    let url = redis.url();
    ask(&url, "SET cursor 41");
    let moment = redis.moment().expect("remembered");
    ask(&url, "SET cursor 42");
    redis.restart_as_of(&moment).expect("started again");
    assert_eq!(redis.url(), url);
    assert!(ask(&url, "GET cursor").contains("41"));
    ask(&url, "SET cursor 43");
    redis.restart().expect("started again");
    assert!(ask(&url, "GET cursor").contains("43"));

    ask(&url, "BGREWRITEAOF");
    eventually("the file is rewritten", || ask(&url, "INFO persistence").contains("aof_rewrites:1\r\n"));
    let refusal = redis.restart_as_of(&moment).expect_err("no such moment any more").to_string();
    assert!(refusal.contains("rewritten since"), "{refusal}");
    redis.restart_empty().expect("started again");
    assert_eq!(redis.url(), url);
    assert!(ask(&url, "GET cursor").starts_with("$-1"));
}
