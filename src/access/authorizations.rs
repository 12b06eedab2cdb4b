//! Searching and reading a member's prior authorizations. A search first finds the cases of its page by their columns,
//! and only those are built; what was built for the same version of a case is taken from memory
//! (`state::member_resources`). Only a search for something that no column holds looks into every case of the member.

use super::explanation_of_benefit::{ResponseContext, explanation_of_benefit};
use super::records::MemberRecords;
use super::search::Search;
use super::searchable::EXPLANATION_OF_BENEFIT;
use super::searchset::{Entry, Page, included_resources, select, write_bundle};
use super::stored_request::StoredRequest;
use super::subset::Subset;
use crate::auth::{AppCaller, Permission};
use crate::error::{Error, Result};
use crate::fhir::bundle::{BundleIndex, parse_stored_request};
use crate::fhir::dates::instant_text;
use crate::fhir::decimals;
use crate::ig::pdex::PdexVersion;
use crate::prior_auth::PriorAuth;
use crate::prior_auth::app_access::is_sensitive;
use crate::state::{MemberResource, PolicySet, State, WorkSize};
use crate::store::member_cases::{MemberCase, MemberCasePage, MemberCases};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Search parameters that have the same value for every case of a member.
const SAME_FOR_ALL: [&str; 3] = ["patient", "use", "_profile"];
/// Search parameters that can be compared without building the resource.
const IN_COLUMNS: [&str; 5] = ["patient", "use", "_profile", "_id", "_lastUpdated"];
/// The largest number of cases that one search looks into, or compares by their columns. A search without a filter reads
/// page by page, however many cases there are.
const MOST_SEARCHED: usize = 1000;
/// How many cases are read and built at once.
const BUILT_AT_ONCE: usize = 32;
/// How many cases are looked into at once for a provider, a place or a form.
const RELATED_PAGE: i64 = 100;

/// A member's prior authorizations, for one call.
pub struct Authorizations<'a> {
    state: &'a State,
    caller: &'a AppCaller,
    policy_set: Arc<PolicySet>,
    now: chrono::DateTime<chrono::Utc>,
}

impl<'a> Authorizations<'a> {
    /// Those that the caller may read.
    pub fn of(state: &'a State, caller: &'a AppCaller) -> Self {
        Self {
            state,
            caller,
            policy_set: state.policy_set(),
            now: state.now(),
        }
    }

