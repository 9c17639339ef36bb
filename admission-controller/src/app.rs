//! The composition of the controller: what it consists of, how it starts, and how it stops.

use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use axum::Router;
use fairline_line::store::LineStore;
use fairline_media::{ImageProcessor, MediaStore};
use fairline_server::{RateLimit, Readiness, ServeLimits, Shutdown, StartError, common_routes, serve};
use tokio::net::TcpListener;

use crate::{
    Settings,
    admin_api::{
        AdminState,
        audit::{service::AuditLog, store::AuditStore},
        banners::{service::Banners, store::BannerStore},
        items::{service::Items, store::ItemStore},
        keys::{service::SigningKeys, store::KeyStore},
        lanes::{service::Lanes, store::LaneStore},
        live::{
            service::{Consoles, Live},
            store::LiveStore,
        },
        media::{service::Media, store::UploadStore},
        operators::{service::Operators, store::OperatorStore},
        orders::{service::SaleOrders, store::AdminOrderStore},
        product_csv::{service::ProductTable, store::ProductTableStore},
        products::{service::Products, store::ProductStore},
        rehearsals::service::Rehearsals,
        reports::{service::Reports, store::ReportStore},
        sales::{service::Sales, store::AdminSaleStore},
        ticket_actions::{service::TicketActions, store::TicketActionStore},
        tokens::{service::ApiTokens, store::TokenStore},
        webhooks::{service::WebhookSettings, store::WebhookSettingsStore},
    },
    auth::{service::Auth, store::AuthStore},
    controller::{
        clock::Clock,
        decision_metrics,
        keys::KeyRing,
        postgres::LedgerStore,
        records::store::RecordStore,
        schedule,
        tick::{Permits, Ticker},
    },
    db::{self, Database},
    jobs::{
        self,
        media::store::UnusedMediaStore,
        rehearsals::{RehearsalStage, store::RehearsalStore},
        retention::{Retention, store::SaleRetentionStore},
        samples::store::SampleStore,
        statistics::store::StatisticsStore,
    },
    public_api::{
        items::{service::Offers, store::OfferStore},
        key_set::PublicKeys,
        record::service::Records,
    },
    router::{self, Public},
};

/// Requests per second to the admin API and to records from one client address, and the burst.
const RATE_PER_S: f64 = 20.0;
const BURST: u32 = 200;
/// The same for images and offers: a page of products has many, and shoppers share addresses.
const MEDIA_RATE_PER_S: f64 = 200.0;
const MEDIA_BURST: u32 = 4000;
/// The minimum length of the admin token: a shorter one could be guessed.
const ADMIN_TOKEN_CHARS_MIN: usize = 16;
/// How long a shutdown waits for work in progress.
const DRAIN: Duration = Duration::from_secs(10);
/// A loop whose round takes longer hangs: each call in it has a deadline of seconds.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// A started controller.
pub struct AdmissionController {
    /// The routes.
    pub routes: Router,
    /// The readiness check.
    pub ready: Readiness,
}

impl AdmissionController {
    /// Connects and starts the ticks and the jobs.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid or Redis can't be reached.
    pub async fn start(settings: &Settings, shutdown: &Shutdown) -> Result<Self, StartError> {
        if settings.admin_token.expose().len() < ADMIN_TOKEN_CHARS_MIN {
            return Err(StartError::new(format!(
                "The admin token is too short: it needs at least {ADMIN_TOKEN_CHARS_MIN} characters."
            )));
        }
        let keys = Arc::new(KeyRing::read(&settings.signing_key_files)?);
        if settings.migrate {
            db::migrate(settings.postgres_url.expose()).await?;
        }
        let files = settings.media_url.as_deref().map(MediaStore::open).transpose();
        let files = files.map_err(|error| StartError::new(format!("FAIRLINE_MEDIA_URL is invalid: {error}.")))?;
        let (database, ticks) = (Database::connect(settings)?, Database::for_ticks(settings)?);
        let for_services = Database::for_services(settings)?;
        for_services.pool.check().await?;
        let line = LineStore::connect(settings.redis_url.expose())
            .await
            .map_err(|error| StartError::new(format!("Redis can't be reached: {error}.")))?;

        let services = Services { database, line, keys, files, tick_now: schedule::TickNow::default() };
        services.start_ticks(ticks, settings, shutdown);
        services.start_jobs(settings, shutdown);

        let ready = readiness(for_services.clone(), services.line.clone());
        let admin = services.admin(settings, shutdown)?;
        let proxies = settings.proxy.proxies();
        let limit = RateLimit::new(RATE_PER_S, BURST, proxies.clone(), shutdown)?;
        let public = Public {
            keys: PublicKeys { store: KeyStore(for_services), keys: services.keys },
            records: Records::new(RecordStore(services.database.clone())),
            offers: Offers::new(OfferStore(services.database)),
            files: services.files,
            media_limit: RateLimit::new(MEDIA_RATE_PER_S, MEDIA_BURST, proxies.clone(), shutdown)?,
        };
        Ok(Self { routes: router::routes(admin, public, (&limit, proxies), shutdown), ready })
    }
}

/// What the ticks, the jobs and the admin API share.
struct Services {
    database: Database,
    line: LineStore,
    keys: Arc<KeyRing>,
    files: Option<MediaStore>,
    tick_now: schedule::TickNow,
}

