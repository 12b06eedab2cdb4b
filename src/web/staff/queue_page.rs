//! The queue page: filters from the query string, the active filters with links to remove them, and one row for each
//! case.

use crate::deadlines::EscalationStep;
use crate::fhir;
use crate::plan::Member;
use crate::prior_auth::{ItemStatus, PriorAuth};
use crate::review::{Queue, QueueEntry, QueueFilters, count_conditions};
use crate::rules::RuleSet;
use crate::web::fields::{FormFields, url_with_query};
use crate::web::paths;
use crate::web::staff::labels::{case_status_badge, escalation_badge, service_name, status_label};
use crate::web::staff::views::{
    ActiveFilter, FilterSelect, MemberSummary, QueueRow, QueueTable, ServiceName,
};
use crate::web::views::SelectOption;

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

/// Parses the filters of a query string. A value that is not known filters nothing.
pub(in crate::web) fn parse_filters(query: &str) -> QueueFilters {
    let fields = FormFields::parse(query);
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
    let states = filter_states(filters);
    let pairs = states
        .iter()
        .filter(|state| state.name != except)
        .filter_map(|state| Some((state.name, state.active.as_ref()?.value.as_str())));
    url_with_query(path, pairs)
}

/// Where the script fetches the table.
pub(in crate::web) fn table_url(filters: &QueueFilters) -> String {
    url_with_filters(TABLE_URL, filters, "")
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
    let zone = queue
        .entries
        .first()
        .map_or(chrono_tz::UTC, |entry| entry.case.received.zone);
    QueueTable {
        now: queue.now,
        zone: zone.name().to_owned(),
        active_filters: active_filters.collect(),
        unfiltered_url: paths::STAFF.to_owned(),
        hidden: queue.hidden,
        rows: queue.entries.iter().map(|entry| row(entry, rules)).collect(),
    }
}

fn row(entry: &QueueEntry, rules: &RuleSet) -> QueueRow {
    let case = &entry.case;
    let received = &case.received;
    QueueRow {
        href: format!("/staff/cases/{}", case.id),
        number: case.number().to_owned(),
        due: Some(received.due.internal),
        escalation: escalation_badge(entry.escalation_step),
        urgent: received.urgent,
        line_of_business: received.line_of_business.clone(),
        service: first_service(case, rules),
        member: member_summary(&entry.member),
        requester: received.requester_name.clone(),
        status: case_status_badge(case),
        queue: case.queue().unwrap_or("none").to_owned(),
        received: Some(case.received_at),
        counts: case
            .items
            .iter()
            .find(|i| i.status.is_open())
            .and_then(|i| count_conditions(&i.verdict)),
    }
}

/// The service of the first open item, with the number of further items.
fn first_service(case: &PriorAuth, rules: &RuleSet) -> ServiceName {
    let first = case
        .items
        .iter()
        .find(|i| i.status.is_open())
        .or(case.items.first());
    let more = case.items.len().saturating_sub(1);
    match first {
        Some(item) => ServiceName {
            more,
            ..service_name(rules, item)
        },
        None => ServiceName {
            code: String::new(),
            name: None,
            more,
        },
    }
}

fn member_summary(member: &Member) -> MemberSummary {
    let name = fhir::human_name(&member.doc).unwrap_or_default();
    let initials: Vec<String> = name
        .split_whitespace()
        .filter_map(|part| part.chars().next())
        .map(|c| format!("{c}."))
        .collect();
    MemberSummary {
        initials: initials.join(" "),
        id: member.member_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::{CriteriaCounts, samples};
    use crate::web::staff::samples::no_rules;

    fn queue() -> Queue {
        Queue {
            now: samples::now(),
            entries: vec![QueueEntry {
                case: samples::case(),
                member: samples::member(),
                escalation_step: EscalationStep::DueSoon,
            }],
            hidden: 3,
            lines_of_business: ["MA".to_owned()].into(),
            queues: ["dme-nurse".to_owned()].into(),
        }
    }

    #[test]
    fn filters_of_the_query_string_become_active_filters_and_links() {
        let filters =
            parse_filters("urgency=urgent&status=intake&line_of_business=MA&due=due-now&queue=&x=1");
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
            table_url(&filters),
            "/staff/queue?due=due-now&urgency=urgent&status=intake&line_of_business=MA"
        );
        assert_eq!(
            parse_filters("urgency=odd&status=approved&due=later"),
            QueueFilters::default()
        );
    }

    #[test]
    fn an_active_filter_without_a_case_stays_among_the_options() {
        let filters = parse_filters("line_of_business=CHIP");
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
            row.counts,
            Some(CriteriaCounts {
                met: 1,
                not_met: 1,
                unknown: 1
            })
        );
        assert_eq!((table.hidden, table.zone.as_str()), (3, "America/New_York"));
    }
}
