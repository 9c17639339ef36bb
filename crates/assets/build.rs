//! Embeds the output of `make web`.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

fn main() {
    // Read at run time: the build script may have been compiled in another folder.
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
    // The console is the only page that no service renders. Its address has no hash.
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
