//! The rules for one item, whatever its depth: DTR's `dtrq`, SDC's `sdc-base` and FHIR's `que` invariants. What
//! concerns the form as a whole stands in the parent module.

use super::Findings;
use crate::fhir;
use serde_json::Value;
use std::collections::HashMap;

const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Extensions that every client handles and that need no expression, below [`CORE`].
const ON_ITEM: [&str; 7] = [
    "questionnaire-hidden",
    "questionnaire-itemControl",
    "questionnaire-supportHyperlink",
    "mimeType",
    "questionnaire-unitOption",
    "questionnaire-referenceResource",
    "questionnaire-referenceProfile",
];

const TYPES: [&str; 16] = [
    "group",
    "display",
    "boolean",
    "decimal",
    "integer",
    "date",
    "dateTime",
    "time",
    "string",
    "text",
    "url",
    "choice",
    "open-choice",
    "attachment",
    "reference",
    "quantity",
];

/// One item as the file has it, with what its rules look at.
pub(super) struct Item<'a> {
    pub(super) json: &'a Value,
    pub(super) form: &'a Value,
    pub(super) questions: &'a HashMap<&'a str, &'a Value>,
}

impl<'a> Item<'a> {
    /// Notes everything wrong with the item itself; its children are looked at on their own.
    pub(super) fn check(&self, found: &mut Findings) {
        let id = self.id();
        found.require(
            self.text("text").is_some_and(|t| !t.trim().is_empty()),
            id,
            "text is missing",
        );
        found.require(TYPES.contains(&self.kind()), id, "type is missing or unknown");
        let children = fhir::list(self.json, "item").next().is_some();
        found.require(
            children || self.kind() != "group",
            id,
            "a group has items (que-1)",
        );
        if self.kind() == "display" {
            let more = ["item", "required", "repeats", "readOnly", "initial", "code"];
            let bare = more.iter().all(|m| self.json.get(*m).is_none());
            found.require(bare, id, "a display item has text only (que-1, 3, 6, 8, 9)");
        }
        self.extensions(found);
        self.choices(found);
        self.options(found);
        self.conditions(found);
        self.initial(found);
    }

    fn id(&self) -> &'a str {
        self.text("linkId").unwrap_or("item")
    }

    fn kind(&self) -> &'a str {
        self.text("type").unwrap_or("")
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.json.get(name)?.as_str()
    }

    fn has(&self, extension: &str) -> bool {
        fhir::extension(self.json, &format!("{CORE}{extension}")).is_some()
    }

    fn is_choice(&self) -> bool {
        matches!(self.kind(), "choice" | "open-choice")
    }

    fn extensions(&self, found: &mut Findings) {
        for url in fhir::list(self.json, "extension").filter_map(|e| fhir::text(e, &["url"])) {
            let known = url.strip_prefix(CORE).is_some_and(|u| ON_ITEM.contains(&u));
            let message = format!("extension {url} is not one that this server serves on an item");
            found.require(known, self.id(), &message);
        }
    }

    /// `dtrq-2` to `dtrq-4`, as errors: a form of ours keeps them.
    fn choices(&self, found: &mut Findings) {
        let id = self.id();
        let options = self.json.get("answerOption").is_some();
        let set = self.text("answerValueSet");
        found.require(
            !self.is_choice() || options || set.is_some(),
            id,
            "a choice without options (dtrq-2)",
        );
        found.require(
            !(options && set.is_some()),
            id,
            "answerOption and answerValueSet exclude each other (que-4)",
        );
        found.require(
            set.is_none() || self.is_choice(),
            id,
            "answerValueSet on an item that is no choice (que-5)",
        );
        let contained = |set: &str| {
            fhir::list(self.form, "contained").any(|r| fhir::text(r, &["id"]) == set.strip_prefix('#'))
        };
        found.require(
            set.is_none_or(contained),
            id,
            "answerValueSet must name a contained value set",
        );
        let unit = self.kind() != "quantity" || self.has("questionnaire-unitOption");
        found.require(unit, id, "a quantity without unitOption (dtrq-3)");
        let target = self.kind() != "reference" || self.has("questionnaire-referenceResource");
        found.require(target, id, "a reference without referenceResource (dtrq-4)");
    }

    /// The closed slices of `answerOption.value[x]`, `sdc-base-1`, `-2`, `-4`.
    fn options(&self, found: &mut Findings) {
        for option in fhir::list(self.json, "answerOption") {
            let sound = match (option.get("valueCoding"), option.get("valueReference")) {
                (Some(coding), None) => {
                    let has = |name| fhir::text(coding, &[name]).is_some_and(|t| !t.is_empty());
                    self.is_choice() && (has("code") && has("system") || !has("code") && has("display"))
                }
                (None, Some(target)) => {
                    let named = ["reference", "identifier", "display"];
                    self.kind() == "reference" && named.iter().any(|m| target.get(*m).is_some())
                }
                _ => false,
            };
            let message = "an option must be a Coding with system and code, or a Reference, and fit the type";
            found.require(sound, self.id(), message);
        }
    }

    fn conditions(&self, found: &mut Findings) {
        let conditions: Vec<_> = fhir::list(self.json, "enableWhen").collect();
        let behaviour = matches!(self.text("enableBehavior"), Some("all" | "any"));
        found.require(
            conditions.len() < 2 || behaviour,
            self.id(),
            "enableBehavior is missing (que-12)",
        );
        for condition in conditions {
            if let Err(message) = self.condition(condition) {
                found.note(self.id(), message);
            }
        }
    }

    fn condition(&self, condition: &Value) -> Result<(), &'static str> {
        let id = fhir::text(condition, &["question"]).unwrap_or("");
        let Some(question) = self.questions.get(id).filter(|_| id != self.id()) else {
            return Err("enableWhen names no other question of the form");
        };
        let operator = fhir::text(condition, &["operator"]).unwrap_or("");
        if !["exists", "=", "!=", ">", "<", ">=", "<="].contains(&operator) {
            return Err("enableWhen has an unknown operator");
        }
        let answers: Vec<_> = condition
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.starts_with("answer"))
            .collect();
        let [(name, answer)] = answers.as_slice() else {
            return Err("enableWhen must have one answer");
        };
        if operator == "exists" {
            let boolean = *name == "answerBoolean";
            return boolean
                .then_some(())
                .ok_or("enableWhen exists wants answerBoolean (que-7)");
        }
        let kind = fhir::text(question, &["type"]).unwrap_or("");
        if answer_member(kind) != Some(name.as_str()) {
            return Err("the answer in enableWhen has another type than its question");
        }
        let same = |a: &Value, b: &Value| {
            ["system", "code"]
                .iter()
                .all(|m| fhir::text(a, &[m]) == fhir::text(b, &[m]))
        };
        let mut options = fhir::list(question, "answerOption")
            .filter_map(|o| o.get("valueCoding"))
            .peekable();
        if options.peek().is_some() && !options.any(|option| same(option, answer)) {
            return Err("the answer in enableWhen is none of its question's options");
        }
        Ok(())
    }

    fn initial(&self, found: &mut Findings) {
        let initial = fhir::list(self.json, "initial").count();
        let options = self.json.get("answerOption").is_some();
        found.require(
            initial == 0 || !options,
            self.id(),
            "initial beside answerOption (que-11)",
        );
        found.require(
            initial == 0 || self.kind() != "group",
            self.id(),
            "initial on a group (que-8)",
        );
        let repeats = self.json.get("repeats").and_then(Value::as_bool) == Some(true);
        found.require(
            initial < 2 || repeats,
            self.id(),
            "several initial values without repeats (que-13)",
        );
    }
}

