//! The demo plan: members (some of them from HL7's examples), providers, clients and staff, all synthetic. Everything
//! is stored with the code of the operator's commands (`import`, `auth::registration`), so it may run more than once.

use super::keys::{self, SignIns};
use crate::auth::registration::{self, NewMemberLogin, NewStaffMember};
use crate::auth::{Client, ClientDoc};
use crate::error::{Error, ErrorKind, Result};
use crate::import::Import;
use crate::prior_auth::{Credential, CredentialKind, Role};
use crate::state::State;
use serde_json::{Value, json};
use std::path::Path;

/// `client_id` of the demo EHR, which has every scope of a client system.
pub const EHR: &str = "demo-ehr";
/// `client_id` of a second EHR, which must not see the first one's data.
pub const OTHER_EHR: &str = "clinic-ehr";
/// `client_id` of a member's app.
pub const APP: &str = "demo-app";
/// The app's redirect URI. Nothing listens there; the authorization code is in the browser's address bar.
pub const APP_REDIRECT: &str = "http://127.0.0.1:8643/callback";
/// The origin of a browser form app of the demo EHR.
pub const EHR_ORIGIN: &str = "https://app.example";
/// The demo EHR's sending system id (`interchangeSenderID`, X12 ISA06).
pub const SENDER: &str = "DEMOEHR01";
/// Member id of the member in the messages of the end-to-end check.
pub const WALK_MEMBER: &str = "A100200300";

/// Every sign-in: username; name and role.
pub const SIGN_INS: [(&str, &str); 12] = [
    ("ivy", "Ivy Ortega, intake coordinator"),
    ("nora", "Nora Lindqvist RN, nurse reviewer"),
    ("paul", "Paul Adeyemi MD, medical director"),
    ("petra", "Petra Hale MD, physician reviewer"),
    ("sam", "Sam Whitfield, supervisor"),
    ("alma", "Alma Reyes, policy author"),
    ("otto", "Otto Lang, policy approver"),
    ("uma", "Uma Castle, auditor"),
    ("ruth", "Ruth Ellery, member"),
    ("joe", "Joe Smith, member"),
    ("amy", "Amy Baxter, member"),
    ("carl", "Carl Moreno, member"),
];

/// Stores what the plan lacks and leaves everything else as it is. Keys and passwords are generated into `data`.
/// Returns the sign-ins.
pub async fn fill_plan(state: &State, data: &Path) -> Result<SignIns> {
    let sign_ins = keys::sign_ins(data, &SIGN_INS)?;
    import_records(state).await?;
    for client in clients(state, data)? {
        ignore_conflict(registration::register(&state.store, client, state.now()).await)?;
    }
    enroll_staff(state, &sign_ins).await?;
    enroll_members(state, &sign_ins).await?;
    Ok(sign_ins)
}

/// A conflict means that an earlier start stored the same.
fn ignore_conflict<T>(result: Result<T>) -> Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
        _ => Ok(()),
    }
}

async fn import_records(state: &State) -> Result<()> {
    let mut import = Import::new(state.store.clone(), state.policy_set(), state.now());
    for (n, resource) in plan_records().into_iter().enumerate() {
        import.read_resource("demo", n + 1, resource).await?;
    }
    let report = import.finish().await?;
    match report.rejected.first() {
        None => Ok(()),
        Some(row) => Err(Error::internal(format!(
            "record {} of the demo plan was rejected: {}",
            row.line, row.reason
        ))),
    }
}

/// The plan's members, coverages and providers as FHIR resources.
pub fn plan_records() -> Vec<Value> {
    let mut records: Vec<Value> = MEMBERS
        .iter()
        .flat_map(|member| [member.patient(), member.coverage()])
        .collect();
    records.extend(providers());
    records
}

/// A member with one coverage.
#[derive(Clone, Copy)]
struct DemoMember {
    member_id: &'static str,
    /// The subscriber id where it is not the member id.
    subscriber_id: Option<&'static str>,
    given: &'static str,
    family: &'static str,
    birth_date: &'static str,
    gender: &'static str,
    /// A plan of `rules/plans.csv`.
    plan: &'static str,
    coverage_end: Option<&'static str>,
}

