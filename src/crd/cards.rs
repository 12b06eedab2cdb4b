//! The cards of a response: one External Reference card for each policy that decided, with links to its sources (CRD
//! sections "Card fields" and "Response types"). No card repeats the coverage information of an order, links to a
//! portal or has a suggestion.

use crate::ig::crd::CrdGuide;
use serde_json::{Value, json};
use uuid::Uuid;

/// CDS Hooks: a summary has fewer than 140 characters.
const MAX_SUMMARY: usize = 139;

/// A policy that decided for some orders, and its sources.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Guideline {
    /// The policy's name and version. Each has one card.
    pub policy: (String, String),
    /// The policy's title.
    pub title: String,
    /// Its sources: citation and URL.
    pub sources: Vec<(String, String)>,
    /// References to the orders for which it decided: `ServiceRequest/1`.
    pub orders: Vec<String>,
    /// The readable names of these orders; empty if they are all orders of the call (CRD dev-24).
    pub only_for: Vec<String>,
}

/// One card for each guideline that has sources, in sequence, at most `limit`. `payer` is the name of the card's
/// source.
pub(super) fn guideline_cards(
    guidelines: &[Guideline],
    guide: &CrdGuide,
    payer: &str,
    limit: usize,
    mut new_id: impl FnMut() -> Uuid,
) -> Vec<Value> {
    guidelines
        .iter()
        .filter(|g| !g.sources.is_empty())
        .take(limit)
        .map(|g| card(g, guide, payer, new_id()))
        .collect()
}

fn card(guideline: &Guideline, guide: &CrdGuide, payer: &str, id: Uuid) -> Value {
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
        "system": guide.card_topics,
        "code": "guideline",
        "display": "Guideline",
    });
    let mut card = json!({
        "uuid": id.to_string(),
        "summary": truncate_summary(&format!("Read the policy: {}", guideline.title)),
        "indicator": "info",
        "source": { "label": payer, "topic": topic },
        "links": links,
        "extension": { "davinci-crd.associated-resource": orders },
    });
    if !guideline.only_for.is_empty() {
        let detail = format!("Applies to: {}", guideline.only_for.join("; "));
        crate::fhir::put(&mut card, "detail", json!(detail));
    }
    card
}

fn truncate_summary(text: &str) -> String {
    if text.chars().count() <= MAX_SUMMARY {
        return text.to_owned();
    }
    text.chars().take(MAX_SUMMARY - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ig::crd::CrdVersion;

    fn guideline(title: &str) -> Guideline {
        Guideline {
            policy: ("dme.home-oxygen".into(), "2026.2".into()),
            title: title.into(),
            sources: vec![("CMS NCD 240.2".into(), "https://www.cms.gov/ncd/240.2".into())],
            orders: vec!["ServiceRequest/1".into()],
            only_for: Vec::new(),
        }
    }

    fn cards(all: &[Guideline], limit: usize) -> Vec<Value> {
        let guide = CrdVersion::V2_2.guide();
        guideline_cards(all, guide, "Acme Health", limit, || Uuid::from_u128(0x0abc))
    }

    #[test]
    fn a_card_links_to_the_sources_of_the_policy() {
        assert_eq!(
            cards(&[guideline("Home oxygen")], 5),
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
    fn the_limit_of_the_client_applies() {
        let all = [guideline("a"), guideline("b"), guideline("c")];
        assert_eq!(cards(&all, 2).len(), 2);
        assert_eq!(cards(&all, 0).len(), 0);
    }

    #[test]
    fn a_policy_without_sources_has_no_card() {
        assert!(
            cards(
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
    fn a_long_title_is_truncated() {
        let cards = cards(&[guideline(&"ä".repeat(200))], 5);
        assert!(cards[0]["summary"].as_str().unwrap().chars().count() < 140);
    }
}
