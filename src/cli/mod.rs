//! The subcommands, one short function each, and what they print.

pub mod output;

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use comfy_table::{CellAlignment, Table, presets};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use self::output::{complain, say};
use crate::api::openapi;
use crate::dictionary;
use crate::domain::digest::sha256_hex;
use crate::domain::text::counted;
use crate::domain::time::Timestamp;
use crate::error_chain::describe;
use crate::jobs::check::{self, CheckError};
use crate::jobs::maintenance::{self, MaintenanceError, Vacuum, VacuumReport, Verified};
use crate::jobs::refresh::{Outcome, RefreshError, Refresher, Report};
use crate::jobs::score::{self, ScoreError};
use crate::jobs::{AbortAt, Observer, sample_sources};
use crate::lake::{Lake, LakeError};
use crate::pipeline::PipelineError;
use crate::runs::{RefreshRequest, RunSpec, RunTrigger};
use crate::sample::{self, SampleError, Spec};
use crate::settings::{self, Settings, SettingsError};
use crate::startup::{
    AdminToken, Application, EXIT_AT_ONCE, LakeOpener, Signals, StartupError, check_admin_token,
    limit_threads, notifier, open_store, refresher,
};
use crate::store::{self, GoldStore, StoreError};
use crate::{logging, metrics};

