//! Every route with no credential, with a wrong credential, and with a request for another person's data. The routes
//! are read from the sources, so that none can be left out.

mod http;
mod roles;
mod table;

use crate::architecture::root;
use crate::support::{Browser, Ehr, Reply, TestApp, both};
use assent::auth::fingerprint;
use assent::demo::seed::{APP, WALK_MEMBER};
use assent::demo::walk::http::form_with_field;
use assent::demo::walk::messages::{Messages, extension};
use assent::store::oauth::{Grant, Token, TokenKind};
use axum::body::Body;
use axum::http::{Request, header};
use chrono::Duration;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use table::{Credential, ROUTES, Row};
use uuid::Uuid;

/// Every `.route(…)` call in `src/` as `module literal`, or `module NAME` where the path is a constant.
fn routes_in_sources() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path
                .strip_prefix(root().join("src"))
                .unwrap()
                .to_string_lossy()
                .into_owned();
            // The subscriber of the end-to-end check is not part of the server.
            if !relative.ends_with(".rs") || relative.starts_with("demo/") {
                continue;
            }
            let module = relative
                .split('/')
                .next()
                .unwrap()
                .trim_end_matches(".rs")
                .to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            routes.extend(
                text.split(".route(")
                    .skip(1)
                    .map(|call| format!("{module} {}", first_argument(call))),
            );
        }
    }
    routes
}

fn first_argument(call: &str) -> &str {
    let call = call.trim_start().trim_start_matches("&format!(").trim_start();
    match call.strip_prefix('"') {
        Some(literal) => literal.split('"').next().unwrap(),
        None => call.split(',').next().unwrap().trim(),
    }
}

#[test]
fn the_table_contains_exactly_the_routes_of_the_server() {
    assert_eq!(
        first_argument("\n    &format!(\"{BASE}/{}\", kind.name), get(x)"),
        "{BASE}/{}"
    );
    assert_eq!(first_argument("TOKEN, post(x)"), "TOKEN");
    let actual = routes_in_sources();
    let listed: BTreeSet<String> = ROUTES.iter().map(|row| row.source.to_owned()).collect();
    let missing: Vec<_> = actual.difference(&listed).collect();
    assert!(
        missing.is_empty(),
        "routes without a row in tests/routes/table.rs: {missing:?}"
    );
    let obsolete: Vec<_> = listed.difference(&actual).collect();
    assert!(obsolete.is_empty(), "rows without a route: {obsolete:?}");
}

/// The data that the table's paths refer to.
struct Fixture<'a> {
    app: &'a TestApp,
    ehr: Ehr<'a>,
    other: Ehr<'a>,
    subscription: String,
    case: String,
    patient: String,
    coverage: String,
    organization: String,
    assertion: String,
    grant: Uuid,
}

const ALL_SCOPES: &str = "patient/*.rs";

