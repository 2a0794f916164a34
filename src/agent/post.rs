//! How the threads that work tell the loop what came of it. A thread that panics is told of too: the agent then ends,
//! rather than wait for it for ever, and whoever supervises it starts a sound one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::control::{ClientId, Reply};
use crate::error::{Context, Result};
use crate::host::wake::Waker;
use crate::job::cycle::Outcome;
use crate::job::plugged::{Copied, Looked};
use crate::job::stores::worker::Did;
use crate::model::{Event, FileName};

/// What a thread tells.
pub(super) enum Message {
    /// What the disk with this key is, or why it could not be told.
    Looked(String, Result<Looked, String>),
    /// A backup, or the copy to the stick with this key, goes on.
    Progress(Option<String>, Event),
    /// The copy to the stick with this key is over; `true` when an older backup was copied.
    Copied(String, Box<Copied>, bool),
    /// A cycle is over.
    CycleOver(Result<Outcome>),
    /// The answer to somebody who asked.
    Answer(ClientId, Reply),
    /// The stick at this node is another one now.
    LookAgain(PathBuf),
    /// The disk with this key is formatted, or is not: what to answer.
    FormatOver(String, ClientId, Reply),
    /// Formatting for somebody who asked goes on.
    Formatting(ClientId, Event),
    /// What was done for the store with this name.
    Sender(FileName, Did),
    /// What a clean-up had to say.
    Note(String),
    /// A thread died.
    Died(&'static str),
}

/// Where threads hand their messages in.
#[derive(Clone)]
pub(super) struct Post {
    sender: Sender<Message>,
    waker: Waker,
}

impl Post {
    /// The two ends, and what is readable while something lies in between.
    pub(super) fn new() -> Result<(Self, Receiver<Message>, Waker)> {
        let (sender, receiver) = channel();
        let waker = Waker::new()?;
        Ok((Self { sender, waker: waker.clone() }, receiver, waker))
    }

    /// Hands a message in.
    pub(super) fn send(&self, message: Message) {
        // The loop is gone only when the process is about to be.
        let _ = self.sender.send(message);
        self.waker.wake();
    }

    /// Does `work` in a thread of its own and hands in what it gives.
    pub(super) fn spawn(&self, name: &'static str, work: impl FnOnce(&Post) -> Message + Send + 'static) -> Result<()> {
        let post = self.clone();
        let guarded = move || {
            let message = catch_unwind(AssertUnwindSafe(|| work(&post))).unwrap_or(Message::Died(name));
            post.send(message);
        };
        let thread = thread::Builder::new().name(name.into()).spawn(guarded);
        thread.map(drop).context(|| format!("cannot start the thread {name:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_dies_is_told_of() {
        let (post, receiver, _waker) = Post::new().unwrap();
        post.spawn("look", |_| std::panic::resume_unwind(Box::new("of itself"))).unwrap();
        assert!(matches!(receiver.recv().unwrap(), Message::Died("look")));
    }
}
