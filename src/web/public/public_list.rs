//! The public list of items and services that need prior authorization: a page that anybody may search, and a table for
//! spreadsheets; today's and that of every earlier publication. Made from the set in force, so the pages cannot say
//! anything else than the answers. No sign-in, nothing of a member, no cookie.

use crate::error::{Error, Result};
use crate::fhir::coding::{CPT, HCPCS};
use crate::publication;
use crate::rules::verdict::sha256;
use crate::rules::{Listed, PublicList};
use crate::state::State;
use crate::store::policy_sets::Publication;
use crate::web::fields::{Fields, address};
use crate::web::public::front_page::contact;
use crate::web::reply::{page, problem};
use crate::web::views::{Choice, Edition, Frame, ListedRow, PublicListPage, Source};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State as Held};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{Days, NaiveDate, TimeZone, Utc};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Where the list is.
pub(in crate::web) const LIST: &str = "/prior-authorization-list";
/// Rows of one page.
const ROWS: usize = 200;
/// Earlier publications that a page links to.
const EARLIER: i64 = 24;
/// Lists that are kept ready.
const KEPT: usize = 4;

/// A list with its table, made once.
struct Ready {
    list: Arc<PublicList>,
    csv: Bytes,
    tag: String,
}

/// The lists that were asked for last. One is made at a time: an old one costs a read of the store.
#[derive(Default)]
pub(in crate::web) struct Lists(Mutex<VecDeque<(String, Arc<Ready>)>>);

impl Lists {
    /// The list of a publication; of the set in force without one.
    async fn ready(&self, state: &State, entry: Option<&Publication>) -> Result<Arc<Ready>> {
        let published = state.published();
        let name = entry.map_or(&published.hash, |entry| &entry.list).clone();
        let mut kept = self.0.lock().await;
        if let Some((_, ready)) = kept.iter().find(|(own, _)| *own == name) {
            return Ok(ready.clone());
        }
        let in_force = published.publication().map(|own| &own.list) == entry.map(|entry| &entry.list);
        let list = if in_force {
            published.list().clone()
        } else {
            publication::open_list(&state.store, &name).await?
        };
        let made = tokio::task::spawn_blocking(move || {
            let csv = Bytes::from(list.csv());
            let tag = tag(&csv);
            Arc::new(Ready { list, csv, tag })
        });
        let ready = made.await.map_err(Error::internal)?;
        kept.push_front((name, ready.clone()));
        kept.truncate(KEPT);
        Ok(ready)
    }
}

fn tag(bytes: &[u8]) -> String {
    let hash = sha256(bytes);
    format!("\"{}\"", hash.trim_start_matches("sha256:"))
}

/// `GET /prior-authorization-list`.
pub(in crate::web) async fn today(
    Held(state): Held<State>,
    Extension(lists): Extension<Arc<Lists>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let entry = state.published().publication().cloned();
    let query = Fields::read(query.as_deref().unwrap_or(""));
    told(show(&state, &lists, &headers, entry.as_ref(), &query, LIST).await)
}

/// `GET /prior-authorization-list.csv`.
pub(in crate::web) async fn today_as_table(
    Held(state): Held<State>,
    Extension(lists): Extension<Arc<Lists>>,
    headers: HeaderMap,
) -> Response {
    let entry = state.published().publication().cloned();
    told(table(&state, &lists, &headers, entry.as_ref()).await)
}

/// `GET /prior-authorization-list/{publication or day}`, with `.csv` as a table.
pub(in crate::web) async fn earlier(
    Held(state): Held<State>,
    Extension(lists): Extension<Arc<Lists>>,
    Path(which): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let (name, as_table) = which
        .strip_suffix(".csv")
        .map_or((which.as_str(), false), |name| (name, true));
    let entry = match find(&state, name).await {
        Ok(entry) => entry,
        Err(e) => return told(Err(e)),
    };
    if as_table {
        return told(table(&state, &lists, &headers, Some(&entry)).await);
    }
    let query = Fields::read(query.as_deref().unwrap_or(""));
    let own = format!("{LIST}/{name}");
    told(show(&state, &lists, &headers, Some(&entry), &query, &own).await)
}

fn told(answer: Result<Response>) -> Response {
    answer.unwrap_or_else(|e| problem(&e, LIST))
}

/// The publication of an address: its id, or a day at whose end it was in force.
async fn find(state: &State, name: &str) -> Result<Publication> {
    let nothing = || Error::not_found("publication", "of this address");
    let found = if let Ok(id) = name.parse() {
        let read = state
            .store
            .read(id, |tx, id| Box::pin(async move { tx.publication(*id).await }));
        read.await?
    } else {
        let day: NaiveDate = name.parse().map_err(|_| nothing())?;
        let zone = state.published().rules.zone();
        // Nobody knows what will be in force then.
        if day > state.now().with_timezone(&zone).date_naive() {
            return Err(nothing());
        }
        let midnight = day
            .checked_add_days(Days::new(1))
            .and_then(|next| next.and_hms_opt(0, 0, 0));
        let end = midnight.and_then(|at| zone.from_local_datetime(&at).earliest());
        let end = end.ok_or_else(nothing)?.with_timezone(&Utc);
        let read = state.store.read(end, |tx, end| {
            Box::pin(async move { tx.publication_before(*end).await })
        });
        read.await?
    };
    found.ok_or_else(nothing)
}