impl<'a> Fixture<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let ehr = app.ehr().await;
        let other = app.other_ehr().await;
        let response = ehr
            .hook("order-sign-crd", &app.messages().order_sign_hook())
            .await
            .json(200);
        let orders = response["systemActions"].as_array().unwrap();
        let order = orders
            .iter()
            .map(|a| &a["resource"])
            .find(|r| r["id"] == "oxygen")
            .unwrap();
        let url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
        let information = extension(order, url).unwrap();
        let assertion = extension(information, "coverage-assertion-id").unwrap()["valueString"]
            .as_str()
            .unwrap()
            .to_owned();
        ehr.submitted(&app.messages().referral_request()).await;
        let body = Messages::subscription("http://127.0.0.1:1/hook");
        let subscription = ehr.post("/pas/2.2/Subscription", &body).await.json(201);
        let (grant, token) = app_token(app, "ruth", ALL_SCOPES).await;
        let bundle = app
            .get("/fhir/pdex/ExplanationOfBenefit", Some(&token))
            .await
            .json(200);
        let eob = &bundle["entry"][0]["resource"];
        let id_of = |reference: &serde_json::Value| {
            let reference = reference.as_str().unwrap();
            reference.rsplit('/').next().unwrap().to_owned()
        };
        let organization = eob["provider"]["reference"].as_str().unwrap().to_owned();
        let organization = organization.split("/fhir/pdex/").last().unwrap().to_owned();
        Self {
            app,
            subscription: subscription["id"].as_str().unwrap().to_owned(),
            case: eob["id"].as_str().unwrap().to_owned(),
            patient: id_of(&eob["patient"]["reference"]),
            coverage: id_of(&eob["insurance"][0]["coverage"]["reference"]),
            organization,
            assertion,
            grant,
            ehr,
            other,
        }
    }

    fn path(&self, row: &Row) -> String {
        let placeholders = [
            ("{subscription}", self.subscription.clone()),
            ("{case}", self.case.clone()),
            ("{patient}", self.patient.clone()),
            ("{coverage}", self.coverage.clone()),
            ("{organization}", self.organization.clone()),
            ("{grant}", self.grant.to_string()),
        ];
        placeholders
            .iter()
            .fold(row.path.to_owned(), |path, (name, value)| {
                path.replace(name, value)
            })
    }

    /// A valid message of the client that owns the data.
    fn body(&self, row: &Row) -> String {
        let run = self.app.messages();
        match row.path.rsplit('/').next().unwrap() {
            _ if row.method == "GET" || row.method == "DELETE" => String::new(),
            _ if is_form(row) => String::new(),
            "$inquire" => run.inquiry("A-NUMBER").to_string(),
            "$submit" => run.referral_request().to_string(),
            "$questionnaire-package" => Messages::questionnaire_package_input(&self.assertion).to_string(),
            "Subscription" | "{subscription}" => {
                Messages::subscription("http://127.0.0.1:1/hook").to_string()
            }
            "order-sign-crd" => run.order_sign_hook().to_string(),
            _ => json!({ "resourceType": "Parameters" }).to_string(),
        }
    }

    async fn call(&self, row: &Row, token: Option<&str>) -> Reply {
        let media = if is_form(row) {
            "application/x-www-form-urlencoded"
        } else {
            "application/fhir+json"
        };
        let media = if row.credential == Credential::Hook {
            "application/json"
        } else {
            media
        };
        let mut request = Request::builder().method(row.method).uri(self.path(row));
        if row.method != "GET" {
            request = request.header(header::CONTENT_TYPE, media);
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.app
            .call(request.body(Body::from(self.body(row))).unwrap())
            .await
    }
}

fn is_form(row: &Row) -> bool {
    let path = row.path;
    ["/oauth/", "/staff", "/me"]
        .iter()
        .any(|start| path.starts_with(start))
        || path.contains("/_search")
}

/// An access token of the demo app for a member, stored directly without the consent pages.
pub async fn app_token(app: &TestApp, username: &str, scope: &str) -> (Uuid, String) {
    let secret = assent::clock::new_secret();
    let now = app.clock.now();
    let input = (
        username.to_owned(),
        scope.to_owned(),
        fingerprint(&secret),
        app.state.url("/fhir/pdex"),
        now,
    );
    let id = app.state.new_id();
    let unit = app
        .state
        .store
        .write((input, id), |tx, ((username, scope, hash, aud, now), id)| {
            Box::pin(async move {
                let login = tx.login_by_username(username).await?.unwrap();
                let client = tx.client_by_client_id(APP).await?.unwrap();
                let grant = Grant {
                    id: *id,
                    client: client.id,
                    login: login.id,
                    member: login.member,
                    scope: scope.clone(),
                    sensitive: true,
                    created: *now,
                    last_used: None,
                    ended: None,
                };
                tx.add_grant(&grant).await?;
                let token = Token {
                    hash: hash.clone(),
                    kind: TokenKind::Access,
                    client: client.id,
                    grant: Some(*id),
                    scope: scope.clone(),
                    aud: aud.clone(),
                    created: *now,
                    expires: *now + Duration::hours(1),
                    ended: None,
                };
                tx.add_token(&token).await
            })
        });
    unit.await.unwrap();
    (id, secret)
}

/// The scopes of a partner system without those on one resource type.
fn scopes_without(resource_type: &str) -> String {
    let all = [
        "system/Claim.cruds",
        "system/Subscription.cruds",
        "system/Questionnaire.rs",
    ];
    let others: Vec<&str> = all
        .into_iter()
        .filter(|scope| !scope.contains(resource_type))
        .collect();
    others.join(" ")
}

