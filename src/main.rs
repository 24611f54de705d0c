//! The `warroom` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    warroom::cli::main()
}
