//! `goldsmith serve`: the HTTP server until a signal stops it.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::error::CliError;
use super::output::{errln, outln};
use crate::error_chain::describe;
use crate::settings::Settings;
use crate::startup::{AdminToken, Application};
use crate::store::GoldStore;

/// Warns, in the background, when the store does not answer. The server starts without it: it
/// answers 503 until the store is there.
pub(super) fn warn_if_unreachable(store: &Arc<dyn GoldStore>) {
    let store = Arc::clone(store);
    tokio::spawn(async move {
        if let Err(error) = store.ping().await {
            errln!("warning: the serving store does not answer yet: {}", describe(&error));
        }
    });
}

/// Serves until SIGTERM or ctrl-c.
pub(super) async fn serve(settings: &Settings, store: Arc<dyn GoldStore>) -> Result<(), CliError> {
    let application = Application::build(settings, store)?;
    let mut addr = application.addr();
    if addr.ip().is_unspecified() {
        addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let AdminToken { token, is_generated } = application.admin_token();
    if *is_generated {
        outln!(
            "admin token of this process: {} (set ADMIN_TOKEN to choose a permanent one)",
            token.expose_secret()
        );
    }
    outln!("serving on http://{addr}, Swagger UI on http://{addr}/docs/; try");
    outln!("  curl 'http://{addr}/kpis'");
    outln!("  curl 'http://{addr}/revenue/country'");
    outln!("  curl 'http://{addr}/customers?sort=total_spent:desc&limit=5'");
    Ok(application.run().await?)
}
