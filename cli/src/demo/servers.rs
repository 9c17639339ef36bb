//! The demo's private Redis and Postgres, which are kept running.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fairline_private_servers::{Folder, PrivatePostgres, PrivateRedis, ServerError, Survives, versions};
use tokio::{task::spawn_blocking, time::sleep};

use super::steps::Steps;

const POLL_EVERY: Duration = Duration::from_millis(500);
const DATABASE: &str = "fairline";
/// The folder of images, in the demo's folder.
pub(super) const MEDIA: &str = "media";

pub(super) struct DemoServers {
    pair: Arc<Mutex<Pair>>,
    pub(super) redis_url: String,
    pub(super) database_url: String,
    pub(super) media_folder: PathBuf,
}

struct Pair {
    redis: PrivateRedis,
    postgres: PrivatePostgres,
}

impl DemoServers {
    pub(super) async fn start(folder: Arc<Folder>, steps: &Steps) -> Result<Self, ServerError> {
        let versions = versions()?;
        let claim = folder.clone();
        let media_folder = folder.path().join(MEDIA);
        let redis = blocking(move || PrivateRedis::start(&claim, Survives::PowerLoss));
        let redis = steps.step("Redis", redis, |redis| format!("{} on port {}", versions.redis, redis.port())).await?;
        let postgres = blocking(move || {
            let postgres = PrivatePostgres::start(&folder, Survives::PowerLoss)?;
            let database_url = postgres.create_database(DATABASE)?;
            Ok((postgres, database_url))
        });
        let describe =
            |(postgres, _): &(PrivatePostgres, String)| format!("{} on port {}", versions.postgres, postgres.port());
        let (postgres, database_url) = steps.step("Postgres", postgres, describe).await?;
        let redis_url = redis.url();
        Ok(Self { pair: Arc::new(Mutex::new(Pair { redis, postgres })), redis_url, database_url, media_folder })
    }

    /// Restarts a server that has ended, as a real installation would. Returns the error when a
    /// restart fails.
    pub(super) async fn keep_running(&self) -> ServerError {
        loop {
            sleep(POLL_EVERY).await;
            let pair = self.pair.clone();
            if let Err(error) = blocking(move || lock(&pair).start_again()).await {
                return error;
            }
        }
    }

    pub(super) async fn stop(self) -> Result<(), ServerError> {
        blocking(move || {
            let mut pair = lock(&self.pair);
            pair.postgres.stop()?;
            pair.redis.stop()
        })
        .await
    }
}

impl Pair {
    fn start_again(&mut self) -> Result<(), ServerError> {
        if !self.redis.is_running() {
            eprintln!("Redis has stopped; starting it again.");
            self.redis.restart()?;
        }
        if !self.postgres.is_running() {
            eprintln!("Postgres has stopped; starting it again.");
            self.postgres.restart()?;
        }
        Ok(())
    }
}

fn lock(pair: &Mutex<Pair>) -> MutexGuard<'_, Pair> {
    pair.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, ServerError> {
    spawn_blocking(work).await.expect("starting and stopping servers does not panic")
}
