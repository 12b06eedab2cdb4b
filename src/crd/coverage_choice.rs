//! Member and coverage resolution, step 3 (CRD section "Coverage and member resolution"): which of the member's
//! coverages applies to an order, and whether it is in force on the requested days. The plan's own records decide; the
//! EHR's copies only say which coverage is meant. One membership may have several copies, some of them old.

use super::payer::SentCoverage;
use super::prefetch::insurance;
use super::request::Order;
use crate::fhir::dates::{self, DateRange};
use crate::fhir::reference::type_and_id;
use crate::fhir::{get, list, text};
use crate::plan::{Coverage, CoverageMatch, choose_coverage};
use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::Value;

/// The coverage that applies to an order. `sent` is the EHR's Coverage, `coverage` the plan's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum CoverageStatus<'a> {
    /// The coverage is in force on at least one requested day.
    Active {
        coverage: &'a Coverage,
        sent: &'a SentCoverage<'a>,
        /// Whether it is in force on every requested day.
        on_all_days: bool,
    },
    /// The coverage is not in force on any requested day. `coverage` is none if only the EHR's copy is known.
    NotActive {
        coverage: Option<&'a Coverage>,
        sent: &'a SentCoverage<'a>,
    },
    /// The EHR's Coverage does not match any coverage of the member, or several match and none is preferred.
    NotFound { sent: &'a SentCoverage<'a> },
}

/// The requested days of service of an order; none if the order has no date.
pub(super) fn service_days(order: &Value, zone: Tz) -> Option<DateRange> {
    let timing = order.get("occurrenceTiming").unwrap_or(&Value::Null);
    let events = || {
        let days = list(timing, "event").filter_map(|event| DateRange::read(event.as_str()?, zone));
        days.reduce(|one, other| DateRange {
            first: one.first.min(other.first),
            last: one.last.max(other.last),
        })
    };
    let bounds = || dates::period_days(get(timing, &["repeat", "boundsPeriod"])?, zone);
    dates::choice(order, "occurrence", zone)
        .or_else(events)
        .or_else(bounds)
}

/// The Coverage on which an order's answer is given if no coverage of the plan is looked up: the one that the order
/// names, otherwise the first.
pub(super) fn preferred_coverage<'a>(
    order: &Order<'_>,
    sent: &'a [SentCoverage<'a>],
) -> Option<&'a SentCoverage<'a>> {
    sent.iter().find(|s| is_named(order, s)).or_else(|| sent.first())
}

/// The coverage that applies to an order on `days`, out of the member's `coverages`. A coverage that is in force answers,
/// whatever else was sent. If several are in force, the order's `insurance` and then `Coverage.order` choose. None if no
/// coverage was sent.
pub(super) fn applicable_coverage<'a>(
    coverages: &'a [Coverage],
    sent: &'a [SentCoverage<'a>],
    order: &Order<'_>,
    days: DateRange,
) -> Option<CoverageStatus<'a>> {
    let mut candidates: Vec<Candidate<'a>> = sent
        .iter()
        .map(|one| Candidate {
            named: is_named(order, one),
            active_at_client: is_active(one.resource, days.first),
            status: coverage_status(coverages, one, days),
        })
        .collect();
    // A copy that names the coverage in force goes before an old copy, even if the order names the old one. The sort is
    // stable, so the sequence in which they were sent decides the rest.
    candidates.sort_by_cached_key(|c| (!c.names_the_coverage(days), !c.named, !c.active_at_client));
    let first = candidates.first()?.status;
    let in_force: Vec<&Candidate<'_>> = candidates
        .iter()
        .filter(|c| c.plan_coverage().is_some())
        .collect();
    if in_force.is_empty() {
        return Some(first);
    }
    let named: Vec<&Candidate<'_>> = in_force.iter().copied().filter(|c| c.named).collect();
    let lowest = in_force.iter().filter_map(|c| c.order()).min();
    let primary: Vec<&Candidate<'_>> = in_force
        .iter()
        .copied()
        .filter(|c| lowest.is_some() && c.order() == lowest)
        .collect();
    let chosen = [&in_force, &named, &primary]
        .into_iter()
        .find_map(|all| only_coverage(all));
    let several = || CoverageStatus::NotFound { sent: first.sent() };
    Some(chosen.map_or_else(several, |candidate| candidate.status))
}

