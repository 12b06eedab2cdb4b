//! The hook `order-sign`: `POST /cds-services/order-sign-crd` (CRD sections "Hooks", "Response", "Errors"). Every
//! answer is stored before it is sent. If it cannot be stored, the response is 503; any other problem has a response of
//! its own.

use super::admission::{CallAdmission, check_patient, subject_before_reads};
use super::call_resources::CallResources;
use super::determination::{DeterminationContext, MemberResolution, OUT_OF_TIME};
use super::ehr::EhrClient;
use super::hook_response::ResponseBuilder;
use super::limits::check_resources;
use super::member::{MemberMatch, find_member};
use super::payer::{self, PlanCoverages, UnclearCoverage};
use super::prefetch::{AvailableResources, FetchedResources, fetch_missing};
use super::record::{CallParts, call_record};
use super::request::{HookRequest, Order};
use super::service::{KnownService, json_response};
use crate::auth::{Client, Jti, JtiReplay};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::LocatedResource;
use crate::plan::requester_of_order;
use crate::state::{PolicySet, State, WorkSize};
use crate::store::assertions::{Assertion, StoredHookCall};
use crate::wire::{HookCall, HookFailure, JsonBody};
use axum::extract;
use axum::response::Response;
use serde_json::Value;
use std::cell::OnceCell;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// The share of a hook's time, in percent, that is available for determinations; the rest is for storing the answers.
const DETERMINATION_SHARE: u64 = 75;

/// When parts of a call must be finished. The time begins when the headers of the call have arrived, so it includes the
/// check of the token.
#[derive(Clone, Copy)]
struct Deadlines {
    determination: Instant,
    store: Instant,
}

impl Deadlines {
    fn of(state: &State, received: Instant) -> Self {
        let hook_ms = state.config.limits.hook_ms;
        Self {
            determination: received + Duration::from_millis(hook_ms * DETERMINATION_SHARE / 100),
            store: received + Duration::from_millis(hook_ms),
        }
    }
}

/// Handles a call.
pub(super) async fn post(
    extract::State(state): extract::State<State>,
    _service: KnownService,
    caller: HookCall,
    body: JsonBody<1>,
) -> Result<Response, HookFailure> {
    let deadlines = Deadlines::of(&state, caller.received);
    let size = WorkSize::new(body.text.len(), 0);
    let read = || HookRequest::read(&body.value, &body.text, &caller.client.doc.versions);
    let request = in_time(deadlines, state.compute(size, read)).await?;
    request.check_number_of_orders(state.config.limits.orders)?;
    let policy_set = state.policy_set();
    let (sent, fetched) = fetch_missing_resources(&state, &caller, &request).await;
    let call = Call {
        state: &state,
        client: &caller.client,
        request: &request,
        policy_set: &policy_set,
        fetched: &fetched,
        deadlines,
    };
    let admit = || call.admit(sent);
    let admitted = in_time(deadlines, state.compute(size, admit)).await?;
    let member = call.resolve_member(&admitted).await?;
    let size = WorkSize::new(body.text.len(), request.orders.len());
    let answer = || call.answer(&admitted, &member, &body.text);
    let answered = in_time(deadlines, state.compute(size, answer)).await?;
    let text = answered.call.response.clone();
    store(&state, (answered, caller.jti), deadlines.store).await?;
    Ok(json_response(text))
}

/// The result of `work`, unless the time of the call ends while it waits.
async fn in_time<T>(deadlines: Deadlines, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::unavailable("a hook call waited too long for its computation");
    timeout_at(deadlines.store, work).await.map_err(late)?
}

/// Reads from the EHR what was not sent. Also returns the resources that were sent, if they had to be looked through.
async fn fetch_missing_resources<'a>(
    state: &State,
    caller: &HookCall,
    request: &HookRequest<'a>,
) -> (Option<CallResources<'a>>, FetchedResources) {
    let Some(ehr) = EhrClient::new(state, &caller.client, request.fhir_access) else {
        return (None, FetchedResources::default());
    };
    let sent = CallResources::collect(request.body, std::iter::empty());
    let has_coverage = sent.of_type("Coverage").any(|located| {
        let problem = subject_before_reads(&sent, request, located);
        payer::usable_reference(located, problem).is_some()
    });
    let fetched = fetch_missing(request, &sent, has_coverage, &ehr).await;
    (Some(sent), fetched)
}

/// A call that was read, with what was fetched for it.
struct Call<'a> {
    state: &'a State,
    client: &'a Client,
    request: &'a HookRequest<'a>,
    policy_set: &'a PolicySet,
    fetched: &'a FetchedResources,
    deadlines: Deadlines,
}

/// The resources of a call, and what of them may decide.
struct AdmittedCall<'a> {
    available: AvailableResources<'a>,
    admitted: CallAdmission,
    /// The coverages that may be coverages of this plan.
    coverages: PlanCoverages<'a>,
}

/// The answers to a call, to be stored before they are sent.
struct AnsweredCall {
    call: StoredHookCall,
    assertions: Vec<Assertion>,
}

