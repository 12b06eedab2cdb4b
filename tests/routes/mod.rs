//! Every route × {nothing brought, the wrong thing brought, another's data}. The routes are read from the sources, so
//! that a new one cannot be forgotten.

mod table;

use crate::architecture::root;
use crate::support::{Browser, Ehr, Reply, TestApp, both};
use assent::auth::fingerprint;
use assent::demo::seed::{APP, WALK_MEMBER};
use assent::demo::walk::http::form_with;
use assent::demo::walk::messages::{Run, part};
use assent::store::oauth::{Grant, Token, TokenKind};
use axum::body::Body;
use axum::http::{Request, header};
use chrono::Duration;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use table::{Gate, ROUTES, Row};
use uuid::Uuid;

/// Every `.route("…"` of the sources as `room literal`; a name instead of a literal stands for itself.
fn routes_of_the_sources() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![root().join("src")];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let below = path.strip_prefix(root().join("src")).unwrap().to_string_lossy().into_owned();
            // The walk's own subscriber is no door of the house.
            if !below.ends_with(".rs") || below.starts_with("demo/") {
                continue;
            }
            let room = below.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(text.split(".route(").skip(1).map(|call| format!("{room} {}", first_argument(call))));
        }
    }
    found
}

fn first_argument(call: &str) -> &str {
    let call = call.trim_start().trim_start_matches("&format!(").trim_start();
    match call.strip_prefix('"') {
        Some(literal) => literal.split('"').next().unwrap(),
        None => call.split(',').next().unwrap().trim(),
    }
}

#[test]
fn no_route_is_missing_from_the_table_and_none_is_made_up() {
    assert_eq!(first_argument("\n    &format!(\"{BASE}/{}\", kind.name), get(x)"), "{BASE}/{}");
    assert_eq!(first_argument("TOKEN, post(x)"), "TOKEN");
    let real = routes_of_the_sources();
    let told: BTreeSet<String> = ROUTES.iter().map(|row| row.source.to_owned()).collect();
    let missing: Vec<_> = real.difference(&told).collect();
    assert!(missing.is_empty(), "routes without a row in tests/routes/table.rs: {missing:?}");
    let gone: Vec<_> = told.difference(&real).collect();
    assert!(gone.is_empty(), "rows without a route: {gone:?}");
}

/// The world that the table's paths speak of.
struct World<'a> {
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

const EVERYTHING: &str = "patient/*.rs";

impl<'a> World<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let ehr = app.ehr().await;
        let other = app.other_ehr().await;
        let answer = ehr.hook("order-sign-crd", &app.run().hook()).await.json(200);
        let orders = answer["systemActions"].as_array().unwrap();
        let order = orders.iter().map(|a| &a["resource"]).find(|r| r["id"] == "oxygen").unwrap();
        let url = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information";
        let information = part(order, url).unwrap();
        let assertion = part(information, "coverage-assertion-id").unwrap()["valueString"].as_str().unwrap().to_owned();
        ehr.submitted(&app.run().referral()).await;
        let body = Run::subscription("http://127.0.0.1:1/hook");
        let subscription = ehr.post("/pas/2.2/Subscription", &body).await.json(201);
        let (grant, token) = app_token(app, "ruth", EVERYTHING).await;
        let found = app.get("/fhir/pdex/ExplanationOfBenefit", Some(&token)).await.json(200);
        let eob = &found["entry"][0]["resource"];
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
        let named = [
            ("{subscription}", self.subscription.clone()),
            ("{case}", self.case.clone()),
            ("{patient}", self.patient.clone()),
            ("{coverage}", self.coverage.clone()),
            ("{organization}", self.organization.clone()),
            ("{grant}", self.grant.to_string()),
        ];
        named.iter().fold(row.path.to_owned(), |path, (name, value)| path.replace(name, value))
    }

    /// A message that its owner could send.
    fn body(&self, row: &Row) -> String {
        let run = self.app.run();
        match row.path.rsplit('/').next().unwrap() {
            _ if row.method == "GET" || row.method == "DELETE" => String::new(),
            _ if is_form(row) => String::new(),
            "$inquire" => run.inquiry("A-NUMBER").to_string(),
            "$submit" => run.referral().to_string(),
            "$questionnaire-package" => Run::package_input(&self.assertion).to_string(),
            "Subscription" | "{subscription}" => Run::subscription("http://127.0.0.1:1/hook").to_string(),
            "order-sign-crd" => run.hook().to_string(),
            _ => json!({ "resourceType": "Parameters" }).to_string(),
        }
    }

    async fn call(&self, row: &Row, token: Option<&str>) -> Reply {
        let media = if is_form(row) { "application/x-www-form-urlencoded" } else { "application/fhir+json" };
        let media = if row.gate == Gate::Hook { "application/json" } else { media };
        let mut request = Request::builder().method(row.method).uri(self.path(row));
        if row.method != "GET" {
            request = request.header(header::CONTENT_TYPE, media);
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.app.call(request.body(Body::from(self.body(row))).unwrap()).await
    }
}

