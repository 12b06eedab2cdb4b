//! The coverage determination for each order of a call: first the member and the coverage, then the policies. Every
//! order gets a determination. Technical problems are one too (`indeterminate` with the reason `technical`), so that
//! every call gets an answer (resp-43 to resp-45).

use super::admission::CallAdmission;
use super::coverage_choice::{CoverageStatus, applicable_coverage, preferred_coverage, service_days};
use super::member::{MemberMatch, MemberRecord};
use super::order_problems::answer_without_policy;
use super::payer::PlanCoverages;
use super::prefetch::AvailableResources;
use super::request::Order;
use crate::evidence::Evidence;
use crate::fhir::dates::DateRange;
use crate::fhir::text;
use crate::plan::{self, Coverage};
use crate::rules::{
    CaseDocument, CaseEvidence, CaseInput, CaseKind, CoverageAnswer, CoverageReason, MemberFacts,
    VerdictSource, order_item_facts,
};
use crate::state::PolicySet;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::cell::OnceCell;
use tokio::time::Instant;
use uuid::Uuid;

/// The reason given when the time for determinations is over.
pub(super) const OUT_OF_TIME: &str = "The plan could not determine coverage in time";

/// The plan's answer for one order, and what it is based on.
#[derive(Debug)]
pub(super) struct CoverageDetermination {
    /// The answer.
    pub answer: CoverageAnswer,
    /// The Coverage on the client's server that the answer is about: `Coverage/c1`.
    pub coverage_reference: String,
    /// The member's row, if the member was found.
    pub member: Option<Uuid>,
    /// The coverage's row, if the coverage was found.
    pub coverage: Option<Uuid>,
    /// Name and version of the policy that decided, if one did.
    pub policy: Option<(String, String)>,
    /// The hash of the policy file, or of the whole policy set if no policy decided.
    pub policy_hash: String,
    /// The evaluated case document; none if none was evaluated.
    pub case_document: Option<CaseDocument>,
    /// The date of the answer in the plan's time zone.
    pub date: NaiveDate,
}

/// The result of member resolution, which applies to all orders of a call.
#[derive(Debug)]
pub(super) enum MemberResolution<'a> {
    /// The lookup was possible.
    Resolved {
        /// Its result.
        member: MemberMatch,
        /// The sent coverages that may be coverages of this plan.
        coverages: &'a PlanCoverages<'a>,
    },
    /// The lookup failed for a technical reason.
    Failed {
        /// The coverage that the answer is about: `Coverage/c1`.
        coverage: String,
        /// The reason for the answer.
        reason: &'static str,
    },
}

/// What the determinations of one call share.
#[derive(Clone, Copy)]
pub(super) struct DeterminationContext<'a> {
    /// The current policy set.
    pub policy_set: &'a PolicySet,
    /// The sent and fetched resources.
    pub available: &'a AvailableResources<'a>,
    /// What of them was set aside.
    pub admitted: &'a CallAdmission,
    /// What of them may decide, as soon as a policy reads it.
    pub evidence: &'a OnceCell<CaseEvidence>,
    /// The time of the call.
    pub now: DateTime<Utc>,
    /// When the determinations must be finished.
    pub deadline: Instant,
}

