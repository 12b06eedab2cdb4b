//! The cards of a response: one External Reference card for each policy that decided, with links to its sources (CRD
//! sections "Card fields" and "Response types"). No card repeats the coverage information of an order, links to a
//! portal or has a suggestion.

use crate::ig::crd::CrdGuide;
use serde_json::{Value, json};
use uuid::Uuid;

/// CDS Hooks: a summary has fewer than 140 characters.
const MAX_SUMMARY: usize = 139;

/// The longest name of an order in a card.
const MAX_NAME: usize = 200;

/// The characters that begin markup in GitHub-flavored Markdown.
const MARKUP: &str = "\\`*_{}[]<>#|~&!@";

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
        "summary": truncate(&one_line(&format!("Read the policy: {}", guideline.title)), MAX_SUMMARY),
        "indicator": "info",
        "source": { "label": payer, "topic": topic },
        "links": links,
        "extension": { "davinci-crd.associated-resource": orders },
    });
    if !guideline.only_for.is_empty() {
        let names: Vec<String> = guideline
            .only_for
            .iter()
            .map(|name| markdown_text(name))
            .collect();
        let detail = format!("Applies to: {}", names.join("; "));
        crate::fhir::put(&mut card, "detail", json!(detail));
    }
    card
}

/// Free text as Markdown that shows exactly this text: one line, at most `MAX_NAME` characters, with a backslash before
/// each character that could begin markup, HTML or a link. `detail` is the only element of a card that is Markdown.
fn markdown_text(text: &str) -> String {
    let text = truncate(&one_line(text), MAX_NAME);
    let mut escaped = String::with_capacity(text.len());
    for (place, c) in text.char_indices() {
        let rest = text.get(place..).unwrap_or("");
        // A web address becomes a link without any markup.
        let begins_link =
            rest.starts_with("://") || rest.starts_with(".") && is_www(text.get(..place).unwrap_or(""));
        if MARKUP.contains(c) || begins_link {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn is_www(before: &str) -> bool {
    let mut last = before.chars().rev();
    (0..3).all(|_| last.next().is_some_and(|c| c.eq_ignore_ascii_case(&'w')))
}

/// Text without line breaks, control characters and runs of white space.
fn one_line(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(visible).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn truncate(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars()
        .take(longest.saturating_sub(1))
        .chain(['…'])
        .collect()
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

    #[test]
    fn free_text_is_escaped_for_markdown() {
        for (name, detail) in [
            ("Oxygen, 2 L/min (home)", "Oxygen, 2 L/min (home)"),
            (
                "[click](https://evil.example)",
                "\\[click\\](https\\://evil.example)",
            ),
            ("www.evil.example WWW.x ww.y", "www\\.evil.example WWW\\.x ww.y"),
            ("a\n# b\r\n- c\u{0}", "a \\# b - c"),
            ("<b>*x*</b> `y` &lt;", "\\<b\\>\\*x\\*\\</b\\> \\`y\\` \\&lt;"),
            (
                "a|b~~c~~ _d_ \\e !f g@h",
                "a\\|b\\~\\~c\\~\\~ \\_d\\_ \\\\e \\!f g\\@h",
            ),
        ] {
            let one = Guideline {
                only_for: vec![name.into()],
                ..guideline("a")
            };
            assert_eq!(cards(&[one], 5)[0]["detail"], format!("Applies to: {detail}"));
        }
    }

    #[test]
    fn a_long_name_and_line_breaks_in_a_title_do_not_change_the_layout() {
        let one = Guideline {
            only_for: vec!["x".repeat(5000)],
            ..guideline("Home\n oxygen")
        };
        let cards = cards(&[one], 5);
        assert!(cards[0]["detail"].as_str().unwrap().chars().count() < 230);
        assert_eq!(cards[0]["summary"], "Read the policy: Home oxygen");
    }
}
