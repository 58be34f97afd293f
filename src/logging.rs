//! The log of this process: format, filter and sink. In practice the sink is standard error; standard output
//! is for results.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines of text.
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// The format.
    pub format: LogFormat,
    /// Filter directives as in `RUST_LOG`; `None` for the default of the command.
    pub filter: Option<String>,
}

/// Installs the subscriber of this process. A second call has no effect.
///
/// # Errors
/// When the filter directives cannot be parsed.
pub fn init<W>(
    log: &LogOptions,
    default_filter: &str,
    sink: W,
) -> Result<(), tracing_subscriber::filter::ParseError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let directives = log.filter.as_deref().unwrap_or(default_filter);
    let filter = EnvFilter::builder().parse(directives)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(sink);
    // Fails only if a subscriber is installed, as in tests that start several applications.
    let _already_installed = match log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
