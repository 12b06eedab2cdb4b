//! The expected status of every route without credentials, with wrong credentials, and for other people's data. One row
//! for each method of a route. A route without a row fails the test in `mod.rs`.

/// The credential that a route requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// None.
    Open,
    /// A backend-services token with a scope on this resource type.
    Backend(&'static str),
    /// A token of a member's app with a scope on this resource type.
    App(&'static str),
    /// The signed JWT of a hook call.
    Hook,
    /// A staff session.
    Staff,
    /// A member's session.
    Member,
}

/// One method of one route.
#[derive(Debug)]
pub struct Row {
    /// The module and the literal in its `.route(…)` call.
    pub source: &'static str,
    pub method: &'static str,
    /// The path to call. `{…}` is replaced by ids that belong to the demo EHR and the member Ruth.
    pub path: &'static str,
    pub credential: Credential,
    /// The status without a credential.
    pub none: u16,
    /// The status with a token without the scope, a token of another kind, or a session of another kind. 0: not
    /// applicable.
    pub wrong: u16,
    /// The status for another partner or member. 0: the route has no data of anyone. 200: a response without the data.
    pub other: u16,
    /// The status of a GET for the owner of the data. 0: not tested.
    pub own: u16,
}

const fn row(
    source: &'static str,
    method: &'static str,
    path: &'static str,
    credential: Credential,
    [none, wrong, other, own]: [u16; 4],
) -> Row {
    Row {
        source,
        method,
        path,
        credential,
        none,
        wrong,
        other,
        own,
    }
}

const fn open(source: &'static str, method: &'static str, path: &'static str, none: u16) -> Row {
    row(source, method, path, Credential::Open, [none, 0, 0, 0])
}

const CLAIM: Credential = Credential::Backend("Claim");
const SUBSCRIPTION: Credential = Credential::Backend("Subscription");
const QUESTIONNAIRE: Credential = Credential::Backend("Questionnaire");
const EOB: Credential = Credential::App("ExplanationOfBenefit");
const PATIENT: Credential = Credential::App("Patient");
const COVERAGE: Credential = Credential::App("Coverage");

/// The table. The numbers are the fields `none`, `wrong`, `other` and `own`.
#[rustfmt::skip]
pub static ROUTES: &[Row] = &[
    open("http /healthz", "GET", "/healthz", 200),
    open("http /readyz", "GET", "/readyz", 200),
    open("http /metrics", "GET", "/metrics", 200),

    open("crd /cds-services", "GET", "/cds-services", 200),
    row("crd /cds-services/{id}", "POST", "/cds-services/order-sign-crd", Credential::Hook, [401, 401, 0, 0]),
    row("crd /cds-services/{id}/feedback", "POST", "/cds-services/order-sign-crd/feedback", Credential::Hook, [401, 401, 0, 0]),

    open("dtr {base}/metadata", "GET", "/dtr/2.2/metadata", 200),
    row("dtr {base}/Questionnaire", "GET", "/dtr/2.2/Questionnaire", QUESTIONNAIRE, [401, 403, 0, 200]),
    row("dtr {base}/Questionnaire/{{id}}", "GET", "/dtr/2.2/Questionnaire/home-oxygen", QUESTIONNAIRE, [401, 403, 0, 200]),
    row("dtr {base}/${name}", "POST", "/dtr/2.2/$questionnaire-package", QUESTIONNAIRE, [401, 403, 422, 0]),
    row("dtr {base}/${name}", "POST", "/dtr/2.2/$log-questionnaire-errors", QUESTIONNAIRE, [401, 403, 0, 0]),
    row("dtr {base}/Questionnaire/${name}", "POST", "/dtr/2.2/Questionnaire/$questionnaire-package", QUESTIONNAIRE, [401, 403, 422, 0]),
    row("dtr {base}/Questionnaire/${name}", "POST", "/dtr/2.2/Questionnaire/$log-questionnaire-errors", QUESTIONNAIRE, [401, 403, 0, 0]),

    open("pas {base}/metadata", "GET", "/pas/2.2/metadata", 200),
    row("pas {base}/Claim/$submit", "POST", "/pas/2.2/Claim/$submit", CLAIM, [401, 403, 0, 0]),
    row("pas {base}/Claim/$inquire", "POST", "/pas/2.2/Claim/$inquire", CLAIM, [401, 403, 200, 0]),
    row("pas {base}/Subscription", "POST", "/pas/2.2/Subscription", SUBSCRIPTION, [401, 403, 422, 0]),
    row("pas {base}/Subscription", "GET", "/pas/2.2/Subscription", SUBSCRIPTION, [401, 403, 200, 200]),
    row("pas {base}/Subscription/{{id}}", "GET", "/pas/2.2/Subscription/{subscription}", SUBSCRIPTION, [401, 403, 404, 200]),
    row("pas {base}/Subscription/{{id}}", "PUT", "/pas/2.2/Subscription/{subscription}", SUBSCRIPTION, [401, 403, 404, 0]),
    row("pas {base}/Subscription/{{id}}", "DELETE", "/pas/2.2/Subscription/{subscription}", SUBSCRIPTION, [401, 403, 404, 0]),
    row("pas {base}/Subscription/$status", "GET", "/pas/2.2/Subscription/$status", SUBSCRIPTION, [401, 403, 200, 200]),
    row("pas {base}/Subscription/$status", "POST", "/pas/2.2/Subscription/$status", SUBSCRIPTION, [401, 403, 200, 0]),
    row("pas {base}/Subscription/{{id}}/$status", "GET", "/pas/2.2/Subscription/{subscription}/$status", SUBSCRIPTION, [401, 403, 404, 200]),
    row("pas {base}/Subscription/{{id}}/$status", "POST", "/pas/2.2/Subscription/{subscription}/$status", SUBSCRIPTION, [401, 403, 404, 0]),

    open("access {BASE}/metadata", "GET", "/fhir/pdex/metadata", 200),
    row("access {BASE}/{}", "GET", "/fhir/pdex/ExplanationOfBenefit?patient={patient}", EOB, [401, 403, 200, 200]),
    row("access {BASE}/{}", "GET", "/fhir/pdex/ExplanationOfBenefit?_id={case}", EOB, [401, 403, 200, 200]),
    row("access {BASE}/{}", "GET", "/fhir/pdex/Patient?_id={patient}", PATIENT, [401, 403, 200, 200]),
    row("access {BASE}/{}", "GET", "/fhir/pdex/Coverage?beneficiary={patient}", COVERAGE, [401, 403, 200, 200]),
    row("access {BASE}/{}/_search", "POST", "/fhir/pdex/ExplanationOfBenefit/_search?_id={case}", EOB, [401, 403, 200, 0]),
    row("access {BASE}/{}/_search", "POST", "/fhir/pdex/Patient/_search?_id={patient}", PATIENT, [401, 403, 200, 0]),
    row("access {BASE}/{}/_search", "POST", "/fhir/pdex/Coverage/_search?beneficiary={patient}", COVERAGE, [401, 403, 200, 0]),
    row("access {BASE}/{}/{{id}}", "GET", "/fhir/pdex/ExplanationOfBenefit/{case}", EOB, [401, 403, 404, 200]),
    row("access {BASE}/{}/{{id}}", "GET", "/fhir/pdex/Patient/{patient}", PATIENT, [401, 403, 404, 200]),
    row("access {BASE}/{}/{{id}}", "GET", "/fhir/pdex/Coverage/{coverage}", COVERAGE, [401, 403, 404, 200]),
    row("access {BASE}/{}/{{id}}", "GET", "/fhir/pdex/{organization}", Credential::App("Organization"), [401, 403, 404, 200]),
    row("access {BASE}/{}/{{id}}", "GET", "/fhir/pdex/Practitioner/{case}-1", Credential::App("Practitioner"), [401, 403, 404, 0]),
    row("access {BASE}/{}/{{id}}", "GET", "/fhir/pdex/Location/{case}-1", Credential::App("Location"), [401, 403, 404, 0]),
    row("access {BASE}/{}/{{id}}", "GET", "/fhir/pdex/QuestionnaireResponse/{case}-1", Credential::App("QuestionnaireResponse"), [401, 403, 404, 0]),

    open("oauth TOKEN", "POST", "/oauth/token", 400),
    open("oauth /oauth/introspect", "POST", "/oauth/introspect", 400),
    open("oauth /oauth/revoke", "POST", "/oauth/revoke", 400),
    open("oauth /oauth/jwks", "GET", "/oauth/jwks", 200),
    open("oauth {base}/.well-known/smart-configuration", "GET", "/fhir/pdex/.well-known/smart-configuration", 200),
    open("oauth {base}/.well-known/smart-configuration", "GET", "/pas/2.2/.well-known/smart-configuration", 200),
    open("oauth {base}/.well-known/smart-configuration", "GET", "/dtr/2.2/.well-known/smart-configuration", 200),

    open("web /", "GET", "/", 200),
    open("web /notice/{token}", "GET", "/notice/0190a6f3-0000-7000-8000-000000000000", 200),
    open("web /assets/{file}", "GET", "/assets/nothing.css", 404),
    open("web /prior-authorization-list", "GET", "/prior-authorization-list", 200),
    open("web /prior-authorization-list.csv", "GET", "/prior-authorization-list.csv", 200),
    open("web /prior-authorization-list/{publication}", "GET", "/prior-authorization-list/2026-11-20", 200),
    open("web /staff/sign-in", "GET", "/staff/sign-in", 200),
    open("web /staff/sign-in", "POST", "/staff/sign-in", 403),
    open("web /staff/{*rest}", "GET", "/staff/nothing/here", 404),
    row("web /staff", "GET", "/staff", Credential::Staff, [303, 303, 0, 200]),
    row("web /staff/queue", "GET", "/staff/queue", Credential::Staff, [401, 401, 0, 200]),
    row("web /staff/queue/events", "GET", "/staff/queue/events", Credential::Staff, [401, 401, 0, 0]),
    row("web /staff/cases/{case}", "GET", "/staff/cases/{case}", Credential::Staff, [303, 303, 0, 200]),
    row("web /staff/cases/{case}/decide", "POST", "/staff/cases/{case}/decide", Credential::Staff, [401, 401, 0, 0]),
    row("web /staff/access-log", "GET", "/staff/access-log", Credential::Staff, [303, 303, 0, 403]),
    row("web /staff/access-log", "POST", "/staff/access-log", Credential::Staff, [401, 401, 0, 403]),
    row("web /staff/policies", "GET", "/staff/policies", Credential::Staff, [303, 303, 0, 403]),
    row("web /staff/policies/changes", "GET", "/staff/policies/changes", Credential::Staff, [303, 303, 0, 403]),
    row("web /staff/policies/propose", "POST", "/staff/policies/propose", Credential::Staff, [401, 401, 0, 403]),
    row("web /staff/policies/confirm", "POST", "/staff/policies/confirm", Credential::Staff, [401, 401, 0, 403]),
    row("web /staff/policies/withdraw", "POST", "/staff/policies/withdraw", Credential::Staff, [401, 401, 0, 403]),
    row("web /staff/sign-out", "POST", "/staff/sign-out", Credential::Staff, [401, 401, 0, 0]),
    open("web /me/sign-in", "GET", "/me/sign-in", 200),
    open("web /me/sign-in", "POST", "/me/sign-in", 403),
    open("web /me/{*rest}", "GET", "/me/nothing/here", 404),
    row("web /me", "GET", "/me", Credential::Member, [303, 303, 200, 200]),
    row("web /me/apps/{grant}/remove", "POST", "/me/apps/{grant}/remove", Credential::Member, [401, 401, 404, 0]),
    row("web /me/sign-out", "POST", "/me/sign-out", Credential::Member, [401, 401, 0, 0]),
    open("web /oauth/authorize", "GET", "/oauth/authorize", 400),
    row("web /oauth/authorize", "POST", "/oauth/authorize", Credential::Member, [401, 401, 0, 0]),
];
