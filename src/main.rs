//! The binary: command line in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use goldsmith::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(cli::run(cli));
            // What a cancelled run was computing is of no use to anybody: it ends with the process.
            std::mem::forget(runtime);
            code
        }
        Err(error) => {
            eprintln!("error: the runtime cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