fn is_form(row: &Row) -> bool {
    let path = row.path;
    ["/oauth/", "/staff", "/me"].iter().any(|start| path.starts_with(start)) || path.contains("/_search")
}

/// A token of the demo's app for a member, without the pages in between.
async fn app_token(app: &TestApp, username: &str, scope: &str) -> (Uuid, String) {
    let secret = assent::clock::new_secret();
    let now = app.clock.now();
    let made = (username.to_owned(), scope.to_owned(), fingerprint(&secret), app.state.url("/fhir/pdex"), now);
    let id = app.state.new_id();
    let unit = app.state.store.write((made, id), |tx, ((username, scope, hash, aud, now), id)| {
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

/// A backend's scopes without those on one type.
fn without(kind: &str) -> String {
    let all = ["system/Claim.cruds", "system/Subscription.cruds", "system/Questionnaire.rs"];
    let left: Vec<&str> = all.into_iter().filter(|scope| !scope.contains(kind)).collect();
    left.join(" ")
}

#[track_caller]
fn expect(row: &Row, who: &str, reply: &Reply, expected: u16) {
    let (status, text) = (reply.status.as_u16(), reply.text.chars().take(300).collect::<String>());
    assert_eq!(status, expected, "{} {} with {who}: {text}", row.method, row.path);
    if status == 401 && !matches!(row.gate, Gate::Staff | Gate::Member) {
        assert!(reply.headers.contains_key(header::WWW_AUTHENTICATE), "{} {}: 401 without a challenge", row.method, row.path);
    }
    if status == 303 {
        let next = reply.headers[header::LOCATION].to_str().unwrap();
        let door = if row.gate == Gate::Staff { "/staff/sign-in" } else { "/me/sign-in" };
        assert!(next.starts_with(door), "{} {} leads to {next}", row.method, row.path);
    }
}

both! {
    async fn nothing_brought_opens_nothing(app: &TestApp) {
        let world = World::new(app).await;
        app.leaves_work();
        for row in ROUTES {
            expect(row, "nothing", &world.call(row, None).await, row.none);
            if row.gate != Gate::Open && row.none == 401 {
                expect(row, "a made-up token", &world.call(row, Some("no-such-token")).await, 401);
            }
        }
    }

    async fn the_wrong_thing_brought_opens_nothing(app: &TestApp) {
        let world = World::new(app).await;
        app.leaves_work();
        let everything = app_token(app, "ruth", EVERYTHING).await.1;
        let mut nurse = app.staff("nora").await;
        let mut member = Browser::new(app);
        member.sign_in("/me", "ruth").await;
        let before = app.row_counts().await;
        for row in ROUTES {
            match row.gate {
                Gate::Open => {}
                Gate::Backend(kind) => {
                    let short = world.ehr.token_for(assent::demo::seed::EHR, &without(kind)).await;
                    expect(row, "a token without the scope", &world.call(row, Some(&short)).await, row.wrong);
                    expect(row, "an app's token", &world.call(row, Some(&everything)).await, 401);
                }
                Gate::App(kind) => {
                    let other = if kind == "Patient" { "Coverage" } else { "Patient" };
                    let short = app_token(app, "ruth", &format!("patient/{other}.rs")).await.1;
                    expect(row, "a token without the scope", &world.call(row, Some(&short)).await, row.wrong);
                    expect(row, "a partner's token", &world.call(row, Some(&world.ehr.token)).await, 401);
                }
                Gate::Hook => {
                    expect(row, "an access token", &world.call(row, Some(&world.ehr.token)).await, row.wrong);
                    let elsewhere = world.ehr.jwt("https://ehr.demo.example", "https://other.example/cds-services");
                    expect(row, "a call for another address", &world.call(row, Some(&elsewhere)).await, row.wrong);
                    let other = world.other.jwt("https://ehr.demo.example", &app.state.url(row.path));
                    expect(row, "another's signature", &world.call(row, Some(&other)).await, row.wrong);
                }
                Gate::Staff => expect(row, "a member's session", &by(&world, &mut member, row).await, row.wrong),
                Gate::Member => expect(row, "a reviewer's session", &by(&world, &mut nurse, row).await, row.wrong),
            }
        }
        let kept = |counts: Vec<(String, i64)>| -> Vec<(String, i64)> {
            counts.into_iter().filter(|(table, _)| !matches!(table.as_str(), "token" | "\"grant\"" | "seen_jti")).collect()
        };
        assert_eq!(kept(before), kept(app.row_counts().await), "a refused call left something behind");
    }

    async fn anothers_things_are_not_there(app: &TestApp) {
        let world = World::new(app).await;
        app.leaves_work();
        let ruth = app_token(app, "ruth", EVERYTHING).await.1;
        let joe = app_token(app, "joe", EVERYTHING).await.1;
        let mut nurse = app.staff("nora").await;
        let mut other = Browser::new(app);
        other.sign_in("/me", "joe").await;
        let mut own = Browser::new(app);
        own.sign_in("/me", "ruth").await;
        for row in ROUTES {
            let (others, mine) = match row.gate {
                Gate::Open | Gate::Hook => continue,
                Gate::Backend(_) => (world.call(row, Some(&world.other.token)), world.call(row, Some(&world.ehr.token))),
                Gate::App(_) => (world.call(row, Some(&joe)), world.call(row, Some(&ruth))),
                Gate::Staff => {
                    if row.own != 0 {
                        expect(row, "a reviewer's session", &by(&world, &mut nurse, row).await, row.own);
                    }
                    continue;
                }
                Gate::Member => {
                    if row.others != 0 {
                        let reply = by(&world, &mut other, row).await;
                        expect(row, "another member's session", &reply, row.others);
                        hides(&world, row, &reply);
                    }
                    if row.own != 0 {
                        expect(row, "the member's session", &by(&world, &mut own, row).await, row.own);
                    }
                    continue;
                }
            };
            if row.others != 0 {
                let reply = others.await;
                expect(row, "another's token", &reply, row.others);
                hides(&world, row, &reply);
            }
            if row.own != 0 {
                let reply = mine.await;
                expect(row, "the owner's token", &reply, row.own);
                assert!(row.others == 0 || holds(&world, row, &reply), "{}: the owner sees nothing: {}", row.path, reply.text);
            }
        }
        let grant = world.grant;
        assert_eq!(
            app.number("SELECT COUNT(*) FROM \"grant\" WHERE ended IS NOT NULL").await, 0,
            "{grant} was ended by another member"
        );
        assert_eq!(app.number("SELECT COUNT(*) FROM subscription WHERE status = 'off'").await, 0);
    }

    async fn a_token_is_read_and_given_back_by_its_own_client_alone(app: &TestApp) {
        let (ehr, other) = (app.ehr().await, app.other_ehr().await);
        let ask = async |path: &str, who: &Ehr<'_>, name: &str| {
            let proof = who.jwt(name, &app.state.url("/oauth/token"));
            let form = [
                ("token", ehr.token.as_str()),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", proof.as_str()),
            ];
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            app.post(path, None, "application/x-www-form-urlencoded", body).await
        };
        let clinic = assent::demo::seed::OTHER_EHR;
        let told = ask("/oauth/introspect", &other, clinic).await.json(200);
        assert_eq!(told, json!({ "active": false }), "another client learns nothing");
        ask("/oauth/revoke", &other, clinic).await.json(200);
        let told = ask("/oauth/introspect", &ehr, assent::demo::seed::EHR).await.json(200);
        assert_eq!(told["active"], true, "another client ends nothing");
        ask("/oauth/revoke", &ehr, assent::demo::seed::EHR).await.json(200);
        assert_eq!(app.get("/pas/2.2/Subscription", Some(&ehr.token)).await.status, 401);
    }
}

/// The names that only the owner may see.
fn holds(world: &World<'_>, row: &Row, reply: &Reply) -> bool {
    let mut names = vec![&world.case, &world.patient, &world.coverage, &world.subscription];
    if row.path.contains("{organization}") {
        return reply.text.contains("Organization");
    }
    names.retain(|name| reply.text.contains(name.as_str()));
    !names.is_empty()
}

#[track_caller]
fn hides(world: &World<'_>, row: &Row, reply: &Reply) {
    let asked = world.path(row);
    // The link to itself repeats what was asked.
    let text = reply.text.replace(&asked, "").replace(asked.rsplit('?').next().unwrap(), "");
    for name in [&world.case, &world.patient, &world.coverage, &world.subscription, &WALK_MEMBER.to_owned()] {
        // "There is no Subscription x" repeats what was asked.
        if reply.status != 200 && asked.contains(name.as_str()) {
            continue;
        }
        assert!(!text.contains(name.as_str()), "{} {} tells another of {name}: {text}", row.method, row.path);
    }
}

/// A call by a browser with its session; a form carries the session's own token when the browser has one.
async fn by(world: &World<'_>, browser: &mut Browser<'_>, row: &Row) -> Reply {
    let path = world.path(row);
    if row.method == "GET" {
        return browser.get(&path).await;
    }
    let mut form = None;
    for home in ["/me", "/staff"] {
        let page = browser.get(home).await;
        if page.status == 200 {
            form = form_with(&page.text, "csrf").ok();
            break;
        }
    }
    let mut form = form.expect("a page with a form");
    form.action = path;
    browser.send(&form, &[]).await
}
