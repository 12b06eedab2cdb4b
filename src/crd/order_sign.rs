//! The hook `order-sign`: `POST /cds-services/order-sign-crd`, from the call to the stored answer on one screen
//! (CRD sections "Hooks", "Response", "Errors"). Everything that is said is stored before it leaves; where it cannot
//! be stored the answer is 503, and every other trouble is an answer of its own.

use super::cards::{self, Guideline};
use super::coverage_information::{Frame, extension, says_nothing_new};
use super::ehr::Ehr;
use super::finding::{Finding, Ground, Whose, of_orders, shadows};
use super::invariants::broken_invariants;
use super::member::{self, Person};
use super::payer::{self, Ours};
use super::prefetch::{Material, Sent};
use super::request::{HookRequest, Order};
use super::{KnownService, echo, json_answer, record};
use crate::auth::{Client, Jti};
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::fhir::{list, text};
use crate::plan::requester_of_order;
use crate::rules::{Code, CoverageAnswer, item_of_order};
use crate::state::{Published, State};
use crate::store::assertions::Assertion;
use crate::wire::{HookCall, HookFailure, JsonBody};
use axum::extract;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// The part of a hook's time, in percent, after which determinations stop so that the answer can still be stored.
const DETERMINING: u64 = 75;

/// The answer as it leaves.
#[derive(Debug, Serialize)]
struct Answer {
    cards: Vec<Value>,
    #[serde(rename = "systemActions", skip_serializing_if = "Vec::is_empty")]
    system_actions: Vec<Update>,
}

/// One order with its coverage information.
#[derive(Debug, Serialize)]
struct Update {
    #[serde(rename = "type")]
    kind: &'static str,
    description: String,
    resource: Box<RawValue>,
}

/// Answers a call.
pub(super) async fn post(
    extract::State(state): extract::State<State>,
    _service: KnownService,
    caller: HookCall,
    body: JsonBody<1>,
) -> Result<Response, HookFailure> {
    let began = Instant::now();
    let total = Duration::from_millis(state.config.limits.hook_ms);
    let determined_by = began + Duration::from_millis(state.config.limits.hook_ms * DETERMINING / 100);
    let request = HookRequest::read(&body.value, &body.text)?;
    let sent = Sent::of(&body.value);
    let ehr = Ehr::reach(&state, &caller.client, request.chart);
    let reads = sent.complete(&request, ehr.as_ref()).await;
    let material = Material::of(&sent, &reads, request.patient_id);
    let strict = caller.client.doc.payer_identifier_strict;
    let ours = payer::choose(&material, &state.config.payer.identifiers, strict)?;
    let asking = caller.client.acts_for(requesters(&request.orders, &material));
    let whose = whose(&state, asking, &material, ours, determined_by).await?;
    let published = state.published();
    let ground = Ground {
        published: &published,
        material: &material,
        now: state.now(),
        deadline: determined_by,
    };
    let findings = of_orders(&request.orders, &whose, ground);
    let shadows = shadows(&request.orders, &findings, ground);
    let call = Call {
        state: &state,
        client: &caller.client,
        request: &request,
        published: &published,
    };
    let (answer, assertions) = call.answer(findings)?;
    let text = serde_json::to_string(&answer)
        .map_err(|e| Error::internal(format!("an answer cannot be written: {e}")))?;
    let unit = Unit {
        record: record::of(caller.client.id, &body.text, &text, &assertions, shadows)?,
        record_id: state.new_id(),
        assertions,
        jti: caller.jti,
        now: state.now(),
    };
    store(&state, unit, began + total).await?;
    Ok(json_answer(text))
}

/// Who the patient is. Trouble of ours is a finding, not an error; only a call that names no payer and leads to no
/// member of ours is refused.
async fn whose<'a>(
    state: &State,
    npis: Vec<String>,
    material: &Material<'a>,
    ours: Ours<'a>,
    deadline: Instant,
) -> Result<Whose<'a>> {
    let coverages = match ours {
        Ours::Unreadable(coverage) => {
            return Ok(Whose::Unsettled(
                coverage,
                "The payer of the coverage could not be read",
            ));
        }
        Ours::Named(ref all) | Ours::Perhaps(ref all) => all.clone(),
    };
    let first = coverages.first().copied().unwrap_or(&Value::Null);
    let found = member::find(state, material.patient, &coverages, npis);
    match timeout_at(deadline, found).await {
        Ok(Ok(Person::Nobody)) if matches!(ours, Ours::Perhaps(_)) => Err(payer::not_ours()),
        Ok(Ok(person)) => Ok(Whose::Person(person, coverages)),
        Ok(Err(trouble)) => {
            tracing::error!(
                cause = trouble.log_line().unwrap_or("-"),
                "a member could not be looked up"
            );
            Ok(Whose::Unsettled(
                first,
                "The plan's member file could not be read",
            ))
        }
        Err(_) => Ok(Whose::Unsettled(first, "The time for an answer ran out")),
    }
}