async fn table(
    state: &State,
    lists: &Lists,
    headers: &HeaderMap,
    entry: Option<&Publication>,
) -> Result<Response> {
    let ready = lists.ready(state, entry).await?;
    if let Some(same) = unchanged(headers, &ready.tag)? {
        return Ok(same);
    }
    let day = entry.map(|entry| entry.at.with_timezone(&ready.list.zone).date_naive().to_string());
    let name = format!(
        "attachment; filename=\"prior-authorization-list-{}.csv\"",
        day.as_deref().unwrap_or("draft")
    );
    let mut response = ready.csv.clone().into_response();
    let own = response.headers_mut();
    own.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    );
    let name = HeaderValue::from_str(&name).map_err(Error::internal)?;
    own.insert(header::CONTENT_DISPOSITION, name);
    may_be_kept(own, &ready.tag)?;
    Ok(response)
}

async fn show(
    state: &State,
    lists: &Lists,
    headers: &HeaderMap,
    entry: Option<&Publication>,
    query: &Fields,
    own: &str,
) -> Result<Response> {
    let ready = lists.ready(state, entry).await?;
    let log = state.store.read((), |tx, ()| {
        Box::pin(async move { tx.publications(EARLIER).await })
    });
    let view = view(state, &ready.list, entry, &log.await?, query, own);
    let response = page(StatusCode::OK, &view)?;
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(Error::internal)?;
    let tag = tag(&bytes);
    if let Some(same) = unchanged(headers, &tag)? {
        return Ok(same);
    }
    let mut response = Response::from_parts(parts, bytes.into());
    may_be_kept(response.headers_mut(), &tag)?;
    Ok(response)
}

/// "You have it already", when the caller says so.
fn unchanged(headers: &HeaderMap, tag: &str) -> Result<Option<Response>> {
    let known = headers.get_all(header::IF_NONE_MATCH);
    let mut known = known
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    if !known.any(|one| one.trim().trim_start_matches("W/") == tag || one.trim() == "*") {
        return Ok(None);
    }
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    may_be_kept(response.headers_mut(), tag)?;
    Ok(Some(response))
}

fn may_be_kept(headers: &mut HeaderMap, tag: &str) -> Result<()> {
    headers.insert(header::ETAG, HeaderValue::from_str(tag).map_err(Error::internal)?);
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=60"),
    );
    Ok(())
}

fn view(
    state: &State,
    list: &PublicList,
    entry: Option<&Publication>,
    log: &[Publication],
    query: &Fields,
    own: &str,
) -> PublicListPage {
    let (code, line) = (query.filled("code").unwrap_or(""), query.filled("line"));
    let found = list.find(code, line);
    let pages = found.len().div_ceil(ROWS).max(1);
    let at = query.get("page").parse().unwrap_or(1).clamp(1, pages);
    let first = (at - 1) * ROWS;
    let turn = |to: usize| {
        let number = to.to_string();
        let pairs = [
            ("code", code),
            ("line", line.unwrap_or("")),
            ("page", number.as_str()),
        ];
        address(own, pairs.into_iter().filter(|(_, value)| !value.is_empty()))
    };
    let rows: Vec<ListedRow> = found
        .iter()
        .skip(first)
        .take(ROWS)
        .map(|listed| row(list, listed))
        .collect();
    let newest = log.first().map(|entry| entry.id);
    PublicListPage {
        frame: Frame::default(),
        contact: contact(state),
        action: own.to_owned(),
        code: code.to_owned(),
        lines: lines(list, line),
        published: entry.map(|entry| entry.at),
        number: entry.map(|entry| entry.number),
        zone: list.zone.name().to_owned(),
        today: (own != LIST && entry.map(|entry| entry.id) != newest).then(|| LIST.to_owned()),
        total: list.rows().len(),
        found: found.len(),
        first: first + 1,
        last: first + rows.len(),
        rows,
        back: (at > 1).then(|| turn(at - 1)),
        on: (at < pages).then(|| turn(at + 1)),
        csv: format!("{own}.csv"),
        editions: log
            .iter()
            .map(|other| Edition {
                href: format!("{LIST}/{}", other.id),
                at: other.at,
                shown: entry.is_some_and(|entry| entry.id == other.id),
            })
            .collect(),
    }
}

fn lines(list: &PublicList, chosen: Option<&str>) -> Vec<Choice> {
    let choice = |value: &str, label: &str, chosen: bool| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        chosen,
    };
    let mut names = list.lines();
    names.extend(chosen);
    let any = std::iter::once(choice("", "all lines", chosen.is_none()));
    any.chain(
        names
            .into_iter()
            .map(|name| choice(name, name, chosen == Some(name))),
    )
    .collect()
}

fn row(list: &PublicList, listed: &Listed) -> ListedRow {
    let about = list.about(listed).cloned().unwrap_or_default();
    let system = match listed.system.as_str() {
        HCPCS => "HCPCS",
        CPT => "CPT",
        other => other,
    };
    // A policy file's address becomes a link only when a browser would go there and nowhere else.
    let leads = |url: &str| url.starts_with("https://") || url.starts_with("http://");
    ListedRow {
        code: (listed.code != "*").then(|| listed.code.clone()),
        system: (!system.is_empty()).then(|| system.to_owned()),
        line: listed.line.clone(),
        state: listed.state.clone(),
        from: listed.from,
        to: listed.to,
        title: about.title,
        forms: about.forms,
        sources: about
            .sources
            .into_iter()
            .map(|(cite, url)| Source {
                cite,
                url: Some(url).filter(|url| leads(url)),
            })
            .collect(),
    }
}
