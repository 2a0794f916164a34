//! `tillstick init`: a commented configuration, by questions or by flags.

use std::fs::DirBuilder;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::{Context, Exit, lang_of_environment};
use crate::config::{Answers, Question, questions, write_config};
use crate::error::{Context as _, Error, Kind, Result};
use crate::host::durable;
use crate::lang::Lang;

const EXAMPLES: &str = "\
Examples:
  tillstick init                                     asks
  tillstick init --set customer=104711 --set path=/srv/till/kasse.db -o tillstick.toml
  tillstick init --yes --set customer=104711 -o -    print one with every other default";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Answer a question beforehand: customer, box, lang, time_zone, mode, source, path, primary.dir.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The file to write instead of --config, or - for stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take the default of every question that --set does not answer.
    #[arg(long, short)]
    yes: bool,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(context: &Context, args: Args) -> Result<Exit> {
    let target = args.output.unwrap_or_else(|| context.config.clone());
    let to_stdout = target == Path::new("-");
    if !to_stdout && !args.force && durable::is_there(&target)? {
        return Err(Error::new(Kind::Usage, format!("{target:?} is there already"))
            .help("edit it, or say --force to replace it"));
    }
    let mut given = given(&args.set)?;
    let lang = match given.iter().find(|(key, _)| key == "lang") {
        Some((_, code)) => code.parse()?,
        None => lang_of_environment(),
    };
    let answers = answers(context, lang, &mut given, args.yes)?;
    let text = write_config(&answers)?;
    if to_stdout {
        context.screen.text(&text)?;
        return Ok(Exit::Done);
    }
    if let Some(dir) = target.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).create(dir).context(|| format!("cannot make the folder {dir:?}"))?;
    }
    durable::write(&target, text.as_bytes(), 0o640)?;
    context.screen.result(&target, |target| {
        vec![format!("wrote {target:?}"), "next: `tillstick config check`, then `tillstick backup`".into()]
    })?;
    Ok(Exit::Done)
}

fn given(set: &[String]) -> Result<Vec<(String, String)>> {
    set.iter()
        .map(|text| match text.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(Error::new(Kind::Usage, format!("{text:?} is no answer")).help("write --set KEY=VALUE")),
        })
        .collect()
}

fn answers(context: &Context, lang: Lang, given: &mut Vec<(String, String)>, yes: bool) -> Result<Answers> {
    let mut answers = Answers::suggested(lang);
    for question in questions(lang) {
        let answer = match given.iter().position(|(key, _)| key == question.key) {
            Some(at) => checked(&question, &given.remove(at).1)?,
            None if yes => question.default.clone(),
            None => ask(context, &question)?,
        };
        *(question.field)(&mut answers) = answer;
    }
    match given.first() {
        None => Ok(answers),
        Some((key, _)) => {
            let keys: Vec<&str> = questions(lang).iter().map(|question| question.key).collect();
            Err(Error::new(Kind::Usage, format!("no question is called {key:?}"))
                .help(format!("they are: {}", keys.join(", "))))
        }
    }
}

fn checked(question: &Question, answer: &str) -> Result<String> {
    (question.check)(answer)
        .map_err(|why| Error::new(Kind::Usage, format!("{answer:?} is no answer for {}: {why}", question.key)))
}

fn ask(context: &Context, question: &Question) -> Result<String> {
    loop {
        let prompt = format!("{} [{}]: ", question.prompt, question.default);
        let Some(answer) = context.screen.ask(&prompt)? else {
            let help =
                if std::io::stdin().is_terminal() { "the input ended" } else { "there is no terminal to ask on" };
            return Err(Error::new(Kind::Usage, format!("{:?} was not answered: {help}", question.key))
                .help(format!("answer with --set {}=..., or take the defaults with --yes", question.key)));
        };
        let answer = answer.trim();
        match (question.check)(if answer.is_empty() { &question.default } else { answer }) {
            Ok(answer) => return Ok(answer),
            Err(why) => context.screen.note(&format!("  {why}")),
        }
    }
}
