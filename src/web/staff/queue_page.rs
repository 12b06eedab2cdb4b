//! The queue page: filters and the place of the page from the query string, the active filters with links to remove them,
//! one row for each case, and links to the pages before and after.

use crate::deadlines::EscalationStep;
use crate::prior_auth::ItemStatus;
use crate::review::{Queue, QueueFilters, QueuePosition};
use crate::rules::RuleSet;
use crate::store::queue::{QueueEntry, QueueKey};
use crate::web::fields::{FormFields, url_with_query};
use crate::web::paths;
use crate::web::staff::labels::{code_name, escalation_badge, status_badge, status_label};
use crate::web::staff::views::{
    ActiveFilter, FilterSelect, MemberSummary, QueueRow, QueueTable, ServiceName,
};
use crate::web::views::SelectOption;
use chrono::{DateTime, Utc};

/// The queue table without the page, for the script.
const TABLE_URL: &str = "/staff/queue";

const OPEN_STATUSES: [ItemStatus; 3] = [
    ItemStatus::Intake,
    ItemStatus::ClinicalReview,
    ItemStatus::PhysicianReview,
];
const ESCALATION_STEPS: [EscalationStep; 5] = [
    EscalationStep::Overdue,
    EscalationStep::DueNow,
    EscalationStep::DueSoon,
    EscalationStep::Watch,
    EscalationStep::OnTrack,
];

/// The value of a filter with its label.
struct FilterValue {
    value: String,
    label: String,
}

impl FilterValue {
    fn new(value: &str, label: &str) -> Self {
        Self {
            value: value.to_owned(),
            label: label.to_owned(),
        }
    }

    /// A value that is also its label.
    fn plain(value: &str) -> Self {
        Self::new(value, value)
    }

    fn status(status: ItemStatus) -> Self {
        Self::new(status.as_str(), status_label(status))
    }

    fn escalation(step: EscalationStep) -> Self {
        Self::new(step.as_str(), step.label())
    }
}

/// A filter: its query parameter and label, the text of the option that filters nothing, and the active value.
struct FilterState {
    name: &'static str,
    label: &'static str,
    all_label: &'static str,
    active: Option<FilterValue>,
}

/// Parses a query string: the filters and the place of the page. A value that is not known filters nothing, and a place
/// that cannot be read is the first page.
pub(in crate::web) fn parse_request(query: &str) -> (QueueFilters, QueuePosition) {
    let fields = FormFields::parse(query);
    let key = |name| fields.non_blank(name).and_then(parse_key);
    let position = match (key("after"), key("before")) {
        (Some(after), _) => QueuePosition::After(after),
        (None, Some(before)) => QueuePosition::Before(before),
        (None, None) => QueuePosition::First,
    };
    (parse_filters(&fields), position)
}

fn parse_filters(fields: &FormFields) -> QueueFilters {
    QueueFilters {
        urgent: match fields.get("urgency") {
            "urgent" => Some(true),
            "standard" => Some(false),
            _ => None,
        },
        status: OPEN_STATUSES
            .into_iter()
            .find(|status| status.as_str() == fields.get("status")),
        line_of_business: fields.non_blank("line_of_business").map(str::to_owned),
        queue: fields.non_blank("queue").map(str::to_owned),
        escalation_step: ESCALATION_STEPS
            .into_iter()
            .find(|step| step.as_str() == fields.get("due")),
    }
}

/// The place of a case in a link: due time and receipt in microseconds, and the id.
fn key_text(key: &QueueKey) -> String {
    let (due, received) = (key.due.timestamp_micros(), key.received.timestamp_micros());
    format!("{due}.{received}.{}", key.case_id)
}

fn parse_key(text: &str) -> Option<QueueKey> {
    let mut parts = text.splitn(3, '.');
    // Four digits for the year: other years would not sort in the database.
    let time = |micros: &str| -> Option<DateTime<Utc>> {
        let micros = micros
            .parse()
            .ok()
            .filter(|m| (0..253_402_300_800_000_000).contains(m))?;
        DateTime::from_timestamp_micros(micros)
    };
    Some(QueueKey {
        due: time(parts.next()?)?,
        received: time(parts.next()?)?,
        case_id: parts.next()?.parse().ok()?,
    })
}

/// All filters in the order of the page.
fn filter_states(filters: &QueueFilters) -> [FilterState; 5] {
    let urgency = filters
        .urgent
        .map(|urgent| if urgent { "urgent" } else { "standard" });
    let state = |name, label, all_label, active| FilterState {
        name,
        label,
        all_label,
        active,
    };
    [
        state(
            "due",
            "Due time",
            "any",
            filters.escalation_step.map(FilterValue::escalation),
        ),
        state("urgency", "Urgency", "any", urgency.map(FilterValue::plain)),
        state(
            "status",
            "Status",
            "all open",
            filters.status.map(FilterValue::status),
        ),
        state(
            "line_of_business",
            "Line of business",
            "all",
            filters.line_of_business.as_deref().map(FilterValue::plain),
        ),
        state(
            "queue",
            "Queue",
            "all",
            filters.queue.as_deref().map(FilterValue::plain),
        ),
    ]
}