#[track_caller]
fn expect(row: &Row, credential: &str, reply: &Reply, expected: u16) {
    let (status, text) = (
        reply.status.as_u16(),
        reply.text.chars().take(300).collect::<String>(),
    );
    assert_eq!(
        status, expected,
        "{} {} with {credential}: {text}",
        row.method, row.path
    );
    if status == 401 && !matches!(row.credential, Credential::Staff | Credential::Member) {
        assert!(
            reply.headers.contains_key(header::WWW_AUTHENTICATE),
            "{} {}: 401 without a challenge",
            row.method,
            row.path
        );
    }
    if status == 303 {
        let next = reply.headers[header::LOCATION].to_str().unwrap();
        let sign_in = if row.credential == Credential::Staff {
            "/staff/sign-in"
        } else {
            "/me/sign-in"
        };
        assert!(
            next.starts_with(sign_in),
            "{} {} redirects to {next}",
            row.method,
            row.path
        );
    }
}

both! {
    async fn no_route_gives_access_without_a_credential(app: &TestApp) {
        let fixture = Fixture::new(app).await;
        app.leaves_work();
        for row in ROUTES {
            expect(row, "no credential", &fixture.call(row, None).await, row.none);
            if row.credential != Credential::Open && row.none == 401 {
                expect(row, "an unknown token", &fixture.call(row, Some("no-such-token")).await, 401);
            }
        }
    }

    async fn no_route_gives_access_with_a_wrong_credential(app: &TestApp) {
        let fixture = Fixture::new(app).await;
        app.leaves_work();
        let app_token_all = app_token(app, "ruth", ALL_SCOPES).await.1;
        let mut nurse = app.staff("nora").await;
        let mut member = Browser::new(app);
        member.sign_in("/me", "ruth").await;
        let before = app.row_counts().await;
        for row in ROUTES {
            match row.credential {
                Credential::Open => {}
                Credential::Backend(resource_type) => {
                    let narrow = fixture.ehr.token_for(assent::demo::seed::EHR, &scopes_without(resource_type)).await;
                    expect(row, "a token without the scope", &fixture.call(row, Some(&narrow)).await, row.wrong);
                    expect(row, "an app's token", &fixture.call(row, Some(&app_token_all)).await, 401);
                }
                Credential::App(resource_type) => {
                    let other = if resource_type == "Patient" { "Coverage" } else { "Patient" };
                    let narrow = app_token(app, "ruth", &format!("patient/{other}.rs")).await.1;
                    expect(row, "a token without the scope", &fixture.call(row, Some(&narrow)).await, row.wrong);
                    expect(row, "a partner's token", &fixture.call(row, Some(&fixture.ehr.token)).await, 401);
                }
                Credential::Hook => {
                    expect(row, "an access token", &fixture.call(row, Some(&fixture.ehr.token)).await, row.wrong);
                    let elsewhere = fixture.ehr.jwt("https://ehr.demo.example", "https://other.example/cds-services");
                    expect(row, "a JWT for another audience", &fixture.call(row, Some(&elsewhere)).await, row.wrong);
                    let other = fixture.other.jwt("https://ehr.demo.example", &app.state.url(row.path));
                    expect(row, "a JWT signed by another client", &fixture.call(row, Some(&other)).await, row.wrong);
                }
                Credential::Staff => {
                    let reply = call_with_session(&fixture, &mut member, row).await;
                    expect(row, "a member's session", &reply, row.wrong);
                }
                Credential::Member => {
                    let reply = call_with_session(&fixture, &mut nurse, row).await;
                    expect(row, "a staff session", &reply, row.wrong);
                }
            }
        }
        let without_tokens = |counts: Vec<(String, i64)>| -> Vec<(String, i64)> {
            let is_token = |table: &str| matches!(table, "token" | "\"grant\"" | "seen_jti");
            counts.into_iter().filter(|(table, _)| !is_token(table)).collect()
        };
        assert_eq!(without_tokens(before), without_tokens(app.row_counts().await), "a rejected request stored rows");
    }

    async fn no_route_shows_the_data_of_others(app: &TestApp) {
        let fixture = Fixture::new(app).await;
        app.leaves_work();
        let ruth = app_token(app, "ruth", ALL_SCOPES).await.1;
        let joe = app_token(app, "joe", ALL_SCOPES).await.1;
        let mut nurse = app.staff("nora").await;
        let mut other = Browser::new(app);
        other.sign_in("/me", "joe").await;
        let mut own = Browser::new(app);
        own.sign_in("/me", "ruth").await;
        for row in ROUTES {
            let (other_reply, own_reply) = match row.credential {
                Credential::Open | Credential::Hook => continue,
                Credential::Backend(_) => (
                    fixture.call(row, Some(&fixture.other.token)),
                    fixture.call(row, Some(&fixture.ehr.token)),
                ),
                Credential::App(_) => (fixture.call(row, Some(&joe)), fixture.call(row, Some(&ruth))),
                Credential::Staff => {
                    if row.own != 0 {
                        expect(row, "a staff session", &call_with_session(&fixture, &mut nurse, row).await, row.own);
                    }
                    continue;
                }
                Credential::Member => {
                    if row.other != 0 {
                        let reply = call_with_session(&fixture, &mut other, row).await;
                        expect(row, "another member's session", &reply, row.other);
                        assert_hidden(&fixture, row, &reply);
                    }
                    if row.own != 0 {
                        expect(row, "the member's session", &call_with_session(&fixture, &mut own, row).await, row.own);
                    }
                    continue;
                }
            };
            if row.other != 0 {
                let reply = other_reply.await;
                expect(row, "another client's token", &reply, row.other);
                assert_hidden(&fixture, row, &reply);
            }
            if row.own != 0 {
                let reply = own_reply.await;
                expect(row, "the owner's token", &reply, row.own);
                assert!(
                    row.other == 0 || shows_own_data(&fixture, row, &reply),
                    "{}: the owner does not see the data: {}",
                    row.path,
                    reply.text
                );
            }
        }
        let grant = fixture.grant;
        assert_eq!(
            app.number("SELECT COUNT(*) FROM \"grant\" WHERE ended IS NOT NULL").await, 0,
            "another member ended the grant {grant}"
        );
        assert_eq!(app.number("SELECT COUNT(*) FROM subscription WHERE status = 'off'").await, 0);
    }

    async fn only_its_own_client_can_introspect_and_revoke_a_token(app: &TestApp) {
        let (ehr, other) = (app.ehr().await, app.other_ehr().await);
        let call = async |path: &str, client: &Ehr<'_>, name: &str| {
            let assertion = client.jwt(name, &app.state.url("/oauth/token"));
            let form = [
                ("token", ehr.token.as_str()),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", assertion.as_str()),
            ];
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            app.post(path, None, "application/x-www-form-urlencoded", body).await
        };
        let clinic = assent::demo::seed::OTHER_EHR;
        let reply = call("/oauth/introspect", &other, clinic).await.json(200);
        assert_eq!(reply, json!({ "active": false }), "another client can introspect the token");
        call("/oauth/revoke", &other, clinic).await.json(200);
        let reply = call("/oauth/introspect", &ehr, assent::demo::seed::EHR).await.json(200);
        assert_eq!(reply["active"], true, "another client can revoke the token");
        call("/oauth/revoke", &ehr, assent::demo::seed::EHR).await.json(200);
        assert_eq!(app.get("/pas/2.2/Subscription", Some(&ehr.token)).await.status, 401);
    }
}

