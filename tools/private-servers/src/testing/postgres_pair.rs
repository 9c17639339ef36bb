//! A Postgres with a standby that takes over.

use crate::{PrivatePostgres, ServerError};

use super::Own;

/// What the standby calls itself.
const STANDBY: &str = "standby";

/// A primary, and a standby without which it acknowledges no commit: what was acknowledged survives the primary.
#[derive(Debug)]
pub struct PostgresPair {
    primary: Own<PrivatePostgres>,
    standby: Option<Own<PrivatePostgres>>,
}

impl PostgresPair {
    /// Starts both; three to four seconds.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start() -> Result<Self, ServerError> {
        let primary = Own::postgres()?;
        let mut pair = Self { primary, standby: None };
        pair.add_standby()?;
        Ok(pair)
    }

    /// The one that takes writes.
    pub fn primary(&mut self) -> &mut PrivatePostgres {
        &mut self.primary.server
    }

    /// Kills the primary, as a crash would, and makes the standby the primary. It has no standby of its own, until there is one
    /// again.
    ///
    /// # Errors
    /// When there is no standby, or it does not take over.
    pub fn fail_over(&mut self) -> Result<(), ServerError> {
        self.primary.server.kill()?;
        if let Some(heir) = self.standby.take() {
            heir.server.promote()?;
            self.primary = heir;
        }
        Ok(())
    }

    /// Whether there is a standby.
    #[must_use]
    pub fn has_standby(&self) -> bool {
        self.standby.is_some()
    }

    /// Copies the primary, and has it wait for the copy with each commit from then on.
    ///
    /// # Errors
    /// When the copy does not start.
    pub fn add_standby(&mut self) -> Result<(), ServerError> {
        let primary = &self.primary.server;
        self.standby = Some(Own::with(|folder| primary.start_standby(folder, STANDBY))?);
        primary.run(&format!("ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'; SELECT pg_reload_conf()"))
    }
}