/// `path` with the active filters as query string, without the filter called `except`.
fn url_with_filters(path: &str, filters: &QueueFilters, except: &str) -> String {
    url_of_page(path, filters, except, QueuePosition::First)
}

/// `path` with the active filters and the place of a page as query string, without the filter called `except`.
fn url_of_page(path: &str, filters: &QueueFilters, except: &str, position: QueuePosition) -> String {
    let states = filter_states(filters);
    let pairs = states
        .iter()
        .filter(|state| state.name != except)
        .filter_map(|state| Some((state.name, state.active.as_ref()?.value.as_str())));
    let place = match &position {
        QueuePosition::First => None,
        QueuePosition::After(key) => Some(("after", key_text(key))),
        QueuePosition::Before(key) => Some(("before", key_text(key))),
    };
    let place = place.as_ref().map(|(name, key)| (*name, key.as_str()));
    url_with_query(path, pairs.chain(place))
}

/// Where the script fetches the table.
pub(in crate::web) fn table_url(filters: &QueueFilters, position: QueuePosition) -> String {
    url_of_page(TABLE_URL, filters, "", position)
}

/// The select boxes. A filter that no open case matches stays among the options while it is active.
pub(in crate::web) fn filter_selects(filters: &QueueFilters, queue: &Queue) -> Vec<FilterSelect> {
    let plain =
        |values: Vec<&str>| -> Vec<FilterValue> { values.into_iter().map(FilterValue::plain).collect() };
    filter_states(filters)
        .into_iter()
        .map(|state| {
            let values = match state.name {
                "due" => ESCALATION_STEPS.map(FilterValue::escalation).into(),
                "urgency" => plain(vec!["urgent", "standard"]),
                "status" => OPEN_STATUSES.map(FilterValue::status).into(),
                "line_of_business" => plain(queue.lines_of_business.iter().map(String::as_str).collect()),
                _ => plain(queue.queues.iter().map(String::as_str).collect()),
            };
            filter_select(state, values)
        })
        .collect()
}

fn filter_select(state: FilterState, mut values: Vec<FilterValue>) -> FilterSelect {
    let active = state.active.as_ref().map(|active| active.value.clone());
    let all = SelectOption {
        value: String::new(),
        label: state.all_label.to_owned(),
        selected: active.is_none(),
    };
    if let Some(active) = state.active
        && !values.iter().any(|known| known.value == active.value)
    {
        values.push(active);
    }
    let options = values.into_iter().map(|option| SelectOption {
        selected: active.as_ref() == Some(&option.value),
        value: option.value,
        label: option.label,
    });
    FilterSelect {
        name: state.name.to_owned(),
        label: state.label.to_owned(),
        options: std::iter::once(all).chain(options).collect(),
    }
}

/// The table.
pub(in crate::web) fn queue_table(filters: &QueueFilters, queue: &Queue, rules: &RuleSet) -> QueueTable {
    let active_filters = filter_states(filters).into_iter().filter_map(|state| {
        let active = state.active?;
        Some(ActiveFilter {
            label: format!("{}: {}", state.label, active.label),
            remove_url: url_with_filters(paths::STAFF, filters, state.name),
        })
    });
    let page = |position| url_of_page(paths::STAFF, filters, "", position);
    let (first, last) = (queue.entries.first(), queue.entries.last());
    QueueTable {
        now: queue.now,
        zone: rules.zone().name().to_owned(),
        active_filters: active_filters.collect(),
        unfiltered_url: paths::STAFF.to_owned(),
        matching: usize::try_from(queue.matching).unwrap_or_default(),
        hidden: usize::try_from(queue.hidden).unwrap_or_default(),
        rows: queue
            .entries
            .iter()
            .map(|(entry, step)| row(entry, *step, rules))
            .collect(),
        previous_page: first
            .filter(|_| queue.has_earlier)
            .map(|(entry, _)| page(QueuePosition::Before(entry.key))),
        next_page: last
            .filter(|_| queue.has_later)
            .map(|(entry, _)| page(QueuePosition::After(entry.key))),
    }
}

fn row(entry: &QueueEntry, step: EscalationStep, rules: &RuleSet) -> QueueRow {
    let more = usize::try_from(entry.items).unwrap_or_default().saturating_sub(1);
    QueueRow {
        href: format!("/staff/cases/{}", entry.key.case_id),
        number: entry.number.clone(),
        due: Some(entry.key.due),
        escalation: escalation_badge(step),
        urgent: entry.urgent,
        line_of_business: entry.line_of_business.clone(),
        service: ServiceName {
            more,
            ..code_name(rules, &entry.system, &entry.code, entry.policy_title.as_deref())
        },
        member: MemberSummary {
            initials: initials(&entry.member_name),
            id: entry.member_id.clone(),
        },
        requester: entry.requester.clone(),
        status: status_badge(entry.status),
        queue: Some(entry.queue.as_str())
            .filter(|queue| !queue.is_empty())
            .unwrap_or("none")
            .to_owned(),
        received: Some(entry.key.received),
        counts: entry.counts,
    }
}

