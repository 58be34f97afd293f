//! The binary: command line in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use goldsmith::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            // May replace this process once by the same with a limit of threads (`startup::limit_threads`).
            let code = runtime.block_on(cli::run(cli));
            // Dropping the runtime would wait for the computation of a cancelled run.
            std::mem::forget(runtime);
            code
        }
        Err(error) => {
            eprintln!("error: the async runtime cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