/// What most members have in common.
const MEMBER: DemoMember = DemoMember {
    member_id: "",
    subscriber_id: None,
    given: "",
    family: "",
    birth_date: "",
    gender: "female",
    plan: "H1234-001",
    coverage_end: None,
};

const MEMBERS: [DemoMember; 7] = [
    DemoMember {
        member_id: WALK_MEMBER,
        given: "Ruth",
        family: "Ellery",
        birth_date: "1953-03-14",
        ..MEMBER
    },
    DemoMember {
        member_id: "12345678901",
        subscriber_id: Some("1122334455"),
        given: "Joe",
        family: "Smith",
        birth_date: "1955-06-02",
        gender: "male",
        ..MEMBER
    },
    DemoMember {
        member_id: "12345678902",
        subscriber_id: Some("1122334455-02"),
        given: "Jesse",
        family: "Smith",
        birth_date: "1947-01-18",
        gender: "male",
        ..MEMBER
    },
    DemoMember {
        member_id: "88800933501",
        subscriber_id: Some("888009335"),
        given: "Amy",
        family: "Baxter",
        birth_date: "1987-02-20",
        plan: "QHP-SILVER-01",
        ..MEMBER
    },
    DemoMember {
        member_id: "C300400500",
        given: "Lena",
        family: "Park",
        birth_date: "2018-09-30",
        plan: "OH-CHIP-01",
        ..MEMBER
    },
    DemoMember {
        member_id: "D400500600",
        given: "Carl",
        family: "Moreno",
        birth_date: "1979-11-11",
        gender: "male",
        plan: "OH-MCO-01",
        ..MEMBER
    },
    DemoMember {
        member_id: "E500600700",
        given: "Vera",
        family: "Nolan",
        birth_date: "1948-05-05",
        coverage_end: Some("2025-12-31"),
        ..MEMBER
    },
];

impl DemoMember {
    fn patient(&self) -> Value {
        json!({
            "resourceType": "Patient",
            "id": self.member_id,
            "identifier": [{
                "type": member_number_type(), "system": "https://plan.example/member", "value": self.member_id,
            }],
            "name": [{ "family": self.family, "given": [self.given] }],
            "gender": self.gender,
            "birthDate": self.birth_date,
            "address": [{ "line": ["12 Harbor Street"], "city": "Columbus", "state": "OH", "postalCode": "43215" }],
        })
    }

