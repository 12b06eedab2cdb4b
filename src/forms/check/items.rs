//! Checks of one item, at any depth: the invariants `dtrq-*` (DTR), `sdc-base-*` (SDC) and `que-*` (FHIR). Checks of
//! the whole form are in the parent module.

use super::Findings;
use crate::fhir;
use serde_json::Value;
use std::collections::HashMap;

/// The prefix of the URLs of FHIR's own extensions.
const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// The extensions that an item may use, without the prefix [`CORE`]: every client supports them, and none needs an
/// expression.
const ITEM_EXTENSIONS: [&str; 7] = [
    "questionnaire-hidden",
    "questionnaire-itemControl",
    "questionnaire-supportHyperlink",
    "mimeType",
    "questionnaire-unitOption",
    "questionnaire-referenceResource",
    "questionnaire-referenceProfile",
];

/// FHIR's `QuestionnaireItemType` without the abstract `question`.
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

/// One item with the form and the questions that its checks need.
pub(super) struct Item<'a> {
    /// The item.
    pub(super) json: &'a Value,
    /// The whole questionnaire.
    pub(super) form: &'a Value,
    /// Every item of the questionnaire by link id.
    pub(super) questions: &'a HashMap<&'a str, &'a Value>,
}

impl<'a> Item<'a> {
    /// Adds the findings about this item. Its child items are checked separately.
    pub(super) fn check(&self, findings: &mut Findings) {
        let id = self.id();
        findings.require(
            self.text("text").is_some_and(|t| !t.trim().is_empty()),
            id,
            "text is missing",
        );
        findings.require(
            TYPES.contains(&self.kind()),
            id,
            "type is missing or not a valid type",
        );
        let children = fhir::list(self.json, "item").next().is_some();
        findings.require(
            children || self.kind() != "group",
            id,
            "a group must have items (que-1)",
        );
        if self.kind() == "display" {
            let not_allowed = ["item", "required", "repeats", "readOnly", "initial", "code"];
            let text_only = not_allowed.iter().all(|name| self.json.get(*name).is_none());
            findings.require(
                text_only,
                id,
                "a display item may have text only (que-1, 3, 6, 8, 9)",
            );
        }
        self.check_extensions(findings);
        self.check_answer_sources(findings);
        self.check_options(findings);
        self.check_conditions(findings);
        self.check_initial(findings);
    }

    /// The link id, for findings.
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

    fn check_extensions(&self, findings: &mut Findings) {
        for url in fhir::list(self.json, "extension").filter_map(|e| fhir::text(e, &["url"])) {
            let known = url
                .strip_prefix(CORE)
                .is_some_and(|u| ITEM_EXTENSIONS.contains(&u));
            let message = format!("extension {url} is not supported on an item");
            findings.require(known, self.id(), &message);
        }
    }

    /// Where answers come from: `dtrq-2` to `dtrq-4`, which are warnings in DTR and mandatory for the plan's forms, and
    /// `que-4`, `que-5`.
    fn check_answer_sources(&self, findings: &mut Findings) {
        let id = self.id();
        let options = self.json.get("answerOption").is_some();
        let set = self.text("answerValueSet");
        findings.require(
            !self.is_choice() || options || set.is_some(),
            id,
            "a choice must have answerOption or answerValueSet (dtrq-2)",
        );
        findings.require(
            !(options && set.is_some()),
            id,
            "answerOption and answerValueSet cannot be used together (que-4)",
        );
        findings.require(
            set.is_none() || self.is_choice(),
            id,
            "answerValueSet is allowed on a choice only (que-5)",
        );
        let contained = |set: &str| {
            fhir::list(self.form, "contained").any(|r| fhir::text(r, &["id"]) == set.strip_prefix('#'))
        };
        findings.require(
            set.is_none_or(contained),
            id,
            "answerValueSet must refer to a contained ValueSet",
        );
        let unit = self.kind() != "quantity" || self.has("questionnaire-unitOption");
        findings.require(
            unit,
            id,
            "a quantity must have the extension questionnaire-unitOption (dtrq-3)",
        );
        let target = self.kind() != "reference" || self.has("questionnaire-referenceResource");
        findings.require(
            target,
            id,
            "a reference must have the extension questionnaire-referenceResource (dtrq-4)",
        );
    }

    /// The closed slices of `answerOption.value[x]`: `sdc-base-1`, `-2`, `-4`.
    fn check_options(&self, findings: &mut Findings) {
        for option in fhir::list(self.json, "answerOption") {
            let is_valid = match (option.get("valueCoding"), option.get("valueReference")) {
                (Some(coding), None) => {
                    let has = |name| fhir::text(coding, &[name]).is_some_and(|t| !t.is_empty());
                    self.is_choice() && (has("code") && has("system") || !has("code") && has("display"))
                }
                (None, Some(target)) => {
                    let elements = ["reference", "identifier", "display"];
                    self.kind() == "reference" && elements.iter().any(|name| target.get(*name).is_some())
                }
                _ => false,
            };
            let message = "answerOption must be a Coding with system and code (or display only) on a choice, or a \
                           Reference on a reference";
            findings.require(is_valid, self.id(), message);
        }
    }

