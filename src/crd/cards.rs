//! The cards beside the answers: one External Reference for each policy that answered, with links to the texts that
//! it rests on (CRD sections "Card fields" and "Response types"). No card repeats what an order's answer says, points
//! to a portal, or carries a suggestion.

use serde_json::{Value, json};
use uuid::Uuid;

/// CDS Hooks: a summary has fewer than 140 characters.
const SUMMARY: usize = 139;

/// A policy that answered for some orders, with the texts that it cites.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guideline {
    /// The policy's name and version: one card each.
    pub policy: (String, String),
    /// Its title.
    pub title: String,
    /// (citation, address) of its sources.
    pub sources: Vec<(String, String)>,
    /// The orders that it answered for: `ServiceRequest/1`.
    pub orders: Vec<String>,
    /// The same for people; empty when these are all orders of the call (CRD dev-24).
    pub only_for: Vec<String>,
}

/// One card for each guideline, the first ones first, `limit` at most. `payer` stands on each as its source.
pub(super) fn guidelines(
    guidelines: &[Guideline],
    payer: &str,
    limit: usize,
    mut new_id: impl FnMut() -> Uuid,
) -> Vec<Value> {
    let linked = guidelines.iter().filter(|g| !g.sources.is_empty());
    linked.take(limit).map(|g| card(g, payer, new_id())).collect()
}

fn card(guideline: &Guideline, payer: &str, id: Uuid) -> Value {
    let links: Vec<Value> = guideline
        .sources
        .iter()
        .map(|(cite, url)| json!({ "label": cite, "url": url, "type": "absolute" }))
        .collect();
    let orders: Vec<Value> = guideline
        .orders
        .iter()
        .map(|order| json!({ "reference": order }))
        .collect();
    let topic = json!({
        "system": "http://terminology.hl7.org/CodeSystem/cdshooks-card-type",
        "code": "guideline",
        "display": "Guideline",
    });
    let mut card = json!({
        "uuid": id.to_string(),
        "summary": cut(&format!("Read the policy: {}", guideline.title)),
        "indicator": "info",
        "source": { "label": payer, "topic": topic },
        "links": links,
        "extension": { "davinci-crd.associated-resource": orders },
    });
    if !guideline.only_for.is_empty() {
        let detail = format!("This is about: {}", guideline.only_for.join("; "));
        crate::fhir::put(&mut card, "detail", json!(detail));
    }
    card
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SUMMARY {
        return text.to_owned();
    }
    text.chars().take(SUMMARY - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guideline(title: &str) -> Guideline {
        Guideline {
            policy: ("dme.home-oxygen".into(), "2026.2".into()),
            title: title.into(),
            sources: vec![("CMS NCD 240.2".into(), "https://www.cms.gov/ncd/240.2".into())],
            orders: vec!["ServiceRequest/1".into()],
            only_for: Vec::new(),
        }
    }

    fn write(all: &[Guideline], limit: usize) -> Vec<Value> {
        guidelines(all, "Acme Health", limit, || Uuid::from_u128(0x0abc))
    }

    #[test]
    fn a_card_links_to_the_texts_behind_the_policy() {
        assert_eq!(
            write(&[guideline("Home oxygen")], 5),
            [json!({
                "uuid": "00000000-0000-0000-0000-000000000abc",
                "summary": "Read the policy: Home oxygen",
                "indicator": "info",
                "source": { "label": "Acme Health", "topic": {
                    "system": "http://terminology.hl7.org/CodeSystem/cdshooks-card-type",
                    "code": "guideline", "display": "Guideline" } },
                "links": [{ "label": "CMS NCD 240.2", "url": "https://www.cms.gov/ncd/240.2", "type": "absolute" }],
                "extension": { "davinci-crd.associated-resource": [{ "reference": "ServiceRequest/1" }] },
            })]
        );
    }

    #[test]
    fn the_clients_limit_is_kept() {
        let all = [guideline("a"), guideline("b"), guideline("c")];
        assert_eq!(write(&all, 2).len(), 2);
        assert_eq!(write(&all, 0).len(), 0);
    }

    #[test]
    fn a_policy_without_an_address_has_no_card() {
        assert!(
            write(
                &[Guideline {
                    sources: vec![],
                    ..guideline("a")
                }],
                5
            )
            .is_empty()
        );
    }

    #[test]
    fn a_long_title_is_cut_to_the_limit() {
        let cards = write(&[guideline(&"ä".repeat(200))], 5);
        assert!(cards[0]["summary"].as_str().unwrap().chars().count() < 140);
    }
}
