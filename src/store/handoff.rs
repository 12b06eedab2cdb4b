//! How a commit reaches the workers. Mail is handed to the workers of this process in memory: its rows are stored as
//! leased by this process, so that no worker has to look for them. Everything else is stored as queued and workers are
//! woken. The memory is bounded; when it is full, or when this process runs no workers, mail is stored as queued too.

use super::queues::LeasedMessage;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

/// How many messages may wait in memory.
const CAPACITY: usize = 1000;

/// The way from the commits of this process to its workers. Cloning it is cheap.
#[derive(Debug, Clone, Default)]
pub struct Handoff {
    wake: Arc<Notify>,
    workers: Arc<Mutex<Option<Workers>>>,
}

/// The workers of this process.
#[derive(Debug, Clone)]
struct Workers {
    /// In whose name rows are leased.
    owner: Uuid,
    sender: mpsc::Sender<LeasedMessage>,
}

/// A place in memory for one message, and in whose name the row is leased.
#[derive(Debug)]
pub(super) struct Reserved {
    pub owner: Uuid,
    permit: mpsc::OwnedPermit<LeasedMessage>,
}

/// What the open unit of work added for the workers. It takes effect after the commit.
#[derive(Debug, Default)]
pub(super) struct AddedWork {
    reserved: Vec<(Reserved, LeasedMessage)>,
    queued: bool,
}

impl Handoff {
    /// Wakes workers when something was queued through this store.
    pub fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// Begins to hand messages to a worker of this process, which leases in the name of `owner`.
    pub fn receive(&self, owner: Uuid) -> mpsc::Receiver<LeasedMessage> {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        *self.workers.lock().unwrap_or_else(PoisonError::into_inner) = Some(Workers { owner, sender });
        receiver
    }

    /// Ends the handing over. Later messages are stored as queued.
    pub fn end(&self) {
        *self.workers.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether this process has workers that are woken.
    pub(super) fn has_workers(&self) -> bool {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers
            .as_ref()
            .is_some_and(|workers| !workers.sender.is_closed())
    }

    /// Reserves a place in memory for one message; none when there is no worker or no space.
    pub(super) fn reserve(&self) -> Option<Reserved> {
        let workers = self
            .workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()?;
        let permit = workers.sender.try_reserve_owned().ok()?;
        Some(Reserved {
            owner: workers.owner,
            permit,
        })
    }

    /// Gives the workers what a committed unit of work added. Returns whether other processes have to look for it.
    pub(super) fn committed(&self, added: AddedWork) -> bool {
        for (reserved, message) in added.reserved {
            reserved.permit.send(message);
        }
        if added.queued {
            self.wake.notify_waiters();
        }
        added.queued && !self.has_workers()
    }
}

impl AddedWork {
    /// Remembers that something was queued.
    pub(super) fn queued(&mut self) {
        self.queued = true;
    }

    /// Remembers a message that is stored as leased by this process.
    pub(super) fn reserved(&mut self, reserved: Reserved, message: LeasedMessage) {
        self.reserved.push((reserved, message));
    }

    /// How many messages were added so far, for [`AddedWork::roll_back_to`].
    pub(super) fn mark(&self) -> usize {
        self.reserved.len()
    }

    /// Forgets the messages of a unit of work that was rolled back. Workers may be woken for nothing.
    pub(super) fn roll_back_to(&mut self, mark: usize) {
        self.reserved.truncate(mark);
    }
}
