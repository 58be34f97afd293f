//! The application: makes its parts of the settings, binds the address, serves until it is stopped.

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
use crate::jobs::background::{self, AutoRefresh};
use crate::jobs::notify::Notifier;
use crate::jobs::refresh::Refresher;
use crate::jobs::runner::Runner;
use crate::lake::location::{LakeOptions, Template};
use crate::lake::s3::S3;
use crate::lake::{Lake, LakeError};
use crate::runs::RunControl;
use crate::settings::{Loaded, Settings};
use crate::store::mongo::MongoStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{GoldStore, StoreError};

/// The exit code at a second signal: the one that shells report for ctrl-c.
pub const EXIT_AT_ONCE: i32 = 130;

/// Why the application cannot start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address.
        addr: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The serving store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lake cannot be opened.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Every client that reaches the address could use the admin routes.
    #[error(
        "{addr} can be reached from other machines and ADMIN_TOKEN is not set: set it, or listen \
         on 127.0.0.1"
    )]
    NoAdminToken {
        /// The address.
        addr: SocketAddr,
    },
    /// The OpenAPI document cannot be rendered.
    #[error("the OpenAPI document cannot be rendered")]
    OpenApi(#[from] serde_json::Error),
    /// The process could not be stopped in an orderly way.
    #[error("cannot listen for signals")]
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
    Ok(match &settings.mongodb {
        Some(options) => Arc::new(MongoStore::open(options.clone(), &catalogue::CATALOGUE)?),
        None => Arc::new(SqliteStore::open(&settings.sqlite_path, &catalogue::CATALOGUE)?),
    })
}

/// Limits the threads of the pipeline to `refresh.threads`; by default, in a process that serves, to one less
/// than there are cores, so that one is left for requests. Polars and rayon read their limits once, from the
/// environment, so the process replaces itself with one that has them there. Returns if nothing is to be
/// limited.
pub fn limit_threads(loaded: &Loaded, serves: bool) {
    if loaded.unset_thread_limits.is_empty() {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let default = serves.then(|| cores.saturating_sub(1).max(1));
    let Some(threads) = loaded.settings.refresh.threads.or(default) else { return };
    let mut arguments = std::env::args_os();
    let problem = match (std::env::current_exe(), arguments.next()) {
        (Ok(program), Some(name)) => std::process::Command::new(program)
            .arg0(name)
            .args(arguments)
            .envs(loaded.unset_thread_limits.iter().map(|limit| (limit, threads.to_string())))
            .exec(),
        (Err(error), _) => error,
        (_, None) => return,
    };
    tracing::warn!(threads, %problem, "the threads of the pipeline are not limited");
}

/// Opens the lake of the settings for each run, and keeps what is known of its S3 store between runs.
#[derive(Debug, Clone)]
pub struct LakeOpener {
    templates: [Template; 4],
    s3: Option<Arc<S3>>,
}

impl LakeOpener {
    /// Does not connect yet.
    ///
    /// # Errors
    /// As [`S3::new`].
    pub fn new(settings: &Settings) -> Result<Self, LakeError> {
        let LakeOptions { templates, s3 } = settings.lake.clone();
        Ok(Self { templates, s3: s3.map(S3::new).transpose()?.map(Arc::new) })
    }

    /// Opens the lake; creates its directories.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub fn open(&self) -> Result<Lake, LakeError> {
        Lake::open(&self.templates, self.s3.as_ref())
    }
}

/// The refresh as the settings configure it.
#[must_use]
pub fn refresher(settings: &Settings, lake: Lake, store: Arc<dyn GoldStore>) -> Refresher {
    Refresher {
        lake,
        store,
        sources: settings.sources.clone(),
        gate: settings.quality.gate.clone(),
        cleaning: settings.quality.cleaning.clone(),
        models: settings.models,
        keep_generations: settings.keep_generations,
        keep_runs: settings.keep_runs,
        longest_step: settings.refresh.step_timeout,
    }
}

/// Notifies the webhooks and the Metabase of the settings.
#[must_use]
pub fn notifier(settings: &Settings) -> Notifier {
    Notifier::new(settings.notify.clone())
}

