//! The small plan: members of HL7's examples and a few of our own, providers, partner systems, reviewers. It goes
//! through the same code as the operator's commands (`import`, `auth::registration`), so it may run again.

use super::keys::{self, SignIns};
use crate::auth::registration::{self, NewLogin, NewPerson};
use crate::auth::{Client, ClientDoc};
use crate::error::{Error, Kind, Result};
use crate::import::Import;
use crate::prior_auth::{Credential, CredentialKind, Role};
use crate::state::State;
use serde_json::{Value, json};
use std::path::Path;

/// The demo EHR's `client_id`; it holds everything that a partner can hold.
pub const EHR: &str = "demo-ehr";
/// A second EHR, for "another's data".
pub const OTHER_EHR: &str = "clinic-ehr";
/// A member's app.
pub const APP: &str = "demo-app";
/// The app's redirect address; nothing listens there, the browser's address bar holds the answer.
pub const APP_REDIRECT: &str = "http://127.0.0.1:8643/callback";
/// The sending system of the demo EHR (ISA06).
pub const SENDER: &str = "DEMOEHR01";
/// The member who carries the walk.
pub const WALK_MEMBER: &str = "A100200300";

/// Sign-in names with who they are.
pub const PEOPLE: [(&str, &str); 11] = [
    ("ivy", "Ivy Ortega, intake coordinator"),
    ("nora", "Nora Lindqvist RN, nurse reviewer"),
    ("paul", "Paul Adeyemi MD, medical director"),
    ("petra", "Petra Hale MD, physician reviewer"),
    ("sam", "Sam Whitfield, supervisor"),
    ("alma", "Alma Reyes, policy author"),
    ("otto", "Otto Lang, policy approver"),
    ("ruth", "Ruth Ellery, member"),
    ("joe", "Joe Smith, member"),
    ("amy", "Amy Baxter, member"),
    ("carl", "Carl Moreno, member"),
];

/// Fills an empty plan; what is there already stays as it is.
pub async fn run(state: &State, data: &Path) -> Result<SignIns> {
    let sign_ins = keys::sign_ins(data, &PEOPLE)?;
    records(state).await?;
    for client in clients(state, data)? {
        again_is_fine(registration::register(&state.store, client, state.now()).await)?;
    }
    people(state, &sign_ins).await?;
    Ok(sign_ins)
}

/// What an earlier start stored already is no mistake.
fn again_is_fine<T>(done: Result<T>) -> Result<()> {
    match done {
        Err(error) if error.kind() != Kind::Conflict => Err(error),
        _ => Ok(()),
    }
}

async fn records(state: &State) -> Result<()> {
    let mut import = Import::new(state.store.clone(), state.published(), state.now());
    for (n, resource) in plan_records().into_iter().enumerate() {
        import.resource("demo", n + 1, resource).await?;
    }
    let report = import.finish().await?;
    match report.refused.first() {
        None => Ok(()),
        Some(first) => Err(Error::internal(format!(
            "demo record {}: {}",
            first.line, first.reason
        ))),
    }
}

/// Members, coverages, providers as FHIR.
pub fn plan_records() -> Vec<Value> {
    let mut all = Vec::new();
    let mut add = |member: &Person<'_>| {
        all.push(member.patient());
        all.push(member.coverage());
    };
    let person = Person::default();
    add(&Person {
        id: WALK_MEMBER,
        given: "Ruth",
        family: "Ellery",
        born: "1953-03-14",
        ..person
    });
    add(&Person {
        id: "12345678901",
        subscriber: "1122334455",
        given: "Joe",
        family: "Smith",
        born: "1955-06-02",
        gender: "male",
        ..person
    });
    add(&Person {
        id: "12345678902",
        subscriber: "1122334455-02",
        given: "Jesse",
        family: "Smith",
        born: "1947-01-18",
        gender: "male",
        ..person
    });
    add(&Person {
        id: "88800933501",
        subscriber: "888009335",
        given: "Amy",
        family: "Baxter",
        born: "1987-02-20",
        plan: "QHP-SILVER-01",
        ..person
    });
    add(&Person {
        id: "C300400500",
        given: "Lena",
        family: "Park",
        born: "2018-09-30",
        plan: "OH-CHIP-01",
        ..person
    });
    add(&Person {
        id: "D400500600",
        given: "Carl",
        family: "Moreno",
        born: "1979-11-11",
        gender: "male",
        plan: "OH-MCO-01",
        ..person
    });
    add(&Person {
        id: "E500600700",
        given: "Vera",
        family: "Nolan",
        born: "1948-05-05",
        ends: Some("2025-12-31"),
        ..person
    });
    all.extend(providers());
    all
}

