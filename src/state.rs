//! What every handler gets: settings, clock, store, the published policies and forms, the ways out of the house.

mod published;

pub use published::{Published, SetFiles, told};

use crate::auth::KeyCache;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::mail::Mailer;
use crate::net::Net;
use crate::rules::Finding;
use crate::store::Store;
use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, Utc};
use std::{ops::Deref, sync::Arc};
use uuid::Uuid;

/// The shared state; cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Shared>);

/// What the state holds.
pub struct Shared {
    /// The settings.
    pub config: Config,
    /// The time.
    pub clock: Clock,
    /// The database.
    pub store: Store,
    /// Calls to the outside.
    pub net: Net,
    /// Mail.
    pub mail: Mailer,
    /// Public keys of partners, as fetched.
    pub keys: KeyCache,
    published: ArcSwap<Published>,
    refused: ArcSwapOption<Refused>,
}

/// Why the newest set is not the one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The hash of the set that was refused; none when its files could not even be read.
    pub hash: Option<String>,
    /// The number of the publication that this process cannot load; none for a set that was never put in force.
    pub number: Option<i64>,
    /// When.
    pub at: DateTime<Utc>,
    /// What brought it: a word of the log of publications, or `follow`.
    pub how: &'static str,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

impl State {
    /// Puts everything together.
    pub fn new(
        config: Config,
        clock: Clock,
        store: Store,
        net: Net,
        mail: Mailer,
        published: Published,
    ) -> Self {
        let published = ArcSwap::from_pointee(published);
        Self(Arc::new(Shared {
            config,
            clock,
            store,
            net,
            mail,
            keys: KeyCache::default(),
            published,
            refused: ArcSwapOption::empty(),
        }))
    }

    /// The policies and forms in force now; hold on to it for one whole request.
    pub fn published(&self) -> Arc<Published> {
        self.0.published.load_full()
    }

    /// Puts a set in force, unless a newer publication is in force already: whoever was slower changes nothing.
    pub fn publish(&self, published: Published) {
        let new = Arc::new(published);
        self.0.published.rcu(|held| match (held.number(), new.number()) {
            (Some(held_number), Some(number)) if number < held_number => held.clone(),
            _ => new.clone(),
        });
        self.0.refused.store(None);
    }

    /// The set that was refused last, while nothing has been put in force since.
    pub fn refused(&self) -> Option<Arc<Refused>> {
        self.0.refused.load_full()
    }

    /// Remembers or forgets a refused set; what is in force stays.
    pub fn remember_refused(&self, refused: Option<Refused>) {
        self.0.refused.store(refused.map(Arc::new));
    }

    /// Now.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A new id, of now.
    pub fn new_id(&self) -> Uuid {
        clock::new_id(self.now())
    }

    /// A full address of ours: `url("/pas/2.2")`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.config.public_url)
    }
}

impl Deref for State {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