impl<'a> DeterminationContext<'a> {
    /// One determination for each order, in the same sequence.
    pub(super) fn determine_all(
        &self,
        orders: &[Order<'a>],
        member: &MemberResolution<'_>,
    ) -> Vec<CoverageDetermination> {
        orders.iter().map(|order| self.determine(order, member)).collect()
    }

    /// The verdicts of policies in state `shadow` on the orders, for the call record only. They are evaluated after the
    /// determinations and within the same deadline, so they never delay or change an answer.
    pub(super) fn shadow_verdicts(
        &self,
        orders: &[Order<'_>],
        determinations: &[CoverageDetermination],
    ) -> Vec<Value> {
        let rules = &self.policy_set.rules;
        let shadow_verdicts = |(order, determination): (&Order<'_>, &CoverageDetermination)| {
            let document = determination.case_document.as_ref()?;
            let verdicts = rules.shadow_verdicts(document);
            (!verdicts.is_empty()).then(|| json!({ "order": order.reference, "verdicts": verdicts }))
        };
        orders
            .iter()
            .zip(determinations)
            .take_while(|_| Instant::now() < self.deadline)
            .filter_map(shadow_verdicts)
            .collect()
    }

    fn determine(&self, order: &Order<'a>, member: &MemberResolution<'_>) -> CoverageDetermination {
        let out_of_time = Instant::now() >= self.deadline;
        let (member, coverages) = match member {
            MemberResolution::Failed { coverage, reason } => {
                let reason = if out_of_time { OUT_OF_TIME } else { reason };
                return self.technical_problem(coverage, reason);
            }
            MemberResolution::Resolved { member, coverages } => (member, coverages),
        };
        let preferred =
            preferred_coverage(order, &coverages.coverages).map_or("", |sent| sent.reference.as_str());
        match member {
            _ if out_of_time => self.technical_problem(preferred, OUT_OF_TIME),
            MemberMatch::PatientUnreadable => {
                self.technical_problem(preferred, "The patient could not be read from the EHR")
            }
            MemberMatch::NoMatch(reason) => {
                let answer = CoverageAnswer::not_covered("no-member-found", reason.sentence());
                self.unless_unclear(coverages, self.without_policy(preferred, answer))
            }
            MemberMatch::Matched(record) => self.determine_for_member(order, record, coverages),
        }
    }

    fn determine_for_member(
        &self,
        order: &Order<'a>,
        record: &MemberRecord,
        coverages: &PlanCoverages<'_>,
    ) -> CoverageDetermination {
        let zone = record.coverages.first().map_or(Tz::UTC, |c| c.zone);
        let days = service_days(order.resource, zone).unwrap_or_else(|| DateRange::day(self.today(zone)));
        let not_covered = |sent: &str, coverage: Option<&Coverage>, code: &str, reason: &str| {
            let determination = CoverageDetermination {
                member: Some(record.member.id),
                coverage: coverage.map(|c| c.id),
                date: self.today(zone),
                ..self.without_policy(sent, CoverageAnswer::not_covered(code, reason))
            };
            self.unless_unclear(coverages, determination)
        };
        match applicable_coverage(&record.coverages, &coverages.coverages, order, days) {
            Some(CoverageStatus::Active {
                coverage,
                sent,
                on_all_days,
            }) => {
                let mut determination = self.evaluate(order, record, coverage, &sent.reference);
                if !on_all_days {
                    limit_to_days_of_coverage(&mut determination.answer);
                }
                determination
            }
            Some(CoverageStatus::NotActive { coverage, sent }) => not_covered(
                &sent.reference,
                coverage,
                "no-active-coverage",
                "The coverage is not active on the day of service",
            ),
            Some(CoverageStatus::NotFound { sent }) => not_covered(
                &sent.reference,
                None,
                "coverage-not-found",
                "The coverage does not match any coverage of the member",
            ),
            None => self.technical_problem("", "No coverage was available"),
        }
    }

    /// A negative answer, unless another coverage that could not be read or understood may be the one that counts.
    fn unless_unclear(
        &self,
        coverages: &PlanCoverages<'_>,
        determination: CoverageDetermination,
    ) -> CoverageDetermination {
        match &coverages.unclear {
            None => determination,
            Some(unclear) => CoverageDetermination {
                answer: CoverageAnswer::indeterminate(unclear.reason),
                coverage_reference: unclear.reference.clone(),
                coverage: None,
                ..determination
            },
        }
    }

    /// The determination for an order of a member with active coverage. `sent` is the reference of the EHR's Coverage.
    fn evaluate(
        &self,
        order: &Order<'a>,
        record: &MemberRecord,
        coverage: &Coverage,
        sent: &str,
    ) -> CoverageDetermination {
        let find = |reference: &str| self.available.resources.find(reference, order.resource);
        let item = order_item_facts(order.resource, &find);
        let determination = match answer_without_policy(order, &item, self.available, self.admitted) {
            Some(answer) => self.without_policy(sent, answer),
            None => self.evaluate_policies(order, item, record, (coverage, sent)),
        };
        CoverageDetermination {
            member: Some(record.member.id),
            coverage: Some(coverage.id),
            date: self.today(coverage.zone),
            ..determination
        }
    }

    /// The determination of the policies.
    fn evaluate_policies(
        &self,
        order: &Order<'a>,
        item: Value,
        record: &MemberRecord,
        (coverage, sent): (&Coverage, &str),
    ) -> CoverageDetermination {
        let rules = &self.policy_set.rules;
        let document = rules.case_document(CaseInput {
            kind: CaseKind::Hook,
            received: self.now,
            zone: coverage.zone,
            priority: case_priority(order.resource),
            member: self.member_facts(order.resource, &item, record, coverage),
            item,
            evidence: self.evidence.get_or_init(|| self.read_evidence()),
        });
        let verdict = rules.evaluate_coverage(&document);
        if let Some(error) = &verdict.error {
            tracing::error!(cause = error.as_str(), "an order could not be evaluated");
            return self.technical_problem(sent, "The plan's policies could not be evaluated for this order");
        }
        let (policy, hash) = match verdict.source {
            VerdictSource::Policy {
                policy,
                version,
                hash,
                ..
            } => (Some((policy, version)), hash),
            _ => (None, self.policy_set.hash.clone()),
        };
        CoverageDetermination {
            policy,
            policy_hash: hash,
            case_document: Some(document),
            ..self.without_policy(sent, verdict.coverage)
        }
    }

    fn read_evidence(&self) -> CaseEvidence {
        let resources = self.available.resources.resources();
        CaseEvidence::new(&Evidence::new(resources, Some(&self.admitted.admission)))
    }

    /// The member facts for the policies, with the NPIs of the order's requester that hold a gold card for the item.
    fn member_facts(
        &self,
        order: &'a Value,
        item: &Value,
        record: &MemberRecord,
        coverage: &Coverage,
    ) -> MemberFacts {
        let today = self.today(coverage.zone);
        let find = |reference: &str| self.available.resources.find(reference, order);
        let requester = plan::requester_of_order(order, &find);
        let lob = &coverage.line_of_business;
        MemberFacts {
            gold_card: plan::exempt_requesters(&record.gold_cards, &requester, item, lob, today),
            ..plan::member_facts(&record.member, coverage, &record.coverages, today)
        }
    }

    fn technical_problem(&self, sent: &str, reason: &str) -> CoverageDetermination {
        self.without_policy(sent, CoverageAnswer::indeterminate(reason))
    }

    /// A determination that no policy made, without a member. `sent` is the reference of the EHR's Coverage.
    fn without_policy(&self, sent: &str, answer: CoverageAnswer) -> CoverageDetermination {
        CoverageDetermination {
            answer,
            coverage_reference: sent.to_owned(),
            member: None,
            coverage: None,
            policy: None,
            policy_hash: self.policy_set.hash.clone(),
            case_document: None,
            date: self.today(Tz::UTC),
        }
    }

    fn today(&self, zone: Tz) -> NaiveDate {
        self.now.with_timezone(&zone).date_naive()
    }
}

/// Makes an answer depend on the time frame, because the coverage is not in force on all requested days. Whether
/// authorization is needed stays as it is on the days of coverage.
fn limit_to_days_of_coverage(answer: &mut CoverageAnswer) {
    if !matches!(answer.covered.as_str(), "covered" | "conditional") {
        return;
    }
    answer.covered = "conditional".into();
    let timeframe = "timeframe".to_owned();
    if !answer.info_needed.contains(&timeframe) {
        answer.info_needed.push(timeframe);
    }
    let reason = CoverageReason {
        code: None,
        text: "The coverage is not active on all requested days".into(),
    };
    answer.reason.insert(0, reason);
}

/// `Request.priority` as the case document has it: `routine` is `normal`.
fn case_priority(order: &Value) -> &str {
    match text(order, &["priority"]) {
        None | Some("routine") => "normal",
        Some(other) => other,
    }
}
