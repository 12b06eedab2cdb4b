//! `POST Claim/$submit`: read, find the member, ask the policies, open the case, commit, answer. The answer leaves
//! only after the commit is durable; when it cannot be made, the answer is 503 and nothing exists.

use super::party::{self, Party};
use super::request::Request;
use super::requester;
use super::response::{self, Answer, BusinessError};
use super::stored::{Basis, sequence};
use crate::auth::Client;
use crate::clock::{new_id, new_number};
use crate::deadlines::Due;
use crate::error::{Error, Kind, Result};
use crate::fhir::{self, coding, dates};
use crate::ig::pas::{Pas, V2_2};
use crate::prior_auth::{Event, ItemOpening, Opening, PriorAuth, Received};
use crate::rules::{CoverageAnswer, Decision, Pend, RuleSet, Source, Verdict, item_of_claim};
use crate::state::State;
use crate::wire::{BackendToken, FhirFailure, FhirJson, FhirResponse};
use axum::extract::State as Held;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The handler.
pub async fn post(
    Held(state): Held<State>,
    BackendToken(caller): BackendToken,
    body: FhirJson,
) -> Result<FhirResponse, FhirFailure> {
    caller.require("Claim", 'c')?;
    let now = state.now();
    let guide = &V2_2;
    let request = Request::read(guide, &body.value)?;
    let submission = Submission {
        key: replay_key(&request, &body.value),
        replaces: false,
    };
    let submission = match answered_before(&state, &caller.client, submission, now).await? {
        Before::Answered(text) => return Ok(FhirResponse::text(text)),
        Before::No(submission) => submission,
    };
    if request.claim.resource.get("related").is_some() {
        let refused = [update_refused()];
        let answer = response::refusal(
            guide,
            &state.config.public_url,
            &request,
            &refused,
            new_id(now),
            now,
        );
        return Ok(FhirResponse::ok(&answer));
    }
    let party = match party::find(&state, &caller.client, &request, now).await? {
        Ok(party) => party,
        Err(unknown) => {
            let answer = response::refusal(
                guide,
                &state.config.public_url,
                &request,
                &[unknown],
                new_id(now),
                now,
            );
            return Ok(FhirResponse::ok(&answer));
        }
    };
    let assertion = assertion(&state, &caller.client, &request, &party).await?;
    let events = open(&state, guide, &caller.client, &request, &party, assertion, now);
    let answer = store(
        &state,
        guide,
        &caller.client,
        &request,
        body.text.clone(),
        events,
        submission,
        now,
    )
    .await?;
    metrics::counter!("assent_pas_submissions_total").increment(1);
    Ok(FhirResponse::text(answer))
}

/// The key of a submission and whether an older one under the same key has run out.
#[derive(Debug, Clone)]
struct Submission {
    key: String,
    replaces: bool,
}

enum Before {
    Answered(String),
    No(Submission),
}

/// Sender's identifiers and the whole content: the same in both is the same request. Identifiers alone would not do,
/// senders share them between requests.
fn replay_key(request: &Request<'_>, body: &Value) -> String {
    let mut hash = Sha256::new();
    for part in [
        request.bundle_identifier.as_str(),
        &request.claim_identifier(),
        &body.to_string(),
    ] {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hash.finalize())
}

/// The answer that the same request got: byte for byte while nothing has happened, else as the case stands now.
async fn answered_before(
    state: &State,
    client: &Client,
    mut submission: Submission,
    now: DateTime<Utc>,
) -> Result<Before> {
    let key = (client.id, submission.key.clone());
    let found = state
        .store
        .read(key, |tx, (client, key)| {
            Box::pin(async move {
                let Some(before) = tx.submission(*client, key).await? else {
                    return Ok(None);
                };
                let case = tx.case(before.case_id).await?;
                let Some(case) = case else {
                    return Err(Error::internal("a submission has no case"));
                };
                let text = tx.request_text(case.received.request).await?;
                Ok(Some((before, case, text)))
            })
        })
        .await?;
    let Some((before, case, text)) = found else {
        return Ok(Before::No(submission));
    };
    if now - before.created > Duration::days(i64::from(state.config.submissions.replay_days)) {
        submission.replaces = true;
        return Ok(Before::No(submission));
    }
    // A line that was only sent up to a physician has told nobody anything yet.
    let decisions = case.items.iter().filter_map(|i| i.decision.as_ref());
    if !decisions.into_iter().any(|d| d.by.reviewer().is_some()) {
        return Ok(Before::Answered(before.response));
    }
    current_answer(state, &V2_2, &case, &text, "profile-claimresponse", now)
        .map(|a| Before::Answered(a.to_string()))
}

