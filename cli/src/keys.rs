//! `fairline keys`: creates the services' keys and the sign-in codes of operators.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use admission_controller::auth::credentials::{Codes, secret_of};
use clap::{Args, Subcommand};
use fairline_admission_token::SigningKey;
use serde_json::json;

use crate::{failure::CommandError, private_file};

#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(subcommand)]
    kind: KeyKind,
}

#[derive(Debug, Subcommand)]
enum KeyKind {
    /// Create the key with which the admission controller signs admission tokens: Ed25519, PKCS#8
    /// PEM.
    Signing(Destination),
    /// Create the key with which waiting rooms sign tickets and checkout verifies them: 64 hex
    /// digits.
    Ticket(Destination),
    /// Print an operator's current one-time code, as an authenticator app would.
    Code {
        /// The operator's secret, as the console showed it.
        #[arg(required = true, num_args = 1..)]
        secret: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Destination {
    /// Write the key to this file, readable only by its owner, instead of printing it. Never
    /// overwrites a file.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub(crate) fn run(settings: Settings, json: bool) -> Result<ExitCode, CommandError> {
    let (key, destination) = match settings.kind {
        KeyKind::Signing(destination) => (SigningKey::generate().to_pem(), destination),
        KeyKind::Ticket(destination) => (ticket_key() + "\n", destination),
        KeyKind::Code { secret } => {
            let secret = secret_of(&secret.concat());
            let secret = secret.ok_or_else(|| {
                CommandError::new("The secret is invalid: it consists of letters A to Z and digits 2 to 7.")
            })?;
            let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let code = Codes::of("", &secret).at(now_s);
            println!("{}", if json { json!({ "code": code }).to_string() } else { code });
            return Ok(ExitCode::SUCCESS);
        }
    };
    match destination.out {
        Some(file) => {
            private_file::create(&file, &key)?;
            if json {
                println!("{}", json!({ "file": file }));
            }
        }
        None if json => println!("{}", json!({ "key": key.trim_end() })),
        None => print!("{key}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// A new ticket key from the system's randomness.
pub(crate) fn ticket_key() -> String {
    rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect()
}
