//! Migrations are embedded: a new one rebuilds the controller.

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
}
