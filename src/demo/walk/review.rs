//! The reviewer's step, in a browser without script: the queue, a case, a nurse's denial that is refused twice, a
//! physician's denial and approval.

use super::http::{Answer, Form, Jar, attribute, form_with};
use super::{Outcome, Walk, expect};
use chrono::{DateTime, Utc};

/// Step 5.
pub async fn decide(walk: &mut Walk) -> Outcome {
    let case = |name: &str| {
        walk.cases
            .get(name)
            .cloned()
            .ok_or(format!("there is no case {name}"))
    };
    let (standard, urgent, surgery) = (case("standard")?, case("urgent")?, case("surgery")?);

    let mut nurse = Jar::default();
    let queue = sign_in(walk, &mut nurse, "nora").await?;
    let places = [&urgent, &standard, &surgery].map(|id| queue.text.find(id.as_str()));
    let [Some(first), Some(second), Some(third)] = places else {
        return Err("a pended case is not in the queue".to_owned());
    };
    expect(first < second && second < third, || {
        "the queue is not in the order of due times".to_owned()
    })?;

    let page = walk
        .http
        .page(&mut nurse, &format!("/staff/cases/{standard}"))
        .await?;
    for wanted in ["91", "saturation", "rest-awake-room-air"] {
        expect(page.text.contains(wanted), || {
            format!("the case page does not show {wanted}")
        })?;
    }
    let standard_clock = clock(&page)?;
    expect(standard_clock == 7 * 24 * 3600, || {
        format!("standard: due {standard_clock} s after receipt")
    })?;
    let urgent_page = walk
        .http
        .page(&mut nurse, &format!("/staff/cases/{urgent}"))
        .await?;
    let urgent_clock = clock(&urgent_page)?;
    expect(urgent_clock == 72 * 3600, || {
        format!("stat: due {urgent_clock} s after receipt")
    })?;

    refused_to_a_nurse(walk, &mut nurse, &standard, &page).await?;

    let mut physician = Jar::default();
    sign_in(walk, &mut physician, "paul").await?;
    let text = format!(
        "Resting saturation of 91 percent on room air does not meet NCD 240.2 section B (run {}).",
        walk.run.tag
    );
    let page = walk
        .http
        .page(&mut physician, &format!("/staff/cases/{standard}"))
        .await?;
    let form = form_with(&page.text, "version")?;
    let denial = [
        ("line", "1"),
        ("decision", "deny"),
        ("reason", "0F"),
        ("criterion", "qualifying"),
        ("text", text.as_str()),
    ];
    decided(
        &walk.http.send(&mut physician, &form, &denial).await?,
        "the denial",
    )?;
    let page = walk
        .http
        .page(&mut physician, &format!("/staff/cases/{urgent}"))
        .await?;
    let form = form_with(&page.text, "version")?;
    let approval = [
        ("line", "1"),
        ("decision", "approve"),
        ("note", "Discussed with the treating physician"),
    ];
    decided(
        &walk.http.send(&mut physician, &form, &approval).await?,
        "the approval",
    )?;

    // What the first reviewer saw is stale now.
    let stale = walk
        .http
        .send(
            &mut physician,
            &form,
            &[
                ("line", "1"),
                ("decision", "deny"),
                ("reason", "0F"),
                ("text", text.as_str()),
            ],
        )
        .await?;
    expect(stale.status.as_u16() == 409, || {
        format!("a decision on a stale case was answered {}", stale.status)
    })?;
    walk.denial_text = text;
    Ok("stat case first; due 604800 s and 259200 s after receipt\na nurse's denial: 403 by page and by raw POST, nothing \
        written\nphysician: one denied with reason 0F, one approved; a stale decision: 409"
        .to_owned())
}

async fn sign_in(walk: &Walk, jar: &mut Jar, who: &str) -> Result<Answer, String> {
    let password = walk
        .sign_ins
        .get(who)
        .map(|s| s.password.clone())
        .ok_or(format!("no sign-in for {who}"))?;
    let page = walk.http.sign_in(jar, "/staff", who, &password).await?;
    expect(page.status.is_success(), || {
        format!("after sign-in came {}", page.status)
    })?;
    Ok(page)
}

/// Seconds from receipt to due time, as the case page states both.
fn clock(page: &Answer) -> Result<i64, String> {
    let instant = |marker: &str| -> Result<DateTime<Utc>, String> {
        let tag = page
            .text
            .split("<time")
            .skip(1)
            .filter_map(|rest| rest.split('>').next())
            .find(|tag| tag.contains(marker))
            .ok_or_else(|| format!("the page shows no {marker} time"))?;
        let text = attribute(tag, "datetime").ok_or("a time without datetime")?;
        DateTime::parse_from_rfc3339(&text)
            .map(|t| t.to_utc())
            .map_err(|e| format!("{text}: {e}"))
    };
    Ok((instant("data-due")? - instant("data-received")?).num_seconds())
}

/// Twice 403, and the case has no more events than before.
async fn refused_to_a_nurse(walk: &Walk, nurse: &mut Jar, case: &str, page: &Answer) -> Result<(), String> {
    let form = form_with(&page.text, "version")?;
    let version = field(&form, "version")?;
    expect(!page.text.contains("value=\"deny\""), || {
        "the nurse's page offers a denial".to_owned()
    })?;
    let denial = [
        ("line", "1"),
        ("decision", "deny"),
        ("reason", "0F"),
        ("text", "This does not meet the criteria at all."),
    ];
    let by_page = walk.http.send(nurse, &form, &denial).await?;
    expect(by_page.status.as_u16() == 403, || {
        format!("a nurse's denial was answered {}", by_page.status)
    })?;
    let raw = Form {
        action: format!("/staff/cases/{case}/decide"),
        fields: form.fields.clone(),
    };
    let by_post = walk.http.send(nurse, &raw, &denial).await?;
    expect(by_post.status.as_u16() == 403, || {
        format!("a nurse's raw POST was answered {}", by_post.status)
    })?;
    let after = walk.http.page(nurse, &format!("/staff/cases/{case}")).await?;
    let after = field(&form_with(&after.text, "version")?, "version")?;
    expect(after == version, || "a refused denial left an event".to_owned())
}

fn field(form: &Form, name: &str) -> Result<String, String> {
    let found = form
        .fields
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.clone());
    found.ok_or_else(|| format!("the form has no {name}"))
}

fn decided(answer: &Answer, what: &str) -> Result<(), String> {
    expect(
        answer.status.is_redirection() || answer.status.is_success(),
        || {
            let start: String = answer.text.chars().take(300).collect();
            format!("{what} was answered {}: {start}", answer.status)
        },
    )
}
