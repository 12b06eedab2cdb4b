//! The coverage determination for each order of a call: first the member and the coverage, then the policies. Every
//! order gets a determination. Technical problems are one too (`indeterminate` with the reason `technical`), so that
//! every call gets an answer (resp-43 to resp-45).

use super::member::{CoverageStatus, MemberMatch, MemberRecord, applicable_coverage, service_day};
use super::prefetch::AvailableResources;
use super::request::Order;
use crate::fhir::text;
use crate::plan::{self, Coverage};
use crate::rules::{
    CaseDocument, CaseInput, CaseKind, CoverageAnswer, CoverageReason, MemberFacts, VerdictSource,
    order_item_facts,
};
use crate::state::PolicySet;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

/// The reason given when the time for determinations is over.
pub(super) const OUT_OF_TIME: &str = "The plan could not determine coverage in time";

/// The plan's answer for one order, and what it is based on.
#[derive(Debug, Clone)]
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
    /// The evaluated case document as JSON; `{}` if none was evaluated.
    pub case_document_json: String,
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
        coverages: Vec<&'a Value>,
    },
    /// The lookup failed for a technical reason.
    Failed {
        /// The coverage that the answer is about.
        coverage: &'a Value,
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
    /// The time of the call.
    pub now: DateTime<Utc>,
    /// When the determinations must be finished.
    pub deadline: Instant,
}