/// The member of `enableWhen` that holds an answer to a question of this type.
fn answer_member(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "boolean" => "answerBoolean",
        "decimal" => "answerDecimal",
        "integer" => "answerInteger",
        "date" => "answerDate",
        "dateTime" => "answerDateTime",
        "time" => "answerTime",
        "string" | "text" | "url" => "answerString",
        "choice" | "open-choice" => "answerCoding",
        "reference" => "answerReference",
        "quantity" => "answerQuantity",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::forms::check::tests::only;
    use serde_json::{Value, json};

    #[test]
    fn items_are_checked_at_every_depth() {
        let below = |item: Value| {
            move |f: &mut Value| {
                let group = json!({ "linkId": "g", "type": "group", "text": "G", "item": [
                    { "linkId": "h", "type": "group", "text": "H", "item": [item] } ] });
                f["item"].as_array_mut().unwrap().push(group);
            }
        };
        only(
            below(json!({ "linkId": "compression.symptoms-remain", "type": "date", "text": "T" })),
            "que-2",
        );
        only(
            below(json!({ "linkId": "q", "type": "date" })),
            "q: text is missing",
        );
        only(
            below(json!({ "linkId": "q", "type": "day", "text": "T" })),
            "q: type",
        );
        only(
            below(json!({ "linkId": "q", "type": "group", "text": "T" })),
            "que-1",
        );
        only(
            below(json!({ "linkId": "q", "type": "choice", "text": "T" })),
            "dtrq-2",
        );
        only(
            below(json!({ "linkId": "q", "type": "quantity", "text": "T" })),
            "dtrq-3",
        );
        only(
            below(json!({ "linkId": "q", "type": "reference", "text": "T" })),
            "dtrq-4",
        );
        only(
            below(json!({ "linkId": "q".repeat(256), "type": "date", "text": "T" })),
            "que-15",
        );
        let option = json!([{ "valueString": "x" }]);
        only(
            below(json!({ "linkId": "q", "type": "choice", "text": "T", "answerOption": option })),
            "an option",
        );
        let option = json!([{ "valueCoding": { "code": "x" } }]);
        only(
            below(json!({ "linkId": "q", "type": "choice", "text": "T", "answerOption": option })),
            "an option",
        );
        let set = "http://x.example/ValueSet/v";
        only(
            below(json!({ "linkId": "q", "type": "choice", "text": "T", "answerValueSet": set })),
            "contained",
        );
    }

    #[test]
    fn a_condition_must_be_able_to_come_true() {
        let when = |w: Value| move |f: &mut Value| f["item"][2]["enableWhen"] = json!([w]);
        let other = json!({ "question": "none", "operator": "exists", "answerBoolean": true });
        only(when(other), "names no other question");
        let typed = json!({ "question": "compression.trial-weeks", "operator": ">", "answerDecimal": 1.5 });
        only(when(typed), "another type");
        let coding = json!({ "system": "CodeSystem/compression-diagnosis", "code": "oedema" });
        let option = json!({ "question": "compression.diagnosis", "operator": "=", "answerCoding": coding });
        only(when(option), "none of its question's options");
        only(|f| f["item"][1]["enableBehavior"] = Value::Null, "que-12");
    }
}