    fn coverage(&self) -> Value {
        let mut period = json!({ "start": "2025-01-01" });
        if let Some(end) = self.coverage_end {
            crate::fhir::put(&mut period, "end", json!(end));
        }
        json!({
            "resourceType": "Coverage",
            "id": format!("{}-1", self.member_id),
            "identifier": [{
                "type": member_number_type(), "system": "https://plan.example/coverage", "value": self.member_id,
            }],
            "status": "active",
            "subscriberId": self.subscriber_id.unwrap_or(self.member_id),
            "beneficiary": { "reference": format!("Patient/{}", self.member_id) },
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

fn member_number_type() -> Value {
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

/// The clients. Their private keys are in `data/keys`.
fn clients(state: &State, data: &Path) -> Result<Vec<Client>> {
    let now = state.now();
    let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let backend_scopes = [
        "system/Claim.cruds",
        "system/Subscription.cruds",
        "system/Questionnaire.rs",
        "system/Library.rs",
    ];
    let ehr = ClientDoc {
        issuer: Some("https://ehr.demo.example".to_owned()),
        jwks: Some(keys::client_key(data, EHR)?.jwks()),
        scopes: strings(&backend_scopes),
        // The second id is that of HL7's examples.
        senders: strings(&[SENDER, "PROVIDERID"]),
        npis: strings(&["1999999984", "8189991234", "1407071236"]),
        fhir_hosts: strings(&["http://127.0.0.1:8644/fhir"]),
        callback_hosts: strings(&["127.0.0.1", "localhost"]),
        origins: strings(&[EHR_ORIGIN]),
        versions: strings(&["crd-2.2", "dtr-2.2", "pas-2.2"]),
        loopback_http: true,
        payer_identifier_strict: false,
        ..ClientDoc::default()
    };
    let other = ClientDoc {
        issuer: Some("https://ehr.clinic.example".to_owned()),
        jwks: Some(keys::client_key(data, OTHER_EHR)?.jwks()),
        scopes: strings(&backend_scopes),
        senders: strings(&["CLINIC02"]),
        npis: strings(&["1982947230"]),
        callback_hosts: strings(&["127.0.0.1"]),
        versions: strings(&["crd-2.2", "dtr-2.2", "pas-2.2"]),
        loopback_http: true,
        ..ClientDoc::default()
    };
    let app = ClientDoc {
        public: true,
        redirect_uris: strings(&[APP_REDIRECT]),
        scopes: strings(&["launch/patient", "patient/*.rs", "offline_access"]),
        loopback_http: true,
        ..ClientDoc::default()
    };
    Ok(vec![
        registration::new_client(EHR, "Lakeside EHR", ehr, now),
        registration::new_client(OTHER_EHR, "Clinic EHR", other, now),
        registration::new_client(APP, "My Health Binder", app, now),
    ])
}

/// Name, role and license of each member of staff, by username.
fn staff() -> [(&'static str, &'static str, Role, Option<Credential>); 8] {
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
    [
        ("ivy", "Ivy Ortega", Role::Intake, None),
        ("nora", "Nora Lindqvist RN", Role::Nurse, Some(nurse)),
        (
            "paul",
            "Paul Adeyemi MD",
            Role::Physician,
            Some(physician("35-088123", "1720312341")),
        ),
        (
            "petra",
            "Petra Hale MD",
            Role::Physician,
            Some(physician("35-090456", "1720398761")),
        ),
        ("sam", "Sam Whitfield", Role::Supervisor, None),
        ("alma", "Alma Reyes", Role::PolicyAuthor, None),
        ("otto", "Otto Lang", Role::PolicyApprover, None),
        ("uma", "Uma Castle", Role::Auditor, None),
    ]
}

async fn enroll_staff(state: &State, sign_ins: &SignIns) -> Result<()> {
    for (username, name, role, credential) in staff() {
        if exists(state, username, true).await? {
            continue;
        }
        let new = NewStaffMember {
            username: username.to_owned(),
            name: name.to_owned(),
            roles: vec![role],
            credential,
            password: password(sign_ins, username)?,
        };
        let work = state.config.password_cost;
        ignore_conflict(registration::add_staff_member(&state.store, new, work, state.now()).await)?;
    }
    Ok(())
}

async fn enroll_members(state: &State, sign_ins: &SignIns) -> Result<()> {
    let members = [
        ("ruth", WALK_MEMBER),
        ("joe", "12345678901"),
        ("amy", "88800933501"),
        ("carl", "D400500600"),
    ];
    for (username, member_id) in members {
        if exists(state, username, false).await? {
            continue;
        }
        let new = NewMemberLogin {
            username: username.to_owned(),
            member_id: member_id.to_owned(),
            email: Some(format!("{username}@mail.example")),
            password: password(sign_ins, username)?,
        };
        let work = state.config.password_cost;
        ignore_conflict(registration::add_member_login(&state.store, new, work, state.now()).await)?;
    }
    Ok(())
}

fn password(sign_ins: &SignIns, username: &str) -> Result<String> {
    let sign_in = sign_ins.get(username).map(|s| s.password.clone());
    sign_in.ok_or_else(|| Error::internal(format!("sign-ins.json has no password for {username}")))
}

/// Whether a sign-in exists. Enrolling it again would be harmless but would hash the password at every start.
async fn exists(state: &State, username: &str, is_staff: bool) -> Result<bool> {
    state
        .store
        .read((username.to_owned(), is_staff), |tx, (username, is_staff)| {
            Box::pin(async move {
                Ok(if *is_staff {
                    tx.staff_member_by_username(username).await?.is_some()
                } else {
                    tx.login_by_username(username).await?.is_some()
                })
            })
        })
        .await
}