/// Whether a response contains ids that only the owner may see.
fn shows_own_data(fixture: &Fixture<'_>, row: &Row, reply: &Reply) -> bool {
    let mut ids = vec![
        &fixture.case,
        &fixture.patient,
        &fixture.coverage,
        &fixture.subscription,
    ];
    if row.path.contains("{organization}") {
        return reply.text.contains("Organization");
    }
    ids.retain(|id| reply.text.contains(id.as_str()));
    !ids.is_empty()
}

#[track_caller]
fn assert_hidden(fixture: &Fixture<'_>, row: &Row, reply: &Reply) {
    let path = fixture.path(row);
    // The self link repeats the requested path.
    let text = reply
        .text
        .replace(&path, "")
        .replace(path.rsplit('?').next().unwrap(), "");
    for id in [
        &fixture.case,
        &fixture.patient,
        &fixture.coverage,
        &fixture.subscription,
        &WALK_MEMBER.to_owned(),
    ] {
        // An error such as "Subscription x not found" repeats the requested id.
        if reply.status != 200 && path.contains(id.as_str()) {
            continue;
        }
        assert!(
            !text.contains(id.as_str()),
            "{} {} shows {id} to another caller: {text}",
            row.method,
            row.path
        );
    }
}

/// A request by a browser with its session. A form contains the CSRF token of the session.
async fn call_with_session(fixture: &Fixture<'_>, browser: &mut Browser<'_>, row: &Row) -> Reply {
    let path = fixture.path(row);
    if row.method == "GET" {
        return browser.get(&path).await;
    }
    let mut form = None;
    for home in ["/me", "/staff"] {
        let page = browser.get(home).await;
        if page.status == 200 {
            form = form_with_field(&page.text, "csrf").ok();
            break;
        }
    }
    let mut form = form.expect("one of the home pages has a form");
    form.action = path;
    browser.send(&form, &[]).await
}
