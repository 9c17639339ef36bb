//! `fairline product`: the catalogue from a terminal, against a demo.

mod common;

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, process::Stdio};

use serde_json::Value;

use self::common::{command, fairline, start_demo};

#[test]
fn the_catalogue_is_imported_shown_and_exported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("its permissions");
    let at = folder.path().to_str().expect("a path");
    let _demo = start_demo(folder.path());
    let stdout_of = |arguments: &[&str]| {
        let output = fairline(&[&["product", "--demo", at], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&stdout_of(&[arguments, &["--json"]].concat())).expect("JSON")
    };

    assert_eq!(stdout_of(&["list"]), "no products\n");
    let table = folder.path().join("products.csv");
    let file = table.to_str().expect("a path");
    fs::write(
        &table,
        "sku,product,title,price,currency\nS-42,Shoe,EU 42,129.00,EUR\nS-43,Shoe,EU 43,129.00,EUR\nL-1,Lamp,,20,EUR\n",
    )
    .expect("written");
    assert_eq!(
        stdout_of(&["import", file, "--dry-run"]),
        "3 rows; created 2 products and 3 variants; changed 0 products and 0 variants; a dry run: nothing was changed\n"
    );
    assert_eq!(stdout_of(&["list"]), "no products\n");
    let imported = json(&["import", file]);
    assert_eq!((&imported["variants_created"], &imported["dry_run"]), (&3.into(), &false.into()));
    assert_eq!(stdout_of(&["list"]).lines().count(), 2);
    assert!(stdout_of(&["list", "s-43"]).trim_end().ends_with("S-42  Shoe  2 variants"));
    assert_eq!(stdout_of(&["list", "--archived"]), "no products\n");
    let shoe = json(&["show", "Shoe"]);
    assert_eq!((&shoe["name"], &shoe["variants"][1]["sku"]), (&"Shoe".into(), &"S-43".into()));
    assert!(stdout_of(&["show", shoe["id"].as_str().expect("an id")]).contains("variant      S-42  EU 42  €129.00\n"));
    let unknown = fairline(&["product", "--demo", at, "show", "nothing"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("There is no product `nothing`"));

    // What was exported is imported without a change, also through pipes.
    let exported = stdout_of(&["export"]);
    assert_eq!(exported.lines().count(), 4);
    assert!(stdout_of(&["export", file]).starts_with(file));
    assert_eq!(fs::read_to_string(&table).expect("a file"), exported);
    let mut piped = command(&["product", "--demo", at, "import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("fairline runs");
    piped.stdin.take().expect("a pipe").write_all(exported.as_bytes()).expect("sent");
    let piped = piped.wait_with_output().expect("it ended");
    assert!(
        String::from_utf8_lossy(&piped.stdout)
            .contains("created 0 products and 0 variants; changed 0 products and 0 variants; done")
    );

    fs::write(&table, "sku,price\nS-42,1.999\nNEW,1\n").expect("written");
    let wrong = fairline(&["product", "--demo", at, "import", file]);
    assert_eq!(wrong.status.code(), Some(1));
    let output = String::from_utf8_lossy(&wrong.stdout);
    assert!(
        output.starts_with("line 2, price: It is not an amount in EUR") && output.contains("line 3, product: "),
        "{output}"
    );
    let missing = fairline(&["product", "--demo", at, "import", "/no/such/file"]);
    assert!(missing.status.code() == Some(2) && String::from_utf8_lossy(&missing.stderr).contains("Could not read"));
}
