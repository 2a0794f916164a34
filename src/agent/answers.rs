//! What the agent does for those who ask over the socket.

use super::Agent;
use super::control::{Asked, ClientId, Reply, Request};
use super::post::Message;
use super::status::with_backups;
use crate::error::{Error, Kind, Result};
use crate::job::cycle::Outcome;
use crate::model::Event;

impl Agent {
    pub(super) fn serve(&mut self) -> Result<()> {
        for Asked { client, request } in self.server.serve() {
            match request {
                Ok(request) => self.asked(client, &request)?,
                Err(error) => self.server.answer(client, &Reply::error(&error)),
            }
        }
        Ok(())
    }

    fn asked(&mut self, client: ClientId, request: &Request) -> Result<()> {
        match request {
            Request::Status => {
                let (site, live) = (self.site.clone(), self.live());
                self.post.spawn("status", move |_| Message::Answer(client, Reply::of(&with_backups(&site, live))))
            }
            Request::Backup => {
                log::info!("a backup is asked for over the socket");
                // One that runs may have read the database before the question: the next one is the answer.
                self.waiting.push((client, self.cycles + 1));
                self.wanted = true;
                self.plugs().renew();
                Ok(())
            }
        }
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
