//! The records of one member that this API can show, loaded in one consistent read: the member, the coverages, and the
//! cases that the call needs, each with its stored request.

use super::explanation_of_benefit::{ResponseContext, explanation_of_benefit};
use super::related;
use super::stored_request::{PAYER_REFERENCE, StoredRequest};
use crate::auth::AppCaller;
use crate::error::{Error, Result};
use crate::fhir::bundle::{BundleIndex, parse_stored_request};
use crate::fhir::decimals;
use crate::plan::{Coverage, Member};
use crate::prior_auth::PriorAuth;
use crate::prior_auth::app_access::is_sensitive;
use crate::store::Store;
use serde_json::Value;
use uuid::Uuid;

/// A member's records.
#[derive(Debug)]
pub struct MemberRecords {
    member: Member,
    coverages: Vec<Coverage>,
    /// Newest first, each with its stored request.
    cases: Vec<(PriorAuth, Value)>,
}

impl MemberRecords {
    /// Loads the member whose data the app may read, the coverages, and those of the given cases that belong to the
    /// member. Sensitive cases are left out unless the member chose to share them.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the store cannot be read, `Internal` if a stored request is not valid JSON.
    pub async fn load(store: &Store, caller: &AppCaller, cases: &[Uuid]) -> Result<Self> {
        let read = store.read((caller.member, cases.to_vec()), |tx, (member, cases)| {
            Box::pin(async move {
                let found = tx.member(*member).await?;
                let found =
                    found.ok_or_else(|| Error::internal("a token refers to a member that does not exist"))?;
                let coverages = tx.coverages_of(*member).await?;
                let texts = tx.cases_with_requests(*member, cases).await?;
                Ok((found, coverages, texts))
            })
        });
        let (member, coverages, texts) = read.await?;
        let parse = |(case, text): (PriorAuth, String)| {
            let request = parse_stored_request(&decimals::mark(&text), case.id)?;
            Ok((case, request))
        };
        let mut cases = texts
            .into_iter()
            .map(parse)
            .collect::<Result<Vec<(PriorAuth, Value)>>>()?;
        cases.retain(|(_, message)| caller.sensitive || !is_sensitive(&BundleIndex::new(message)));
        Ok(Self::new(member, coverages, cases))
    }

    /// Sorts the cases by id, newest first. Ids are in order of time.
    pub fn new(member: Member, coverages: Vec<Coverage>, mut cases: Vec<(PriorAuth, Value)>) -> Self {
        cases.sort_by_key(|(case, _)| std::cmp::Reverse(case.id));
        Self {
            member,
            coverages,
            cases,
        }
    }

    fn requests(&self) -> impl Iterator<Item = StoredRequest<'_>> {
        self.cases
            .iter()
            .filter_map(|(case, message)| StoredRequest::parse(case, message))
    }

    /// All resources of a searchable type. Empty for any other type.
    pub fn resources_of_type(&self, resource_type: &str, context: ResponseContext<'_>) -> Vec<Value> {
        match resource_type {
            "Patient" => vec![related::patient(&self.member)],
            "Coverage" => self
                .coverages
                .iter()
                .map(|coverage| related::coverage(coverage, context.payer))
                .collect(),
            "ExplanationOfBenefit" => self
                .requests()
                .filter_map(|request| explanation_of_benefit(&request, context))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Finds the resource with the reference `Type/id`. Resources of a request are found only if at least one of its
    /// items may be shown.
    pub fn resource_at(&self, reference: &str, context: ResponseContext<'_>) -> Option<Value> {
        let (resource_type, id) = reference.split_once('/')?;
        if reference == PAYER_REFERENCE {
            return Some(related::payer_organization(context.payer));
        }
        if matches!(resource_type, "Patient" | "Coverage" | "ExplanationOfBenefit") {
            return self
                .resources_of_type(resource_type, context)
                .into_iter()
                .find(|resource| crate::fhir::text(resource, &["id"]) == Some(id));
        }
        self.requests().find_map(|request| {
            let (reference, entry) = request
                .related_entries()
                .find(|(own_reference, _)| *own_reference == reference)?;
            explanation_of_benefit(&request, context)?;
            Some(related::request_resource(&request, &reference, &entry))
        })
    }
}