/// The NPIs of everyone who orders, each once.
fn requesters(orders: &[Order<'_>], material: &Material<'_>) -> Vec<String> {
    let of_order = |order: &Order<'_>| requester_of_order(order.resource, &material.resources).npis;
    let mut npis: Vec<String> = orders.iter().flat_map(of_order).collect();
    npis.sort_unstable();
    npis.dedup();
    npis
}

/// What the answers to the orders of one call share.
#[derive(Clone, Copy)]
struct Call<'a> {
    state: &'a State,
    client: &'a Client,
    request: &'a HookRequest<'a>,
    published: &'a Published,
}

impl Call<'_> {
    /// The answer, and what has to be stored before it leaves.
    fn answer(&self, findings: Vec<Finding>) -> Result<(Answer, Vec<Assertion>)> {
        let wishes = &self.request.wishes;
        let mut updates = Vec::with_capacity(findings.len());
        let mut assertions = Vec::with_capacity(findings.len());
        let guidelines = if wishes.guideline {
            self.guidelines(&findings)
        } else {
            Vec::new()
        };
        if wishes.coverage_info {
            for (order, finding) in self.request.orders.iter().zip(findings) {
                let id = new_assertion_id();
                let (written, forms) = self.written(order, &finding, &id);
                if says_nothing_new(order.resource, &written) {
                    continue;
                }
                updates.push(Update {
                    kind: "update",
                    description: format!("Coverage findings added to {}", order.reference),
                    resource: echo::with_extension(order.text, &written)?,
                });
                assertions.push(self.assertion(id, order, finding, &written, &forms));
            }
        }
        let payer = &self.state.config.payer.name;
        let cards = cards::guidelines(&guidelines, payer, wishes.max_cards, || self.state.new_id());
        Ok((
            Answer {
                cards,
                system_actions: updates,
            },
            assertions,
        ))
    }

    /// The extension of one order with the forms that it asks for (`name|version`). An answer that breaks the
    /// guide's invariants is a fault of a rule: the order is told that nothing can be said, the log which rule.
    fn written(&self, order: &Order<'_>, finding: &Finding, id: &str) -> (Value, Vec<String>) {
        let forms = &finding.answer.questionnaires;
        let canonicals: Vec<String> = forms
            .iter()
            .filter_map(|form| {
                self.published
                    .forms
                    .canonical(form, &self.state.config.public_url)
            })
            .collect();
        let dependencies = self.dependencies(order, &finding.answer);
        let frame = Frame {
            coverage: &finding.coverage_ref,
            assertion: id,
            date: finding.date,
            forms: &canonicals,
            dependencies: &dependencies,
            withpa: self.client.doc.emit_withpa,
        };
        let written = extension(&finding.answer, &frame);
        let mut broken = broken_invariants(&written);
        if canonicals.len() != forms.len() {
            broken.push("a form is missing");
        }
        if broken.is_empty() {
            return (written, forms.clone());
        }
        let policy = finding.policy.as_ref().map_or("-", |(policy, _)| policy.as_str());
        tracing::error!(policy, broken = ?broken, "a rule's answer does not fit the guide");
        let instead = CoverageAnswer::indeterminate("The plan's rules gave no usable answer for this order");
        (
            extension(
                &instead,
                &Frame {
                    forms: &[],
                    dependencies: &[],
                    ..frame
                },
            ),
            Vec::new(),
        )
    }

    /// The other orders of this call whose code the answer names.
    fn dependencies(&self, order: &Order<'_>, answer: &CoverageAnswer) -> Vec<String> {
        let named = |code: &Value| {
            let is = |wanted: &Code| {
                text(code, &["system"]) == Some(&wanted.system) && text(code, &["code"]) == Some(&wanted.code)
            };
            answer.dependency.iter().any(is)
        };
        let wanted = |item: &Value| list(item, "codes").any(named);
        if answer.dependency.is_empty() {
            return Vec::new();
        }
        let others = self
            .request
            .orders
            .iter()
            .filter(|other| other.reference != order.reference);
        others
            .filter(|other| wanted(&item_of_order(other.resource)))
            .map(|o| o.reference.clone())
            .collect()
    }

    fn assertion(
        &self,
        id: String,
        order: &Order<'_>,
        finding: Finding,
        written: &Value,
        forms: &[String],
    ) -> Assertion {
        let (policy, policy_version) = finding.policy.unzip();
        Assertion {
            id,
            client: self.client.id,
            hook: "order-sign".to_owned(),
            hook_instance: self.request.instance.to_owned(),
            member: finding.member,
            coverage: finding.coverage,
            order_ref: order.reference.clone(),
            coverage_ref: finding.coverage_ref,
            patient_ref: format!("Patient/{}", self.request.patient_id),
            order_json: order.text.get().to_owned(),
            policy,
            policy_version,
            policy_hash: finding.policy_hash,
            case_document: finding.document,
            answer_json: written.to_string(),
            forms: json!(forms).to_string(),
            created: self.state.now(),
        }
    }

    /// The policies that answered, in the order of the orders.
    fn guidelines(&self, findings: &[Finding]) -> Vec<Guideline> {
        let mut all: Vec<Guideline> = Vec::new();
        for (order, finding) in self.request.orders.iter().zip(findings) {
            let Some((name, version)) = &finding.policy else {
                continue;
            };
            if let Some(known) = all
                .iter_mut()
                .find(|g| g.policy.0 == *name && g.policy.1 == *version)
            {
                known.orders.push(order.reference.clone());
                known.only_for.push(name_of(order));
                continue;
            }
            let mut policies = self.published.rules.policies();
            let Some(policy) = policies.find(|p| p.name() == name && p.version() == version) else {
                continue;
            };
            all.push(Guideline {
                policy: (name.clone(), version.clone()),
                title: policy.title().to_owned(),
                sources: policy
                    .sources()
                    .iter()
                    .map(|s| (s.cite.clone(), s.url.clone()))
                    .collect(),
                orders: vec![order.reference.clone()],
                only_for: vec![name_of(order)],
            });
        }
        let of_all = |g: &&mut Guideline| g.orders.len() == self.request.orders.len();
        all.iter_mut().filter(of_all).for_each(|g| g.only_for.clear());
        all
    }
}

