//! Builds the response of a hook call: one update action per order with its coverage information, the cards, and the
//! assertions to store (CRD section "Response").

use super::cards::{self, Guideline};
use super::coverage_information::{ExtensionContext, coverage_information, has_same_answer};
use super::determination::CoverageDetermination;
use super::echo;
use super::invariants::broken_invariants;
use super::prefetch::AvailableResources;
use super::request::{HookRequest, Order};
use crate::auth::Client;
use crate::clock;
use crate::error::Result;
use crate::fhir::{list, text};
use crate::rules::{Code, CoverageAnswer, order_item_facts, ordered_references};
use crate::state::{PolicySet, State};
use crate::store::assertions::Assertion;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::cell::OnceCell;
use uuid::Uuid;

/// The body of a response.
#[derive(Debug, Serialize)]
pub(super) struct HookResponse {
    cards: Vec<Value>,
    #[serde(rename = "systemActions", skip_serializing_if = "Vec::is_empty")]
    system_actions: Vec<UpdateAction>,
}

/// A system action that returns one order with its coverage information.
#[derive(Debug, Serialize)]
struct UpdateAction {
    #[serde(rename = "type")]
    kind: &'static str,
    description: String,
    resource: Box<RawValue>,
}

/// What the answers to the orders of one call share.
#[derive(Clone, Copy)]
pub(super) struct ResponseBuilder<'a> {
    /// The settings and the source of ids.
    pub state: &'a State,
    /// The calling client.
    pub client: &'a Client,
    /// The call.
    pub request: &'a HookRequest<'a>,
    /// The resources that its orders reference.
    pub available: &'a AvailableResources<'a>,
    /// The current policy set.
    pub policy_set: &'a PolicySet,
    /// The row of the call, to which its assertions refer.
    pub call: Uuid,
}

impl<'a> ResponseBuilder<'a> {
    /// The response, and the assertions that must be stored before it is sent.
    pub(super) fn build(
        &self,
        determinations: Vec<CoverageDetermination>,
    ) -> Result<(HookResponse, Vec<Assertion>)> {
        let configuration = &self.request.configuration;
        let mut actions = Vec::with_capacity(determinations.len());
        let mut assertions = Vec::with_capacity(determinations.len());
        let guidelines = if configuration.guideline {
            self.guidelines(&determinations)
        } else {
            Vec::new()
        };
        if configuration.coverage_info {
            let items = OnceCell::new();
            for (order, determination) in self.request.orders.iter().zip(determinations) {
                let id = new_assertion_id();
                let (extension, forms) = self.order_extension(order, &determination, (&id, &items));
                if has_same_answer(order.resource, &extension) {
                    continue;
                }
                let text = extension.to_string();
                actions.push(UpdateAction {
                    kind: "update",
                    description: format!("Coverage information added to {}", order.reference),
                    resource: echo::with_extension(order.text, &extension, &text)?,
                });
                assertions.push(self.assertion(id, order, determination, (text, &forms)));
            }
        }
        let payer = &self.state.config.payer.name;
        let guide = self.request.guide;
        let new_id = || self.state.new_id();
        let cards = cards::guideline_cards(&guidelines, guide, payer, configuration.max_cards, new_id);
        Ok((
            HookResponse {
                cards,
                system_actions: actions,
            },
            assertions,
        ))
    }

    /// The extension for one order, and the forms that it requires (`name|version`). A coverage answer that breaks the
    /// guide's invariants is an error in a policy: the order gets `indeterminate`, and the log names the policy.
    fn order_extension(
        &self,
        order: &Order<'_>,
        determination: &CoverageDetermination,
        (id, items): (&str, &OnceCell<Vec<Value>>),
    ) -> (Value, Vec<String>) {
        let forms = &determination.answer.questionnaires;
        let canonicals: Vec<String> = forms
            .iter()
            .filter_map(|form| {
                self.policy_set
                    .forms
                    .canonical(form, &self.state.config.public_url)
            })
            .collect();
        let dependencies = self.dependencies(order, &determination.answer, items);
        let context = ExtensionContext {
            guide: self.request.guide,
            coverage: &determination.coverage_reference,
            assertion: id,
            date: determination.date,
            forms: &canonicals,
            dependencies: &dependencies,
            withpa: self.client.doc.emit_withpa,
        };
        let extension = coverage_information(&determination.answer, &context);
        let mut broken = broken_invariants(&extension);
        if canonicals.len() != forms.len() {
            broken.push("a form does not exist");
        }
        if broken.is_empty() {
            return (extension, forms.clone());
        }
        let policy = determination
            .policy
            .as_ref()
            .map_or("-", |(policy, _)| policy.as_str());
        tracing::error!(policy, broken = ?broken, "a coverage answer breaks the guide's invariants");
        let answer = CoverageAnswer::indeterminate("The plan's policies gave no valid answer for this order");
        let context = ExtensionContext {
            forms: &[],
            dependencies: &[],
            ..context
        };
        (coverage_information(&answer, &context), Vec::new())
    }

