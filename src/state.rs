//! The state that every handler and worker receives: settings, clock, store, current policy set, outbound HTTP and
//! mail.

mod compute;
mod member_resources;
mod policy_set;
mod shared_read;
mod worker_health;

pub use compute::WorkSize;
pub use member_resources::{MemberResource, MemberResources};
pub use policy_set::{PolicySet, PolicySetFiles, findings_text};
pub use shared_read::SharedRead;
pub use worker_health::{WorkerFailure, WorkerHealth};

use crate::auth::{ClientCache, KeyCache};
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::error::Result;
use crate::mail::Mailer;
use crate::net::HttpClient;
use crate::rules::Finding;
use crate::store::Store;
use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, Utc};
use std::{ops::Deref, sync::Arc, time::Duration};
use uuid::Uuid;

/// The shared state. Cloning it is cheap.
#[derive(Clone)]
pub struct State(Arc<Shared>);

/// What all clones of a [`State`] share.
pub struct Shared {
    /// The settings.
    pub config: Config,
    /// The current time.
    pub clock: Clock,
    /// The database.
    pub store: Store,
    /// HTTP requests to other servers.
    pub net: HttpClient,
    /// Outbound mail.
    pub mail: Mailer,
    /// Public keys of clients, as last fetched.
    pub keys: KeyCache,
    /// Registration documents of clients, as last parsed.
    pub clients: ClientCache,
    /// The background workers of this process that have failed.
    pub workers: WorkerHealth,
    /// The version of the queue, for the pages that listen to it.
    pub queue_version: SharedRead<i64>,
    /// Resources that were built for member apps.
    pub member_resources: MemberResources,
    compute: compute::Compute,
    policy_set: ArcSwap<PolicySet>,
    refused_policy_set: ArcSwapOption<RefusedPolicySet>,
}

/// The newest policy set that was refused, and why it is not current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPolicySet {
    /// The hash of the refused set; none when its files could not be read.
    pub hash: Option<String>,
    /// The number of the publication that this process could not load; none for a set that was never published.
    pub publication: Option<i64>,
    /// When it was refused.
    pub at: DateTime<Utc>,
    /// What started the attempt: a stored word of [`PublicationMethod`](crate::store::policy_sets::PublicationMethod),
    /// or `follow` when another process published the set.
    pub method: &'static str,
    /// The mistakes in the set.
    pub findings: Vec<Finding>,
}

impl State {
    /// Assembles the state.
    pub fn new(
        config: Config,
        clock: Clock,
        store: Store,
        net: HttpClient,
        mail: Mailer,
        policy_set: PolicySet,
    ) -> Self {
        Self(Arc::new(Shared {
            compute: compute::Compute::new(config.limits.computations),
            member_resources: MemberResources::new(config.limits.member_resources_bytes),
            queue_version: SharedRead::new(Duration::from_secs(1)),
            config,
            clock,
            store,
            net,
            mail,
            keys: KeyCache::default(),
            clients: ClientCache::default(),
            workers: WorkerHealth::default(),
            policy_set: ArcSwap::from_pointee(policy_set),
            refused_policy_set: ArcSwapOption::empty(),
        }))
    }

    /// The current policy set. Keep the returned value for the whole request, so that all of it uses the same rules.
    pub fn policy_set(&self) -> Arc<PolicySet> {
        self.0.policy_set.load_full()
    }

    /// Makes a policy set current, unless a newer publication is already current. Forgets the refused set.
    pub fn make_current(&self, policy_set: PolicySet) {
        let new = Arc::new(policy_set);
        self.0.policy_set.rcu(
            |current| match (current.publication_number(), new.publication_number()) {
                (Some(current_number), Some(number)) if number < current_number => current.clone(),
                _ => new.clone(),
            },
        );
        self.0.refused_policy_set.store(None);
    }

    /// The policy set that was refused last; none when a set has become current since.
    pub fn refused_policy_set(&self) -> Option<Arc<RefusedPolicySet>> {
        self.0.refused_policy_set.load_full()
    }

    /// Remembers a refused policy set, or forgets it with `None`. The current set does not change.
    pub fn set_refused_policy_set(&self, refused: Option<RefusedPolicySet>) {
        self.0.refused_policy_set.store(refused.map(Arc::new));
    }

    /// Runs work of the processor: small work where it is, large work off the threads that serve requests, with a limit
    /// on how many run at once. 503 when too many wait; a panic in the work is 500. The work may borrow. A caller with a
    /// time limit puts it around the returned future: it ends the wait, and never work that has begun.
    pub async fn compute<T>(&self, size: WorkSize, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.0.compute.run(size, work).await
    }

    /// The current time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A new version 7 UUID for the current time.
    pub fn new_id(&self) -> Uuid {
        clock::new_id(self.now())
    }

    /// The full URL of a path on this server: `url("/pas/2.2")`.
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
