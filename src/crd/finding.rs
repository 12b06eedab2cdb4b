//! What the plan says about each order: the member's standing first, then the rules. Every order gets a finding;
//! trouble is one too (`indeterminate` with the reason `technical`), so a call is never left without an answer
//! (resp-43 to resp-45).

use super::member::{Insured, Person, Standing, service_day, settle};
use super::prefetch::Material;
use super::request::Order;
use crate::fhir::text;
use crate::plan::{self, Coverage};
use crate::rules::{
    CaseDocument, CaseInput, CaseKind, CoverageAnswer, MemberFacts, Reason, Source, item_of_order,
};
use crate::state::Published;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

/// The answer to one order, with what it rests on.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// What is said.
    pub answer: CoverageAnswer,
    /// The Coverage on the client that it is said about: `Coverage/c1`.
    pub coverage_ref: String,
    /// The member's row.
    pub member: Option<Uuid>,
    /// The coverage's row.
    pub coverage: Option<Uuid>,
    /// The policy that answered: name and version.
    pub policy: Option<(String, String)>,
    /// The hash of the policy's file, else of the whole rule set.
    pub policy_hash: String,
    /// The case document that was evaluated, as JSON; `{}` where nothing was.
    pub document: String,
    /// The same document as it was evaluated; none where nothing was.
    pub evaluated: Option<CaseDocument>,
    /// The day of the answer in the plan's zone.
    pub date: NaiveDate,
}

/// Whose orders these are: what is settled before any order is looked at.
#[derive(Debug)]
pub(super) enum Whose<'a> {
    /// The person, and the coverages of this plan that were sent.
    Person(Person, Vec<&'a Value>),
    /// It could not be found out; the sentence says why.
    Unsettled(&'a Value, &'static str),
}

/// What every order of a call shares.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    /// Policies and forms in force.
    pub published: &'a Published,
    /// What was sent and read.
    pub material: &'a Material<'a>,
    /// The instant of the call.
    pub now: DateTime<Utc>,
    /// When the answers must be there.
    pub deadline: Instant,
}