/// The bearer token of the admin routes.
#[derive(Debug, Clone)]
pub struct AdminToken {
    /// The token.
    pub token: SecretString,
    /// Whether it was generated for this process and has to be shown.
    pub is_generated: bool,
}

impl AdminToken {
    /// The token of the settings, else a generated one if only this machine can reach the address.
    fn resolve(settings: &Settings, addr: SocketAddr) -> Result<Self, StartupError> {
        const BYTES: usize = 24;
        if let Some(token) = &settings.admin_token {
            return Ok(Self { token: token.clone(), is_generated: false });
        }
        if !addr.ip().is_loopback() {
            return Err(StartupError::NoAdminToken { addr });
        }
        let token = hex::encode(rand::random::<[u8; BYTES]>()).into();
        Ok(Self { token, is_generated: true })
    }
}

/// SIGTERM and ctrl-c from the moment this is made. The server's own handlers are set up only when it is
/// polled, and a signal before that would be lost.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// [`StartupError::Signals`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn listen() -> Result<Self, StartupError> {
        let listen = |kind| signal(kind).map_err(StartupError::Signals);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Returns at the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            Some(()) = self.terminate.recv() => {}
            Some(()) = self.interrupt.recv() => {}
            else => std::future::pending().await,
        }
    }
}

/// Checks that the address of the settings may be served, before anything else is done.
///
/// # Errors
/// [`StartupError::NoAdminToken`].
pub fn check_admin_token(settings: &Settings) -> Result<(), StartupError> {
    // An address that cannot be resolved is refused when it is bound.
    let addresses = settings.http.addr.to_socket_addrs();
    let open = addresses.into_iter().flatten().find(|addr| !addr.ip().is_loopback());
    match open {
        Some(addr) if settings.admin_token.is_none() => Err(StartupError::NoAdminToken { addr }),
        _ => Ok(()),
    }
}

/// A server that is bound and does not run yet.
pub struct Application {
    server: Server,
    addr: SocketAddr,
    admin_token: AdminToken,
    runner: Runner,
    auto_refresh: AutoRefresh,
    grace: Duration,
    signals: Signals,
}

impl Application {
    /// Binds the address of the settings (port 0 takes a free one), makes all parts, and listens for signals
    /// from then on.
    ///
    /// # Errors
    /// [`StartupError::Bind`], [`StartupError::NoAdminToken`], [`StartupError::OpenApi`],
    /// [`StartupError::Signals`], [`StartupError::Lake`].
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
        let runner = Runner::new(Box::new(make), Arc::clone(&store), notifier);
        let auto_refresh = settings.refresh.auto.clone();
        let state = web::Data::new(State::new(
            store,
            Arc::new(runner.clone()) as Arc<dyn RunControl<Error = StoreError>>,
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
            // A response is written whole: waiting for more would only delay it.
            .tcp_nodelay(true)
            .listen(listener)
            .map_err(bind_error)?;
        if settings.http.workers > 0 {
            server = server.workers(settings.http.workers);
        }
        let grace = Duration::from_secs(settings.grace_secs);
        let signals = Signals::listen()?;
        Ok(Self { server: server.run(), addr, admin_token, runner, auto_refresh, grace, signals })
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

    /// Serves until SIGTERM, ctrl-c or its handle stops it. Requests in flight are finished, and a running run
    /// is cancelled. A second signal ends the process at once.
    ///
    /// # Errors
    /// [`StartupError::Serve`].
    pub async fn run(self) -> Result<(), StartupError> {
        let Self { server, runner, auto_refresh, grace, mut signals, .. } = self;
        tokio::spawn(background::run(runner.clone(), auto_refresh));
        let (handle, running) = (server.handle(), runner.clone());
        let stopping = runner.stopping();
        let listening = tokio::spawn(async move {
            signals.next().await;
            // First, because requests that wait for a run delay the server's stop.
            running.cancel_all();
            // The server stops by itself; waiting for it here is not needed.
            drop(handle.stop(true));
            signals.next().await;
            tracing::warn!("second signal: ending at once");
            std::process::exit(EXIT_AT_ONCE);
        });
        // One grace period from the signal on, for requests and the run together.
        let grace_over = async {
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
            () = grace_over => {
                runner.give_up();
                Ok(())
            }
        };
        listening.abort();
        served
    }
}
