//! The public list of items and services that need prior authorization: a page with a search, and a CSV file, both for
//! the current list and for every earlier publication. The list is made from the published policy set, so it always
//! agrees with the decisions. It needs no sign-in, sets no cookie and holds no member data.

use crate::error::{Error, ErrorKind, Result};
use crate::fhir::coding::{CPT, HCPCS};
use crate::publication;
use crate::rules::sha256;
use crate::rules::{PublicList, PublicListRow};
use crate::state::State;
use crate::store::policy_sets::Publication;
use crate::web::fields::{FormFields, url_with_query};
use crate::web::paths::PUBLIC_LIST;
use crate::web::public::front_page::plan_contact;
use crate::web::public::views::{ListedRow, PublicListPage, PublicationLink, Source};
use crate::web::reply::{error_page, render_page};
use crate::web::views::{PageFrame, PlanContact, SelectOption};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State as AppState};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{Days, NaiveDate, TimeZone, Utc};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Mutex;
use uuid::Uuid;

/// The number of rows per page.
const ROWS_PER_PAGE: usize = 200;
/// The number of publications that a page links to.
const LINKED_PUBLICATIONS: i64 = 24;
/// The number of lists in the cache.
const CACHED_LISTS: usize = 4;

/// A list with its CSV file.
struct PreparedList {
    list: Arc<PublicList>,
    csv: Bytes,
    etag: String,
}

/// A cache of the lists requested last. Lists are prepared one at a time, because an earlier one has to be read from
/// the store.
#[derive(Default)]
pub(in crate::web) struct ListCache(Mutex<VecDeque<(String, Arc<PreparedList>)>>);

impl ListCache {
    /// The list of a publication, or of the current policy set if `publication` is `None`.
    async fn prepared_list(
        &self,
        state: &State,
        publication: Option<&Publication>,
    ) -> Result<Arc<PreparedList>> {
        let policy_set = state.policy_set();
        let name = publication
            .map_or(&policy_set.hash, |publication| &publication.list_hash)
            .clone();
        let mut cached = self.0.lock().await;
        if let Some((_, prepared)) = cached.iter().find(|(cached_name, _)| *cached_name == name) {
            return Ok(prepared.clone());
        }
        let is_current = policy_set.publication().map(|current| &current.list_hash)
            == publication.map(|publication| &publication.list_hash);
        let list = if is_current {
            policy_set.public_list().clone()
        } else {
            publication::load_public_list(&state.store, &name).await?
        };
        let preparation = tokio::task::spawn_blocking(move || {
            let csv = Bytes::from(list.csv());
            let etag = etag(&csv);
            Arc::new(PreparedList { list, csv, etag })
        });
        let prepared = preparation.await.map_err(Error::internal)?;
        cached.push_front((name, prepared.clone()));
        cached.truncate(CACHED_LISTS);
        Ok(prepared)
    }
}

/// The entity tag of a response body: its SHA-256 in quotation marks.
fn etag(bytes: &[u8]) -> String {
    let hash = sha256(bytes);
    format!("\"{}\"", hash.trim_start_matches("sha256:"))
}

/// `GET /prior-authorization-list`.
pub(in crate::web) async fn current_page(
    AppState(state): AppState<State>,
    Extension(lists): Extension<Arc<ListCache>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let publication = state.policy_set().publication().cloned();
    let query = FormFields::parse(query.as_deref().unwrap_or(""));
    let list = RequestedList {
        path: PUBLIC_LIST.to_owned(),
        publication,
    };
    or_error_page(page_response(&state, &lists, &headers, &list, &query).await)
}

/// `GET /prior-authorization-list.csv`.
pub(in crate::web) async fn current_csv(
    AppState(state): AppState<State>,
    Extension(lists): Extension<Arc<ListCache>>,
    headers: HeaderMap,
) -> Response {
    let publication = state.policy_set().publication().cloned();
    or_error_page(csv_response(&state, &lists, &headers, publication.as_ref()).await)
}