/// One finding for each order, in their order.
pub(super) fn of_orders(orders: &[Order<'_>], whose: &Whose<'_>, ground: Ground<'_>) -> Vec<Finding> {
    orders
        .iter()
        .map(|order| ground.finding(order.resource, whose))
        .collect()
}

/// What policies in shadow would have said of the orders, for the record alone. It comes after the findings and ends
/// with their time, so no answer ever waits for it or differs by it.
pub(super) fn shadows(orders: &[Order<'_>], findings: &[Finding], ground: Ground<'_>) -> Vec<Value> {
    let rules = &ground.published.rules;
    let of_order = |(order, finding): (&Order<'_>, &Finding)| {
        let document = finding.evaluated.as_ref()?;
        let verdicts = rules.shadows(document);
        (!verdicts.is_empty()).then(|| json!({ "order": order.reference, "verdicts": verdicts }))
    };
    orders
        .iter()
        .zip(findings)
        .take_while(|_| Instant::now() < ground.deadline)
        .filter_map(of_order)
        .collect()
}

impl Ground<'_> {
    fn finding(&self, order: &Value, whose: &Whose<'_>) -> Finding {
        if Instant::now() >= self.deadline {
            let sent = match whose {
                Whose::Unsettled(sent, _) => Some(*sent),
                Whose::Person(_, sent) => sent.first().copied(),
            };
            return self.technical(sent, "The time for an answer ran out");
        }
        match whose {
            Whose::Unsettled(sent, why) => self.technical(Some(sent), why),
            Whose::Person(Person::Unreadable, sent) => self.technical(
                sent.first().copied(),
                "The patient could not be read from the chart server",
            ),
            Whose::Person(Person::Nobody, sent) => {
                let why = "No member of this plan fits the patient and the coverage";
                self.plain(
                    sent.first().copied(),
                    CoverageAnswer::not_covered("no-member-found", why),
                )
            }
            Whose::Person(Person::Member(insured), sent) => self.of_member(order, insured, sent),
        }
    }

    fn of_member(&self, order: &Value, insured: &Insured, sent: &[&Value]) -> Finding {
        let Insured {
            member,
            coverages: ours,
            ..
        } = insured;
        let zone = ours.first().map_or(Tz::UTC, |c| c.zone);
        let day = service_day(order, zone).unwrap_or_else(|| self.today(zone));
        let gap = |sent: &Value, coverage: Option<&Coverage>, code: &str, why: &str| Finding {
            member: Some(member.id),
            coverage: coverage.map(|c| c.id),
            date: self.today(zone),
            ..self.plain(Some(sent), CoverageAnswer::not_covered(code, why))
        };
        match settle(ours, sent, day) {
            Some(Standing::InForce { ours, sent }) => self.judged(order, insured, ours, sent),
            Some(Standing::NotActive { ours, sent }) => gap(
                sent,
                ours,
                "no-active-coverage",
                "The coverage is not in force on the day of service",
            ),
            Some(Standing::NotFound { sent }) => gap(
                sent,
                None,
                "coverage-not-found",
                "The coverage that was sent is none of the member's",
            ),
            None => self.technical(None, "No coverage was at hand"),
        }
    }

    /// The rules' word on an order of a member who is covered.
    fn judged(&self, order: &Value, insured: &Insured, coverage: &Coverage, sent: &Value) -> Finding {
        let whose = |finding: Finding| Finding {
            member: Some(insured.member.id),
            coverage: Some(coverage.id),
            date: self.today(coverage.zone),
            ..finding
        };
        if order.get("doNotPerform").and_then(Value::as_bool) == Some(true) {
            return whose(self.plain(Some(sent), not_to_be_done()));
        }
        let rules = &self.published.rules;
        let item = item_of_order(order);
        let document = rules.document(CaseInput {
            kind: CaseKind::Hook,
            received: self.now,
            zone: coverage.zone,
            priority: priority(order),
            member: self.facts(order, &item, insured, coverage),
            item,
            resources: self.material.resources.clone(),
        });
        let verdict = rules.evaluate(&document);
        if let Some(trouble) = &verdict.error {
            tracing::error!(cause = trouble.as_str(), "an order could not be evaluated");
            return whose(self.technical(
                Some(sent),
                "The plan's rules could not be evaluated for this order",
            ));
        }
        let (policy, hash) = match verdict.source {
            Source::Policy {
                policy,
                version,
                hash,
                ..
            } => (Some((policy, version)), hash),
            _ => (None, self.published.hash.clone()),
        };
        whose(Finding {
            policy,
            policy_hash: hash,
            document: document.as_json().to_string(),
            evaluated: Some(document),
            ..self.plain(Some(sent), verdict.coverage)
        })
    }

    /// What the rules may know of the member, and who of the order's requester need not ask for the item.
    fn facts(&self, order: &Value, item: &Value, insured: &Insured, coverage: &Coverage) -> MemberFacts {
        let today = self.today(coverage.zone);
        let requester = plan::requester_of_order(order, &self.material.resources);
        MemberFacts {
            gold_card: plan::exempt(&insured.gold_cards, &requester, item, &coverage.line, today),
            ..plan::facts(&insured.member, coverage, &insured.coverages, today)
        }
    }

    fn technical(&self, sent: Option<&Value>, why: &str) -> Finding {
        self.plain(sent, CoverageAnswer::indeterminate(why))
    }

    /// An answer that no policy gave and nobody is known for.
    fn plain(&self, sent: Option<&Value>, answer: CoverageAnswer) -> Finding {
        let id = sent.and_then(|s| text(s, &["id"])).unwrap_or("");
        Finding {
            answer,
            coverage_ref: format!("Coverage/{id}"),
            member: None,
            coverage: None,
            policy: None,
            policy_hash: self.published.hash.clone(),
            document: "{}".to_owned(),
            evaluated: None,
            date: self.today(Tz::UTC),
        }
    }

    fn today(&self, zone: Tz) -> NaiveDate {
        self.now.with_timezone(&zone).date_naive()
    }
}

/// An order that something must not be done needs nobody's authorization.
fn not_to_be_done() -> CoverageAnswer {
    CoverageAnswer {
        covered: "covered".into(),
        pa: Some("no-auth".into()),
        reason: vec![Reason {
            code: None,
            text: "The order says that the service is not to be done; nothing is to be authorized".into(),
        }],
        ..CoverageAnswer::default()
    }
}

/// `Request.priority` in the words of a case.
fn priority(order: &Value) -> &str {
    match text(order, &["priority"]) {
        None | Some("routine") => "normal",
        Some(other) => other,
    }
}
