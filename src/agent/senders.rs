//! Those who send to the stores: a thread for each, so that one that is dead or slow delays no other.

use super::Agent;
use super::post::Message;
use crate::error::Result;
use crate::job::StoreAt;
use crate::job::stores::worker::Did;
use crate::model::FileName;

impl Agent {
    pub(super) fn start_senders(&mut self) -> Result<()> {
        for at in StoreAt::live(&self.site) {
            let (site, senders) = (self.site.clone(), self.senders.clone());
            self.post.spawn("store", move |post| {
                senders.work(&site, &at, &|did| post.send(Message::Sender(at.name.clone(), did)));
                Message::Note(format!("{}: nothing more is sent", at.name))
            })?;
        }
        Ok(())
    }

    pub(super) fn sent(&mut self, name: &FileName, did: &Did) {
        match did {
            Did::Sent(id) => log::info!("{name}: {id} is there and was read back"),
            Did::Failed(id, why) => log::warn!("{name}: {id} is not sent, and is tried again: {why}"),
        }
        self.take_stock();
    }
}