fn initials(name: &str) -> String {
    let initials: Vec<String> = name
        .split_whitespace()
        .filter_map(|part| part.chars().next())
        .map(|c| format!("{c}."))
        .collect();
    initials.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::{CriteriaCounts, samples};
    use crate::web::staff::samples::no_rules;
    use uuid::Uuid;

    fn entry() -> QueueEntry {
        let due = "2026-10-12T12:00:00.000001Z".parse().unwrap();
        QueueEntry {
            key: QueueKey {
                due,
                received: "2026-10-05T12:00:00Z".parse().unwrap(),
                case_id: Uuid::from_u128(1),
            },
            number: "RF-0000000001".to_owned(),
            line_of_business: "MA".to_owned(),
            status: ItemStatus::ClinicalReview,
            queue: "dme-nurse".to_owned(),
            urgent: false,
            clock: "ma-standard".to_owned(),
            requester: "Ada Lung".to_owned(),
            items: 3,
            system: crate::fhir::coding::HCPCS.to_owned(),
            code: "E1390".to_owned(),
            policy_title: Some("Home oxygen".to_owned()),
            counts: Some(CriteriaCounts {
                met: 1,
                not_met: 1,
                unknown: 1,
            }),
            member_id: "12345678901".to_owned(),
            member_name: "Joe Smith".to_owned(),
        }
    }

    fn queue() -> Queue {
        Queue {
            now: samples::now(),
            entries: vec![(entry(), EscalationStep::DueSoon)],
            matching: 60,
            hidden: 3,
            has_earlier: true,
            has_later: true,
            lines_of_business: ["MA".to_owned()].into(),
            queues: ["dme-nurse".to_owned()].into(),
        }
    }

    fn filters(query: &str) -> QueueFilters {
        parse_request(query).0
    }

    #[test]
    fn filters_of_the_query_string_become_active_filters_and_links() {
        let filters = filters("urgency=urgent&status=intake&line_of_business=MA&due=due-now&queue=&x=1");
        assert_eq!(filters.urgent, Some(true));
        let table = queue_table(&filters, &queue(), &no_rules());
        let labels: Vec<&str> = table
            .active_filters
            .iter()
            .map(|filter| filter.label.as_str())
            .collect();
        assert_eq!(
            labels,
            [
                "Due time: due now",
                "Urgency: urgent",
                "Status: Intake",
                "Line of business: MA"
            ]
        );
        assert_eq!(
            table.active_filters[1].remove_url,
            "/staff?due=due-now&status=intake&line_of_business=MA"
        );
        assert_eq!(
            table_url(&filters, QueuePosition::First),
            "/staff/queue?due=due-now&urgency=urgent&status=intake&line_of_business=MA"
        );
    }

    #[test]
    fn a_value_that_is_not_known_filters_nothing() {
        let request = parse_request("urgency=odd&status=approved&due=later&after=1.2&before=-1.1.x");
        assert_eq!(request, (QueueFilters::default(), QueuePosition::First));
    }

    #[test]
    fn links_to_other_pages_keep_the_filters_and_name_the_case_beside_the_page() {
        let filters = filters("line_of_business=MA");
        let table = queue_table(&filters, &queue(), &no_rules());
        let (previous, next) = (table.previous_page.unwrap(), table.next_page.unwrap());
        assert_eq!(
            next,
            "/staff?line_of_business=MA&after=1791806400000001.1791201600000000.00000000-0000-0000-0000-000000000001"
        );
        assert!(previous.starts_with("/staff?line_of_business=MA&before=1791806400000001."));
        let (_, query) = next.split_once('?').unwrap();
        assert_eq!(parse_request(query), (filters, QueuePosition::After(entry().key)));
    }

    #[test]
    fn an_active_filter_without_a_case_stays_among_the_options() {
        let filters = filters("line_of_business=CHIP");
        let selects = filter_selects(&filters, &queue());
        let select = selects.iter().find(|s| s.name == "line_of_business").unwrap();
        let selected: Vec<&str> = select
            .options
            .iter()
            .filter(|option| option.selected)
            .map(|option| option.value.as_str())
            .collect();
        assert_eq!(selected, ["CHIP"]);
    }

    #[test]
    fn a_row_shows_initials_counts_and_the_case_number() {
        let table = queue_table(&QueueFilters::default(), &queue(), &no_rules());
        let row = &table.rows[0];
        assert_eq!(
            (row.member.initials.as_str(), row.number.as_str()),
            ("J. S.", "RF-0000000001")
        );
        assert_eq!(
            (row.service.name.as_deref(), row.service.more),
            (Some("Home oxygen"), 2)
        );
        assert_eq!(row.counts, entry().counts);
        assert_eq!((table.matching, table.hidden), (60, 3));
        assert_eq!(
            table.zone, "UTC",
            "the zone of the plans, of which there are none"
        );
    }
}
