//! What this base can show of one member, loaded in one consistent read: the member, the coverages, and as many cases
//! as the question needs, each with its stored request.

use super::explanation_of_benefit::{Setting, explanation_of_benefit};
use super::parties;
use super::request::{PAYER, Request};
use super::sensitive::is_sensitive;
use crate::auth::App;
use crate::error::{Error, Result};
use crate::plan::{Coverage, Member};
use crate::prior_auth::PriorAuth;
use crate::store::Store;
use serde_json::Value;
use uuid::Uuid;

/// Which cases a question needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cases {
    /// None.
    None,
    /// This one.
    One(Uuid),
    /// All of the member.
    All,
}

/// A member's records.
#[derive(Debug)]
pub struct Chart {
    member: Member,
    coverages: Vec<Coverage>,
    /// Newest first, each with the request as stored.
    cases: Vec<(PriorAuth, Value)>,
}

impl Chart {
    /// Reads the records of the app's member; another member's case is not among them, whatever is asked, nor a
    /// sensitive one that the member did not choose to share.
    pub async fn load(store: &Store, app: &App, wanted: Cases) -> Result<Self> {
        let read = store.read((app.member, wanted), |tx, (member, wanted)| {
            Box::pin(async move {
                let found = tx.member(*member).await?;
                let found = found.ok_or_else(|| Error::internal("a token is for a member without a row"))?;
                let coverages = tx.coverages_of(*member).await?;
                let cases = match wanted {
                    Cases::None => Vec::new(),
                    Cases::One(id) => tx.case(*id).await?.into_iter().collect(),
                    Cases::All => tx.cases_of_member(*member).await?,
                };
                let mut texts = Vec::new();
                for case in cases.into_iter().filter(|case| case.received.member == *member) {
                    let text = tx.request_text(case.received.request).await?;
                    texts.push((case, text));
                }
                Ok((found, coverages, texts))
            })
        });
        let (member, coverages, texts) = read.await?;
        let parse = |(case, text): (PriorAuth, String)| {
            let request = serde_json::from_str(&text).map_err(|e| {
                Error::internal(format!("the stored request of case {} is no JSON: {e}", case.id))
            })?;
            Ok((case, request))
        };
        let mut cases = texts
            .into_iter()
            .map(parse)
            .collect::<Result<Vec<(PriorAuth, Value)>>>()?;
        cases.retain(|(_, message)| app.sensitive || !is_sensitive(message));
        Ok(Self::new(member, coverages, cases))
    }

    /// Puts records together, newest case first (ids sort by time).
    pub fn new(member: Member, coverages: Vec<Coverage>, mut cases: Vec<(PriorAuth, Value)>) -> Self {
        cases.sort_by_key(|(case, _)| std::cmp::Reverse(case.id));
        Self {
            member,
            coverages,
            cases,
        }
    }

    fn requests(&self) -> impl Iterator<Item = Request<'_>> {
        self.cases
            .iter()
            .filter_map(|(case, message)| Request::open(case, message))
    }

    /// Every resource of a type that can be searched.
    pub fn all(&self, kind: &str, setting: Setting<'_>) -> Vec<Value> {
        match kind {
            "Patient" => vec![parties::patient(&self.member)],
            "Coverage" => self
                .coverages
                .iter()
                .map(|c| parties::coverage(c, setting.payer))
                .collect(),
            "ExplanationOfBenefit" => self
                .requests()
                .filter_map(|request| explanation_of_benefit(&request, setting))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The resource at `Type/id`, as far as the records hold it. People and places of a request count only while some
    /// line of it may be shown.
    pub fn at(&self, address: &str, setting: Setting<'_>) -> Option<Value> {
        let (kind, id) = address.split_once('/')?;
        if address == PAYER {
            return Some(parties::payer_organization(setting.payer));
        }
        if matches!(kind, "Patient" | "Coverage" | "ExplanationOfBenefit") {
            return self
                .all(kind, setting)
                .into_iter()
                .find(|r| crate::fhir::text(r, &["id"]) == Some(id));
        }
        self.requests().find_map(|request| {
            let (address, entry) = request.parties().find(|(own, _)| own == address)?;
            explanation_of_benefit(&request, setting)?;
            Some(parties::party(&request, &address, &entry))
        })
    }
}
