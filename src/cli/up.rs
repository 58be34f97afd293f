//! `goldsmith up`, the default: sample, refresh, serve.

use std::sync::Arc;

use super::error::CliError;
use super::output::{errln, outln};
use super::refresh::refresh;
use super::serve::serve;
use crate::error_chain::describe;
use crate::jobs::error::RefreshError;
use crate::jobs::sample_sources;
use crate::lake::Lake;
use crate::runs::{RefreshRequest, RunSpec, RunTrigger};
use crate::sample::Spec;
use crate::settings::Settings;
use crate::startup::{LakeOpener, check_admin_token, refresher};
use crate::store::GoldStore;

/// Generates a sample if there is nothing to start from, refreshes, and serves.
pub(super) async fn up(settings: &Settings, store: &Arc<dyn GoldStore>) -> Result<(), CliError> {
    check_admin_token(settings)?;
    outln!("goldsmith {}", env!("CARGO_PKG_VERSION"));
    let lake = LakeOpener::new(settings)?.open()?;
    let is_published = store.active().await?.is_some();
    if !is_published && sample_sources::is_wanted(&lake).await? {
        write_sample(settings, &lake).await?;
    }
    let refresher = refresher(settings, lake, Arc::clone(store));
    let spec = RunSpec::refresh(RunTrigger::Startup, RefreshRequest::default());
    match refresh(settings, &refresher, spec).await {
        Ok(()) => {}
        Err(error @ CliError::Refresh(RefreshError::Cancelled)) => return Err(error),
        // New source files that cannot be used must not stop the published data from being served.
        Err(error) if is_published => {
            errln!("warning: not refreshed, serving what is published: {}", describe(&error));
        }
        Err(error) => return Err(error),
    }
    serve(settings, Arc::clone(store)).await
}

async fn write_sample(settings: &Settings, lake: &Lake) -> Result<(), CliError> {
    let spec = Spec {
        customers: settings.sample.customers,
        purchases: settings.sample.purchases,
        seed: settings.sample.seed,
        dirty: 0.0,
    };
    let location = sample_sources::write(lake, spec).await?;
    outln!(
        "no source files in {location}: wrote a sample of {} customers and {} purchases",
        spec.customers,
        spec.purchases
    );
    Ok(())
}