    fn context(&self) -> ResponseContext<'_> {
        ResponseContext {
            public_url: &self.state.config.public_url,
            payer: &self.state.config.payer,
            denial_reasons: self.policy_set.rules.denial_reasons(),
            now: self.now,
        }
    }

    fn cases(&self) -> MemberCases {
        MemberCases {
            member: self.caller.member,
            sensitive: self.caller.sensitive,
        }
    }

    /// The searchset Bundle.
    ///
    /// # Errors
    ///
    /// `Malformed` if the search would look into too many cases.
    pub async fn search(&self, search: &Search) -> Result<String> {
        let page = if search.uses_only(&SAME_FOR_ALL) && !search.matches(&self.outline(None), self.now) {
            Page::empty(0)
        } else if search.uses_only(&SAME_FOR_ALL) {
            self.newest(search).await?
        } else if search.uses_only(&IN_COLUMNS) {
            self.by_columns(search).await?
        } else {
            self.by_content(search).await?
        };
        let included = self.included(search, &page).await?;
        let matches = page.matches.iter().map(|resource| entry(resource, search));
        let page = Page {
            total: page.total,
            matches: matches.collect::<Result<Vec<_>>>()?,
            next_after: page.next_after,
        };
        Ok(write_bundle(
            &EXPLANATION_OF_BENEFIT,
            search,
            self.context(),
            &page,
            included,
        ))
    }

    /// A page in the order of time: the database counts and pages.
    async fn newest(&self, search: &Search) -> Result<Page<Arc<MemberResource>>> {
        let count = search.page_size();
        let after = match search.after.as_deref().map(str::parse) {
            Some(Ok(after)) => Some(after),
            None => None,
            // An id that is not a case's is compared as text.
            Some(Err(_)) => return self.by_columns(search).await,
        };
        let mut page = MemberCasePage::default();
        if count > 0 {
            let limit = i64::try_from(count + 1).unwrap_or(i64::MAX);
            let read = self
                .state
                .store
                .read_one((self.cases(), after, limit), |tx, (of, after, limit)| {
                    Box::pin(async move { tx.member_case_page(*of, *after, *limit).await })
                });
            page = read.await?;
        }
        let total = match page.total {
            Some(total) => total,
            None if count > 0 && after.is_none() => 0,
            None => {
                let read = self.state.store.read_one(self.cases(), |tx, of| {
                    Box::pin(async move { tx.count_member_cases(*of).await })
                });
                read.await?
            }
        };
        let has_more = page.cases.len() > count;
        page.cases.truncate(count);
        let last = page.cases.last().filter(|_| has_more);
        Ok(Page {
            total,
            next_after: last.map(|case| case.id.to_string()),
            matches: self.shown(&page.cases).await?,
        })
    }

    /// A page of the cases whose columns match.
    async fn by_columns(&self, search: &Search) -> Result<Page<Arc<MemberResource>>> {
        let cases = match search.ids() {
            Some(ids) => self.cases_with_ids(&ids).await?,
            None => self.all_cases().await?,
        };
        let candidates = cases.into_iter().map(|case| (self.outline(Some(&case)), case));
        let page = select(candidates.collect(), search, self.now);
        Ok(Page {
            total: page.total,
            matches: self.shown(&page.matches).await?,
            next_after: page.next_after,
        })
    }

    /// A page of the cases whose resources match.
    async fn by_content(&self, search: &Search) -> Result<Page<Arc<MemberResource>>> {
        let cases = match search.ids() {
            Some(ids) => self.cases_with_ids(&ids).await?,
            None => self.all_cases().await?,
        };
        let resources = self.shown(&cases).await?;
        let size = WorkSize::new(resources.iter().map(|resource| length(resource)).sum(), 0);
        let work = || {
            let candidates = resources
                .into_iter()
                .map(|resource| Ok((value(&resource)?, resource)));
            Ok(select(candidates.collect::<Result<Vec<_>>>()?, search, self.now))
        };
        self.state.compute(size, work).await
    }

    async fn all_cases(&self) -> Result<Vec<MemberCase>> {
        let limit = i64::try_from(MOST_SEARCHED + 1).unwrap_or(i64::MAX);
        let read = self
            .state
            .store
            .read_one((self.cases(), limit), |tx, (of, limit)| {
                Box::pin(async move { tx.member_case_page(*of, None, *limit).await })
            });
        let page = read.await?;
        if page.cases.len() > MOST_SEARCHED {
            return Err(Error::malformed(format!(
                "This member has more than {MOST_SEARCHED} requests, too many to search by these parameters. \
                 Leave out everything but patient, use and _count, and read page by page"
            )));
        }
        Ok(page.cases)
    }

    /// The cases with these ids, newest first.
    async fn cases_with_ids(&self, ids: &[&str]) -> Result<Vec<MemberCase>> {
        let mut ids: Vec<Uuid> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.dedup();
        if ids.len() > MOST_SEARCHED {
            return Err(super::search::invalid_parameter("_id", "has too many values"));
        }
        let read = self.state.store.read((self.cases(), ids), |tx, (of, ids)| {
            Box::pin(async move {
                let mut cases = Vec::new();
                for id in ids {
                    cases.extend(tx.member_case(*of, *id).await?);
                }
                Ok(cases)
            })
        });
        read.await
    }

    /// What is known of a resource without building it.
    fn outline(&self, case: Option<&MemberCase>) -> Value {
        let mut meta = json!({ "profile": PdexVersion::NEWEST.guide().prior_authorization_profiles });
        if let Some(case) = case {
            crate::fhir::put(
                &mut meta,
                "lastUpdated",
                json!(instant_text(case.last_updated(self.now))),
            );
        }
        json!({
            "resourceType": "ExplanationOfBenefit",
            "id": case.map(|case| case.id.to_string()),
            "meta": meta,
            "use": "preauthorization",
            "patient": { "reference": format!("Patient/{}", self.caller.member) },
        })
    }

    /// The resources of these cases, without those that the caller may not see: from memory where the version is the one
    /// that was read, otherwise built and kept.
    async fn shown(&self, cases: &[MemberCase]) -> Result<Vec<Arc<MemberResource>>> {
        let versions = cases.iter().map(|case| (case.id, case.version));
        let mut found = self
            .state
            .member_resources
            .get(versions, &self.policy_set.hash, self.now);
        let missing: Vec<Uuid> = cases
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(case, _)| case.id)
            .collect();
        if !missing.is_empty() {
            let mut built = self.build(&missing).await?.into_iter().peekable();
            for (case, place) in cases.iter().zip(&mut found).filter(|(_, place)| place.is_none()) {
                *place = built.next_if(|resource| resource.case == case.id);
            }
        }
        let may_see = |resource: &Arc<MemberResource>| {
            resource.text.is_some() && (self.caller.sensitive || !resource.sensitive)
        };
        Ok(found.into_iter().flatten().filter(may_see).collect())
    }

    /// Reads and builds the resources of these cases, in their order, and keeps them.
    async fn build(&self, cases: &[Uuid]) -> Result<Vec<Arc<MemberResource>>> {
        let mut built = Vec::with_capacity(cases.len());
        // Some at a time, because requests are large.
        for some in cases.chunks(BUILT_AT_ONCE) {
            let key = (self.caller.member, some.to_vec());
            let read = self.state.store.read(key, |tx, (member, cases)| {
                Box::pin(async move { tx.cases_with_requests(*member, cases).await })
            });
            let read = read.await?;
            // Reading and writing the JSON of a case takes about as long as parsing its request three times.
            let size = WorkSize::new(read.iter().map(|(_, text)| text.len() * 3).sum(), 0);
            let work = || {
                read.iter()
                    .map(|(case, text)| self.built(case, text))
                    .collect::<Result<Vec<_>>>()
            };
            built.extend(self.state.compute(size, work).await?);
        }
        for resource in &built {
            self.state.member_resources.keep(resource.clone());
        }
        Ok(built)
    }

    fn built(&self, case: &PriorAuth, text: &str) -> Result<Arc<MemberResource>> {
        let message = parse_stored_request(&decimals::mark(text), case.id)?;
        let request = StoredRequest::parse(case, &message);
        let resource = request
            .as_ref()
            .and_then(|request| explanation_of_benefit(request, self.context()));
        let related = request.iter().flat_map(StoredRequest::related_entries);
        let (ended, open): (Vec<_>, Vec<_>) = case.approval_ends().partition(|end| *end <= self.now);
        Ok(Arc::new(MemberResource {
            case: case.id,
            version: case.version,
            policy_set: self.policy_set.hash.clone(),
            from: ended
                .into_iter()
                .max()
                .unwrap_or(chrono::DateTime::<chrono::Utc>::MIN_UTC),
            until: open.into_iter().min(),
            sensitive: is_sensitive(&BundleIndex::new(&message)),
            text: resource.map(|resource| decimals::write(&resource).into()),
            related: related.map(|(reference, _)| reference).collect(),
        }))
    }

    /// The resources to include for a page.
    async fn included(&self, search: &Search, page: &Page<Arc<MemberResource>>) -> Result<Vec<Value>> {
        if search.include_paths.is_empty() || page.matches.is_empty() {
            return Ok(Vec::new());
        }
        let cases: Vec<Uuid> = page.matches.iter().map(|resource| resource.case).collect();
        let records = MemberRecords::load(&self.state.store, self.caller, &cases).await?;
        let resources = page.matches.iter().map(|resource| value(resource));
        let resources = resources.collect::<Result<Vec<_>>>()?;
        let may_read = |resource_type: &str| self.caller.may(resource_type, Permission::Read);
        Ok(included_resources(
            &records,
            search,
            &resources,
            self.context(),
            &may_read,
        ))
    }

    /// One prior authorization. None if the caller may not see it.
    pub async fn read(&self, case: Uuid) -> Result<Option<Arc<MemberResource>>> {
        let read = self.state.store.read_one((self.cases(), case), |tx, (of, case)| {
            Box::pin(async move { tx.member_case(*of, *case).await })
        });
        let Some(found) = read.await? else { return Ok(None) };
        Ok(self.shown(&[found]).await?.into_iter().next())
    }

    /// A provider, a place or a form of one of the requests, by its reference. None if the caller may not see it.
    pub async fn read_related(&self, reference: &str) -> Result<Option<Value>> {
        let mut after = None;
        loop {
            let read = self
                .state
                .store
                .read_one((self.cases(), after), |tx, (of, after)| {
                    Box::pin(async move { tx.member_case_page(*of, *after, RELATED_PAGE).await })
                });
            let page = read.await?;
            let Some(last) = page.cases.last() else {
                return Ok(None);
            };
            after = Some(last.id);
            let shown = self.shown(&page.cases).await?;
            let found = shown
                .iter()
                .find(|resource| resource.related.iter().any(|r| r == reference));
            if let Some(found) = found {
                let records = MemberRecords::load(&self.state.store, self.caller, &[found.case]).await?;
                return Ok(records.resource_at(reference, self.context()));
            }
        }
    }
}

/// The resource, parsed.
pub fn value(resource: &MemberResource) -> Result<Value> {
    let text = resource.text.as_deref().unwrap_or("null");
    serde_json::from_str(&decimals::mark(text)).map_err(Error::internal)
}

fn length(resource: &MemberResource) -> usize {
    resource.text.as_ref().map_or(0, |text| text.len())
}

/// The part of a match that the search asks for.
fn entry(resource: &MemberResource, search: &Search) -> Result<Entry> {
    if search.subset == Subset::Whole {
        return Ok(Entry {
            reference: format!("ExplanationOfBenefit/{}", resource.case),
            text: resource.text.as_deref().unwrap_or("null").to_owned(),
        });
    }
    Ok(Entry::new(value(resource)?, &search.subset))
}
