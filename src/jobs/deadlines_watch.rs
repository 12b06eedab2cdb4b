//! The watch over due times. It reads and knocks; it never decides. Each rung of a case knocks once, whichever
//! process sweeps; after a pause only the highest rung that was missed knocks. Every sweep leaves a heartbeat.

use crate::clock::new_id;
use crate::deadlines::Band;
use crate::error::Result;
use crate::prior_auth::PriorAuth;
use crate::state::State;
use crate::store::Tx;
use crate::store::queues::Effect;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

/// Looks at every open case once.
pub(super) async fn sweep(state: &State) -> Result<()> {
    let now = state.now();
    let open = state
        .store
        .read((), |tx, ()| Box::pin(async move { tx.open_cases().await }))
        .await?;
    let published = state.published();
    let band = |case: &PriorAuth| published.clocks.band(&case.received.due, now);
    let late = open.iter().filter(|case| band(case) == Band::Late).count();
    metrics::gauge!("assent_cases_open").set(f64::from(u32::try_from(open.len()).unwrap_or(u32::MAX)));
    metrics::gauge!("assent_cases_late").set(f64::from(u32::try_from(late).unwrap_or(u32::MAX)));
    let wants_mail = !state.config.mail.alerts_to.is_empty();
    let due: Vec<(Uuid, &'static str)> = open
        .iter()
        .map(|case| (case.id, band(case)))
        .filter(|(_, band)| wants_mail && matches!(band, Band::Soon | Band::Now | Band::Late))
        .map(|(id, band)| (id, band.word()))
        .collect();
    let seen = i64::try_from(open.len()).unwrap_or(i64::MAX);
    state
        .store
        .write((due, seen, now), |tx, (due, seen, now)| {
            Box::pin(knock(tx, due, *seen, *now))
        })
        .await
}

async fn knock(tx: &mut Tx, due: &[(Uuid, &'static str)], seen: i64, now: DateTime<Utc>) -> Result<()> {
    let mut fired = 0;
    for (case, rung) in due {
        let effect = Effect {
            id: new_id(now),
            case: Some(*case),
            kind: "mail",
            to_ref: "staff",
            payload: &json!({ "whom": "staff", "id": "" }).to_string(),
            dedupe_key: &format!("case/{case}/due/{rung}"),
        };
        fired += i64::from(tx.enqueue_effect(&effect, now).await?);
    }
    tx.beat("deadlines", now, seen, fired).await
}
