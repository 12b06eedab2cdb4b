//! `$questionnaire-package`: read the call, find member, coverage and context, judge the orders, choose the forms,
//! answer (DTR 2.2.0, operation `questionnaire-package`). Nothing is stored: what a client sends here serves this
//! answer alone (sec-9).

use super::choice::{self, Ground};
use super::member::{self, Known};
use super::orders::{self, Judged, Stored};
use super::package::{self, Frame};
use super::request::Request;
use crate::error::{Error, Result};
use crate::fhir::outcome::{Code, Issue};
use crate::fhir::text;
use crate::state::{Published, State};
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse};
use axum::extract::State as Held;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The handler.
pub(super) async fn post(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Questionnaire", 'r')?;
    let now = state.now();
    let request = Request::read(&body.value)?;
    let known = member::look_up(&state, &caller.client, &request, now).await?;
    let house = House {
        published: &state.published(),
        public_url: &state.config.public_url,
        phone: &state.config.payer.phone,
    };
    let answer = answer(&request, &known, house, now)?;
    metrics::counter!("assent_dtr_packages_total").increment(1);
    Ok(FhirResponse::ok(&answer))
}

/// What the plan brings to an answer.
#[derive(Clone, Copy)]
struct House<'a> {
    published: &'a Published,
    public_url: &'a str,
    phone: &'a str,
}

fn answer(request: &Request<'_>, known: &Known, house: House<'_>, now: DateTime<Utc>) -> Result<Value> {
    let stored = known.assertion.as_ref().map(Stored::read).transpose()?;
    let judged = orders::judge(request, stored.as_ref(), &known.insured, house.published, now);
    let ground = Ground {
        forms: &house.published.forms,
        today: now.with_timezone(&known.insured.coverage.zone).date_naive(),
        published: known.published,
        phone: house.phone,
    };
    let (packages, chosen) = choice::choose(request, &judged, ground);
    let mut issues = request.remarks.clone();
    if !known.insured.in_force {
        let message = "The coverage is not in force today";
        issues.push(Issue::warning(
            Code::BusinessRule,
            request.coverage.path.clone(),
            message,
        ));
    }
    issues.extend(choice::remarks(&judged, stored.is_some()));
    issues.extend(chosen);
    let frame = Frame {
        public_url: house.public_url,
        now,
        subject: &subject(request, known, &judged)?,
        coverage: &coverage(request, known)?,
    };
    Ok(package::answer(&packages, &issues, frame))
}

/// The patient on the client: of the coverage, of an order, or of the hook.
fn subject(request: &Request<'_>, known: &Known, judged: &[Judged<'_>]) -> Result<String> {
    let of_hook = || known.assertion.as_ref().map(|a| a.patient_ref.as_str());
    let candidates = [
        text(request.coverage.what, &["beneficiary", "reference"]),
        choice::subject(judged),
        of_hook(),
    ];
    let outside = candidates.into_iter().flatten().find(|r| is_the_clients(r));
    let at = format!("{}.beneficiary", request.coverage.path);
    outside.map(str::to_owned).ok_or_else(|| {
        Error::invalid(
            at,
            "The coverage does not say whose it is, so no response can be drafted",
        )
    })
}

/// The coverage on the client.
fn coverage(request: &Request<'_>, known: &Known) -> Result<String> {
    let sent = text(request.coverage.what, &["id"]).map(|id| format!("Coverage/{id}"));
    let of_hook = || known.assertion.as_ref().map(|a| a.coverage_ref.clone());
    let at = format!("{}.id", request.coverage.path);
    sent.or_else(of_hook)
        .ok_or_else(|| Error::invalid(at, "The coverage has no id, so no response can point at it"))
}

