//! Step 5, the reviewers in a browser without scripts: the queue, the decision clocks on case pages, a nurse's denial
//! that is refused twice, and a physician's denial and approval.

use super::http::{CookieJar, Form, Reply, attribute, form_with_field};
use super::{Check, Outcome, require};
use chrono::{DateTime, Utc};

/// Seconds from receipt to the due time of a standard request: 7 days.
const STANDARD_SECONDS: i64 = 7 * 24 * 3600;
/// Seconds from receipt to the due time of an urgent request: 72 hours.
const URGENT_SECONDS: i64 = 72 * 3600;

/// Step 5.
pub async fn decide(check: &mut Check) -> Outcome {
    let case = |name: &str| {
        check
            .cases
            .get(name)
            .cloned()
            .ok_or_else(|| format!("request {name} was not submitted in an earlier step"))
    };
    let (standard, urgent, surgery) = (case("standard")?, case("urgent")?, case("surgery")?);

    let mut nurse = CookieJar::default();
    let queue = sign_in(check, &mut nurse, "nora").await?;
    verify_queue_order(&queue, [&urgent, &standard, &surgery])?;
    let standard_page = case_page(check, &mut nurse, &standard).await?;
    verify_case_pages(&standard_page, &case_page(check, &mut nurse, &urgent).await?)?;
    refuse_denial_by_nurse(check, &mut nurse, &standard, &standard_page).await?;

    let mut physician = CookieJar::default();
    sign_in(check, &mut physician, "paul").await?;
    let denial_text = format!(
        "Your oxygen level at rest was 91 percent. The rule asks for 88 percent or less (run {}).",
        check.messages.tag
    );
    decide_as_physician(check, &mut physician, &standard, &urgent, &denial_text).await?;
    check.denial_text = denial_text;
    Ok(format!(
        "the urgent case is first in the queue; due times are {STANDARD_SECONDS} s and {URGENT_SECONDS} s after receipt\n\
         a nurse's denial got HTTP 403 from the page and from a direct POST, and changed nothing\n\
         a physician confirmed the denial of one case with reason 0F and approved one; a decision on an outdated page got HTTP 409"
    ))
}

async fn sign_in(check: &Check, jar: &mut CookieJar, username: &str) -> Result<Reply, String> {
    let password = check
        .sign_ins
        .get(username)
        .map(|s| s.password.clone())
        .ok_or_else(|| format!("the data folder has no sign-in for {username}"))?;
    let page = check.http.sign_in(jar, "/staff", username, &password).await?;
    require(page.status.is_success(), || {
        format!("after sign-in the page returned HTTP {}", page.status)
    })?;
    Ok(page)
}

async fn case_page(check: &Check, jar: &mut CookieJar, case: &str) -> Result<Reply, String> {
    check.http.page(jar, &format!("/staff/cases/{case}")).await
}

/// The cases are in the queue in this order, which is the order of their due times.
fn verify_queue_order(queue: &Reply, cases: [&str; 3]) -> Result<(), String> {
    let positions = cases.map(|id| queue.text.find(id));
    let [Some(first), Some(second), Some(third)] = positions else {
        return Err("a pended case is not in the queue".to_owned());
    };
    require(first < second && second < third, || {
        "the queue is not sorted by due time".to_owned()
    })
}

/// The standard case shows the test result and its condition; both cases have the right decision clock.
fn verify_case_pages(standard: &Reply, urgent: &Reply) -> Result<(), String> {
    for text in ["91", "saturation", "At rest, awake, breathing room air"] {
        require(standard.text.contains(text), || {
            format!("the case page does not show {text}")
        })?;
    }
    let clock = seconds_to_due(standard)?;
    require(clock == STANDARD_SECONDS, || {
        format!("the standard case is due {clock} s after receipt, not {STANDARD_SECONDS} s")
    })?;
    let clock = seconds_to_due(urgent)?;
    require(clock == URGENT_SECONDS, || {
        format!("the urgent case is due {clock} s after receipt, not {URGENT_SECONDS} s")
    })
}