/// What an order asks for, as a person reads it: the words of its code, else the code, else its address.
fn name_of(order: &Order<'_>) -> String {
    let concepts = ["code", "codeCodeableConcept", "medicationCodeableConcept"];
    let concept = concepts.iter().find_map(|name| order.resource.get(name));
    let coding = concept.and_then(|c| list(c, "coding").next());
    let words = concept.and_then(|c| text(c, &["text"]));
    let words = words.or_else(|| coding.and_then(|c| text(c, &["display"]).or(text(c, &["code"]))));
    words.unwrap_or(&order.reference).to_owned()
}

/// What one call stores.
struct Unit {
    jti: Jti,
    assertions: Vec<Assertion>,
    record_id: Uuid,
    record: String,
    now: DateTime<Utc>,
}

/// One unit: the token is spent, every answer and the call itself are kept, or nothing is.
async fn store(state: &State, unit: Unit, deadline: Instant) -> Result<()> {
    let unit = state.store.write(unit, |tx, unit| {
        Box::pin(async move {
            tx.spend_jti(&unit.jti).await?;
            for assertion in &unit.assertions {
                tx.add_assertion(assertion).await?;
            }
            tx.add_blob(unit.record_id, record::KIND, &unit.record, unit.now)
                .await
        })
    });
    match timeout_at(deadline, unit).await {
        Ok(Err(error)) if error.kind() != Kind::Unauthorized => Err(Error::unavailable(error)),
        Ok(stored) => stored,
        Err(_) => Err(Error::unavailable(
            "the answers of a hook were not stored in time",
        )),
    }
}

/// An id that nobody can guess and anybody can read out: 80 random bits in Crockford's letters.
fn new_assertion_id() -> String {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let letter = |byte: u8| {
        LETTERS
            .get(usize::from(byte & 31))
            .copied()
            .map_or('0', char::from)
    };
    let random: [u8; 16] = clock::random_bytes();
    let random: String = random.into_iter().map(letter).collect();
    format!("CA-{random}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertion_ids_are_long_and_never_alike() {
        let (one, two) = (new_assertion_id(), new_assertion_id());
        assert_ne!(one, two);
        assert_eq!(one.len(), 19);
        assert!(one.starts_with("CA-"));
    }

    #[test]
    fn an_answer_without_updates_leaves_the_member_out() {
        let answer = Answer {
            cards: Vec::new(),
            system_actions: Vec::new(),
        };
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"cards":[]}"#);
    }
}