/// `GET /prior-authorization-list/{publication id or day}`; with `.csv` at the end, the CSV file.
pub(in crate::web) async fn earlier(
    AppState(state): AppState<State>,
    Extension(lists): Extension<Arc<ListCache>>,
    Path(publication): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let (name, is_csv) = publication
        .strip_suffix(".csv")
        .map_or((publication.as_str(), false), |name| (name, true));
    let publication = match find_publication(&state, name).await {
        Ok(publication) => publication,
        Err(e) => return or_error_page(Err(e)),
    };
    if is_csv {
        return or_error_page(csv_response(&state, &lists, &headers, Some(&publication)).await);
    }
    let query = FormFields::parse(query.as_deref().unwrap_or(""));
    let list = RequestedList {
        path: format!("{PUBLIC_LIST}/{name}"),
        publication: Some(publication),
    };
    or_error_page(page_response(&state, &lists, &headers, &list, &query).await)
}

fn or_error_page(response: Result<Response>) -> Response {
    response.unwrap_or_else(|e| error_page(&e, PUBLIC_LIST))
}

/// Finds the publication with this id, or the one that was current at the end of this day (`YYYY-MM-DD`).
async fn find_publication(state: &State, name: &str) -> Result<Publication> {
    let not_found = || Error::new(ErrorKind::NotFound, "List not found");
    let found = if let Ok(id) = name.parse() {
        let read = state
            .store
            .read_one(id, |tx, id| Box::pin(async move { tx.publication(*id).await }));
        read.await?
    } else {
        let day: NaiveDate = name.parse().map_err(|_| not_found())?;
        let zone = state.policy_set().rules.zone();
        // The list of a future day is not known.
        if day > state.now().with_timezone(&zone).date_naive() {
            return Err(not_found());
        }
        let midnight = day
            .checked_add_days(Days::new(1))
            .and_then(|next| next.and_hms_opt(0, 0, 0));
        let end = midnight.and_then(|at| zone.from_local_datetime(&at).earliest());
        let end = end.ok_or_else(not_found)?.with_timezone(&Utc);
        let read = state.store.read_one(end, |tx, end| {
            Box::pin(async move { tx.publication_before(*end).await })
        });
        read.await?
    };
    found.ok_or_else(not_found)
}

async fn csv_response(
    state: &State,
    lists: &ListCache,
    headers: &HeaderMap,
    publication: Option<&Publication>,
) -> Result<Response> {
    let prepared = lists.prepared_list(state, publication).await?;
    if let Some(not_modified) = not_modified_response(headers, &prepared.etag)? {
        return Ok(not_modified);
    }
    let day = publication.map(|publication| {
        publication
            .at
            .with_timezone(&prepared.list.zone)
            .date_naive()
            .to_string()
    });
    let disposition = format!(
        "attachment; filename=\"prior-authorization-list-{}.csv\"",
        day.as_deref().unwrap_or("draft")
    );
    let mut response = prepared.csv.clone().into_response();
    let response_headers = response.headers_mut();
    response_headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    );
    let disposition = HeaderValue::from_str(&disposition).map_err(Error::internal)?;
    response_headers.insert(header::CONTENT_DISPOSITION, disposition);
    set_cache_headers(response_headers, &prepared.etag)?;
    Ok(response)
}

/// The list that a page shows.
struct RequestedList {
    /// The path of the page.
    path: String,
    /// The publication; `None` if the policy set was not published.
    publication: Option<Publication>,
}

async fn page_response(
    state: &State,
    lists: &ListCache,
    headers: &HeaderMap,
    list: &RequestedList,
    query: &FormFields,
) -> Result<Response> {
    let prepared = lists.prepared_list(state, list.publication.as_ref()).await?;
    let publications = state.store.read_one((), |tx, ()| {
        Box::pin(async move { tx.publications(LINKED_PUBLICATIONS).await })
    });
    let view = list_view(
        list,
        &prepared.list,
        &publications.await?,
        query,
        plan_contact(state),
    );
    let response = render_page(StatusCode::OK, &view)?;
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(Error::internal)?;
    let etag = etag(&bytes);
    if let Some(not_modified) = not_modified_response(headers, &etag)? {
        return Ok(not_modified);
    }
    let mut response = Response::from_parts(parts, bytes.into());
    set_cache_headers(response.headers_mut(), &etag)?;
    Ok(response)
}

/// The response 304 if the caller already has the content with this entity tag.
fn not_modified_response(headers: &HeaderMap, etag: &str) -> Result<Option<Response>> {
    let known_etags = headers.get_all(header::IF_NONE_MATCH);
    let mut known_etags = known_etags
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    if !known_etags.any(|known| known.trim().trim_start_matches("W/") == etag || known.trim() == "*") {
        return Ok(None);
    }
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    set_cache_headers(response.headers_mut(), etag)?;
    Ok(Some(response))
}