/// Seconds from receipt to due time, from the two `time` elements of a case page.
fn seconds_to_due(page: &Reply) -> Result<i64, String> {
    let time = |marker: &str| -> Result<DateTime<Utc>, String> {
        let tag = page
            .text
            .split("<time")
            .skip(1)
            .filter_map(|rest| rest.split('>').next())
            .find(|tag| tag.contains(marker))
            .ok_or_else(|| format!("the case page has no time element with {marker}"))?;
        let text = attribute(tag, "datetime").ok_or("a time element has no datetime")?;
        DateTime::parse_from_rfc3339(&text)
            .map(|t| t.to_utc())
            .map_err(|e| format!("{text}: {e}"))
    };
    Ok((time("data-due")? - time("data-received")?).num_seconds())
}

/// A nurse's denial gets HTTP 403 from the page's form and from a direct POST, and adds no event to the case.
async fn refuse_denial_by_nurse(
    check: &Check,
    nurse: &mut CookieJar,
    case: &str,
    page: &Reply,
) -> Result<(), String> {
    let form = form_with_field(&page.text, "version")?;
    let version = hidden_field(&form, "version")?;
    require(!page.text.contains("value=\"deny\""), || {
        "the nurse's page offers a denial".to_owned()
    })?;
    let denial = [
        ("item", "1"),
        ("decision", "deny"),
        ("reason", "0F"),
        ("text", "This does not meet the criteria at all."),
    ];
    let reply = check.http.submit(nurse, &form, &denial).await?;
    require(reply.status.as_u16() == 403, || {
        format!("a nurse's denial got HTTP {}, not 403", reply.status)
    })?;
    let direct = Form {
        action: format!("/staff/cases/{case}/decide"),
        fields: form.fields.clone(),
    };
    let reply = check.http.submit(nurse, &direct, &denial).await?;
    require(reply.status.as_u16() == 403, || {
        format!(
            "a nurse's denial by direct POST got HTTP {}, not 403",
            reply.status
        )
    })?;
    let page = case_page(check, nurse, case).await?;
    let version_after = hidden_field(&form_with_field(&page.text, "version")?, "version")?;
    require(version_after == version, || {
        "a refused denial added an event to the case".to_owned()
    })
}

/// A physician denies the standard case, after reading what will be sent, and approves the urgent one; a second decision
/// from the same, now outdated page gets HTTP 409.
async fn decide_as_physician(
    check: &Check,
    physician: &mut CookieJar,
    standard: &str,
    urgent: &str,
    denial_text: &str,
) -> Result<(), String> {
    let page = case_page(check, physician, standard).await?;
    let form = form_with_field(&page.text, "version")?;
    let denial = [
        ("item", "1"),
        ("decision", "deny"),
        ("reason", "0F"),
        ("criterion", "qualifying"),
        ("text", denial_text),
    ];
    let shown = check.http.submit(physician, &form, &denial).await?;
    require(
        shown.status.as_u16() == 200 && shown.text.contains(denial_text),
        || format!("the denial was not shown for confirmation: HTTP {}", shown.status),
    )?;
    let confirmation = form_with_field(&shown.text, "confirmation")?;
    let reply = check
        .http
        .submit(physician, &confirmation, &[("decision", "deny")])
        .await?;
    verify_recorded(&reply, "the denial")?;

    let page = case_page(check, physician, urgent).await?;
    let form = form_with_field(&page.text, "version")?;
    let approval = [
        ("item", "1"),
        ("decision", "approve"),
        ("note", "Discussed with the treating physician"),
    ];
    let reply = check.http.submit(physician, &form, &approval).await?;
    verify_recorded(&reply, "the approval")?;

    let second_decision = [
        ("item", "1"),
        ("decision", "deny"),
        ("reason", "0F"),
        ("text", denial_text),
    ];
    let reply = check.http.submit(physician, &form, &second_decision).await?;
    require(reply.status.as_u16() == 409, || {
        format!(
            "a decision on an outdated page got HTTP {}, not 409",
            reply.status
        )
    })
}

fn hidden_field(form: &Form, name: &str) -> Result<String, String> {
    let value = form
        .fields
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.clone());
    value.ok_or_else(|| format!("the form has no hidden field {name}"))
}

/// A recorded decision redirects to the case.
fn verify_recorded(reply: &Reply, decision: &str) -> Result<(), String> {
    require(reply.status.is_redirection(), || {
        let start: String = reply.text.chars().take(300).collect();
        format!("{decision} got HTTP {}: {start}", reply.status)
    })
}
