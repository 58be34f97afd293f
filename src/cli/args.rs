//! The command line: subcommands, their options and help texts.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};

use crate::domain::time::Timestamp;
use crate::runs::RefreshRequest;
use crate::sample::{Format, Spec};

/// Customer analytics for online shops, self-hosted: builds tables and models from CSV files and serves them over HTTP.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 success, 1 the command failed, 2 the request or a setting is not valid."
)]
pub struct Cli {
    /// Settings file [default: goldsmith.toml in the working directory, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    OnStore(StoreCommand),
    /// Look at source files without refreshing
    Sources {
        #[command(subcommand)]
        command: SourcesCommand,
    },
    /// Generate sample source files
    Generate(GenerateArgs),
    /// Print every setting with its value and origin; secrets are masked
    Settings,
    /// Print the OpenAPI document
    Openapi,
    /// Print the data dictionary as Markdown
    Dictionary,
}

/// Commands that need the serving store.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Generate a sample if there are no source files, refresh if they changed, then serve (default)
    Up,
    /// Serve the published data over HTTP
    Serve,
    /// Run the pipeline once and publish the result
    ///
    /// The steps are sources, bronze, silver, gold, models, proof, publish and sweep. Without changes
    /// since the last refresh nothing is published.
    Refresh {
        /// Compute all figures as of the end of this day, or of this instant [default: the last purchase]
        #[arg(long, value_name = "DATE", value_parser = parse_as_of)]
        as_of: Option<Timestamp>,
        /// Run even if nothing changed, and ignore the quality gate
        #[arg(long)]
        force: bool,
    },
    /// Score the customers in a file with the published models and print the result as CSV
    Score {
        /// CSV file with the customers' purchases, in the format of achats*.csv
        #[arg(long, value_name = "FILE")]
        customers: PathBuf,
        /// Score as of the end of this day, or of this instant [default: when the models were trained]
        #[arg(long, value_name = "DATE", value_parser = parse_as_of)]
        as_of: Option<Timestamp>,
    },
    /// Serve an earlier generation again
    Rollback {
        /// Generation to serve [default: the one before the active generation]
        generation: Option<u64>,
    },
    /// Audit the published data against its manifest and the data contract
    Check,
    /// Inspect and maintain the data lake
    Lake {
        #[command(subcommand)]
        command: LakeCommand,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct GenerateArgs {
    /// Number of customers
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    customers: u32,
    /// Number of orders of customers; those of guests, 4 in 100 more, come on top
    ///
    /// An order has a row for each of its products, and another one for each that is given back.
    #[arg(long, default_value_t = 60_000, value_name = "M")]
    purchases: u32,
    /// Seed of the random generator; the same seed gives the same files
    #[arg(long, default_value_t = 42, value_name = "S")]
    seed: u64,
    /// Share of invalid rows to add, 0 to 0.5; format goldsmith only
    #[arg(long, default_value_t = 0.0, value_name = "RATIO")]
    dirty: f64,
    /// System whose export to write: the same shop in every format
    #[arg(
        long,
        default_value = Format::Goldsmith.as_str(),
        value_name = "FORMAT",
        value_parser = PossibleValuesParser::new(Format::NAMES).try_map(|name| name.parse::<Format>())
    )]
    pub(super) format: Format,
    /// Directory to write the files of the format and ground_truth.json to
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
}

impl GenerateArgs {
    pub(super) fn spec(&self) -> Spec {
        let Self { customers, purchases, seed, dirty, .. } = *self;
        Spec { customers, purchases, seed, dirty }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum LakeCommand {
    /// List the contents by layer and generation
    Ls,
    /// Read every object that a manifest refers to and compare it with its hash
    Verify,
    /// Hand the lake over to the serving store of the settings, from the one it belongs to
    Adopt,
    /// Remove objects that no stored generation refers to, and leftovers of interrupted runs
    Vacuum {
        /// Only print what would be removed
        #[arg(long)]
        dry_run: bool,
        /// Also remove source files in bronze that no stored generation was built from
        #[arg(long, requires = "older_than")]
        bronze: bool,
        /// Minimum age of the source files to remove, in days
        #[arg(long, value_name = "DAYS", requires = "bronze")]
        older_than: Option<u32>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SourcesCommand {
    /// Print what each source file is read as and why, what becomes of its rows and money, and its first rows
    ///
    /// Nothing is written. All rows are read, as a refresh would.
    Inspect {
        /// Name of a file of the sources layer, or path of any other file, which is read as if it were the only one [default: all source files]
        #[arg(value_name = "FILE")]
        file: Option<String>,
    },
}

fn parse_as_of(text: &str) -> Result<Timestamp, String> {
    RefreshRequest::parse_as_of(text).ok_or_else(|| {
        "expected a date (2025-12-31) or an instant (2025-12-31T18:00:00)".to_owned()
    })
}
