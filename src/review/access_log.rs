//! The log of who opened which case: written before a case is shown, read by auditors.

use super::case_view::{CaseView, read_case_view};
use crate::auth::registration::normalize_username;
use crate::error::{Error, Result};
use crate::prior_auth::Reviewer;
use crate::state::State;
use crate::store::access_log::{Access, AccessQuery, NewAccess};
use chrono::{DateTime, Utc};
use std::net::IpAddr;
use uuid::Uuid;

/// The most entries on one page.
const PAGE_SIZE: usize = 50;

/// Who opens a case, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Opener<'a> {
    /// The signed-in person.
    pub by: &'a Reviewer,
    /// The network address that the request came from, if it is known.
    pub address: Option<IpAddr>,
}

/// Reads one case with everything that the case page shows. The opening is stored in the access log first; when it
/// cannot be stored, the case is not returned.
pub async fn open_case(state: &State, opener: &Opener<'_>, case: Uuid) -> Result<CaseView> {
    let view = read_case_view(state, case).await?;
    let access = NewAccess {
        id: state.new_id(),
        at: state.now(),
        staff: opener.by.id,
        role: opener.by.acting_role().as_str(),
        case,
        case_number: view.case.number().to_owned(),
        member: view.member.id,
        address: opener.address.map(|address| address.to_string()),
    };
    state
        .store
        .write(access, |tx, access| {
            Box::pin(async move { tx.add_access(access).await })
        })
        .await?;
    Ok(view)
}

/// Which entries of the log to show. An empty text filters nothing.
#[derive(Debug, Clone, Default)]
pub struct AccessFilters {
    /// A case number, an authorization number, or a case id.
    pub case: String,
    /// A member id.
    pub member: String,
    /// A sign-in name.
    pub person: String,
    /// The earliest time, included.
    pub from: Option<DateTime<Utc>>,
    /// The latest time, not included.
    pub until: Option<DateTime<Utc>>,
    /// The last entry of the page before; `None` for the newest entries.
    pub after: Option<(DateTime<Utc>, Uuid)>,
}

/// One page of the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AccessPage {
    /// The entries, newest first.
    pub entries: Vec<Access>,
    /// Whether older entries match the filters.
    pub has_more: bool,
    /// Filters that name a case, a member or a person that does not exist: `case`, `member`, `person`.
    pub unknown: Vec<&'static str>,
}

/// Checks that a person may read the log.
pub fn check_may_see_access_log(by: &Reviewer) -> Result<()> {
    if by.may_see_access_log() {
        return Ok(());
    }
    Err(Error::forbidden(
        "Your role does not allow you to see the access log",
    ))
}

/// Reads one page of the log.
pub async fn read_access_log(state: &State, by: &Reviewer, filters: &AccessFilters) -> Result<AccessPage> {
    check_may_see_access_log(by)?;
    let end_of_time = DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let until = filters.until.unwrap_or(end_of_time);
    let bounds = AccessQuery {
        case: None,
        member: None,
        staff: None,
        from: filters.from.unwrap_or(DateTime::UNIX_EPOCH),
        before: filters.after.unwrap_or((until, Uuid::nil())),
        limit: i64::try_from(PAGE_SIZE).unwrap_or(i64::MAX) + 1,
    };
    state
        .store
        .read((filters.clone(), bounds), |tx, (filters, bounds)| {
            Box::pin(async move {
                let mut query = bounds.clone();
                let mut unknown = Vec::new();
                if !filters.case.is_empty() {
                    query.case = match filters.case.parse() {
                        Ok(id) => Some(id),
                        Err(_) => tx.case_by_number(&filters.case).await?,
                    };
                    unknown.extend(query.case.is_none().then_some("case"));
                }
                if !filters.member.is_empty() {
                    let member = tx.member_by_member_id(&filters.member).await?;
                    query.member = member.map(|member| member.id);
                    unknown.extend(query.member.is_none().then_some("member"));
                }
                if !filters.person.is_empty() {
                    let person = tx
                        .staff_member_by_username(&normalize_username(&filters.person))
                        .await?;
                    query.staff = person.map(|person| person.id);
                    unknown.extend(query.staff.is_none().then_some("person"));
                }
                if !unknown.is_empty() {
                    return Ok(AccessPage {
                        unknown,
                        ..AccessPage::default()
                    });
                }
                let mut entries = tx.accesses(&query).await?;
                let has_more = entries.len() > PAGE_SIZE;
                entries.truncate(PAGE_SIZE);
                Ok(AccessPage {
                    entries,
                    has_more,
                    unknown,
                })
            })
        })
        .await
}
