//! `warroom man`: the manual page, made from the same definitions as the help.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_mangen::Man;

use super::{Cli, Exit, Outcome, Output};

/// Prints the manual page.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  warroom man | man -l -
  warroom man > ~/.local/share/man/man1/warroom.1")]
pub struct Args {}

/// Prints it; read it with `warroom man | man -l -`.
pub fn run(output: &mut Output) -> Outcome {
    let mut page = Vec::new();
    render(&mut page)?;
    output.results().write_all(&page)?;
    Ok(Exit::Good)
}

/// One page: the command itself, then a part for each subcommand.
fn render(page: &mut Vec<u8>) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    let man = Man::new(command.clone());
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    part(&command, "warroom", page)?;
    man.render_extra_section(page)?;
    man.render_version_section(page)
}

fn part(command: &clap::Command, name: &str, page: &mut Vec<u8>) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        let name = format!("{name} {}", subcommand.get_name());
        writeln!(page, ".SH {}", format!("\"{name}\"").to_uppercase())?;
        let man = Man::new(subcommand.clone());
        let mut body = Vec::new();
        man.render_synopsis_section(&mut body)?;
        man.render_description_section(&mut body)?;
        man.render_options_section(&mut body)?;
        man.render_extra_section(&mut body)?;
        // Sections of a subcommand are sub-sections of the whole page.
        page.write_all(String::from_utf8_lossy(&body).replace(".SH ", ".SS ").as_bytes())?;
        part(subcommand, &name, page)?;
    }
    Ok(())
}
