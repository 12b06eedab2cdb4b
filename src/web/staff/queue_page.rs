//! The queue as a page: filters from the address, chips for those in force, one row for each waiting case.

use crate::deadlines::Band;
use crate::fhir;
use crate::plan::Member;
use crate::prior_auth::{ItemStatus, Outcome, PriorAuth};
use crate::review::{self, Filters, Queue, Waiting};
use crate::rules::{Source, Verdict};
use crate::web::fields::{Fields, address};
use crate::web::views::{Brief, Chip, Choice, Counts, Filter, Mark, QueueRow, QueueTable, ServiceName, Tone};

/// Where the queue is.
const QUEUE: &str = "/staff";

const STATES: [ItemStatus; 3] = [
    ItemStatus::Intake,
    ItemStatus::ClinicalReview,
    ItemStatus::PhysicianReview,
];
const BANDS: [Band; 5] = [Band::Late, Band::Now, Band::Soon, Band::Watch, Band::Calm];

/// Reads the filters of an address; a value that means nothing filters nothing.
pub(in crate::web) fn filters(query: &str) -> Filters {
    let fields = Fields::read(query);
    Filters {
        urgent: match fields.get("urgency") {
            "urgent" => Some(true),
            "standard" => Some(false),
            _ => None,
        },
        status: STATES
            .into_iter()
            .find(|status| status.as_str() == fields.get("state")),
        line: fields.filled("line").map(str::to_owned),
        queue: fields.filled("queue").map(str::to_owned),
        band: BANDS.into_iter().find(|band| band.word() == fields.get("due")),
    }
}

/// The filters in force as name, label, value and words.
fn in_force(filters: &Filters) -> Vec<(&'static str, &'static str, String, String)> {
    let mut all = Vec::new();
    let mut add = |name, label, value: Option<(String, String)>| {
        all.extend(value.map(|(value, words)| (name, label, value, words)));
    };
    let same = |text: &String| (text.clone(), text.clone());
    add(
        "due",
        "Due",
        filters
            .band
            .map(|band| (band.word().to_owned(), band.word().to_owned())),
    );
    let urgency = filters
        .urgent
        .map(|urgent| if urgent { "urgent" } else { "standard" });
    add(
        "urgency",
        "Urgency",
        urgency.map(|word| (word.to_owned(), word.to_owned())),
    );
    let state = filters
        .status
        .map(|status| (status.as_str().to_owned(), state_words(status).to_owned()));
    add("state", "State", state);
    add("line", "Line", filters.line.as_ref().map(same));
    add("queue", "Queue", filters.queue.as_ref().map(same));
    all
}

/// An address with the filters in force, without the one called `left_out`.
fn with_filters(path: &str, filters: &Filters, left_out: &str) -> String {
    let all = in_force(filters);
    let kept = all.iter().filter(|(name, ..)| *name != left_out);
    address(path, kept.map(|(name, _, value, _)| (*name, value.as_str())))
}

/// Where the script fetches the table alone.
pub(in crate::web) fn fragment(filters: &Filters) -> String {
    with_filters("/staff/queue", filters, "")
}

/// The select boxes.
pub(in crate::web) fn boxes(filters: &Filters, queue: &Queue) -> Vec<Filter> {
    let chosen = in_force(filters);
    let one = |name: &'static str, label: &str, any: &str, mut options: Vec<(String, String)>| {
        let now = chosen
            .iter()
            .find(|(own, ..)| *own == name)
            .map(|(_, _, value, words)| (value, words));
        if let Some((value, words)) = now
            && !options.iter().any(|(own, _)| own == value)
        {
            options.push((value.clone(), words.clone()));
        }
        let first = Choice {
            value: String::new(),
            label: any.to_owned(),
            chosen: now.is_none(),
        };
        let rest = options.into_iter().map(|(value, label)| Choice {
            chosen: now.is_some_and(|(chosen, _)| *chosen == value),
            value,
            label,
        });
        Filter {
            name: name.to_owned(),
            label: label.to_owned(),
            options: std::iter::once(first).chain(rest).collect(),
        }
    };
    let plain = |words: &mut dyn Iterator<Item = &str>| words.map(|w| (w.to_owned(), w.to_owned())).collect();
    let states = STATES.map(|status| (status.as_str().to_owned(), state_words(status).to_owned()));
    vec![
        one(
            "due",
            "Due",
            "any time",
            plain(&mut BANDS.into_iter().map(Band::word)),
        ),
        one(
            "urgency",
            "Urgency",
            "any",
            plain(&mut ["urgent", "standard"].into_iter()),
        ),
        one("state", "State", "any open", states.into()),
        one(
            "line",
            "Line",
            "all lines",
            plain(&mut queue.lines.iter().map(String::as_str)),
        ),
        one(
            "queue",
            "Queue",
            "all queues",
            plain(&mut queue.queues.iter().map(String::as_str)),
        ),
    ]
}

