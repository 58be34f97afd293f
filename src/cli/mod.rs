//! The command line. Each subcommand has a file of its own; this one dispatches to them.

mod args;
mod check;
mod error;
mod generate;
mod lake;
mod output;
mod progress;
mod refresh;
mod score;
mod serve;
mod sources;
mod up;

use std::process::ExitCode;
use std::sync::Arc;

pub use args::Cli;

use crate::api::{self, openapi};
use crate::error_chain::describe;
use crate::runs::{RefreshRequest, RunSpec, RunTrigger};
use crate::settings::{self, Loaded, Settings};
use crate::startup::{LakeOpener, limit_threads, notifier, open_store, refresher};
use crate::store::{self, GoldStore};
use crate::{dictionary, failpoint, logging};
use args::{Command, StoreCommand};
use error::CliError;
use output::{errln, outln, print_document};

/// Runs a command line. A failure is printed as one sentence to standard error.
pub async fn run(cli: Cli) -> ExitCode {
    match execute(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            errln!("error: {}", describe(&error));
            if let CliError::Refresh(error) = &error
                && !error.mappings().is_empty()
            {
                errln!("\n{}", error.mappings());
            }
            error.exit_code()
        }
    }
}

async fn execute(cli: Cli) -> Result<(), CliError> {
    let load = || settings::load(cli.config.as_deref());
    match cli.command.unwrap_or(Command::OnStore(StoreCommand::Up)) {
        Command::OnStore(command) => execute_on_store(load()?, command).await,
        Command::Sources { command } => sources::sources(&load()?.settings, command).await,
        Command::Generate(arguments) => {
            generate::generate(arguments.spec(), arguments.format, &arguments.out)
        }
        Command::Settings => {
            let lines = load()?.resolved.into_iter().map(|resolved| format!("{resolved}\n"));
            print_document(&lines.collect::<String>())
        }
        Command::Openapi => print_document(&openapi::to_json(&api::document())?),
        Command::Dictionary => print_document(&dictionary::markdown()),
    }
}

/// Prepares the process, opens the store, and closes it however the command ended.
async fn execute_on_store(loaded: Loaded, command: StoreCommand) -> Result<(), CliError> {
    // The other commands print their progress; `serve` has only its log.
    let filter = if matches!(command, StoreCommand::Serve) { "info" } else { "warn" };
    logging::init(&loaded.settings.log, filter, std::io::stderr)?;
    limit_threads(&loaded, matches!(command, StoreCommand::Up | StoreCommand::Serve));
    let mut settings = loaded.settings;
    if let Some(points) = &settings.abort_at {
        failpoint::arm(points);
    }
    if matches!(command, StoreCommand::Check) {
        check::read_from_primary(&mut settings);
    }
    let store = open_store(&settings)?;
    let result = dispatch(command, &settings, &store).await;
    store.close().await;
    result
}

async fn dispatch(
    command: StoreCommand,
    settings: &Settings,
    store: &Arc<dyn GoldStore>,
) -> Result<(), CliError> {
    let open_lake = || LakeOpener::new(settings)?.open();
    match command {
        StoreCommand::Up => up::up(settings, store).await,
        StoreCommand::Serve => {
            serve::warn_if_unreachable(store);
            serve::serve(settings, Arc::clone(store)).await
        }
        StoreCommand::Refresh { as_of, force } => {
            let request = RefreshRequest { as_of, force, ..RefreshRequest::default() };
            let spec = RunSpec::refresh(RunTrigger::Cli, request);
            let refresher = refresher(settings, open_lake()?, Arc::clone(store));
            refresh::refresh(settings, &refresher, spec).await
        }
        StoreCommand::Score { customers, as_of } => {
            score::score(settings, &open_lake()?, store.as_ref(), &customers, as_of).await
        }
        StoreCommand::Rollback { generation } => {
            let rollback =
                store::rollback::rollback(store.as_ref(), RunTrigger::Cli, generation).await?;
            outln!("serving generation {} again instead of {}", rollback.to, rollback.from);
            notifier(settings).notify(store.as_ref(), rollback.run).await;
            Ok(())
        }
        StoreCommand::Check => check::check(store.as_ref(), &open_lake()?).await,
        StoreCommand::Lake { command } => {
            lake::lake(settings, &open_lake()?, store.as_ref(), command).await
        }
    }
}
