//! What every route gives to nobody, to the wrong caller and to the wrong person. One line per method and route.
//! A route that is missing here fails the test beside it.

/// What has to be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// A partner's token with a scope on this resource type.
    Backend(&'static str),
    /// A member's app's token with a scope on this resource type.
    App(&'static str),
    /// A hook's signed call.
    Hook,
    /// A reviewer's session.
    Staff,
    /// A member's session.
    Member,
}

/// One method of one route.
#[derive(Debug)]
pub struct Row {
    /// Room and literal, as the source has it.
    pub source: &'static str,
    pub method: &'static str,
    /// What is called; `{…}` is filled in with things of the demo EHR and of the member Ruth.
    pub path: &'static str,
    pub gate: Gate,
    /// Nothing brought; for an open route what anybody gets.
    pub none: u16,
    /// A token without the scope, of another kind, or another kind of session. 0: there is no such thing here.
    pub wrong: u16,
    /// The other partner, the other member. 0: nothing here belongs to anybody. 200: an answer without the thing.
    pub others: u16,
    /// Whose it is, by GET. 0: not asked.
    pub own: u16,
}

const fn row(
    source: &'static str,
    method: &'static str,
    path: &'static str,
    gate: Gate,
    [none, wrong, others, own]: [u16; 4],
) -> Row {
    Row {
        source,
        method,
        path,
        gate,
        none,
        wrong,
        others,
        own,
    }
}

const fn open(source: &'static str, method: &'static str, path: &'static str, none: u16) -> Row {
    row(source, method, path, Gate::Open, [none, 0, 0, 0])
}

const CLAIM: Gate = Gate::Backend("Claim");
const SUBSCRIPTION: Gate = Gate::Backend("Subscription");
const FORM: Gate = Gate::Backend("Questionnaire");
const EOB: Gate = Gate::App("ExplanationOfBenefit");
const PATIENT: Gate = Gate::App("Patient");
const COVERAGE: Gate = Gate::App("Coverage");

/// The table: nothing, wrong, others', own.
#[rustfmt::skip]
pub static ROUTES: &[Row] = &[
    open("http /healthz", "GET", "/healthz", 200),
    open("http /readyz", "GET", "/readyz", 200),
    open("http /metrics", "GET", "/metrics", 200),

    open("crd /cds-services", "GET", "/cds-services", 200),
    row("crd /cds-services/{id}", "POST", "/cds-services/order-sign-crd", Gate::Hook, [401, 401, 0, 0]),
    row("crd /cds-services/{id}/feedback", "POST", "/cds-services/order-sign-crd/feedback", Gate::Hook, [401, 401, 0, 0]),

    open("dtr {BASE}/metadata", "GET", "/dtr/2.2/metadata", 200),
    row("dtr {BASE}/Questionnaire", "GET", "/dtr/2.2/Questionnaire", FORM, [401, 403, 0, 200]),
    row("dtr {BASE}/Questionnaire/{{id}}", "GET", "/dtr/2.2/Questionnaire/home-oxygen", FORM, [401, 403, 0, 200]),
    row("dtr {BASE}/${name}", "POST", "/dtr/2.2/$questionnaire-package", FORM, [401, 403, 422, 0]),
    row("dtr {BASE}/${name}", "POST", "/dtr/2.2/$log-questionnaire-errors", FORM, [401, 403, 0, 0]),
    row("dtr {BASE}/Questionnaire/${name}", "POST", "/dtr/2.2/Questionnaire/$questionnaire-package", FORM, [401, 403, 422, 0]),
    row("dtr {BASE}/Questionnaire/${name}", "POST", "/dtr/2.2/Questionnaire/$log-questionnaire-errors", FORM, [401, 403, 0, 0]),

    open("pas /pas/2.2/metadata", "GET", "/pas/2.2/metadata", 200),
    row("pas /pas/2.2/Claim/${name}", "POST", "/pas/2.2/Claim/$submit", CLAIM, [401, 403, 0, 0]),
    row("pas /pas/2.2/Claim/${name}", "POST", "/pas/2.2/Claim/$inquire", CLAIM, [401, 403, 200, 0]),
    row("pas /pas/2.2/Subscription", "POST", "/pas/2.2/Subscription", SUBSCRIPTION, [401, 403, 422, 0]),
    row("pas /pas/2.2/Subscription", "GET", "/pas/2.2/Subscription", SUBSCRIPTION, [401, 403, 200, 200]),
    row("pas /pas/2.2/Subscription/{id}", "GET", "/pas/2.2/Subscription/{subscription}", SUBSCRIPTION, [401, 403, 404, 200]),
    row("pas /pas/2.2/Subscription/{id}", "PUT", "/pas/2.2/Subscription/{subscription}", SUBSCRIPTION, [401, 403, 404, 0]),
    row("pas /pas/2.2/Subscription/{id}", "DELETE", "/pas/2.2/Subscription/{subscription}", SUBSCRIPTION, [401, 403, 404, 0]),
    row("pas /pas/2.2/Subscription/$status", "GET", "/pas/2.2/Subscription/$status", SUBSCRIPTION, [401, 403, 200, 200]),
    row("pas /pas/2.2/Subscription/$status", "POST", "/pas/2.2/Subscription/$status", SUBSCRIPTION, [401, 403, 200, 0]),
    row("pas /pas/2.2/Subscription/{id}/$status", "GET", "/pas/2.2/Subscription/{subscription}/$status", SUBSCRIPTION, [401, 403, 404, 200]),
    row("pas /pas/2.2/Subscription/{id}/$status", "POST", "/pas/2.2/Subscription/{subscription}/$status", SUBSCRIPTION, [401, 403, 404, 0]),

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
    row("access {BASE}/{name}/{{id}}", "GET", "/fhir/pdex/{organization}", Gate::App("Organization"), [401, 403, 404, 200]),
    row("access {BASE}/{name}/{{id}}", "GET", "/fhir/pdex/Practitioner/{case}-1", Gate::App("Practitioner"), [401, 403, 404, 0]),
    row("access {BASE}/{name}/{{id}}", "GET", "/fhir/pdex/Location/{case}-1", Gate::App("Location"), [401, 403, 404, 0]),
    row("access {BASE}/{name}/{{id}}", "GET", "/fhir/pdex/QuestionnaireResponse/{case}-1", Gate::App("QuestionnaireResponse"), [401, 403, 404, 0]),

    open("oauth TOKEN", "POST", "/oauth/token", 400),
    open("oauth /oauth/introspect", "POST", "/oauth/introspect", 400),
    open("oauth /oauth/revoke", "POST", "/oauth/revoke", 400),
    open("oauth /oauth/jwks", "GET", "/oauth/jwks", 200),
    open("oauth {base}/.well-known/smart-configuration", "GET", "/fhir/pdex/.well-known/smart-configuration", 200),
    open("oauth {base}/.well-known/smart-configuration", "GET", "/pas/2.2/.well-known/smart-configuration", 200),
    open("oauth {base}/.well-known/smart-configuration", "GET", "/dtr/2.2/.well-known/smart-configuration", 200),

    open("web /", "GET", "/", 200),
    open("web /k/{knock}", "GET", "/k/0190a6f3-0000-7000-8000-000000000000", 200),
    open("web /assets/{file}", "GET", "/assets/nothing.css", 404),
    open("web /prior-authorization-list", "GET", "/prior-authorization-list", 200),
    open("web /prior-authorization-list.csv", "GET", "/prior-authorization-list.csv", 200),
    open("web /prior-authorization-list/{which}", "GET", "/prior-authorization-list/2026-11-20", 200),
    open("web /staff/sign-in", "GET", "/staff/sign-in", 200),
    open("web /staff/sign-in", "POST", "/staff/sign-in", 403),
    open("web /staff/{*rest}", "GET", "/staff/nothing/here", 404),
    row("web /staff", "GET", "/staff", Gate::Staff, [303, 303, 0, 200]),
    row("web /staff/queue", "GET", "/staff/queue", Gate::Staff, [401, 401, 0, 200]),
    row("web /staff/queue/events", "GET", "/staff/queue/events", Gate::Staff, [401, 401, 0, 0]),
    row("web /staff/cases/{case}", "GET", "/staff/cases/{case}", Gate::Staff, [303, 303, 0, 200]),
    row("web /staff/cases/{case}/decide", "POST", "/staff/cases/{case}/decide", Gate::Staff, [401, 401, 0, 0]),
    row("web /staff/policies", "GET", "/staff/policies", Gate::Staff, [303, 303, 0, 403]),
    row("web /staff/policies/changes", "GET", "/staff/policies/changes", Gate::Staff, [303, 303, 0, 403]),
    row("web /staff/policies/propose", "POST", "/staff/policies/propose", Gate::Staff, [401, 401, 0, 403]),
    row("web /staff/policies/confirm", "POST", "/staff/policies/confirm", Gate::Staff, [401, 401, 0, 403]),
    row("web /staff/policies/withdraw", "POST", "/staff/policies/withdraw", Gate::Staff, [401, 401, 0, 403]),
    row("web /staff/sign-out", "POST", "/staff/sign-out", Gate::Staff, [401, 401, 0, 0]),
    open("web /me/sign-in", "GET", "/me/sign-in", 200),
    open("web /me/sign-in", "POST", "/me/sign-in", 403),
    open("web /me/{*rest}", "GET", "/me/nothing/here", 404),
    row("web /me", "GET", "/me", Gate::Member, [303, 303, 200, 200]),
    row("web /me/apps/{grant}/remove", "POST", "/me/apps/{grant}/remove", Gate::Member, [401, 401, 404, 0]),
    row("web /me/sign-out", "POST", "/me/sign-out", Gate::Member, [401, 401, 0, 0]),
    open("web /oauth/authorize", "GET", "/oauth/authorize", 400),
    row("web /oauth/authorize", "POST", "/oauth/authorize", Gate::Member, [401, 401, 0, 0]),
];