impl DeterminationContext<'_> {
    /// One determination for each order, in the same sequence.
    pub(super) fn determine_all(
        &self,
        orders: &[Order<'_>],
        member: &MemberResolution<'_>,
    ) -> Vec<CoverageDetermination> {
        orders
            .iter()
            .map(|order| self.determine(order.resource, member))
            .collect()
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

    fn determine(&self, order: &Value, member: &MemberResolution<'_>) -> CoverageDetermination {
        let out_of_time = Instant::now() >= self.deadline;
        match member {
            MemberResolution::Failed { coverage, .. } if out_of_time => {
                self.technical_problem(Some(coverage), OUT_OF_TIME)
            }
            MemberResolution::Resolved { coverages, .. } if out_of_time => {
                self.technical_problem(coverages.first().copied(), OUT_OF_TIME)
            }
            MemberResolution::Failed { coverage, reason } => self.technical_problem(Some(coverage), reason),
            MemberResolution::Resolved { member, coverages } => match member {
                MemberMatch::PatientUnreadable => self.technical_problem(
                    coverages.first().copied(),
                    "The patient could not be read from the EHR",
                ),
                MemberMatch::NoMatch => self.without_policy(
                    coverages.first().copied(),
                    CoverageAnswer::not_covered(
                        "no-member-found",
                        "No member of this plan matches the patient and the coverage",
                    ),
                ),
                MemberMatch::Matched(record) => self.determine_for_member(order, record, coverages),
            },
        }
    }

    fn determine_for_member(
        &self,
        order: &Value,
        record: &MemberRecord,
        sent: &[&Value],
    ) -> CoverageDetermination {
        let zone = record.coverages.first().map_or(Tz::UTC, |c| c.zone);
        let day = service_day(order, zone).unwrap_or_else(|| self.today(zone));
        let not_covered =
            |sent: &Value, coverage: Option<&Coverage>, code: &str, reason: &str| CoverageDetermination {
                member: Some(record.member.id),
                coverage: coverage.map(|c| c.id),
                date: self.today(zone),
                ..self.without_policy(Some(sent), CoverageAnswer::not_covered(code, reason))
            };
        match applicable_coverage(&record.coverages, sent, day) {
            Some(CoverageStatus::Active { coverage, sent }) => {
                self.evaluate_policies(order, record, coverage, sent)
            }
            Some(CoverageStatus::NotActive { coverage, sent }) => not_covered(
                sent,
                coverage,
                "no-active-coverage",
                "The coverage is not active on the day of service",
            ),
            Some(CoverageStatus::NotFound { sent }) => not_covered(
                sent,
                None,
                "coverage-not-found",
                "The coverage does not match any coverage of the member",
            ),
            None => self.technical_problem(None, "No coverage was available"),
        }
    }

    /// The determination of the policies for an order of a member with active coverage.
    fn evaluate_policies(
        &self,
        order: &Value,
        record: &MemberRecord,
        coverage: &Coverage,
        sent: &Value,
    ) -> CoverageDetermination {
        let for_member = |determination: CoverageDetermination| CoverageDetermination {
            member: Some(record.member.id),
            coverage: Some(coverage.id),
            date: self.today(coverage.zone),
            ..determination
        };
        if order.get("doNotPerform").and_then(Value::as_bool) == Some(true) {
            return for_member(self.without_policy(Some(sent), do_not_perform()));
        }
        let rules = &self.policy_set.rules;
        let item = order_item_facts(order);
        let document = rules.case_document(CaseInput {
            kind: CaseKind::Hook,
            received: self.now,
            zone: coverage.zone,
            priority: case_priority(order),
            member: self.member_facts(order, &item, record, coverage),
            item,
            resources: self.available.resources.clone(),
        });
        let verdict = rules.evaluate(&document);
        if let Some(error) = &verdict.error {
            tracing::error!(cause = error.as_str(), "an order could not be evaluated");
            return for_member(self.technical_problem(
                Some(sent),
                "The plan's policies could not be evaluated for this order",
            ));
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
        for_member(CoverageDetermination {
            policy,
            policy_hash: hash,
            case_document_json: document.as_json().to_string(),
            case_document: Some(document),
            ..self.without_policy(Some(sent), verdict.coverage)
        })
    }

    /// The member facts for the policies, with the NPIs of the order's requester that hold a gold card for the item.
    fn member_facts(
        &self,
        order: &Value,
        item: &Value,
        record: &MemberRecord,
        coverage: &Coverage,
    ) -> MemberFacts {
        let today = self.today(coverage.zone);
        let requester = plan::requester_of_order(order, &self.available.resources);
        let lob = &coverage.line_of_business;
        MemberFacts {
            gold_card: plan::exempt_requesters(&record.gold_cards, &requester, item, lob, today),
            ..plan::member_facts(&record.member, coverage, &record.coverages, today)
        }
    }

    fn technical_problem(&self, sent: Option<&Value>, reason: &str) -> CoverageDetermination {
        self.without_policy(sent, CoverageAnswer::indeterminate(reason))
    }

    /// A determination that no policy made, without a member.
    fn without_policy(&self, sent: Option<&Value>, answer: CoverageAnswer) -> CoverageDetermination {
        let id = sent.and_then(|s| text(s, &["id"])).unwrap_or("");
        CoverageDetermination {
            answer,
            coverage_reference: format!("Coverage/{id}"),
            member: None,
            coverage: None,
            policy: None,
            policy_hash: self.policy_set.hash.clone(),
            case_document_json: "{}".to_owned(),
            case_document: None,
            date: self.today(Tz::UTC),
        }
    }

    fn today(&self, zone: Tz) -> NaiveDate {
        self.now.with_timezone(&zone).date_naive()
    }
}

/// The answer for an order with `doNotPerform`: no authorization is needed.
fn do_not_perform() -> CoverageAnswer {
    CoverageAnswer {
        covered: "covered".into(),
        pa: Some("no-auth".into()),
        reason: vec![CoverageReason {
            code: None,
            text: "The order says that the service must not be performed, so no authorization is needed"
                .into(),
        }],
        ..CoverageAnswer::default()
    }
}

/// `Request.priority` as the case document has it: `routine` is `normal`.
fn case_priority(order: &Value) -> &str {
    match text(order, &["priority"]) {
        None | Some("routine") => "normal",
        Some(other) => other,
    }
}