/// A reference that leads to a resource of the client: not into a resource, not nowhere.
fn is_the_clients(reference: &str) -> bool {
    !reference.is_empty() && !reference.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtr::member::Insured;
    use crate::dtr::samples;
    use serde_json::json;

    /// The answer to these parameters beside the coverage; `hook` is what the context leads to.
    fn ask(more: Vec<Value>, hook: Option<crate::store::assertions::Assertion>) -> Value {
        let mut parameters = vec![json!({ "name": "coverage", "resource": samples::coverage() })];
        parameters.extend(more);
        if hook.is_some() {
            parameters.push(json!({ "name": "context", "valueString": "A-1" }));
        }
        let body = samples::parameters(&Value::Array(parameters));
        let request = Request::read(&body).unwrap();
        let member = samples::member(1, "M100");
        let coverage = samples::covered(11, &member);
        let today = samples::now().date_naive();
        let insured = Insured {
            facts: crate::plan::facts(&member, &coverage, std::slice::from_ref(&coverage), today),
            gold_cards: Vec::new(),
            coverage,
            member,
            in_force: true,
        };
        let published = Some("2026-09-01T00:00:00Z".parse().unwrap());
        let known = Known {
            insured,
            assertion: hook,
            published,
        };
        let house = House {
            published: &samples::published(),
            public_url: samples::PUBLIC,
            phone: "+1-555",
        };
        answer(&request, &known, house, samples::now()).unwrap()
    }

    fn order(resource: &Value) -> Value {
        json!({ "name": "order", "resource": resource })
    }

    fn packages(answer: &Value) -> Vec<&Value> {
        let all = answer["parameter"].as_array().unwrap();
        all.iter()
            .filter(|p| p["name"] == "packagebundle")
            .map(|p| &p["resource"])
            .collect()
    }

    /// Severity and text of each issue.
    fn issues(answer: &Value) -> Vec<(String, String)> {
        let all = answer["parameter"].as_array().unwrap();
        let word = |v: &Value| v.as_str().unwrap().to_owned();
        all.iter()
            .filter(|p| p["name"] == "outcome")
            .flat_map(|p| p["resource"]["issue"].as_array().unwrap())
            .map(|i| (word(&i["severity"]), word(&i["details"]["text"])))
            .collect()
    }

    fn coded(id: &str, code: &str) -> Value {
        let mut order = samples::order();
        order["id"] = json!(id);
        order["code"]["coding"][0]["code"] = json!(code);
        order
    }

    #[test]
    fn an_order_alone_gets_the_form_of_its_policy_with_a_draft() {
        let answer = ask(vec![order(&samples::order())], None);
        assert_eq!(
            answer["parameter"].as_array().unwrap().len(),
            1,
            "no outcome where all is well"
        );
        let bundle = packages(&answer)[0];
        assert_eq!(bundle["type"], "collection");
        let entries = bundle["entry"].as_array().unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[0]["fullUrl"],
            "https://plan.example/dtr/2.2/Questionnaire/home-oxygen"
        );
        assert_eq!(entries[0]["resource"]["resourceType"], "Questionnaire");
        let draft = &entries[1]["resource"];
        assert!(entries[1]["fullUrl"].as_str().unwrap().starts_with("urn:uuid:"));
        assert_eq!(
            draft["questionnaire"],
            "https://plan.example/dtr/2.2/Questionnaire/home-oxygen|1.0.0"
        );
        assert_eq!(draft["subject"]["reference"], "Patient/p1");
        assert_eq!(draft["status"], "in-progress");
        let extensions = draft["extension"].to_string();
        for part in ["Coverage/cov1", "ServiceRequest/o1", "withpa"] {
            assert!(extensions.contains(part), "{part}");
        }
    }

    #[test]
    fn a_context_alone_leads_to_the_hooks_order_and_fills_from_its_chart() {
        let answer = ask(vec![], Some(samples::assertion(&samples::order())));
        let draft = &packages(&answer)[0]["entry"][1]["resource"];
        assert!(draft["extension"].to_string().contains("ServiceRequest/o1"));
        let items = draft["item"].to_string();
        assert!(items.contains("oxygen.spo2") && items.contains("\"value\":87"));
        assert!(items.contains("oxygen.months"));
        let answers = items.matches("\"answer\"").count();
        assert_eq!(items.matches("\"valueCode\":\"auto-server\"").count(), answers);
    }

    #[test]
    fn another_status_and_a_note_are_still_the_same_order() {
        let mut changed = samples::order();
        changed["status"] = json!("active");
        changed["note"] = json!([{ "text": "bring it upstairs" }]);
        let answer = ask(vec![order(&changed)], Some(samples::assertion(&samples::order())));
        assert_eq!(packages(&answer).len(), 1);
        assert!(issues(&answer).is_empty());
        assert!(
            packages(&answer)[0]["entry"][1]["resource"]["item"]
                .to_string()
                .contains("oxygen.spo2")
        );
    }

    #[test]
    fn a_changed_code_is_looked_at_anew() {
        let answer = ask(
            vec![order(&coded("o1", "E0652"))],
            Some(samples::assertion(&samples::order())),
        );
        assert_eq!(
            packages(&answer)[0]["entry"][0]["resource"]["id"],
            "pneumatic-compression",
            "the form of the new code"
        );
        assert!(issues(&answer)[0].1.contains("looked at anew"));
    }

    #[test]
    fn papers_that_are_no_longer_needed_are_said_to_be_so() {
        let free = coded("o1", "B4184");
        let answer = ask(vec![], Some(samples::assertion(&free)));
        assert!(packages(&answer).is_empty());
        assert!(issues(&answer)[0].1.contains("no longer needed"));
    }

    #[test]
    fn an_order_without_form_says_how_else_to_send_papers_or_that_none_are_needed() {
        let orders = vec![order(&coded("a", "33510")), order(&coded("b", "B4184"))];
        let answer = ask(orders, None);
        let issues = issues(&answer);
        assert_eq!(issues[0].0, "warning");
        assert!(issues[0].1.contains("+1-555"));
        assert_eq!(
            issues[1],
            ("information".into(), "No form is needed for this order".into())
        );
    }

    #[test]
    fn an_order_without_a_code_is_a_warning_and_no_error() {
        let mut vague = samples::order();
        vague["code"] = json!({ "text": "oxygen" });
        let answer = ask(vec![order(&vague)], None);
        assert!(packages(&answer).is_empty());
        assert!(issues(&answer)[0].1.contains("no code"));
    }

    #[test]
    fn a_draft_order_without_an_id_is_not_pointed_at() {
        let mut draft = samples::order();
        draft.as_object_mut().unwrap().remove("id");
        let answer = ask(vec![order(&draft)], None);
        let response = &packages(&answer)[0]["entry"][1]["resource"];
        assert!(!response["extension"].to_string().contains("qr-context"));
        assert!(issues(&answer)[0].1.contains("no id"));
    }

    #[test]
    fn canonicals_limit_the_answer_and_an_unknown_one_is_a_warning() {
        let base = "https://plan.example/dtr/2.2/Questionnaire";
        let named =
            |name: &str| json!({ "name": "questionnaire", "valueCanonical": format!("{base}/{name}") });
        let asked = vec![
            order(&samples::order()),
            named("support-surfaces"),
            named("wheelchair"),
            named("home-oxygen|9.0.0"),
        ];
        let answer = ask(asked, None);
        let found = packages(&answer);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["entry"][0]["resource"]["id"], "support-surfaces");
        let issues = issues(&answer);
        assert_eq!(issues.len(), 2);
        assert!(issues.iter().all(|(severity, _)| severity == "warning"));
        assert!(issues[0].1.contains("/wheelchair") && issues[1].1.contains("|9.0.0"));
    }

    #[test]
    fn nothing_new_is_said_in_the_outcome() {
        let since = |at: &str| json!({ "name": "changedsince", "valueInstant": at });
        let answer = ask(
            vec![order(&samples::order()), since("2026-09-15T00:00:00Z")],
            None,
        );
        assert!(packages(&answer).is_empty());
        assert_eq!(
            issues(&answer),
            [("information".into(), "Nothing has changed since then".into())]
        );
        let answer = ask(
            vec![order(&samples::order()), since("2026-08-31T00:00:00Z")],
            None,
        );
        assert_eq!(packages(&answer).len(), 1);
    }

    #[test]
    fn a_request_specific_form_goes_out_once_for_each_order() {
        let answer = ask(
            vec![order(&coded("a", "E1390")), order(&coded("b", "E0424"))],
            None,
        );
        let found = packages(&answer);
        assert_eq!(found.len(), 2);
        assert!(
            found[0]["entry"][1]["resource"]["extension"]
                .to_string()
                .contains("ServiceRequest/a")
        );
        assert!(
            found[1]["entry"][1]["resource"]["extension"]
                .to_string()
                .contains("ServiceRequest/b")
        );
    }

    #[test]
    fn what_came_along_is_read_and_replaces_what_the_hook_saw() {
        let newer = json!({ "resourceType": "Observation", "id": "spo2", "status": "final",
            "effectiveDateTime": "2026-09-24",
            "code": { "coding": [{ "system": "http://loinc.org", "code": "59408-5" }] },
            "valueQuantity": { "value": 86, "code": "%" } });
        let answer = ask(
            vec![json!({ "name": "referenced", "resource": newer })],
            Some(samples::assertion(&samples::order())),
        );
        let items = packages(&answer)[0]["entry"][1]["resource"]["item"].to_string();
        assert!(items.contains("\"value\":86") && !items.contains("\"value\":87"));
    }
}
