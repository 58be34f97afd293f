//! The application: binds, wires the store to the routes, serves until stopped.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZero;
use std::os::unix::process::CommandExt as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpServer, web};
use secrecy::SecretString;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_actix_web::TracingLogger;
use utoipa_actix_web::AppExt;

use crate::api::problems::{ensure_problem, not_found_or_not_allowed};
use crate::api::request_span::RequestSpan;
use crate::api::state::{State, Tokens};
use crate::api::{self, Documentation};
use crate::catalogue;
use crate::jobs::background::{self, Plan};
use crate::jobs::notify::{Metabase, Notifier};
use crate::jobs::refresh::Refresher;
use crate::jobs::runner::Runner;
use crate::lake::location::Template;
use crate::lake::s3::{S3, S3Options};
use crate::lake::{Lake, LakeError};
use crate::pipeline::ml::TrainingOptions;
use crate::pipeline::silver::quality::Gate;
use crate::settings::{self, Loaded, Notify, Refresh, Settings};
use crate::store::mongo::{MongoOptions, MongoStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{GoldStore, RunControl, StoreError};

/// The exit code of a process that ended at a second signal, as shells tell that of ctrl-c.
pub const EXIT_AT_ONCE: i32 = 130;

/// Why the application cannot start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address.
        addr: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The serving store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There can be no client of the lake's store.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Whoever reaches the address could run admin routes.
    #[error(
        "{addr} can be reached from other machines and ADMIN_TOKEN is not set: set it, or listen \
         on 127.0.0.1"
    )]
    NoAdminToken {
        /// The address.
        addr: SocketAddr,
    },
    /// No token can be made up.
    #[error("the operating system gives no random numbers for an admin token")]
    NoRandomness(#[source] getrandom::Error),
    /// The OpenAPI document cannot be rendered.
    #[error("the OpenAPI document cannot be rendered")]
    OpenApi(#[from] serde_json::Error),
    /// Nobody could stop it in an orderly way.
    #[error("signals cannot be heard")]
    Signals(#[source] std::io::Error),
    /// The server stopped by itself.
    #[error("the server stopped")]
    Serve(#[source] std::io::Error),
}

/// Opens the serving store that the settings name: MongoDB when there is a connection string, else
/// SQLite. A MongoDB is connected to when it is first used.
///
/// # Errors
/// [`StartupError::Store`].
///
/// # Panics
/// Outside a tokio runtime.
pub fn open_store(settings: &Settings) -> Result<Arc<dyn GoldStore>, StartupError> {
    let Some(mongodb) = &settings.mongodb else {
        return Ok(Arc::new(SqliteStore::open(&settings.sqlite_path, &catalogue::CATALOGUE)?));
    };
    let options = MongoOptions {
        uri: mongodb.uri.clone(),
        database: mongodb.db.clone(),
        read_preference: mongodb.read_preference.parse().ok(),
        server_selection_timeout: Duration::from_secs(mongodb.server_selection_secs),
        query_timeout: Duration::from_secs(mongodb.query_secs),
        write_timeout: Duration::from_secs(mongodb.write_secs),
        lease: Duration::from_secs(mongodb.lease_secs),
    };
    Ok(Arc::new(MongoStore::open(options, &catalogue::CATALOGUE)?))
}

/// Limits the threads of the pipeline: to what the settings say, else, in a process that serves, to one
/// less than there are cores, so that requests find one. The libraries read their limits once, from the
/// environment of the process, which therefore starts over with it. Returns when there is nothing to limit.
pub fn limit_threads(loaded: &Loaded, serves: bool) {
    if loaded.free_thread_limits.is_empty() {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let left = serves.then(|| cores.saturating_sub(1).max(1));
    let Some(threads) = loaded.settings.refresh.threads.or(left) else { return };
    let mut arguments = std::env::args_os();
    let problem = match (std::env::current_exe(), arguments.next()) {
        (Ok(program), Some(name)) => std::process::Command::new(program)
            .arg0(name)
            .args(arguments)
            .envs(loaded.free_thread_limits.iter().map(|limit| (limit, threads.to_string())))
            .exec(),
        (Err(error), _) => error,
        (_, None) => return,
    };
    tracing::warn!(threads, %problem, "the pipeline's threads could not be limited");
}

/// Opens lakes where the settings say: what is found out about an S3 store is kept from one to the next.
#[derive(Debug, Clone)]
pub struct LakeOpener {
    templates: [Template; 4],
    s3: Option<Arc<S3>>,
}

impl LakeOpener {
    /// Asks nothing of anybody yet.
    ///
    /// # Errors
    /// When there can be no client of S3.
    pub fn new(settings: &Settings) -> Result<Self, LakeError> {
        let settings::Lake { urls, s3 } = settings.lake.clone();
        let templates = urls.map(|(setting, url)| Template { setting, url });
        let s3 = s3.map(|s3| {
            S3::new(S3Options {
                endpoint: s3.endpoint,
                keys: s3.keys,
                session_token: s3.session_token,
                region: s3.region,
                virtual_hosted_style: s3.virtual_hosted_style,
                identity: s3.identity,
                create_buckets: s3.create_buckets,
                request: s3.request,
                retries: s3.retries,
            })
        });
        Ok(Self { templates, s3: s3.transpose()?.map(Arc::new) })
    }

    /// The lake. Directories are created.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub fn open(&self) -> Result<Lake, LakeError> {
        Lake::open(&self.templates, self.s3.as_ref())
    }
}

/// What a refresh works with.
#[must_use]
pub fn refresher(settings: &Settings, lake: Lake, store: Arc<dyn GoldStore>) -> Refresher {
    Refresher {
        lake,
        store,
        gate: Gate {
            max_reject_ratio: settings.quality.max_reject_ratio,
            max_row_drop: settings.quality.max_row_drop,
        },
        max_amount: settings.quality.max_amount,
        models: TrainingOptions {
            seed: settings.models.seed,
            min_customers: settings.models.min_customers,
            churn_horizon_days: settings.churn_horizon_days,
            max_fit_rows: settings.models.max_fit_rows,
        },
        keep_generations: settings.keep_generations,
        keep_runs: settings.keep_runs,
        longest_step: settings.refresh.step,
    }
}

/// Who tells others how runs ended.
#[must_use]
pub fn notifier(settings: &Settings) -> Notifier {
    let Notify { urls, secret, metabase } = settings.notify.clone();
    let metabase = metabase.map(|metabase| Metabase {
        url: metabase.url,
        database_id: metabase.database_id,
        api_key: metabase.api_key,
    });
    Notifier::new(urls, secret, metabase)
}

/// The token of admin routes.
#[derive(Debug, Clone)]
pub struct AdminToken {
    /// The token.
    pub token: SecretString,
    /// Whether it was made up for this process, and nobody knows it yet.
    pub is_new: bool,
}

impl AdminToken {
    /// The token of the settings; where there is none, one made up, if only this machine reaches
    /// the address.
    fn resolve(settings: &Settings, addr: SocketAddr) -> Result<Self, StartupError> {
        const BYTES: usize = 24;
        if let Some(token) = &settings.admin_token {
            return Ok(Self { token: token.clone(), is_new: false });
        }
        if !addr.ip().is_loopback() {
            return Err(StartupError::NoAdminToken { addr });
        }
        let mut random = [0; BYTES];
        getrandom::fill(&mut random).map_err(StartupError::NoRandomness)?;
        Ok(Self { token: hex::encode(random).into(), is_new: true })
    }
}

/// SIGTERM and ctrl-c, heard from when this is made: the server's own handlers are set up only when
/// it is polled, and a signal that comes before or between would be lost.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Hears them from now on.
    ///
    /// # Errors
    /// [`StartupError::Signals`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn hear() -> Result<Self, StartupError> {
        let hear = |kind| signal(kind).map_err(StartupError::Signals);
        Ok(Self {
            terminate: hear(SignalKind::terminate())?,
            interrupt: hear(SignalKind::interrupt())?,
        })
    }

    /// Returns at the next signal; never when there can be none any more.
    pub async fn next(&mut self) {
        tokio::select! {
            Some(()) = self.terminate.recv() => {}
            Some(()) = self.interrupt.recv() => {}
            else => std::future::pending().await,
        }
    }
}

/// Whether the address of the settings may be served, before anything else is done.
///
/// # Errors
/// [`StartupError::NoAdminToken`].
pub fn check_admin_token(settings: &Settings) -> Result<(), StartupError> {
    // What cannot be resolved cannot be bound either, and is refused there.
    let addresses = settings.http.addr.to_socket_addrs();
    let open = addresses.into_iter().flatten().find(|addr| !addr.ip().is_loopback());
    match open {
        Some(addr) if settings.admin_token.is_none() => Err(StartupError::NoAdminToken { addr }),
        _ => Ok(()),
    }
}

/// A bound server that is not running yet.
pub struct Application {
    server: Server,
    addr: SocketAddr,
    admin_token: AdminToken,
    runner: Runner,
    plan: Plan,
    grace: Duration,
    signals: Signals,
}

impl Application {
    /// Binds the address of the settings (port 0 takes a free one), wires everything, and hears
    /// signals from then on.
    ///
    /// # Errors
    /// [`StartupError::Bind`], [`StartupError::NoAdminToken`], [`StartupError::NoRandomness`],
    /// [`StartupError::OpenApi`], [`StartupError::Signals`], [`StartupError::Lake`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn build(settings: &Settings, store: Arc<dyn GoldStore>) -> Result<Self, StartupError> {
        let bind_error = |source| StartupError::Bind { addr: settings.http.addr.clone(), source };
        let listener = TcpListener::bind(&settings.http.addr).map_err(bind_error)?;
        let addr = listener.local_addr().map_err(bind_error)?;
        let admin_token = AdminToken::resolve(settings, addr)?;

        let document = api::document();
        let documentation = web::Data::new(Documentation::of(&document)?);
        let methods = web::Data::new(api::methods(&document));
        let (own, gold) = (settings.clone(), Arc::clone(&store));
        let opener = LakeOpener::new(settings)?;
        let make = move || Ok(refresher(&own, opener.open()?, Arc::clone(&gold)));
        let notifier = notifier(settings);
        let runner =
            Runner::new(Box::new(make), Arc::clone(&store), notifier, settings.abort_at.clone());
        let Refresh { schedule, jitter, watch, .. } = settings.refresh.clone();
        let plan = Plan { schedule, jitter, watch };
        let state = web::Data::new(State::new(
            store,
            Arc::new(runner.clone()) as Arc<dyn RunControl>,
            settings.http.cache_bytes,
            Tokens { read: settings.read_token.clone(), admin: admin_token.token.clone() },
        ));
        let factory = move || {
            App::new()
                .app_data(state.clone())
                .app_data(documentation.clone())
                .app_data(methods.clone())
                .into_utoipa_app()
                .configure(api::routes)
                .into_app()
                .configure(api::undocumented)
                .default_service(web::to(not_found_or_not_allowed))
                .wrap(Compress::default())
                .wrap(from_fn(ensure_problem))
                .wrap(TracingLogger::<RequestSpan>::new())
        };
        let mut server = HttpServer::new(factory)
            .disable_signals()
            .shutdown_timeout(settings.grace_secs)
            // An answer is written whole: waiting for more would only delay it.
            .tcp_nodelay(true)
            .listen(listener)
            .map_err(bind_error)?;
        if settings.http.workers > 0 {
            server = server.workers(settings.http.workers);
        }
        let grace = Duration::from_secs(settings.grace_secs);
        let signals = Signals::hear()?;
        Ok(Self { server: server.run(), addr, admin_token, runner, plan, grace, signals })
    }

    /// The token of admin routes.
    #[must_use]
    pub fn admin_token(&self) -> &AdminToken {
        &self.admin_token
    }

    /// The address it is bound to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A handle that can stop it from elsewhere.
    #[must_use]
    pub fn handle(&self) -> actix_web::dev::ServerHandle {
        self.server.handle()
    }

    /// Serves until SIGTERM, ctrl-c or its handle stops it; requests in flight are finished, a run
    /// that goes on is cancelled. A second signal ends the process where it is.
    ///
    /// # Errors
    /// [`StartupError::Serve`].
    pub async fn run(self) -> Result<(), StartupError> {
        let Self { server, runner, plan, grace, mut signals, .. } = self;
        tokio::spawn(background::keep(runner.clone(), plan));
        let (handle, running) = (server.handle(), runner.clone());
        let stopping = runner.stopping();
        let listening = tokio::spawn(async move {
            signals.next().await;
            // First, as what waits for a run holds up the server.
            running.cancel_all();
            // Ordered here, carried out by the server.
            drop(handle.stop(true));
            signals.next().await;
            tracing::warn!("told to stop a second time: ending at once");
            std::process::exit(EXIT_AT_ONCE);
        });
        // From the signal on: what requests took of it, the run does not get.
        let over = async {
            stopping.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        let stopped = async {
            let served = server.await.map_err(StartupError::Serve);
            runner.stop().await;
            served
        };
        tokio::pin!(stopped);
        let served = tokio::select! {
            served = &mut stopped => served,
            () = over => {
                runner.give_up();
                Ok(())
            }
        };
        listening.abort();
        served
    }
}
