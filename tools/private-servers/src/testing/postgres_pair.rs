//! A Postgres with a standby for failover.

use std::net::SocketAddr;

use crate::{PrivatePostgres, ServerError, error::Context as _, postgres::REPLICATION_TIMEOUT};

use super::{OwnServer, Proxy};

/// The standby's application name.
const STANDBY: &str = "standby";

/// A primary with a synchronous standby: acknowledged commits survive the primary.
#[derive(Debug)]
pub struct PostgresPair {
    primary: OwnServer<PrivatePostgres>,
    /// The standby, and its link to the primary.
    standby: Option<(OwnServer<PrivatePostgres>, Proxy)>,
    /// The deadlocks of earlier primaries, whose logs are gone.
    earlier_deadlocks: Vec<String>,
}

impl PostgresPair {
    /// Starts both, in three to four seconds.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start() -> Result<Self, ServerError> {
        let primary = OwnServer::postgres()?;
        let mut pair = Self { primary, standby: None, earlier_deadlocks: Vec::new() };
        pair.add_standby()?;
        Ok(pair)
    }

    /// The current primary.
    pub fn primary(&mut self) -> &mut PrivatePostgres {
        &mut self.primary.server
    }

    /// Kills the primary, like a crash, and promotes the standby. The new primary has no standby
    /// until one is added.
    ///
    /// # Errors
    /// When there is no standby, or the promotion fails.
    pub fn fail_over(&mut self) -> Result<(), ServerError> {
        self.primary.server.kill()?;
        if let Some((heir, _)) = self.standby.take() {
            self.earlier_deadlocks = self.deadlocks()?;
            heir.server.promote()?;
            self.primary = heir;
        }
        Ok(())
    }

    /// The deadlocks of all primaries: see [`PrivatePostgres::deadlocks`].
    ///
    /// # Errors
    /// When the log of the primary can't be read.
    pub fn deadlocks(&self) -> Result<Vec<String>, ServerError> {
        Ok([self.earlier_deadlocks.clone(), self.primary.server.deadlocks()?].concat())
    }

    /// Whether there is a standby.
    #[must_use]
    pub fn has_standby(&self) -> bool {
        self.standby.is_some()
    }

    /// The link from the standby to the primary, if there is a standby.
    #[must_use]
    pub fn replication(&self) -> Option<&Proxy> {
        self.standby.as_ref().map(|(_, link)| link)
    }

    /// Adds a standby, on which the primary waits with each later commit.
    ///
    /// # Errors
    /// When the standby does not start.
    pub fn add_standby(&mut self) -> Result<(), ServerError> {
        let primary = &self.primary.server;
        let address = SocketAddr::from(([127, 0, 0, 1], primary.port()));
        let link = Proxy::start(address).context(|| "start a proxy".to_owned())?;
        let through = link.address().port();
        self.standby = Some((OwnServer::with(|folder| primary.start_standby(folder, STANDBY, through))?, link));
        primary.run(&format!(
            "ALTER SYSTEM SET wal_sender_timeout = '{REPLICATION_TIMEOUT}';\
             ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'; SELECT pg_reload_conf()"
        ))
    }
}
