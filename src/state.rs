//! What every handler gets: settings, clock, store, the published policies and forms, the ways out of the house.

use crate::auth::KeyCache;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::deadlines::Clocks;
use crate::error::{Error, Result};
use crate::forms::Forms;
use crate::mail::Mailer;
use crate::net::Net;
use crate::rules::RuleSet;
use crate::store::Store;
use arc_swap::ArcSwap;
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
}

/// The policies, clocks and forms that are in force, swapped as one.
pub struct Published {
    /// Policies, lists, plans.
    pub rules: RuleSet,
    /// Decision clocks.
    pub clocks: Clocks,
    /// Questionnaires.
    pub forms: Forms,
}

impl Published {
    /// Loads all three from (path, text) pairs; every finding at once.
    pub fn load(rules: &[(String, String)], forms: &[(String, String)]) -> Result<Self> {
        let forms = Forms::load(forms).map_err(|findings| Error::malformed(findings.join("\n")))?;
        let lines = |findings: Vec<crate::rules::Finding>| {
            Error::malformed(
                findings
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("\n"),
            )
        };
        let clocks = Clocks::load(rules).map_err(lines)?;
        let rules = RuleSet::load(rules, &|form| forms.link_ids(form)).map_err(lines)?;
        Ok(Self { rules, clocks, forms })
    }
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
        }))
    }

    /// The policies and forms in force now; hold on to it for one whole request.
    pub fn published(&self) -> Arc<Published> {
        self.0.published.load_full()
    }

    /// Puts a new set in force.
    pub fn publish(&self, published: Published) {
        self.0.published.store(Arc::new(published));
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
