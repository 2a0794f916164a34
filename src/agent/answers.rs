//! What the agent does for those who ask over the socket.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::control::{Asked, ClientId, Enrolling, Reply, Request};
use super::post::{Message, Post};
use super::status::with_backups;
use super::{Agent, WantedStick};
use crate::error::{Error, Kind, Result};
use crate::job::cycle::Outcome;
use crate::job::{Site, StickAt, enrolment};
use crate::model::Event;

/// How long the next stick that is plugged in is enrolled: long enough to fetch one.
const ENROL_FOR: Duration = Duration::from_secs(120);

impl Agent {
    pub(super) fn serve(&mut self) -> Result<()> {
        for Asked { client, request } in self.server.serve() {
            match request {
                Ok(request) => self.asked(client, request)?,
                Err(error) => self.server.answer(client, &Reply::error(&error)),
            }
        }
        Ok(())
    }

    fn asked(&mut self, client: ClientId, request: Request) -> Result<()> {
        match request {
            Request::Status => {
                let live = self.live();
                self.in_thread("status", client, |site, _| Reply::of(&with_backups(site, live)))
            }
            Request::Backup => {
                log::info!("a backup is asked for over the socket");
                // One that runs may have read the database before the question: the next one is the answer.
                self.waiting.push((client, self.cycles + 1));
                self.wanted = true;
                self.plugs().renew(false);
                Ok(())
            }
            Request::Enroll { device } => {
                let enrolling = self.enroll(device);
                self.server.answer(client, &Reply::of(&Ok(enrolling)));
                Ok(())
            }
            Request::Sticks => self.in_thread("list", client, |site, _| Reply::of(&enrolment::list(site))),
            Request::Forget { name } => {
                self.in_thread("forget", client, move |site, _| Reply::of(&enrolment::forget(site, &name)))
            }
            Request::Format { device, name, erase_backups, ticket } => {
                self.format(client, device, name, erase_backups, ticket)
            }
            Request::Adopt { device } => self.in_thread("adopt", client, move |site, post| {
                let at = StickAt { path: device.clone(), plain_folder: false };
                let adopted = enrolment::adopt(site, &at);
                if adopted.is_ok() {
                    post.send(Message::LookAgain(device));
                }
                Reply::of(&adopted)
            }),
        }
    }

    pub(super) fn in_thread(
        &self,
        name: &'static str,
        client: ClientId,
        work: impl FnOnce(&Site, &Post) -> Reply + Send + 'static,
    ) -> Result<()> {
        let site = self.site.clone();
        self.post.spawn(name, move |post| Message::Answer(client, work(&site, post)))
    }

    /// Enrols what was refused for being a stranger, or else what comes next.
    pub(super) fn enroll(&mut self, device: Option<PathBuf>) -> Enrolling {
        let strangers = self.plugs().strangers(device.as_deref());
        let node = |key: &String| Some(self.plugs().get(key)?.disk.node.clone());
        let devices: Vec<PathBuf> = strangers.iter().filter_map(node).collect();
        let until = Instant::now() + ENROL_FOR;
        self.enrol = devices.is_empty().then_some(WantedStick { node: device, until });
        for key in &strangers {
            self.look_again(key, true);
        }
        Enrolling { devices, seconds: ENROL_FOR.as_secs() }
    }

    /// Hands progress to those who wait for this cycle.
    pub(super) fn hand_on(&mut self, stick: Option<String>, event: Event) {
        let reply = Reply::Progress { stick, event };
        for (client, _) in self.waiting.iter().filter(|(_, cycle)| *cycle <= self.cycles) {
            self.server.answer(*client, &reply);
        }
    }

    /// Gives the result to those who waited for this cycle.
    pub(super) fn give_result(&mut self, ended: &Result<Outcome>) {
        let reply = match ended {
            Ok(Outcome { report: Some(report), .. }) => Reply::of(&Ok(report)),
            Ok(Outcome { failure, .. }) => {
                let lines: Vec<String> = failure.iter().flat_map(|report| report.lines()).map(str::to_owned).collect();
                Reply::error(&Error::from_messages(Kind::Io, &lines, None))
            }
            Err(error) => Reply::error(error),
        };
        let number = self.cycles;
        for (client, _) in self.waiting.extract_if(.., |(_, cycle)| *cycle <= number) {
            self.server.answer(client, &reply);
        }
    }
}