/// Customer analytics that a shop can run by itself.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
pub struct Cli {
    /// Settings file; goldsmith.toml in the working directory when not given.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sample data if there are none, refresh if anything changed, then serve (the default).
    Up,
    /// Serve what is published.
    Serve,
    /// Run the pipeline once: sources, bronze, silver, gold, models, proof, publish.
    Refresh {
        /// Figures as of this day (its end) or instant, instead of the last purchase.
        #[arg(long, value_name = "DATE", value_parser = parse_as_of)]
        as_of: Option<Timestamp>,
        /// Run although nothing changed, and past the quality gate.
        #[arg(long)]
        force: bool,
    },
    /// Score customers with the models that are served, without training; CSV on standard output.
    Score {
        /// Their purchases, of the shape of achats*.csv.
        #[arg(long, value_name = "FILE")]
        customers: PathBuf,
        /// At this day (its end) or instant, instead of when the models were trained.
        #[arg(long, value_name = "DATE", value_parser = parse_as_of)]
        as_of: Option<Timestamp>,
    },
    /// Write a sample data set.
    Generate {
        /// Number of customers.
        #[arg(long, default_value_t = 5_000, value_name = "N")]
        customers: u32,
        /// Number of purchases.
        #[arg(long, default_value_t = 60_000, value_name = "M")]
        purchases: u32,
        /// Same seed, same bytes.
        #[arg(long, default_value_t = 42, value_name = "S")]
        seed: u64,
        /// Share of rows that are to be rejected, 0 to 0.5.
        #[arg(long, default_value_t = 0.0, value_name = "RATIO")]
        dirty: f64,
        /// Directory to write clients.csv, achats.csv and ground_truth.json to.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Verify what is published against its manifest and the data contract.
    Check,
    /// Look after the lake.
    Lake {
        #[command(subcommand)]
        command: LakeCommand,
    },
    /// Serve an earlier generation again: the one before, or the one named.
    Rollback {
        /// Generation to serve.
        generation: Option<u64>,
    },
    /// Print the OpenAPI document.
    Openapi,
    /// Print the data dictionary (Markdown).
    Dictionary,
    /// Print the resolved settings and where each came from; secrets are masked.
    Settings,
}

#[derive(Debug, Subcommand)]
enum LakeCommand {
    /// What is there, by layer and generation.
    Ls,
    /// Read everything that manifests refer to and compare it with their hashes.
    Verify,
    /// Remove what no generation that is kept refers to, and what a broken run left behind.
    Vacuum {
        /// Only say what would be removed.
        #[arg(long)]
        dry_run: bool,
        /// Source files in bronze as well, those that no kept generation was made of.
        #[arg(long, requires = "older_than")]
        bronze: bool,
        /// How long ago such source files came, at least, in days.
        #[arg(long, value_name = "DAYS", requires = "bronze")]
        older_than: Option<u32>,
    },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The log filter cannot be read.
    #[error("setting log.filter (RUST_LOG)")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The application cannot start.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// The lake cannot be used.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The lake was not looked after.
    #[error(transparent)]
    Upkeep(#[from] MaintenanceError),
    /// The refresh did not publish.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// Nothing can be said of what is published.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Nothing was scored.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such sample.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The sample cannot be written to the lake.
    #[error(transparent)]
    SampleSources(#[from] sample_sources::WriteError),
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// What was asked for is not possible.
    #[error("{0}")]
    Request(String),
    /// What is published is not what it should be; the report has been printed.
    #[error("what is published deviates from its manifest or the contract")]
    Deviates,
    /// What lies in the lake is not what was written; the report has been printed.
    #[error("the lake is damaged")]
    Damaged,
    /// The OpenAPI document cannot be written.
    #[error("the OpenAPI document cannot be rendered")]
    OpenApi(#[from] serde_json::Error),
}

impl CliError {
    /// 2 when the request was wrong, 1 when the run failed.
    fn exit_code(&self) -> ExitCode {
        let is_request = matches!(
            self,
            Self::Settings(_)
                | Self::Filter(_)
                | Self::Request(_)
                | Self::Sample(SampleError::Impossible(_))
                | Self::Startup(
                    StartupError::NoAdminToken { .. }
                        | StartupError::Store(StoreError::Malformed { .. })
                )
                | Self::Lake(LakeError::Location { .. })
                | Self::Store(StoreError::NoGeneration(_))
                | Self::Refresh(
                    RefreshError::Pipeline(PipelineError::BeforeHistory { .. })
                        | RefreshError::Future { .. }
                )
        );
        ExitCode::from(if is_request { 2 } else { 1 })
    }
}

/// Runs a command line; a failure is one sentence on standard error.
pub async fn run(cli: Cli) -> ExitCode {
    match execute(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("error: {}", describe(&error));
            error.exit_code()
        }
    }
}

async fn execute(cli: Cli) -> Result<(), CliError> {
    let load = || settings::load(cli.config.as_deref());
    let command = cli.command.unwrap_or(Command::Up);
    let serves = matches!(command, Command::Up | Command::Serve);
    let prepare = |default_filter: &str| -> Result<Settings, CliError> {
        let loaded = load()?;
        logging::init(&loaded.settings.log, default_filter, std::io::stderr)?;
        limit_threads(&loaded, serves);
        Ok(loaded.settings)
    };
    match command {
        Command::Up => {
            let settings = prepare("warn")?;
            let store = open_store(&settings)?;
            closing(&store, up(&settings, &store)).await
        }
        Command::Serve => {
            let settings = prepare("info")?;
            let store = open_store(&settings)?;
            let asked = Arc::clone(&store);
            // The store may come later: until then the API says that it does not answer.
            tokio::spawn(async move {
                if let Err(error) = asked.ping().await {
                    complain!("warning: nothing can be answered yet: {}", describe(&error));
                }
            });
            closing(&store, serve(&settings, Arc::clone(&store))).await
        }
        Command::Refresh { as_of, force } => {
            let settings = prepare("warn")?;
            let store = open_store(&settings)?;
            let lake = LakeOpener::new(&settings)?.open()?;
            let refresher = refresher(&settings, lake, Arc::clone(&store));
            let request = RefreshRequest { as_of, force, ..RefreshRequest::default() };
            let order = RunSpec::refresh(RunTrigger::Cli, request);
            closing(&store, refresh(&settings, &refresher, order)).await
        }
        Command::Score { customers, as_of } => {
            let settings = prepare("warn")?;
            let store = open_store(&settings)?;
            closing(&store, score(&settings, store.as_ref(), &customers, as_of)).await
        }
        Command::Generate { customers, purchases, seed, dirty, out } => {
            generate(Spec { customers, purchases, seed, dirty }, &out)
        }
        Command::Check => {
            let mut settings = prepare("warn")?;
            // A member that lags shows an older generation than the names do.
            if let Some(mongodb) = &mut settings.mongodb {
                "primary".clone_into(&mut mongodb.read_preference);
            }
            let store = open_store(&settings)?;
            let lake = LakeOpener::new(&settings)?.open()?;
            closing(&store, check(store.as_ref(), &lake)).await
        }
        Command::Lake { command } => {
            let settings = prepare("warn")?;
            let store = open_store(&settings)?;
            let lake = LakeOpener::new(&settings)?.open()?;
            closing(&store, look_after(&settings, &lake, store.as_ref(), command)).await
        }
        Command::Rollback { generation } => {
            let settings = prepare("warn")?;
            let store = open_store(&settings)?;
            let work = async {
                let went = store::rollback(store.as_ref(), RunTrigger::Cli, generation).await?;
                say!("serving generation {} again instead of {}", went.to, went.from);
                notifier(&settings).tell(store.as_ref(), went.run).await;
                Ok(())
            };
            closing(&store, work).await
        }
        Command::Openapi => print_whole(&openapi::to_json(&openapi::document())?),
        Command::Dictionary => print_whole(&dictionary::markdown()),
        Command::Settings => {
            let lines = load()?.resolved.into_iter().map(|resolved| format!("{resolved}\n"));
            print_whole(&lines.collect::<Vec<_>>().concat())
        }
    }
}

/// Closes the store when the work is done, however that ended.
async fn closing<T>(store: &Arc<dyn GoldStore>, work: impl Future<Output = T>) -> T {
    let done = work.await;
    store.close().await;
    done
}

fn parse_as_of(text: &str) -> Result<Timestamp, String> {
    RefreshRequest::parse_as_of(text)
        .ok_or_else(|| "not a date (2025-12-31) or an instant (2025-12-31T18:00:00)".to_owned())
}

async fn score(
    settings: &Settings,
    store: &dyn GoldStore,
    file: &Path,
    as_of: Option<Timestamp>,
) -> Result<(), CliError> {
    let lake = LakeOpener::new(settings)?.open()?;
    let scored = score::score(&lake, store, file, settings.quality.max_amount, as_of).await?;
    print_whole(&String::from_utf8_lossy(&scored.csv))?;
    for (reason, rows) in &scored.rejected {
        complain!("warning: {} rejected: {reason}", counted(rows, "row"));
    }
    complain!(
        "{} scored as of {} by the models of generation {}",
        counted(scored.customers, "customer"),
        scored.as_of,
        scored.generation
    );
    Ok(())
}

async fn up(settings: &Settings, store: &Arc<dyn GoldStore>) -> Result<(), CliError> {
    check_admin_token(settings)?;
    say!("goldsmith {}", env!("CARGO_PKG_VERSION"));
    let lake = LakeOpener::new(settings)?.open()?;
    let refresher = refresher(settings, lake, Arc::clone(store));
    let is_published = store.active().await?.is_some();
    if !is_published && sample_sources::is_wanted(&refresher.lake).await? {
        let spec = Spec {
            customers: settings.sample.customers,
            purchases: settings.sample.purchases,
            seed: settings.sample.seed,
            dirty: 0.0,
        };
        let place = sample_sources::write(&refresher.lake, spec).await?;
        say!(
            "no source files in {place}: wrote a sample of {} customers and {} purchases",
            spec.customers,
            spec.purchases
        );
    }
    let order = RunSpec::refresh(RunTrigger::Startup, RefreshRequest::default());
    match refresh(settings, &refresher, order).await {
        Ok(()) => {}
        Err(error @ CliError::Refresh(RefreshError::Cancelled)) => return Err(error),
        // What is published stays published, whatever the new files are like.
        Err(error) if is_published => {
            complain!("warning: not refreshed, serving what is published: {}", describe(&error));
        }
        Err(error) => return Err(error),
    }
    serve(settings, Arc::clone(store)).await
}

async fn serve(settings: &Settings, store: Arc<dyn GoldStore>) -> Result<(), CliError> {
    let application = Application::build(settings, store)?;
    let mut addr = application.addr();
    if addr.ip().is_unspecified() {
        addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let AdminToken { token, is_new } = application.admin_token();
    if *is_new {
        say!(
            "admin token of this process: {} (set ADMIN_TOKEN for one that stays)",
            token.expose_secret()
        );
    }
    say!("serving on http://{addr}, Swagger UI on http://{addr}/docs/; try");
    say!("  curl 'http://{addr}/kpis'");
    say!("  curl 'http://{addr}/revenue/country'");
    say!("  curl 'http://{addr}/customers?sort=total_spent:desc&limit=5'");
    Ok(application.run().await?)
}

async fn refresh(
    settings: &Settings,
    refresher: &Refresher,
    order: RunSpec,
) -> Result<(), CliError> {
    let observer: Box<dyn Observer> = if std::io::stderr().is_terminal() {
        Box::new(output::Bars::default())
    } else {
        Box::new(output::Lines)
    };
    let observer = AbortAt { point: settings.abort_at.clone(), inner: observer };
    let begun = refresher.begin(&order).await?;
    let run = begun.run();
    let cancel = CancellationToken::new();
    let (mut signals, asked) = (Signals::hear()?, cancel.clone());
    let listening = tokio::spawn(async move {
        signals.next().await;
        asked.cancel();
        signals.next().await;
        std::process::exit(EXIT_AT_ONCE);
    });
    let ended = refresher.run(begun, &observer, &cancel).await;
    notifier(settings).tell(refresher.store.as_ref(), run).await;
    listening.abort();
    match ended? {
        Outcome::Unchanged { generation, active } if generation == active => {
            say!("nothing changed: generation {generation} is up to date");
        }
        Outcome::Unchanged { generation, active } => say!(
            "nothing changed since generation {generation}, which was rolled back to {active}; --force runs all the same"
        ),
        Outcome::Published(report) => {
            print_report(&report);
            if let Some(problem) = &report.not_swept {
                complain!("warning: older generations were not removed: {}", describe(problem));
            }
        }
    }
    Ok(())
}

fn print_report(report: &Report) {
    let manifest = &report.manifest;
    let datasets = [("clients", &manifest.quality.clients), ("achats", &manifest.quality.achats)];
    let mut rows = screen_table(&["", "read", "rejected", "kept"]);
    for (name, quality) in datasets {
        rows.add_row([
            name.to_owned(),
            quality.rows_read.to_string(),
            quality.rows_rejected().to_string(),
            quality.rows_valid.to_string(),
        ]);
    }
    right_align(&mut rows, &[1, 2, 3]);
    say!("{rows}");
    for (name, quality) in datasets {
        for (reason, count) in &quality.rejected {
            say!("  rejected in {name}: {reason} {count}");
        }
    }
    for (warning, count) in manifest.quality.warnings.iter().filter(|(_, count)| **count > 0) {
        say!("  warning: {warning} {count}");
    }
    if manifest.purchases_after_as_of > 0 {
        say!("  left out after as_of: {} purchases", manifest.purchases_after_as_of);
    }

    let mut steps = screen_table(&["step", "seconds", "result"]);
    for done in &report.steps {
        steps.add_row([done.step.to_string(), seconds(done.took), done.summary.clone()]);
    }
    let total: Duration = report.steps.iter().map(|done| done.took).sum();
    steps.add_row(["total".to_owned(), seconds(total), String::new()]);
    right_align(&mut steps, &[1]);
    say!("{steps}");
    match metrics::retries() {
        0 => {}
        retries => say!(" {} in passing, each made again", counted(retries, "failure")),
    }
    if let Some(megabytes) = peak_memory_mb() {
        say!(" peak memory {megabytes} MB");
    }
    say!(
        "published generation {} as of {}{}",
        manifest.generation,
        manifest.as_of,
        if report.resumed { " (found complete in the lake)" } else { "" }
    );
}

/// A table without lines.
fn screen_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table
}

fn right_align(table: &mut Table, columns: &[usize]) {
    for index in columns {
        if let Some(column) = table.column_mut(*index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// The most memory this process has held so far, in megabytes; `None` where the system does not
/// tell (it does on Linux).
fn peak_memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes / 1_024)
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

fn generate(spec: Spec, out: &std::path::Path) -> Result<(), CliError> {
    let write_error = |path: &std::path::Path| {
        let path = path.display().to_string();
        move |source| CliError::Write { path, source }
    };
    let files = sample::generate(spec)?;
    std::fs::create_dir_all(out).map_err(write_error(out))?;
    // A sample may be replaced; anything else may be the only copy of a shop's data.
    let truth = std::fs::read(out.join(sample::GROUND_TRUTH)).unwrap_or_default();
    for name in sample::FILES {
        let path = out.join(name);
        let is_taken = std::fs::read(&path)
            .is_ok_and(|content| !sample::is_sample(&truth, name, &sha256_hex(&content)));
        if is_taken {
            return Err(CliError::Request(format!(
                "{} is not the sample that {} beside it speaks of; choose another directory",
                path.display(),
                sample::GROUND_TRUTH
            )));
        }
    }
    for (name, bytes) in files {
        let path = out.join(name);
        write_whole(&path, &bytes).map_err(write_error(&path))?;
        say!("wrote {} ({} bytes)", path.display(), bytes.len());
    }
    Ok(())
}

/// Prints what the command was asked for, all of it or an error. A reader that has seen enough
/// and closed the pipe is no error.
fn print_whole(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::Write { path: "standard output".to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// Writes a file that is there complete or not at all, readable as any other.
fn write_whole(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(std::path::Path::new("."));
    let mut staged = tempfile::Builder::new();
    #[cfg(unix)]
    staged.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut staged = staged.tempfile_in(folder)?;
    staged.write_all(bytes)?;
    staged.persist(path).map_err(|error| error.error)?;
    Ok(())
}

async fn look_after(
    settings: &Settings,
    lake: &Lake,
    store: &dyn GoldStore,
    command: LakeCommand,
) -> Result<(), CliError> {
    match command {
        LakeCommand::Ls => {
            let mut table = screen_table(&["layer", "generation", "objects", "bytes", "state"]);
            for holding in maintenance::list(lake, store).await? {
                table.add_row([
                    lake.place(holding.layer),
                    holding.generation.map_or_else(String::new, |number| number.to_string()),
                    holding.objects.to_string(),
                    holding.bytes.to_string(),
                    holding.state,
                ]);
            }
            right_align(&mut table, &[1, 2, 3]);
            say!("{table}");
            Ok(())
        }
        LakeCommand::Verify => {
            let Verified { objects, bytes, problems } = maintenance::verify(lake, store).await?;
            for problem in &problems {
                say!("{problem}");
            }
            say!("{} of {bytes} bytes as written", counted(objects, "object"));
            if problems.is_empty() { Ok(()) } else { Err(CliError::Damaged) }
        }
        LakeCommand::Vacuum { dry_run, bronze, older_than } => {
            let days = older_than.filter(|_| bronze).map(u64::from);
            let order = Vacuum {
                keep_generations: settings.keep_generations,
                is_dry: dry_run,
                limit: settings.refresh.step,
                bronze_older_than: days.map(|days| Duration::from_hours(24 * days)),
            };
            let VacuumReport { objects, half_written } =
                maintenance::vacuum(lake, store, order).await?;
            let verb = if dry_run { "would remove" } else { "removed" };
            for (path, bytes) in &objects {
                say!("{verb} {path} ({bytes} bytes)");
            }
            let bytes: u64 = objects.iter().map(|(_, bytes)| bytes).sum();
            say!(
                "{verb} {} of {bytes} bytes and {half_written} half-written",
                counted(objects.len(), "object")
            );
            Ok(())
        }
    }
}

async fn check(store: &dyn GoldStore, lake: &Lake) -> Result<(), CliError> {
    let findings = check::check(store, lake).await?;
    let Some(generation) = findings.generation else {
        return Err(CliError::Request("nothing is published; run goldsmith refresh".to_owned()));
    };
    let mut table = screen_table(&["table", "rows", "found"]);
    for (name, rows, problems) in &findings.tables {
        let found =
            if problems.is_empty() { "as declared".to_owned() } else { problems.join("; ") };
        table.add_row([(*name).to_owned(), rows.to_string(), found]);
    }
    right_align(&mut table, &[1]);
    say!("{table}");
    for problem in &findings.names {
        say!(" the name {problem}");
    }
    for problem in &findings.models {
        say!(" the models: {problem}");
    }
    if !findings.is_good() {
        return Err(CliError::Deviates);
    }
    say!("generation {generation} is what its manifest and the contract say");
    Ok(())
}