impl<'a> Call<'a> {
    /// Says which resources may decide, and refuses a call that is not about the patient or not for this plan.
    fn admit(&self, sent: Option<CallResources<'a>>) -> Result<AdmittedCall<'a>> {
        let available = AvailableResources::with_sent(sent, self.request, self.fetched);
        check_resources(&available.resources, self.state.config.limits.entries)?;
        let admitted = CallAdmission::admit(&available, self.request, &self.policy_set.forms);
        check_patient(self.request, &available, &admitted)?;
        let own = &self.state.config.payer.identifiers;
        let set_aside = |located: &LocatedResource<'_>| admitted.code(located);
        let strict = self.client.doc.payer_identifier_strict;
        let coverages = payer::coverages_of_this_plan(&available, &set_aside, own, strict)?;
        Ok(AdmittedCall {
            available,
            admitted,
            coverages,
        })
    }

    /// Evaluates the orders and builds the response with everything that is stored.
    fn answer(
        &self,
        AdmittedCall {
            available, admitted, ..
        }: &AdmittedCall<'a>,
        member: &MemberResolution<'_>,
        text: &str,
    ) -> Result<AnsweredCall> {
        let context = DeterminationContext {
            policy_set: self.policy_set,
            available,
            admitted,
            evidence: &OnceCell::new(),
            now: self.state.now(),
            deadline: self.deadlines.determination,
        };
        let determinations = context.determine_all(&self.request.orders, member);
        let shadow_verdicts = context.shadow_verdicts(&self.request.orders, &determinations);
        let call = self.state.new_id();
        let builder = ResponseBuilder {
            state: self.state,
            client: self.client,
            request: self.request,
            available,
            policy_set: self.policy_set,
            call,
        };
        let (response, assertions) = builder.build(determinations)?;
        let response = serde_json::to_string(&response)
            .map_err(|e| Error::internal(format!("a hook response cannot be serialized: {e}")))?;
        let parts = CallParts {
            request: self.request,
            text,
            fetched: self.fetched,
            admitted,
            response,
            shadow_verdicts,
        };
        Ok(AnsweredCall {
            call: call_record(call, self.client.id, parts, self.state.now())?,
            assertions,
        })
    }

    /// Resolves the patient. A problem on the plan's side is a determination and not an error. A call is refused only if no
    /// coverage identifies a payer and the patient is not a member of this plan.
    async fn resolve_member<'m>(&self, call: &'m AdmittedCall<'a>) -> Result<MemberResolution<'m>> {
        let coverages = &call.coverages;
        let Some(first) = coverages.coverages.first() else {
            return Ok(without_coverage(coverages.unclear.as_ref()));
        };
        let failed = |reason| MemberResolution::Failed {
            coverage: first.reference.clone(),
            reason,
        };
        let patient_id = self.request.patient_id;
        if let Some(reason) = call.admitted.patient_problem(&call.available, patient_id) {
            return Ok(failed(reason));
        }
        let npis = requester_npis(&self.request.orders, &call.available);
        let npis = self.client.acts_for(npis);
        let resources: Vec<&Value> = coverages.coverages.iter().map(|sent| sent.resource).collect();
        let lookup = find_member(self.state, call.available.patient, &resources, npis);
        match timeout_at(self.deadlines.determination, lookup).await {
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
}

fn without_coverage<'a>(unclear: Option<&UnclearCoverage>) -> MemberResolution<'a> {
    let (coverage, reason) = unclear.map_or((String::new(), "No coverage was available"), |u| {
        (u.reference.clone(), u.reason)
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

/// Stores a call in one unit of work: the token is used up, and the call and all its assertions are stored, or nothing is.
/// The client must still be enabled then: it may have been disabled while the EHR was read.
async fn store(state: &State, (answered, jti): (AnsweredCall, Jti), deadline: Instant) -> Result<()> {
    let (client, token) = (answered.call.client, jti.clone());
    let input = (answered, jti);
    let write = async {
        if token.replay == JtiReplay::Strict {
            let unit = state.store.write_one(input, |tx, (answered, jti)| {
                Box::pin(async move { tx.add_hook_call(&answered.call, &answered.assertions, jti).await })
            });
            return unit.await;
        }
        let unit = state.store.write(input, |tx, (answered, jti)| {
            Box::pin(async move {
                tx.spend_jti(jti).await?;
                tx.require_enabled(answered.call.client).await?;
                tx.add_hook_call(&answered.call, &answered.assertions, jti).await
            })
        });
        unit.await
    };
    match timeout_at(deadline, write).await {
        Ok(Err(error)) => Err(refusal(state, (client, token), error).await),
        Ok(Ok(())) => Ok(()),
        Err(_) => Err(Error::unavailable(
            "the answers of a hook call were not stored in time",
        )),
    }
}

/// Why a call was not stored: its token was used before, its client is disabled, or something else that may pass.
async fn refusal(state: &State, token: (Uuid, Jti), error: Error) -> Error {
    if matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Unavailable) {
        return error;
    }
    let check = state.store.read(token, |tx, (client, jti)| {
        Box::pin(async move { tx.hook_refusal(*client, jti).await })
    });
    match check.await {
        Err(refused) if refused.kind() == ErrorKind::Unauthorized => refused,
        _ => Error::unavailable(error),
    }
}