/// One Coverage that was sent, with what it leads to.
#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    /// The order names it.
    named: bool,
    /// The EHR's copy is active.
    active_at_client: bool,
    status: CoverageStatus<'a>,
}

impl<'a> Candidate<'a> {
    /// The plan's coverage, if it is in force.
    fn plan_coverage(&self) -> Option<&'a Coverage> {
        match self.status {
            CoverageStatus::Active { coverage, .. } => Some(coverage),
            _ => None,
        }
    }

    /// Whether the copy itself names the coverage that is in force, and not only an ended one of the same member.
    fn names_the_coverage(&self, days: DateRange) -> bool {
        let names = |coverage: &'a Coverage| {
            let day = coverage.starts.map_or(days.first, |start| start.max(days.first));
            let only = std::slice::from_ref(coverage);
            let chosen = choose_coverage(only, Some(self.status.sent().resource), day);
            matches!(chosen, CoverageMatch::InForce(_))
        };
        self.plan_coverage().is_some_and(names)
    }

    /// `Coverage.order`: 1 is the primary coverage.
    fn order(&self) -> Option<u64> {
        self.status.sent().resource.get("order").and_then(Value::as_u64)
    }
}

impl<'a> CoverageStatus<'a> {
    fn sent(&self) -> &'a SentCoverage<'a> {
        match self {
            Self::Active { sent, .. } | Self::NotActive { sent, .. } | Self::NotFound { sent } => sent,
        }
    }
}

/// The first candidate, if all lead to one coverage of the plan.
fn only_coverage<'c, 'a>(candidates: &[&'c Candidate<'a>]) -> Option<&'c Candidate<'a>> {
    let (first, rest) = candidates.split_first()?;
    let id = |candidate: &Candidate<'_>| candidate.plan_coverage().map(|c| c.id);
    rest.iter().all(|other| id(other) == id(first)).then_some(*first)
}

/// Whether `insurance` of the order names this Coverage.
fn is_named(order: &Order<'_>, sent: &SentCoverage<'_>) -> bool {
    let by_reference = insurance(order).any(|r| type_and_id(r) == type_and_id(&sent.reference));
    let by_identifier = || {
        let identifiers = list(order.resource, "insurance").filter_map(|i| i.get("identifier"));
        { identifiers }.any(|named| {
            let same = |own: &Value, name: &str| text(own, &[name]) == text(named, &[name]);
            text(named, &["value"]).is_some()
                && list(sent.resource, "identifier").any(|own| same(own, "system") && same(own, "value"))
        })
    };
    by_reference || by_identifier()
}

fn coverage_status<'a>(
    coverages: &'a [Coverage],
    sent: &'a SentCoverage<'a>,
    days: DateRange,
) -> CoverageStatus<'a> {
    let chosen = |day: NaiveDate| choose_coverage(coverages, Some(sent.resource), day);
    // A coverage that is in force on a later day only begins within the days.
    let begin = coverages
        .iter()
        .filter_map(|c| c.starts)
        .filter(|start| days.first < *start && *start <= days.last);
    let in_force = std::iter::once(days.first)
        .chain(begin)
        .find_map(|day| match chosen(day) {
            CoverageMatch::InForce(coverage) => Some(coverage),
            _ => None,
        });
    match (in_force, chosen(days.first)) {
        (Some(coverage), _) => CoverageStatus::Active {
            coverage,
            sent,
            on_all_days: coverage.in_force(days.first) && coverage.in_force(days.last),
        },
        (None, CoverageMatch::NotInForce(coverage)) => CoverageStatus::NotActive {
            coverage: Some(coverage),
            sent,
        },
        (None, _) if !is_active(sent.resource, days.first) => {
            CoverageStatus::NotActive { coverage: None, sent }
        }
        (None, _) => CoverageStatus::NotFound { sent },
    }
}

