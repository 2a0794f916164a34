//! A dump on its way into a server's own client: line by line, each judged before the client sees it.

use std::borrow::Cow;
use std::io::{BufReader, Read};

use super::lines::read_line;
use super::whole::Whole;
use crate::error::{Error, Kind, Result};
use crate::host::piped::Piped;
use crate::model::Run;

/// How much of the dump goes to the client at once, in bytes.
const PARCEL: usize = 64 << 10;

/// What lets a dump through and keeps out what reaches beyond its one database.
pub(in crate::source) trait Filter {
    /// What of the line goes on to the client: `None` for nothing; an error when it must not.
    fn line<'l>(&mut self, line: &'l [u8]) -> Result<Option<Cow<'l, [u8]>>>;

    /// The dump is over: what is left without an end would be executed as well.
    fn finish(&mut self) -> Result<()>;
}

/// Feeds `client` with `first` and then with the dump `text`. False when the client stopped listening: how it ended says why.
///
/// When this fails, the client has not heard the end, and it must not: it would execute, or commit, what is left.
pub(in crate::source) fn feed(
    client: &mut Piped,
    first: Vec<u8>,
    text: impl Read,
    filter: &mut impl Filter,
    run: &Run,
) -> Result<bool> {
    let mut whole = Whole::default();
    let mut text = BufReader::with_capacity(256 << 10, text);
    let (mut line, mut ready) = (Vec::new(), first);
    let mut seen = 0;
    while read_line(&mut text, &mut line)? {
        seen += line.len() as u64;
        whole.see(&line);
        if let Some(line) = filter.line(&line)? {
            ready.extend_from_slice(&line);
        }
        if ready.len() >= PARCEL {
            if !client.write(&ready, run)? {
                return Ok(false);
            }
            ready.clear();
            run.progress(seen)?;
        }
    }
    whole.judge()?;
    filter.finish()?;
    client.write(&ready, run)?;
    Ok(true)
}

pub(in crate::source) fn refused(what: &str) -> Error {
    Error::new(Kind::Refused, format!("the dump holds {what}, for which a dump of one database has no reason"))
        .help("it may be hostile; if you trust it, load it with the server's own client")
}

/// What of a dump goes through.
#[cfg(test)]
pub(in crate::source) fn through(mut filter: impl Filter, dump: &str) -> Result<String> {
    let mut out = String::new();
    for line in dump.split_inclusive('\n') {
        if let Some(line) = filter.line(line.as_bytes())? {
            out.push_str(&String::from_utf8_lossy(&line));
        }
    }
    filter.finish()?;
    Ok(out)
}
