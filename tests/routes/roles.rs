//! Every staff route with every role: who is let in and who is refused.

use super::table::{Credential, ROUTES};
use crate::support::{Browser, both};
use assent::demo::walk::http::form_with_field;
use axum::http::header;
use uuid::Uuid;

/// A member of staff for each role.
const STAFF: [(&str, &str); 7] = [
    ("ivy", "intake"),
    ("nora", "nurse"),
    ("paul", "physician"),
    ("sam", "supervisor"),
    ("alma", "policy-author"),
    ("otto", "policy-approver"),
    ("uma", "auditor"),
];

const CASES: &[&str] = &["intake", "nurse", "physician", "supervisor"];
const POLICIES: &[&str] = &["supervisor", "policy-author", "policy-approver"];
const PUBLISH: &[&str] = &["policy-author", "policy-approver"];
const AUDIT: &[&str] = &["auditor"];
const ALL: &[&str] = &[
    "intake",
    "nurse",
    "physician",
    "supervisor",
    "policy-author",
    "policy-approver",
    "auditor",
];

/// The roles that each staff route lets in, by method and path of the table of routes.
const ALLOWED: [(&str, &str, &[&str]); 13] = [
    ("GET", "/staff", CASES),
    ("GET", "/staff/queue", CASES),
    ("GET", "/staff/queue/events", CASES),
    ("GET", "/staff/cases/{case}", CASES),
    ("POST", "/staff/cases/{case}/decide", CASES),
    ("GET", "/staff/access-log", AUDIT),
    ("POST", "/staff/access-log", AUDIT),
    ("GET", "/staff/policies", POLICIES),
    ("GET", "/staff/policies/changes", POLICIES),
    ("POST", "/staff/policies/propose", PUBLISH),
    ("POST", "/staff/policies/confirm", PUBLISH),
    ("POST", "/staff/policies/withdraw", PUBLISH),
    ("POST", "/staff/sign-out", ALL),
];

/// Where a role without access to cases lands after sign-in.
fn home(role: &str) -> &'static str {
    match role {
        "auditor" => "/staff/access-log",
        _ => "/staff/policies",
    }
}

async fn call(browser: &mut Browser<'_>, method: &str, path: &str) -> (u16, Option<String>) {
    let reply = if method == "GET" {
        browser.get(path).await
    } else {
        let mut form = form_with_field(&browser.page("/staff").await.text, "csrf").unwrap();
        form.action = path.to_owned();
        let proposal = Uuid::nil().to_string();
        browser.send(&form, &[("proposal", proposal.as_str())]).await
    };
    let location = reply
        .headers
        .get(header::LOCATION)
        .map(|l| l.to_str().unwrap().to_owned());
    (reply.status.as_u16(), location)
}

#[test]
fn every_staff_route_has_its_roles() {
    for row in ROUTES.iter().filter(|row| row.credential == Credential::Staff) {
        assert!(
            ALLOWED
                .iter()
                .any(|(method, path, _)| (*method, *path) == (row.method, row.path)),
            "{} {} has no roles in tests/routes/roles.rs",
            row.method,
            row.path
        );
    }
}

both! {
    async fn each_staff_route_lets_in_its_roles_only(app: &TestApp) {
        let case = crate::pages::pended(app, "normal").await;
        for (username, role) in STAFF {
            let mut browser = app.staff(username).await;
            for (method, path, allowed) in ALLOWED {
                let is_allowed = allowed.contains(&role);
                if is_allowed && path == "/staff/queue/events" {
                    // The stream stays open.
                    continue;
                }
                let path = path.replace("{case}", &case.to_string());
                let (status, location) = call(&mut browser, method, &path).await;
                if is_allowed {
                    assert!(status != 403 && status != 401 && status < 500, "{role}: {method} {path}: {status}");
                    assert_eq!(location, None, "{role}: {method} {path} redirects");
                } else if path == "/staff" {
                    assert_eq!((status, location.as_deref()), (303, Some(home(role))), "{role}");
                } else {
                    assert_eq!(status, 403, "{role}: {method} {path}");
                }
            }
        }
        app.leaves_work();
    }
}
