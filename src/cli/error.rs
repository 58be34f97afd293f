//! Why a command failed, and the exit code that says so.

use std::process::ExitCode;

use crate::jobs::check::CheckError;
use crate::jobs::error::RefreshError;
use crate::jobs::maintenance::MaintenanceError;
use crate::jobs::sample_sources;
use crate::jobs::score::ScoreError;
use crate::lake::LakeError;
use crate::pipeline::PipelineError;
use crate::sample::SampleError;
use crate::settings::SettingsError;
use crate::startup::StartupError;
use crate::store::StoreError;

/// Exit code for a failed command.
const FAILURE: u8 = 1;
/// Exit code for a request or setting that is not valid; the same as clap's.
const USAGE: u8 = 2;

#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("setting log.filter (RUST_LOG)")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error(transparent)]
    Startup(#[from] StartupError),
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Score(#[from] ScoreError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sample(#[from] SampleError),
    #[error(transparent)]
    SampleSources(#[from] sample_sources::WriteError),
    #[error("cannot read {path}")]
    Read { path: String, source: std::io::Error },
    #[error("cannot write {path}")]
    Write { path: String, source: std::io::Error },
    /// The request is not possible.
    #[error("{0}")]
    Request(String),
    /// `check` found deviations; its report has been printed.
    #[error("the published data deviates from its manifest or the data contract")]
    Deviates,
    /// `lake verify` found damage; its report has been printed.
    #[error("the lake is damaged")]
    Damaged,
    #[error("the OpenAPI document cannot be rendered")]
    OpenApi(#[from] serde_json::Error),
}

impl CliError {
    pub(super) fn exit_code(&self) -> ExitCode {
        let is_usage = matches!(
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
        ExitCode::from(if is_usage { USAGE } else { FAILURE })
    }
}