/// The table.
pub(in crate::web) fn table(filters: &Filters, queue: &Queue) -> QueueTable {
    let chips = in_force(filters).into_iter().map(|(name, label, _, words)| Chip {
        label: format!("{label}: {words}"),
        remove: with_filters(QUEUE, filters, name),
    });
    let zone = queue
        .rows
        .first()
        .map_or(chrono_tz::UTC, |row| row.case.received.zone);
    QueueTable {
        now: queue.now,
        zone: zone.name().to_owned(),
        chips: chips.collect(),
        everything: QUEUE.to_owned(),
        hidden: queue.hidden,
        rows: queue.rows.iter().map(row).collect(),
    }
}

fn row(waiting: &Waiting) -> QueueRow {
    let case = &waiting.case;
    let received = &case.received;
    QueueRow {
        href: format!("/staff/cases/{}", case.id),
        number: number(case),
        due: Some(received.due.work),
        band: band_mark(waiting.band),
        urgent: received.urgent,
        line: received.line.clone(),
        service: service(case),
        member: brief(&waiting.member),
        requester: received.requester.clone(),
        state: case_state(case),
        queue: case.queue().unwrap_or("none").to_owned(),
        received: Some(case.received_at),
        counts: case
            .items
            .iter()
            .find(|i| i.status.is_open())
            .and_then(|i| counts(&i.verdict)),
    }
}

/// The number that people quote: the first line's tracking number.
pub(in crate::web) fn number(case: &PriorAuth) -> String {
    case.items
        .first()
        .map(|item| item.reference_number.clone())
        .unwrap_or_default()
}

fn service(case: &PriorAuth) -> ServiceName {
    let first = case
        .items
        .iter()
        .find(|i| i.status.is_open())
        .or(case.items.first());
    ServiceName {
        code: first.map(|item| item.code.clone()).unwrap_or_default(),
        words: first.and_then(|item| service_words(&item.verdict)),
        more: case.items.len().saturating_sub(1),
    }
}

/// The plan's words for a service: the title of the policy that speaks about it.
pub(in crate::web) fn service_words(verdict: &Verdict) -> Option<String> {
    match &verdict.source {
        Source::Policy { title, .. } => Some(title.clone()),
        _ => None,
    }
}

/// Conditions by outcome, for a page.
pub(in crate::web) fn counts(verdict: &Verdict) -> Option<Counts> {
    review::counts(verdict).map(|c| Counts {
        met: c.met,
        not_met: c.not_met,
        unknown: c.unknown,
    })
}

fn brief(member: &Member) -> Brief {
    let name = fhir::human_name(&member.doc).unwrap_or_default();
    let initials: Vec<String> = name
        .split_whitespace()
        .filter_map(|part| part.chars().next())
        .map(|c| format!("{c}."))
        .collect();
    Brief {
        initials: initials.join(" "),
        id: member.member_id.clone(),
    }
}

/// How near a due time is, as a mark.
pub(in crate::web) fn band_mark(band: Band) -> Mark {
    let tone = match band {
        Band::Calm => Tone::Calm,
        Band::Watch => Tone::Watch,
        Band::Soon => Tone::Soon,
        Band::Now => Tone::Now,
        Band::Late => Tone::Late,
    };
    Mark::new(tone, band.word())
}

