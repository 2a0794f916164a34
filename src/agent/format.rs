//! Formatting a stick for somebody who asked over the socket: only one that is plugged in, and that nothing is done with.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Agent;
use super::control::{ClientId, Reply};
use super::post::{Message, Post};
use crate::error::{Error, Kind, Result};
use crate::job::format::{self, Wanted};
use crate::model::{Cancel, Event, Monitor, Run};

impl Agent {
    pub(super) fn format(
        &mut self,
        client: ClientId,
        device: PathBuf,
        name: Option<String>,
        erase_backups: bool,
        ticket: Option<String>,
    ) -> Result<()> {
        let label = name.map_or_else(|| Ok(Default::default()), |name| name.parse());
        let begun = label.and_then(|label| {
            let wanted = Wanted { path: device, label, erase_backups };
            // Whoever may talk to the agent need not be allowed to write to every file and disk of the box.
            let key = self.plugs().at(&wanted.path).ok_or_else(|| unknown(&wanted))?;
            self.may_begin(&key, &wanted)?;
            Ok((wanted, key))
        });
        match (begun, ticket) {
            (Err(error), _) => self.server.answer(client, &Reply::error(&error)),
            (Ok((wanted, _)), None) => {
                self.in_thread("look", client, move |site, _| Reply::of(&format::plan(Some(site), &wanted)))?;
            }
            (Ok((wanted, key)), Some(ticket)) => self.begin_format(client, key, wanted, ticket)?,
        }
        Ok(())
    }

    fn may_begin(&self, key: &str, wanted: &Wanted) -> Result<()> {
        if self.formatting.is_none() && self.plugs().is_at_rest(key) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Busy,
            format!("{:?} cannot be formatted just now: sticks are being worked on", wanted.path),
        )
        .help("wait until the light is steady, then try again"))
    }

    fn begin_format(&mut self, client: ClientId, key: String, wanted: Wanted, ticket: String) -> Result<()> {
        log::warn!("{key} is being formatted, as somebody asked over the socket");
        let cancel = Cancel::default();
        self.formatting = Some(cancel.clone());
        self.plugs().begin_format(&key);
        let site = self.site.clone();
        self.post.spawn("format", move |post| {
            let teller = Teller { post, client, last: Mutex::default() };
            let done = format::carry_out(Some(&site), &wanted, &ticket, &Run { monitor: &teller, cancel: &cancel });
            if let Err(error) = &done {
                log::error!("{}", error.report());
            }
            Message::FormatOver(key, client, Reply::of(&done))
        })
    }

    pub(super) fn format_over(&mut self, key: &str, client: ClientId, reply: &Reply) {
        self.formatting = None;
        self.server.answer(client, reply);
        let disk = self.plugs().end_format(key);
        if let Some(disk) = disk {
            self.look_at(key.to_owned(), disk, false);
        }
        self.take_stock();
    }
}

fn unknown(wanted: &Wanted) -> Error {
    Error::new(Kind::Missing, format!("no stick is plugged in at {:?}", wanted.path))
        .help("`tillstick status` shows the sticks that are plugged in; name one as it is shown there")
}

/// Hands progress to the one who asked, a few times a second.
struct Teller<'a> {
    post: &'a Post,
    client: ClientId,
    last: Mutex<Option<Instant>>,
}

/// The least time between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

impl Monitor for Teller<'_> {
    fn event(&self, event: Event) {
        if matches!(event, Event::Progress { .. }) {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| last.elapsed() < PROGRESS_EVERY) {
                return;
            }
            *last = Some(Instant::now());
        }
        self.post.send(Message::Formatting(self.client, event));
    }
}