#[derive(Clone, Copy)]
struct Person<'a> {
    id: &'a str,
    subscriber: &'a str,
    given: &'a str,
    family: &'a str,
    born: &'a str,
    gender: &'a str,
    plan: &'a str,
    ends: Option<&'a str>,
}

impl Default for Person<'_> {
    fn default() -> Self {
        Self {
            id: "",
            subscriber: "",
            given: "",
            family: "",
            born: "",
            gender: "female",
            plan: "H1234-001",
            ends: None,
        }
    }
}

impl Person<'_> {
    fn patient(&self) -> Value {
        json!({
            "resourceType": "Patient",
            "id": self.id,
            "identifier": [{ "type": member_number(), "system": "https://plan.example/member", "value": self.id }],
            "name": [{ "family": self.family, "given": [self.given] }],
            "gender": self.gender,
            "birthDate": self.born,
            "address": [{ "line": ["12 Harbor Street"], "city": "Columbus", "state": "OH", "postalCode": "43215" }],
        })
    }

    fn coverage(&self) -> Value {
        let mut period = json!({ "start": "2025-01-01" });
        if let Some(end) = self.ends {
            crate::fhir::put(&mut period, "end", json!(end));
        }
        let subscriber = if self.subscriber.is_empty() {
            self.id
        } else {
            self.subscriber
        };
        json!({
            "resourceType": "Coverage",
            "id": format!("{}-1", self.id),
            "identifier": [{ "type": member_number(), "system": "https://plan.example/coverage", "value": self.id }],
            "status": "active",
            "subscriberId": subscriber,
            "beneficiary": { "reference": format!("Patient/{}", self.id) },
            "period": period,
            "payor": [{ "display": "Assent Demo Health Plan" }],
            "class": [{
                "type": { "coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/coverage-class", "code": "plan",
                }] },
                "value": self.plan,
            }],
        })
    }
}