fn state_words(status: ItemStatus) -> &'static str {
    match status {
        ItemStatus::Intake => "Intake",
        ItemStatus::ClinicalReview => "Clinical review",
        ItemStatus::PhysicianReview => "Physician review",
        ItemStatus::Approved => "Approved",
        ItemStatus::Denied => "Denied",
        ItemStatus::NotRequired => "Not required",
    }
}

/// A line's state as a mark.
pub(in crate::web) fn state_mark(status: ItemStatus) -> Mark {
    let tone = match status {
        ItemStatus::Approved => Tone::Approved,
        ItemStatus::Denied => Tone::Denied,
        ItemStatus::NotRequired => Tone::Closed,
        _ => Tone::Open,
    };
    Mark::new(tone, state_words(status))
}

/// The state of the whole case: what is open first, else what was decided over all lines.
pub(in crate::web) fn case_state(case: &PriorAuth) -> Mark {
    if let Some(open) = case.items.iter().map(|i| i.status).filter(|s| s.is_open()).min() {
        return state_mark(open);
    }
    let any = |wanted: fn(&Outcome) -> bool| {
        case.items
            .iter()
            .filter_map(|i| i.decision.as_ref())
            .any(|decided| wanted(&decided.outcome))
    };
    let approved = any(|o| matches!(o, Outcome::Approved(_)));
    let denied = any(|o| matches!(o, Outcome::Denied(_)));
    match (approved, denied) {
        (true, true) => Mark::new(Tone::Partly, "Approved in part"),
        (true, false) => state_mark(ItemStatus::Approved),
        (false, true) => state_mark(ItemStatus::Denied),
        (false, false) => state_mark(ItemStatus::NotRequired),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::samples;

    fn queue() -> Queue {
        Queue {
            now: samples::now(),
            rows: vec![Waiting {
                case: samples::case(),
                member: samples::member(),
                band: Band::Soon,
            }],
            hidden: 3,
            lines: ["MA".to_owned()].into(),
            queues: ["dme-nurse".to_owned()].into(),
        }
    }

    #[test]
    fn filters_go_from_the_address_into_chips_and_back() {
        let filters = filters("urgency=urgent&state=intake&line=MA&due=now&queue=&x=1");
        assert_eq!(filters.urgent, Some(true));
        let table = table(&filters, &queue());
        let labels: Vec<&str> = table.chips.iter().map(|chip| chip.label.as_str()).collect();
        assert_eq!(
            labels,
            ["Due: now", "Urgency: urgent", "State: Intake", "Line: MA"]
        );
        assert_eq!(table.chips[1].remove, "/staff?due=now&state=intake&line=MA");
        assert_eq!(
            fragment(&filters),
            "/staff/queue?due=now&urgency=urgent&state=intake&line=MA"
        );
        assert_eq!(
            super::filters("urgency=odd&state=approved&due=later"),
            Filters::default()
        );
    }

    #[test]
    fn a_filter_without_a_case_stays_among_its_choices() {
        let filters = filters("line=CHIP");
        let boxes = boxes(&filters, &queue());
        let line = boxes.iter().find(|b| b.name == "line").unwrap();
        let chosen: Vec<&str> = line
            .options
            .iter()
            .filter(|o| o.chosen)
            .map(|o| o.value.as_str())
            .collect();
        assert_eq!(chosen, ["CHIP"]);
    }

    #[test]
    fn a_row_shows_initials_counts_and_the_tracking_number() {
        let table = table(&Filters::default(), &queue());
        let row = &table.rows[0];
        assert_eq!(
            (row.member.initials.as_str(), row.number.as_str()),
            ("J. S.", "RF-0000000001")
        );
        assert_eq!(
            row.counts,
            Some(Counts {
                met: 1,
                not_met: 1,
                unknown: 1
            })
        );
        assert_eq!((table.hidden, table.zone.as_str()), (3, "America/New_York"));
    }
}
