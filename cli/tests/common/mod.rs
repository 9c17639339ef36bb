//! What the tests of the commands share: a demo, and the program.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

/// A demo that ends with the test.
pub struct TestDemo(Child);

impl Drop for TestDemo {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Starts a demo in a folder, and waits until it serves.
pub fn start_demo(folder: &Path) -> TestDemo {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairline"));
    let child = command.arg("demo").arg("--dir").arg(folder).args(["--port", "0"]).stdout(Stdio::piped()).spawn();
    let mut demo = TestDemo(child.expect("fairline runs"));
    let said = BufReader::new(demo.0.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(said.into_iter().any(|line| line.starts_with("Ctrl-C")), "the demo ended early");
    demo
}

/// The program, without the settings of the caller's environment.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairline"));
    command.args(arguments).env_remove("FAIRLINE_ADMIN_URL").env_remove("FAIRLINE_ADMIN_TOKEN");
    command
}

/// Runs the program.
pub fn fairline(arguments: &[&str]) -> Output {
    command(arguments).output().expect("fairline runs")
}
