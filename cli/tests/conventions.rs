//! Conventions of STYLE.md that a compiler does not check: short files, and tests without fixed
//! sleeps.

#[path = "common/sources.rs"]
mod shared;

use shared::files;

const LINES_MAX: usize = 500;

/// One file, one job: see STYLE.md.
#[test]
fn files_are_short() {
    let all = files("", &["rs", "ts", "mjs", "lua"]);
    let is_longer = |(_, text): &&(String, String)| text.lines().count() > LINES_MAX;
    let longer: Vec<_> = all.iter().filter(is_longer).map(|(path, _)| path).collect();
    assert!(longer.is_empty(), "more than {LINES_MAX} lines, split these by job: {longer:#?}");
}

/// Marks a sleep that waits for no condition, with its reason: the length of an outage, a slow
/// stand-in, or the time in which something is counted.
const MARK: &str = "// Sleeps: ";
/// May only shrink.
const MARKS_MAX: usize = 11;

/// The tests in a file, with the lines before them left blank.
fn tests_of((path, text): (String, String)) -> Option<(String, String)> {
    if path.contains("/tests/") || path.contains("/test/") || path.ends_with("/tests.rs") {
        return Some((path, text));
    }
    let (shipped, tests) = text.split_once("#[cfg(test)]\nmod tests")?;
    Some((path, "\n".repeat(shipped.lines().count() + 1) + tests))
}

/// Whether a line is in a loop, judged by the indentation that the formatters give.
fn is_in_loop(lines: &[&str], at: usize) -> bool {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut inside = depth(lines[at]);
    for line in lines[..at].iter().rev().filter(|line| !line.trim().is_empty()) {
        if depth(line) < inside {
            inside = depth(line);
            let code = line.trim_start();
            if code.starts_with("while ") || code.contains("loop {") || code.starts_with("for (;;)") {
                return true;
            }
        }
    }
    false
}

/// Sleeps in a test that neither poll nor are marked, by line. With a paused clock a sleep takes no
/// time.
fn fixed_sleeps(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let sleeps = |at: &usize| {
        let code = lines[*at].trim_start();
        let calls = ["sleep(", "setTimeout(", "waitForTimeout("].iter().any(|call| {
            let before = [" ", "(", "::", "."];
            code.starts_with(call) || before.iter().any(|before| code.contains(&format!("{before}{call}")))
        });
        calls && !code.starts_with("//")
    };
    let is_marked = |at: usize| at > 0 && lines[at - 1].trim_start().starts_with(MARK);
    let is_paused = |at: usize| {
        let test = lines[..at].iter().rev().find(|line| line.trim_start().starts_with("#[") && line.contains("test"));
        test.is_some_and(|attribute| attribute.contains("start_paused"))
    };
    let is_fixed = |at: &usize| !is_in_loop(&lines, *at) && !is_marked(*at) && !is_paused(*at);
    (0..lines.len()).filter(sleeps).filter(is_fixed).map(|at| at + 1).collect()
}

/// A test waits for a condition, in a loop with a limit; every other sleep has its reason.
#[test]
fn tests_do_not_sleep() {
    let control =
        "fn f() {\n    loop {\n        sleep(a);\n    }\n    // Sleeps: an outage.\n    sleep(b);\n    sleep(c);\n}\n";
    assert_eq!(fixed_sleeps(control), [7], "the control");
    let paused = "#[tokio::test(start_paused = true)]\nasync fn f() {\n    sleep(a).await;\n}\n";
    assert_eq!(fixed_sleeps(&format!("{paused}#[tokio::test]\nasync fn g() {{\n    sleep(a).await;\n}}\n")), [7]);
    let script =
        "for (;;) {\n  await new Promise((done) => setTimeout(done, 50));\n}\nawait page.waitForTimeout(50);\n";
    assert_eq!(fixed_sleeps(script), [4], "the control in TypeScript");
    let module =
        |tests: &str| tests_of(("x/src/y.rs".to_owned(), format!("fn f() {{}}\n#[cfg(test)]\nmod tests{tests}")));
    let (_, tests) = module(" {\n    sleep(a);\n}\n").expect("tests");
    assert_eq!(fixed_sleeps(&tests), [4], "the control in a module");
    let all = files("", &["rs", "ts"]).into_iter().filter(|(path, _)| !path.ends_with("/conventions.rs"));
    let tests: Vec<_> = all.filter_map(tests_of).collect();
    let of = |(path, text): &(String, String)| {
        fixed_sleeps(text).into_iter().map(|line| format!("{path}:{line}")).collect::<Vec<_>>()
    };
    let found: Vec<String> = tests.iter().flat_map(of).collect();
    assert!(
        found.is_empty(),
        "wait for a condition instead, or give the reason in a line before, `{MARK}…`: {found:#?}"
    );
    let marks: usize = tests.iter().map(|(_, text)| text.matches(MARK).count()).sum();
    assert!(marks <= MARKS_MAX, "{marks} sleeps with a reason, {MARKS_MAX} allowed");
}
