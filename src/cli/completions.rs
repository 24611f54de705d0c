//! `warroom completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, Outcome, Output};

/// Prints the completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom completions bash > ~/.local/share/bash-completion/completions/warroom
  warroom completions zsh  > ~/.zfunc/_warroom
  warroom completions fish > ~/.config/fish/completions/warroom.fish")]
pub struct Args {
    /// Which shell.
    pub shell: Shell,
}

/// Prints them.
pub fn run(args: &Args, output: &mut Output) -> Outcome {
    // The generator panics when its writer fails, so it writes to memory.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "warroom", &mut text);
    output.results().write_all(&text)?;
    Ok(Exit::Good)
}