/// Whether the EHR's Coverage has the status active and no end before `day`.
fn is_active(sent: &Value, day: NaiveDate) -> bool {
    let ended = get(sent, &["period", "end"])
        .and_then(Value::as_str)
        .and_then(|end| DateRange::read(end, Tz::UTC))
        .is_some_and(|end| end.last < day);
    text(sent, &["status"]) == Some("active") && !ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::samples;
    use serde_json::json;
    use serde_json::value::RawValue;
    use uuid::Uuid;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn days(first: &str, last: &str) -> DateRange {
        DateRange {
            first: day(first),
            last: day(last),
        }
    }

    fn one_day(text: &str) -> DateRange {
        DateRange::day(day(text))
    }

    /// A Coverage at the client.
    fn copy(id: &str, subscriber: &str, more: Value) -> Value {
        let mut copy =
            json!({ "resourceType": "Coverage", "id": id, "status": "active", "subscriberId": subscriber });
        for (name, value) in more.as_object().unwrap() {
            copy[name] = value.clone();
        }
        copy
    }

    fn with_order<T>(insurance: Value, read: impl FnOnce(&Order<'_>) -> T) -> T {
        let resource = json!({ "resourceType": "ServiceRequest", "insurance": insurance });
        let text = RawValue::from_string(resource.to_string()).unwrap();
        read(&Order {
            resource: &resource,
            text: &text,
            reference: "ServiceRequest/1".into(),
            path: String::new(),
        })
    }

    /// `status coverage-sent`, with `partly` for a coverage that is not in force on all days.
    fn chosen(coverages: &[Coverage], copies: &[Value], insurance: Value, days: DateRange) -> String {
        let sent: Vec<SentCoverage<'_>> = copies
            .iter()
            .map(|resource| SentCoverage {
                resource,
                reference: format!("Coverage/{}", resource["id"].as_str().unwrap()),
            })
            .collect();
        with_order(insurance, |order| {
            match applicable_coverage(coverages, &sent, order, days) {
                None => "none".to_owned(),
                Some(status) => {
                    let kind = match status {
                        CoverageStatus::Active {
                            on_all_days: true, ..
                        } => "active",
                        CoverageStatus::Active { .. } => "partly",
                        CoverageStatus::NotActive {
                            coverage: Some(_), ..
                        } => "not-active",
                        CoverageStatus::NotActive { .. } => "ended-at-client",
                        CoverageStatus::NotFound { .. } => "not-found",
                    };
                    format!("{kind} {}", status.sent().reference)
                }
            }
        })
    }

    #[test]
    fn the_service_days_are_the_requested_days() {
        let days_of = |order: Value| service_days(&order, Tz::UTC);
        let from = |days: &str| Some(one_day(days));
        assert_eq!(
            days_of(json!({ "occurrenceDateTime": "2026-10-05" })),
            from("2026-10-05")
        );
        assert_eq!(
            days_of(json!({ "occurrencePeriod": { "start": "2026-10-06", "end": "2027-10-05" } })),
            Some(days("2026-10-06", "2027-10-05"))
        );
        assert_eq!(
            days_of(json!({ "occurrenceTiming": { "event": ["2026-10-09", "2026-10-07"] } })),
            Some(days("2026-10-07", "2026-10-09"))
        );
        let bounds =
            json!({ "occurrenceTiming": { "repeat": { "boundsPeriod": { "start": "2026-10-08" } } } });
        assert_eq!(days_of(bounds), from("2026-10-08"));
        assert_eq!(
            days_of(json!({ "authoredOn": "2019-02-15" })),
            None,
            "a draft may have been written long before"
        );
    }

    #[test]
    fn the_plans_records_decide_whether_a_coverage_is_in_force() {
        let coverages = [Coverage {
            ends: Some(day("2026-12-31")),
            ..samples::coverage()
        }];
        let cancelled = [copy("c1", "sub-1", json!({ "status": "cancelled" }))];
        for (wanted, days) in [
            ("active", one_day("2026-10-05")),
            ("active", days("2026-10-05", "2026-12-31")),
            ("partly", days("2026-10-05", "2027-01-01")),
            ("not-active", one_day("2027-01-01")),
            ("partly", days("2023-12-31", "2024-01-01")),
            ("partly", days("2023-01-01", "2027-12-31")),
            ("not-active", one_day("2023-12-31")),
        ] {
            assert_eq!(
                chosen(&coverages, &cancelled, json!([]), days),
                format!("{wanted} Coverage/c1"),
                "{days:?}"
            );
        }
    }

    #[test]
    fn an_unknown_coverage_is_not_found_or_has_ended_at_the_client() {
        let coverages = [samples::coverage()];
        let at = one_day("2026-10-05");
        let unknown = [copy("c1", "other", json!({}))];
        assert_eq!(
            chosen(&coverages, &unknown, json!([]), at),
            "not-found Coverage/c1"
        );
        let ended = [copy("c1", "other", json!({ "period": { "end": "2025-12-31" } }))];
        assert_eq!(
            chosen(&coverages, &ended, json!([]), at),
            "ended-at-client Coverage/c1"
        );
        assert_eq!(chosen(&coverages, &[], json!([]), at), "none");
    }

    #[test]
    fn of_several_copies_the_one_that_leads_to_a_coverage_in_force_answers() {
        let ended = Coverage {
            id: Uuid::from_u128(3),
            subscriber_id: Some("old".into()),
            ends: Some(day("2025-12-31")),
            ..samples::coverage()
        };
        let coverages = [ended, samples::coverage()];
        let at = one_day("2026-10-05");
        let named = |id: &str| json!([{ "reference": format!("Coverage/{id}") }]);
        let same = |id: &str| copy(id, "sub-1", json!({}));
        let cancelled = copy("c2", "sub-1", json!({ "status": "cancelled" }));
        let old = |id: &str| copy(id, "old", json!({}));
        let unknown = copy("c2", "unknown", json!({ "order": 1 }));
        for (wanted, copies, insurance) in [
            ("active Coverage/c1", [same("c1"), same("c2")], json!([])),
            ("active Coverage/c2", [same("c1"), same("c2")], named("c2")),
            ("active Coverage/c1", [cancelled.clone(), same("c1")], json!([])),
            ("active Coverage/c2", [same("c1"), cancelled], named("c2")),
            ("active Coverage/c1", [old("c2"), same("c1")], json!([])),
            ("active Coverage/c1", [old("c2"), same("c1")], named("c2")),
            ("active Coverage/c1", [same("c1"), unknown.clone()], json!([])),
            ("active Coverage/c1", [unknown.clone(), same("c1")], named("c2")),
            ("active Coverage/c1", [same("c1"), same("c2")], named("other")),
            ("active Coverage/c1", [old("c1"), old("c2")], json!([])),
            ("active Coverage/c1", [old("c1"), unknown.clone()], named("c2")),
        ] {
            assert_eq!(
                chosen(&coverages, &copies, insurance.clone(), at),
                wanted,
                "{copies:?} {insurance}"
            );
        }
        for (wanted, copies, insurance) in [
            ("not-active Coverage/c1", [old("c1"), old("c2")], json!([])),
            ("not-active Coverage/c1", [old("c1"), unknown.clone()], json!([])),
            ("not-found Coverage/c2", [old("c1"), unknown], named("c2")),
        ] {
            assert_eq!(
                chosen(&coverages[..1], &copies, insurance.clone(), at),
                wanted,
                "{copies:?} {insurance}"
            );
        }
    }

    #[test]
    fn of_two_coverages_in_force_the_order_or_the_primary_one_decides() {
        let second = Coverage {
            id: Uuid::from_u128(3),
            subscriber_id: Some("sub-2".into()),
            ..samples::coverage()
        };
        let coverages = [samples::coverage(), second];
        let at = one_day("2026-10-05");
        let copies = |first: Value, second: Value| [copy("c1", "sub-1", first), copy("c2", "sub-2", second)];
        let named = json!([{ "reference": "https://ehr.example/fhir/Coverage/c2/_history/1" }]);
        let primary = |n: u32| json!({ "order": n });
        for (wanted, copies, insurance) in [
            ("active Coverage/c2", copies(json!({}), json!({})), named.clone()),
            ("active Coverage/c2", copies(primary(2), primary(1)), json!([])),
            ("active Coverage/c2", copies(primary(1), primary(2)), named),
            ("not-found Coverage/c1", copies(json!({}), json!({})), json!([])),
            ("not-found Coverage/c1", copies(primary(1), primary(1)), json!([])),
        ] {
            assert_eq!(
                chosen(&coverages, &copies, insurance.clone(), at),
                wanted,
                "{copies:?} {insurance}"
            );
        }
    }

    #[test]
    fn an_order_may_name_its_coverage_by_identifier() {
        let identifier = json!({ "system": "urn:cards", "value": "7" });
        let copies = [
            copy("c1", "sub-1", json!({})),
            copy("c2", "sub-1", json!({ "identifier": [identifier] })),
        ];
        let insurance = json!([{ "identifier": identifier }]);
        assert_eq!(
            chosen(&[samples::coverage()], &copies, insurance, one_day("2026-10-05")),
            "active Coverage/c2"
        );
    }
}