    fn check_conditions(&self, findings: &mut Findings) {
        let conditions: Vec<_> = fhir::list(self.json, "enableWhen").collect();
        let has_behavior = matches!(self.text("enableBehavior"), Some("all" | "any"));
        findings.require(
            conditions.len() < 2 || has_behavior,
            self.id(),
            "enableBehavior is missing: several conditions need all or any (que-12)",
        );
        for condition in conditions {
            if let Err(message) = self.check_condition(condition) {
                findings.add(self.id(), message);
            }
        }
    }

    /// Checks one `enableWhen`; the error is the finding's message.
    fn check_condition(&self, condition: &Value) -> Result<(), &'static str> {
        let id = fhir::text(condition, &["question"]).unwrap_or("");
        let Some(question) = self.questions.get(id).filter(|_| id != self.id()) else {
            return Err("enableWhen.question must be the linkId of another item of the form");
        };
        let operator = fhir::text(condition, &["operator"]).unwrap_or("");
        if !["exists", "=", "!=", ">", "<", ">=", "<="].contains(&operator) {
            return Err("enableWhen.operator is not a valid operator");
        }
        let answers: Vec<_> = condition
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.starts_with("answer"))
            .collect();
        let [(name, answer)] = answers.as_slice() else {
            return Err("enableWhen must have exactly one answer");
        };
        if operator == "exists" {
            let is_boolean = *name == "answerBoolean";
            return is_boolean
                .then_some(())
                .ok_or("enableWhen with operator exists must have answerBoolean (que-7)");
        }
        let kind = fhir::text(question, &["type"]).unwrap_or("");
        if answer_element(kind) != Some(name.as_str()) {
            return Err("the answer in enableWhen does not have the type of its question");
        }
        let same_coding = |a: &Value, b: &Value| {
            ["system", "code"]
                .iter()
                .all(|name| fhir::text(a, &[name]) == fhir::text(b, &[name]))
        };
        let mut options = fhir::list(question, "answerOption")
            .filter_map(|o| o.get("valueCoding"))
            .peekable();
        if options.peek().is_some() && !options.any(|option| same_coding(option, answer)) {
            return Err("the answer in enableWhen is not one of its question's options");
        }
        Ok(())
    }

    fn check_initial(&self, findings: &mut Findings) {
        let count = fhir::list(self.json, "initial").count();
        let has_options = self.json.get("answerOption").is_some();
        findings.require(
            count == 0 || !has_options,
            self.id(),
            "initial cannot be used with answerOption (que-11)",
        );
        findings.require(
            count == 0 || self.kind() != "group",
            self.id(),
            "initial cannot be used on a group (que-8)",
        );
        let repeats = self.json.get("repeats").and_then(Value::as_bool) == Some(true);
        findings.require(
            count < 2 || repeats,
            self.id(),
            "several initial values need repeats: true (que-13)",
        );
    }
}

/// The element of `enableWhen` for the answer to a question of this type.
fn answer_element(kind: &str) -> Option<&'static str> {
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
    use crate::forms::check::tests::assert_only_finding;
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
        assert_only_finding(
            below(json!({ "linkId": "compression.symptoms-remain", "type": "date", "text": "T" })),
            "que-2",
        );
        assert_only_finding(
            below(json!({ "linkId": "q", "type": "date" })),
            "q: text is missing",
        );
        assert_only_finding(
            below(json!({ "linkId": "q", "type": "day", "text": "T" })),
            "q: type",
        );
        assert_only_finding(
            below(json!({ "linkId": "q", "type": "group", "text": "T" })),
            "que-1",
        );
        assert_only_finding(
            below(json!({ "linkId": "q", "type": "choice", "text": "T" })),
            "dtrq-2",
        );
        assert_only_finding(
            below(json!({ "linkId": "q", "type": "quantity", "text": "T" })),
            "dtrq-3",
        );
        assert_only_finding(
            below(json!({ "linkId": "q", "type": "reference", "text": "T" })),
            "dtrq-4",
        );
        assert_only_finding(
            below(json!({ "linkId": "q".repeat(256), "type": "date", "text": "T" })),
            "que-15",
        );
        let option = json!([{ "valueString": "x" }]);
        assert_only_finding(
            below(json!({ "linkId": "q", "type": "choice", "text": "T", "answerOption": option })),
            "answerOption must",
        );
        let option = json!([{ "valueCoding": { "code": "x" } }]);
        assert_only_finding(
            below(json!({ "linkId": "q", "type": "choice", "text": "T", "answerOption": option })),
            "answerOption must",
        );
        let set = "http://x.example/ValueSet/v";
        assert_only_finding(
            below(json!({ "linkId": "q", "type": "choice", "text": "T", "answerValueSet": set })),
            "contained",
        );
    }

    #[test]
    fn the_answer_of_a_condition_must_be_possible() {
        let when = |w: Value| move |f: &mut Value| f["item"][2]["enableWhen"] = json!([w]);
        let other = json!({ "question": "none", "operator": "exists", "answerBoolean": true });
        assert_only_finding(when(other), "must be the linkId of another item");
        let typed = json!({ "question": "compression.trial-weeks", "operator": ">", "answerDecimal": 1.5 });
        assert_only_finding(when(typed), "does not have the type");
        let coding = json!({ "system": "CodeSystem/compression-diagnosis", "code": "oedema" });
        let option = json!({ "question": "compression.diagnosis", "operator": "=", "answerCoding": coding });
        assert_only_finding(when(option), "not one of its question's options");
        assert_only_finding(|f| f["item"][1]["enableBehavior"] = Value::Null, "que-12");
    }
}