fn member_number() -> Value {
    json!({ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB" }] })
}

fn providers() -> Vec<Value> {
    let organization = |npi: &str, name: &str, email: &str| {
        json!({
            "resourceType": "Organization",
            "identifier": [{ "system": crate::fhir::NPI, "value": npi }],
            "active": true,
            "name": name,
            "telecom": [{ "system": "email", "value": email }],
        })
    };
    vec![
        organization("1999999984", "Lakeside Pulmonary Group", "desk@lakeside.example"),
        organization("8189991234", "Dr. Joe Smith Corporation", "desk@smith.example"),
        organization("1407071236", "Acme Clinic", "desk@acme-clinic.example"),
    ]
}

/// The partners, with public keys whose private halves lie under `data/keys`.
fn clients(state: &State, data: &Path) -> Result<Vec<Client>> {
    let now = state.now();
    let words = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let backend = [
        "system/Claim.cruds",
        "system/Subscription.cruds",
        "system/Questionnaire.rs",
        "system/Library.rs",
    ];
    let ehr = ClientDoc {
        issuer: Some("https://ehr.demo.example".to_owned()),
        jwks: Some(keys::partner_key(data, EHR)?.jwks()),
        scopes: words(&backend),
        senders: words(&[SENDER]),
        npis: words(&["1999999984", "8189991234", "1407071236"]),
        fhir_hosts: words(&["http://127.0.0.1:8644/fhir"]),
        callback_hosts: words(&["127.0.0.1", "localhost"]),
        versions: words(&["crd-2.2", "dtr-2.2", "pas-2.2"]),
        loopback_http: true,
        payer_identifier_strict: false,
        ..ClientDoc::default()
    };
    let other = ClientDoc {
        issuer: Some("https://ehr.clinic.example".to_owned()),
        jwks: Some(keys::partner_key(data, OTHER_EHR)?.jwks()),
        scopes: words(&backend),
        senders: words(&["CLINIC02"]),
        npis: words(&["1982947230"]),
        callback_hosts: words(&["127.0.0.1"]),
        versions: words(&["crd-2.2", "dtr-2.2", "pas-2.2"]),
        loopback_http: true,
        ..ClientDoc::default()
    };
    let app = ClientDoc {
        public: true,
        redirect_uris: words(&[APP_REDIRECT]),
        scopes: words(&["launch/patient", "patient/*.rs", "offline_access"]),
        loopback_http: true,
        ..ClientDoc::default()
    };
    Ok(vec![
        registration::new_client(EHR, "Lakeside EHR", ehr, now),
        registration::new_client(OTHER_EHR, "Clinic EHR", other, now),
        registration::new_client(APP, "My Health Binder", app, now),
    ])
}

async fn people(state: &State, sign_ins: &SignIns) -> Result<()> {
    let work = state.config.password_work;
    let password = |username: &str| {
        let sign_in = sign_ins.get(username).map(|s| s.password.clone());
        sign_in.ok_or_else(|| Error::internal("a sign-in of the demo is missing"))
    };
    let physician = |license: &str, npi: &str| Credential {
        kind: CredentialKind::Physician,
        license: license.to_owned(),
        state: "OH".to_owned(),
        npi: Some(npi.to_owned()),
        specialty: Some("207R00000X".to_owned()),
        expires: None,
    };
    let nurse = Credential {
        kind: CredentialKind::Nurse,
        npi: None,
        specialty: None,
        ..physician("RN-204417", "")
    };
    let staff = [
        ("ivy", "Ivy Ortega", Role::Intake, None),
        ("nora", "Nora Lindqvist RN", Role::Nurse, Some(nurse)),
        (
            "paul",
            "Paul Adeyemi MD",
            Role::Physician,
            Some(physician("35-088123", "1720312345")),
        ),
        (
            "petra",
            "Petra Hale MD",
            Role::Physician,
            Some(physician("35-090456", "1720398765")),
        ),
        ("sam", "Sam Whitfield", Role::Supervisor, None),
        ("alma", "Alma Reyes", Role::PolicyAuthor, None),
        ("otto", "Otto Lang", Role::PolicyApprover, None),
    ];
    for (username, name, role, credential) in staff {
        if known(state, username, true).await? {
            continue;
        }
        let new = NewPerson {
            username: username.to_owned(),
            name: name.to_owned(),
            roles: vec![role],
            credential,
            password: password(username)?,
        };
        again_is_fine(registration::enroll(&state.store, new, work, state.now()).await)?;
    }
    let members = [
        ("ruth", WALK_MEMBER),
        ("joe", "12345678901"),
        ("amy", "88800933501"),
        ("carl", "D400500600"),
    ];
    for (username, member_id) in members {
        if known(state, username, false).await? {
            continue;
        }
        let new = NewLogin {
            username: username.to_owned(),
            member_id: member_id.to_owned(),
            email: Some(format!("{username}@mail.example")),
            password: password(username)?,
        };
        again_is_fine(registration::enroll_member(&state.store, new, work, state.now()).await)?;
    }
    Ok(())
}

/// Whether a sign-in exists already: hashing a password again at each start would only cost time.
async fn known(state: &State, username: &str, staff: bool) -> Result<bool> {
    let asked = (username.to_owned(), staff);
    state
        .store
        .read(asked, |tx, (username, staff)| {
            Box::pin(async move {
                Ok(if *staff {
                    tx.person_by_username(username).await?.is_some()
                } else {
                    tx.login_by_username(username).await?.is_some()
                })
            })
        })
        .await
}