/// Lets the caller and proxies keep the response for a minute.
fn set_cache_headers(headers: &mut HeaderMap, etag: &str) -> Result<()> {
    headers.insert(
        header::ETAG,
        HeaderValue::from_str(etag).map_err(Error::internal)?,
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=60"),
    );
    Ok(())
}

fn list_view(
    requested: &RequestedList,
    list: &PublicList,
    publications: &[Publication],
    query: &FormFields,
    contact: PlanContact,
) -> PublicListPage {
    let RequestedList { path, publication } = requested;
    let (code, lob) = (
        query.non_blank("code").unwrap_or(""),
        query.non_blank("line_of_business"),
    );
    let found = list.find(code, lob);
    let pages = found.len().div_ceil(ROWS_PER_PAGE).max(1);
    let page = query.get("page").parse().unwrap_or(1).clamp(1, pages);
    let first = (page - 1) * ROWS_PER_PAGE;
    let page_url = |page: usize| {
        let page = page.to_string();
        let pairs = [
            ("code", code),
            ("line_of_business", lob.unwrap_or("")),
            ("page", page.as_str()),
        ];
        url_with_query(path, pairs.into_iter().filter(|(_, value)| !value.is_empty()))
    };
    let rows: Vec<ListedRow> = found
        .iter()
        .skip(first)
        .take(ROWS_PER_PAGE)
        .map(|row| row_view(list, row))
        .collect();
    let shown = publication.as_ref().map(|publication| publication.id);
    let latest = publications.first().map(|publication| publication.id);
    PublicListPage {
        frame: PageFrame::default(),
        contact,
        action: path.clone(),
        code: code.to_owned(),
        lines_of_business: line_of_business_options(list, lob),
        published: publication.as_ref().map(|publication| publication.at),
        number: publication.as_ref().map(|publication| publication.number),
        zone: list.zone.name().to_owned(),
        current_list: (path != PUBLIC_LIST && shown != latest).then(|| PUBLIC_LIST.to_owned()),
        total: list.rows().len(),
        found: found.len(),
        first: first + 1,
        last: first + rows.len(),
        rows,
        previous_page: (page > 1).then(|| page_url(page - 1)),
        next_page: (page < pages).then(|| page_url(page + 1)),
        csv: format!("{path}.csv"),
        publications: publications
            .iter()
            .map(|publication| publication_link(publication, shown))
            .collect(),
    }
}

/// `shown` is the id of the publication on the page.
fn publication_link(publication: &Publication, shown: Option<Uuid>) -> PublicationLink {
    PublicationLink {
        href: format!("{PUBLIC_LIST}/{}", publication.id),
        at: publication.at,
        shown: shown == Some(publication.id),
    }
}

fn line_of_business_options(list: &PublicList, selected: Option<&str>) -> Vec<SelectOption> {
    let option = |value: &str, label: &str, selected: bool| SelectOption {
        value: value.to_owned(),
        label: label.to_owned(),
        selected,
    };
    let mut names = list.lines_of_business();
    names.extend(selected);
    let all = std::iter::once(option("", "All", selected.is_none()));
    all.chain(
        names
            .into_iter()
            .map(|name| option(name, name, selected == Some(name))),
    )
    .collect()
}

fn row_view(list: &PublicList, row: &PublicListRow) -> ListedRow {
    let details = list.details(row).cloned().unwrap_or_default();
    let system = match row.system.as_str() {
        HCPCS => "HCPCS",
        CPT => "CPT",
        other => other,
    };
    // URLs of other schemes are not made into links because they could run a script.
    let is_web_url = |url: &str| url.starts_with("https://") || url.starts_with("http://");
    ListedRow {
        code: (row.code != "*").then(|| row.code.clone()),
        system: (!system.is_empty()).then(|| system.to_owned()),
        line_of_business: row.line_of_business.clone(),
        state: row.state.clone(),
        from: row.from,
        to: row.to,
        title: details.title,
        forms: details.forms,
        sources: details
            .sources
            .into_iter()
            .map(|(cite, url)| Source {
                cite,
                url: Some(url).filter(|url| is_web_url(url)),
            })
            .collect(),
    }
}
