//! The hook `order-sign`: `POST /cds-services/order-sign-crd` (CRD sections "Hooks", "Response", "Errors"). Every
//! answer is stored before it is sent. If it cannot be stored, the response is 503; any other problem has a response of
//! its own.

use super::admission::{CallAdmission, check_patient, subject_before_reads};
use super::call_resources::CallResources;
use super::determination::{DeterminationContext, MemberResolution, OUT_OF_TIME};
use super::ehr::EhrClient;
use super::hook_response::ResponseBuilder;
use super::member::{MemberMatch, find_member};
use super::payer::{self, UnclearCoverage};
use super::prefetch::{AvailableResources, FetchedResources, fetch_missing};
use super::record::{self, call_record};
use super::request::{HookRequest, Order};
use super::service::{KnownService, json_response};
use crate::auth::{Client, Jti};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Evidence, LocatedResource};
use crate::plan::requester_of_order;
use crate::state::State;
use crate::store::assertions::Assertion;
use crate::wire::{HookCall, HookFailure, JsonBody};
use axum::extract;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// The share of a hook's time, in percent, that is available for determinations; the rest is for storing the answers.
const DETERMINATION_SHARE: u64 = 75;

/// Handles a call.
pub(super) async fn post(
    extract::State(state): extract::State<State>,
    _service: KnownService,
    caller: HookCall,
    body: JsonBody<1>,
) -> Result<Response, HookFailure> {
    let start = Instant::now();
    let hook_ms = state.config.limits.hook_ms;
    let determination_deadline = start + Duration::from_millis(hook_ms * DETERMINATION_SHARE / 100);
    let store_deadline = start + Duration::from_millis(hook_ms);
    let client = &caller.client;
    let request = HookRequest::read(&body.value, &body.text, &client.doc.versions)?;
    let policy_set = state.policy_set();
    let fetched = fetch_missing_resources(&state, &caller, &request).await;
    let available = AvailableResources::new(&body.value, &fetched, request.patient_id);
    let admitted = CallAdmission::admit(&available, &request, &policy_set.forms);
    check_patient(&request, &available, &admitted)?;
    let member = resolve_member(
        &state,
        client,
        &request,
        (&available, &admitted),
        determination_deadline,
    )
    .await?;
    let context = DeterminationContext {
        policy_set: &policy_set,
        available: &available,
        admitted: &admitted,
        evidence: &Evidence::new(available.resources.resources(), Some(&admitted.admission)),
        now: state.now(),
        deadline: determination_deadline,
    };
    let determinations = context.determine_all(&request.orders, &member);
    let shadow_verdicts = context.shadow_verdicts(&request.orders, &determinations);
    let builder = ResponseBuilder {
        state: &state,
        client,
        request: &request,
        available: &available,
        policy_set: &policy_set,
    };
    let (response, assertions) = builder.build(determinations)?;
    let text = serde_json::to_string(&response)
        .map_err(|e| Error::internal(format!("a hook response cannot be serialized: {e}")))?;
    let call = HandledCall {
        record: call_record(client.id, &body.text, &text, &assertions, shadow_verdicts)?,
        record_id: state.new_id(),
        assertions,
        jti: caller.jti,
        now: state.now(),
    };
    store(&state, call, store_deadline).await?;
    Ok(json_response(text))
}

/// Reads from the EHR what was not sent.
async fn fetch_missing_resources(
    state: &State,
    caller: &HookCall,
    request: &HookRequest<'_>,
) -> FetchedResources {
    let sent = CallResources::collect(request.body, std::iter::empty());
    let has_coverage = sent.of_type("Coverage").any(|located| {
        let problem = subject_before_reads(&sent, request, located);
        payer::usable_reference(located, problem).is_some()
    });
    let ehr = EhrClient::new(state, &caller.client, request.fhir_access);
    fetch_missing(request, &sent, has_coverage, ehr.as_ref()).await
}

/// Resolves the patient. A problem on the plan's side is a determination and not an error. A call is refused only if no
/// coverage identifies a payer and the patient is not a member of this plan.
async fn resolve_member<'a>(
    state: &State,
    client: &Client,
    request: &HookRequest<'a>,
    (available, admitted): (&AvailableResources<'a>, &CallAdmission),
    deadline: Instant,
) -> Result<MemberResolution<'a>> {
    let own = &state.config.payer.identifiers;
    let set_aside = |located: &LocatedResource<'_>| admitted.code(located);
    let strict = client.doc.payer_identifier_strict;
    let coverages = payer::coverages_of_this_plan(available, &set_aside, own, strict)?;
    let Some(first) = coverages.coverages.first() else {
        return Ok(without_coverage(coverages.unclear));
    };
    let failed = |reason| MemberResolution::Failed {
        coverage: first.reference.clone(),
        reason,
    };
    if let Some(reason) = admitted.patient_problem(available, request.patient_id) {
        return Ok(failed(reason));
    }
    let npis = client.acts_for(requester_npis(&request.orders, available));
    let resources: Vec<&Value> = coverages.coverages.iter().map(|sent| sent.resource).collect();
    let lookup = find_member(state, available.patient, &resources, npis);
    match timeout_at(deadline, lookup).await {
        Ok(Ok(MemberMatch::NoMatch(_))) if !coverages.confirmed && coverages.unclear.is_none() => {
            Err(payer::other_payer())
        }
        Ok(Ok(member)) => Ok(MemberResolution::Resolved { member, coverages }),
        Ok(Err(error)) => {
            tracing::error!(
                cause = error.log_detail().unwrap_or("-"),
                "a member could not be looked up"
            );
            Ok(failed("The plan's member records could not be read"))
        }
        Err(_) => Ok(failed(OUT_OF_TIME)),
    }
}

fn without_coverage<'a>(unclear: Option<UnclearCoverage>) -> MemberResolution<'a> {
    let (coverage, reason) = unclear.map_or((String::new(), "No coverage was available"), |u| {
        (u.reference, u.reason)
    });
    MemberResolution::Failed { coverage, reason }
}

/// The NPIs of all ordering providers, each once.
fn requester_npis<'a>(orders: &[Order<'a>], available: &AvailableResources<'a>) -> Vec<String> {
    let npis_of = |order: &Order<'a>| {
        let find = |reference: &str| available.resources.find(reference, order.resource);
        requester_of_order(order.resource, &find).npis
    };
    let mut npis: Vec<String> = orders.iter().flat_map(npis_of).collect();
    npis.sort_unstable();
    npis.dedup();
    npis
}

/// What one call stores.
struct HandledCall {
    jti: Jti,
    assertions: Vec<Assertion>,
    record_id: Uuid,
    record: String,
    now: DateTime<Utc>,
}

/// Stores a call in one unit of work: the token is used up, and all assertions and the call record are stored, or
/// nothing is.
async fn store(state: &State, call: HandledCall, deadline: Instant) -> Result<()> {
    let write = state.store.write(call, |tx, call| {
        Box::pin(async move {
            tx.spend_jti(&call.jti).await?;
            for assertion in &call.assertions {
                tx.add_assertion(assertion).await?;
            }
            tx.add_blob(call.record_id, record::KIND, &call.record, call.now)
                .await
        })
    });
    match timeout_at(deadline, write).await {
        Ok(Err(error)) if error.kind() != ErrorKind::Unauthorized => Err(Error::unavailable(error)),
        Ok(stored) => stored,
        Err(_) => Err(Error::unavailable(
            "the answers of a hook call were not stored in time",
        )),
    }
}