/// The answer for a case as it stands, from what is stored.
pub fn current_answer(
    state: &State,
    guide: &'static Pas,
    case: &PriorAuth,
    request_text: &str,
    profile: &str,
    now: DateTime<Utc>,
) -> Result<Value> {
    let body: Value = serde_json::from_str(request_text)
        .map_err(|e| Error::internal(format!("the request of case {} cannot be read: {e}", case.id)))?;
    let request = Request::read(guide, &body)
        .map_err(|e| Error::internal(format!("the request of case {} no longer holds: {e}", case.id)))?;
    let public_url = &state.config.public_url;
    Ok(response::bundle(&Answer {
        guide,
        public_url,
        case,
        request: &request,
        bundle_id: new_id(now),
        now,
        profile,
    }))
}

fn update_refused() -> BusinessError {
    BusinessError {
        code: "33",
        follow_up: "N",
        element: "2000E-UM02",
        path: "Bundle.entry[0].resource.related".to_owned(),
        text: "Updates of an earlier request are not taken here (spec-64). Send the change as a new request.",
    }
}

/// The assertion of the hook that this request goes back to: named in the coverage information of an order that came
/// along. One that is unknown, another client's or another member's stops the request.
async fn assertion(
    state: &State,
    client: &Client,
    request: &Request<'_>,
    party: &Party,
) -> Result<Option<String>> {
    const COVERAGE_INFORMATION: &str =
        "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
    let named = request.index.entries().find_map(|entry| {
        let information = fhir::extension(entry.resource, COVERAGE_INFORMATION)?;
        let id = fhir::extension(information, "coverage-assertion-id")?;
        Some((fhir::text(id, &["valueString"])?.to_owned(), entry.path()))
    });
    let Some((id, path)) = named else { return Ok(None) };
    let asked = (id.clone(), client.id);
    let found = state
        .store
        .read(asked, |tx, (id, client)| {
            Box::pin(async move { tx.assertion(id, *client).await })
        })
        .await?;
    if found.is_some_and(|a| a.member == Some(party.member.id)) {
        return Ok(Some(id));
    }
    Err(Error::invalid(
        format!("{path}.extension('{COVERAGE_INFORMATION}')"),
        "This coverage-assertion-id was not given to you for this member",
    ))
}

/// Asks the policies about each line and opens the case.
fn open(
    state: &State,
    guide: &Pas,
    client: &Client,
    request: &Request<'_>,
    party: &Party,
    assertion: Option<String>,
    now: DateTime<Utc>,
) -> (Uuid, Vec<Event>) {
    let published = state.published();
    let coverage = &party.coverage;
    let urgent = request.urgent();
    let due = published.clocks.due(&coverage.line, urgent, now, coverage.zone);
    let due = due.unwrap_or_else(|| {
        tracing::error!(line = %coverage.line, "no clock rule matches; the case counts as late from the start");
        Due { work: now, legal: now, rule: "none".to_owned(), source: String::new() }
    });
    let received = Received {
        client: client.id,
        member: party.member.id,
        coverage: coverage.id,
        line: coverage.line.clone(),
        zone: coverage.zone,
        channel: guide.channel.to_owned(),
        urgent,
        due,
        request: new_id(now),
        rules: published.hash.clone(),
        requester_npi: requester::npi(request),
        requester: requester::name(request),
        senders: requester::senders(request),
        assertion,
        facts: Some(party.facts.clone()),
    };
    let basis = Basis {
        request,
        received: &received,
        facts: &party.facts,
        at: now,
    };
    let items = request
        .items()
        .filter_map(|item| line(&published.rules, &basis, party, item))
        .collect();
    let id = new_id(now);
    (
        id,
        PriorAuth::open(Opening {
            id,
            at: now,
            received,
            items,
        }),
    )
}