impl Services {
    fn start_ticks(&self, database: Database, settings: &Settings, shutdown: &Shutdown) {
        let ticker = Arc::new(Ticker {
            ledger: LedgerStore(database),
            line: self.line.clone(),
            keys: self.keys.clone(),
            every: settings.tick(),
            clock: Clock::of_process(),
            permits: Permits::new(settings.tick_connections),
            tick_now: self.tick_now.clone(),
            running: AtomicU32::default(),
        });
        let requests = self.tick_now.clone();
        shutdown.keep("ticks", HANGS_AFTER, move |shutdown| schedule::run(ticker.clone(), requests.clone(), shutdown));
    }

    fn start_jobs(&self, settings: &Settings, shutdown: &Shutdown) {
        let database = &self.database;
        let samples = SampleStore(database.clone());
        let work = jobs::Work {
            samples: samples.clone(),
            statistics: StatisticsStore(database.clone()),
            rehearsals: RehearsalStore(database.clone()),
            retention: Retention {
                sales: SaleRetentionStore(database.clone()),
                samples,
                sessions: AuthStore(database.clone()),
                sales_kept_days: settings.sales_kept_days,
            },
            unused_media: UnusedMediaStore(database.clone()),
            files: self.files.clone(),
        };
        shutdown.keep("samples", HANGS_AFTER, move |shutdown| jobs::run(work.clone(), shutdown));
    }

    /// What the admin API needs, feature by feature.
    fn admin(&self, settings: &Settings, shutdown: &Shutdown) -> Result<AdminState, StartError> {
        let Self { database, line, keys, files, tick_now } = self;
        let auth = Auth {
            store: AuthStore(database.clone()),
            admin_token: Arc::new(settings.admin_token.clone()),
            secure_cookies: settings.secure_cookies,
        };
        let items = ItemStore(database.clone());
        let sales = Sales { store: AdminSaleStore(database.clone()), items: items.clone(), tick_now: tick_now.clone() };
        let stage = stage(settings, shutdown).map(Arc::new);
        let rehearsals = RehearsalStore(database.clone());
        Ok(AdminState {
            audit: AuditLog { store: AuditStore(database.clone()) },
            banners: Banners { store: BannerStore(database.clone()) },
            items: Items { store: items, sales: sales.clone(), tick_now: tick_now.clone() },
            keys: SigningKeys { store: KeyStore(database.clone()), keys: keys.clone(), tick_now: tick_now.clone() },
            lanes: Lanes { store: LaneStore(database.clone()), sales: sales.clone(), tick_now: tick_now.clone() },
            live: Live {
                store: LiveStore(database.clone()),
                rehearsals: rehearsals.clone(),
                sales: sales.clone(),
                auth: auth.clone(),
                origins: settings.proxy.origins(&[], settings.secure_cookies)?,
                consoles: Consoles::new(shutdown),
                has_stage: stage.is_some(),
            },
            auth,
            media: Media {
                store: UploadStore(database.clone()),
                files: files.clone(),
                image_processor: ImageProcessor::default(),
                shutdown: shutdown.clone(),
            },
            operators: Operators { store: OperatorStore(database.clone()), auth: AuthStore(database.clone()) },
            orders: SaleOrders { store: AdminOrderStore(database.clone()), sales: sales.clone() },
            product_table: ProductTable { store: ProductTableStore(database.clone()) },
            products: Products { store: ProductStore(database.clone()) },
            rehearsals: Rehearsals { store: rehearsals, sales: sales.clone(), tick_now: tick_now.clone(), stage },
            reports: Reports {
                store: ReportStore(database.clone()),
                records: RecordStore(database.clone()),
                sales: sales.clone(),
            },
            ticket_actions: TicketActions {
                store: TicketActionStore(database.clone()),
                sales: sales.clone(),
                line: line.clone(),
                tick_now: tick_now.clone(),
            },
            sales,
            tokens: ApiTokens { store: TokenStore(database.clone()) },
            webhooks: WebhookSettings { store: WebhookSettingsStore(database.clone()) },
            database: database.clone(),
        })
    }
}

/// What rehearsals need, if they are set up.
fn stage(settings: &Settings, shutdown: &Shutdown) -> Option<RehearsalStage> {
    let (program, url) = settings.rehearsal_program.clone().zip(settings.rehearsal_url.clone())?;
    let (admin_token, postgres_url) = (settings.admin_token.clone(), settings.postgres_url.clone());
    Some(RehearsalStage { program, url, admin_token, postgres_url, shutdown: shutdown.clone() })
}

fn readiness(database: Database, line: LineStore) -> Readiness {
    Arc::new(move || {
        let (database, line) = (database.clone(), line.clone());
        Box::pin(async move {
            database.pool.probe().await.map_err(|error| error.to_string())?;
            line.ping().await.map_err(|error| error.to_string())
        })
    })
}

/// Runs the controller until shutdown.
///
/// # Errors
/// Returns an error if the controller can't start.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let service = AdmissionController::start(&settings, &shutdown).await?;
    let router = common_routes(service.routes, service.ready, &shutdown);
    decision_metrics::describe();
    serve(listener, router, ServeLimits::default(), &shutdown).await;
    shutdown.finished(DRAIN).await;
    Ok(())
}
