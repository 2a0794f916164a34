//! Completions and the manual page, made from the command line's own description.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Context, Exit};
use crate::error::{Context as _, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

pub(super) fn completions(context: &Context, args: &Completions) -> Result<Exit> {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tillstick", &mut out);
    context.screen.text(&String::from_utf8_lossy(&out))?;
    Ok(Exit::Done)
}

/// One page for everything: the command, then each verb.
pub(super) fn page(context: &Context) -> Result<Exit> {
    let mut out = Vec::new();
    let mut command = Cli::command();
    command.build();
    let man = clap_mangen::Man::new(command.clone());
    let render = |out: &mut Vec<u8>| -> std::io::Result<()> {
        man.render(out)?;
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
            out.extend_from_slice(format!(".SH \"TILLSTICK {}\"\n", verb.get_name().to_uppercase()).as_bytes());
            let page = clap_mangen::Man::new(verb.clone());
            page.render_description_section(out)?;
            page.render_options_section(out)?;
            page.render_extra_section(out)?;
        }
        Ok(())
    };
    render(&mut out).context(|| "cannot make the manual page".into())?;
    context.screen.text(&String::from_utf8_lossy(&out))?;
    Ok(Exit::Done)
}