fn line(rules: &RuleSet, basis: &Basis<'_>, party: &Party, item: &Value) -> Option<ItemOpening> {
    let sequence = sequence(item)?;
    let concept = item.get("productOrService").unwrap_or(&Value::Null);
    let code = coding::codings(concept).next();
    let judged = judged(rules, basis, party, item);
    Some(ItemOpening {
        sequence,
        system: code.as_ref().map(|c| c.system.to_string()).unwrap_or_default(),
        code: code.map(|c| c.code.to_owned()).unwrap_or_default(),
        quantity: item.get("quantity").cloned(),
        serviced: dates::choice(item, "serviced", party.coverage.zone).map(|d| d.first),
        reference_number: new_number("RF"),
        authorization_number: new_number("PA"),
        verdict: judged.verdict,
        gold_card: judged.gold_card,
        shadow: judged.shadow,
    })
}

/// What the policies said of a line, and what they were told beside the request.
struct Judged {
    verdict: Verdict,
    gold_card: Vec<String>,
    shadow: Vec<Verdict>,
}

/// The policies' verdict on one line.
fn judged(rules: &RuleSet, basis: &Basis<'_>, party: &Party, item: &Value) -> Judged {
    if !party.in_force {
        return Judged {
            verdict: lapsed(),
            gold_card: Vec::new(),
            shadow: Vec::new(),
        };
    }
    let item = item_of_claim(basis.request.claim.resource, item);
    let gold_card = party.exempt(&item, basis.at);
    let document = basis.document(rules, item, &gold_card);
    Judged {
        verdict: rules.evaluate(&document),
        gold_card,
        shadow: rules.shadows(&document),
    }
}

/// A coverage that is not in force on the day of receipt: no policy is asked, a person confirms it.
fn lapsed() -> Verdict {
    let text = "The coverage is not in force on the day of receipt";
    Verdict {
        source: Source::Coverage,
        coverage: CoverageAnswer::not_covered("no-active-coverage", text),
        decision: Decision::Pend(Pend {
            queue: "administrative".to_owned(),
            reason: text.to_owned(),
            ask: Vec::new(),
        }),
        criteria: std::collections::BTreeMap::new(),
        trace: Vec::new(),
        trace_hash: String::new(),
        error: None,
    }
}

/// One durable commit: the case, its events, its jobs, the answer for a repetition. Two equal requests at the same
/// moment make one case: the second finds the first's answer.
#[expect(
    clippy::too_many_arguments,
    reason = "the last step gathers what the steps before it made"
)]
async fn store(
    state: &State,
    guide: &'static Pas,
    client: &Client,
    request: &Request<'_>,
    text: String,
    (id, events): (Uuid, Vec<Event>),
    submission: Submission,
    now: DateTime<Utc>,
) -> Result<String> {
    let case = PriorAuth::replay(id, &events).ok_or_else(|| Error::internal("a case has no receipt"))?;
    let public_url = &state.config.public_url;
    let profile = "profile-claimresponse";
    let answer = response::bundle(&Answer {
        guide,
        public_url,
        case: &case,
        request,
        bundle_id: new_id(now),
        now,
        profile,
    });
    let answer = answer.to_string();
    let work = (case, events, text, answer.clone(), submission.clone(), client.id);
    let stored = state
        .store
        .write(work, |tx, (case, events, text, answer, submission, client)| {
            Box::pin(async move {
                tx.open_case(case, events, text).await?;
                tx.add_submission(*client, &submission.key, case, answer, submission.replaces)
                    .await?;
                for event in events.iter().filter(|e| e.body.kind() == "decided") {
                    let payload = json!({ "case": case.id, "seq": event.seq, "answered": true }).to_string();
                    let key = format!("case/{}/{}", case.id, event.seq);
                    tx.enqueue_job(new_id(event.at), "fan-out", &payload, &key, event.at)
                        .await?;
                }
                Ok(())
            })
        })
        .await;
    match stored {
        Ok(()) => Ok(answer),
        Err(e) if e.kind() == Kind::Conflict => {
            let submission = Submission {
                replaces: false,
                ..submission
            };
            match answered_before(state, client, submission, now).await? {
                Before::Answered(text) => Ok(text),
                Before::No(_) => Err(Error::unavailable(e)),
            }
        }
        Err(e) => Err(e),
    }
}