    /// References to the other orders of the call on which the answer depends. `items` are the facts of all orders, read
    /// when the first answer depends on one.
    fn dependencies(
        &self,
        order: &Order<'_>,
        answer: &CoverageAnswer,
        items: &OnceCell<Vec<Value>>,
    ) -> Vec<String> {
        if answer.dependency.is_empty() {
            return Vec::new();
        }
        let is_dependency = |coding: &Value| {
            let equals = |code: &Code| {
                text(coding, &["system"]) == Some(&code.system) && text(coding, &["code"]) == Some(&code.code)
            };
            answer.dependency.iter().any(equals)
        };
        let has_dependency = |item: &Value| list(item, "codes").any(is_dependency);
        let item = |other: &Order<'a>| {
            let find = |reference: &str| self.available.resources.find(reference, other.resource);
            order_item_facts(other.resource, &find)
        };
        let orders = &self.request.orders;
        let items = items.get_or_init(|| orders.iter().map(item).collect());
        orders
            .iter()
            .zip(items)
            .filter(|(other, item)| other.reference != order.reference && has_dependency(item))
            .map(|(other, _)| other.reference.clone())
            .collect()
    }

    fn assertion(
        &self,
        id: String,
        order: &Order<'_>,
        determination: CoverageDetermination,
        (extension, forms): (String, &[String]),
    ) -> Assertion {
        let (policy, policy_version) = determination.policy.unzip();
        Assertion {
            id,
            hook_call: self.call,
            client: self.client.id,
            member: determination.member,
            coverage: determination.coverage,
            order_ref: order.reference.clone(),
            coverage_ref: determination.coverage_reference,
            patient_ref: format!("Patient/{}", self.request.patient_id),
            order_json: order.text.get().to_owned(),
            policy,
            policy_version,
            policy_hash: determination.policy_hash,
            case_document: determination
                .case_document
                .map_or_else(|| "{}".to_owned(), |document| document.own_text()),
            coverage_information: extension,
            forms: json!(forms).to_string(),
            created: self.state.now(),
        }
    }

    /// The policies that decided, in the sequence of the orders.
    fn guidelines(&self, determinations: &[CoverageDetermination]) -> Vec<Guideline> {
        let mut all: Vec<Guideline> = Vec::new();
        for (order, determination) in self.request.orders.iter().zip(determinations) {
            let Some((name, version)) = &determination.policy else {
                continue;
            };
            if let Some(known) = all
                .iter_mut()
                .find(|g| g.policy.0 == *name && g.policy.1 == *version)
            {
                known.orders.push(order.reference.clone());
                known.only_for.push(self.order_name(order));
                continue;
            }
            let mut policies = self.policy_set.rules.policies();
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
                only_for: vec![self.order_name(order)],
            });
        }
        let for_all_orders = |g: &&mut Guideline| g.orders.len() == self.request.orders.len();
        all.iter_mut()
            .filter(for_all_orders)
            .for_each(|g| g.only_for.clear());
        all
    }

    /// A readable name of an order: the text or display of what is ordered, else its code, else the order's reference.
    fn order_name(&self, order: &Order<'a>) -> String {
        let elements = ["code", "codeCodeableConcept", "medicationCodeableConcept"];
        let find = |reference: &str| self.available.resources.find(reference, order.resource);
        let mut referenced = ordered_references(order.resource).filter_map(find);
        let concept = elements
            .iter()
            .find_map(|name| order.resource.get(name))
            .or_else(|| referenced.find_map(|r| r.get("code").or_else(|| r.get("type"))));
        let of_codings =
            |part: &str| concept.and_then(|c| list(c, "coding").find_map(|coding| text(coding, &[part])));
        let name = concept.and_then(|c| text(c, &["text"]));
        let name = name
            .or_else(|| of_codings("display"))
            .or_else(|| of_codings("code"));
        name.unwrap_or(&order.reference).to_owned()
    }
}

/// A new coverage-assertion-id: 80 random bits in Crockford's base 32, so that it cannot be guessed and can be read
/// aloud.
fn new_assertion_id() -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |byte: u8| {
        DIGITS
            .get(usize::from(byte & 31))
            .copied()
            .map_or('0', char::from)
    };
    let random: [u8; 16] = clock::random_bytes();
    let random: String = random.into_iter().map(digit).collect();
    format!("CA-{random}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertion_ids_are_long_and_differ() {
        let (one, two) = (new_assertion_id(), new_assertion_id());
        assert_ne!(one, two);
        assert_eq!(one.len(), 19);
        assert!(one.starts_with("CA-"));
    }

    #[test]
    fn a_response_without_actions_omits_system_actions() {
        let response = HookResponse {
            cards: Vec::new(),
            system_actions: Vec::new(),
        };
        assert_eq!(serde_json::to_string(&response).unwrap(), r#"{"cards":[]}"#);
    }
}
