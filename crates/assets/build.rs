//! Embeds what `make web` has built.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

fn main() {
    // Asked when it runs: one that was built in another folder may be run here.
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let dist = Path::new(&here).join("../../web/dist");
    let manifest = dist.join("manifest.json");
    println!("cargo::rerun-if-changed={}", manifest.display());
    let Ok(json) = fs::read_to_string(&manifest) else {
        println!("cargo::error=The pages are not built: {} is missing. Run `make web` first.", manifest.display());
        return;
    };
    let mut files: BTreeMap<String, String> =
        serde_json::from_str(&json).expect("manifest.json maps names to file names");
    // The one page that no service renders: it has no hash, since people type its address.
    files.insert("admin.html".to_owned(), "admin.html".to_owned());

    let mut code = String::from("static ASSETS: &[Asset] = &[\n");
    for (name, file) in &files {
        let path = dist.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let path = path.display();
        writeln!(
            code,
            "Asset {{ name: {name:?}, file: {file:?}, plain: include_bytes!({p:?}), br: include_bytes!({br:?}), gz: include_bytes!({gz:?}) }},",
            p = path.to_string(),
            br = format!("{path}.br"),
            gz = format!("{path}.gz"),
        )
        .expect("a String takes any text");
    }
    code.push_str("];\n");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("assets.rs"), code).expect("OUT_DIR can be written");
}
