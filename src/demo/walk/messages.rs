//! Synthetic messages of an EHR for the end-to-end check, tests and benchmarks, built from the guides: a CRD hook with
//! two orders, PAS requests, an inquiry, a subscription. Also readers for the replies' extensions and parameters.

mod parties;

use crate::clock::{new_id, new_number};
use crate::demo::seed::SENDER;
use chrono::{DateTime, Days, NaiveDate, Utc};
use parties::{coverage, insurer, patient, practitioner, requester};
use serde_json::{Value, json};

const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
const SD: &str = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition";
const NPI: &str = "http://hl7.org/fhir/sid/us-npi";

/// Builds the messages of one run.
pub struct Messages {
    /// Unique in every run; part of trace numbers and Claim identifiers.
    pub tag: String,
    /// The date of the orders and requests.
    pub today: NaiveDate,
    now: DateTime<Utc>,
}

impl Messages {
    /// A run that starts at this time.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            tag: new_number("W"),
            today: now.date_naive(),
            now,
        }
    }

    /// A new UUID.
    pub fn uuid(&self) -> String {
        new_id(self.now).to_string()
    }

    /// The system time as a JWT `NumericDate`: seconds since 1970.
    pub fn seconds(&self) -> i64 {
        crate::clock::Clock::System.now().timestamp()
    }

    fn date(&self, days_from_today: i64) -> NaiveDate {
        let days = Days::new(days_from_today.unsigned_abs());
        let date = if days_from_today < 0 {
            self.today - days
        } else {
            self.today + days
        };
        debug_assert!(date != self.today || days_from_today == 0);
        date
    }

    /// An Observation of oxygen saturation, taken a week ago.
    pub fn oximetry(&self, percent: u32) -> Value {
        json!({
            "resourceType": "Observation",
            "id": "spo2",
            "status": "final",
            "category": [{ "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs",
            }] }],
            "code": { "coding": [{ "system": "http://loinc.org", "code": "59408-5" }] },
            "subject": { "reference": "Patient/p1" },
            "effectiveDateTime": format!("{}T15:30:00Z", self.date(-7)),
            "valueQuantity": { "value": percent, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%" },
        })
    }

    /// The draft orders of the hook: home oxygen, and a mammography without a billing code.
    fn draft_orders(&self) -> [Value; 2] {
        let oxygen = json!({
            "resourceType": "ServiceRequest",
            "id": "oxygen",
            "status": "draft",
            "intent": "original-order",
            "code": { "coding": [{
                "system": "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "E1390",
            }] },
            "quantityQuantity": { "value": 12, "unit": "mo", "system": "http://unitsofmeasure.org", "code": "mo" },
            "subject": { "reference": "Patient/p1" },
            "authoredOn": self.today,
            "requester": { "reference": "Practitioner/dr1" },
        });
        let mammography = json!({
            "resourceType": "ServiceRequest",
            "id": "mammography",
            "status": "draft",
            "intent": "original-order",
            "code": { "coding": [{ "system": "http://snomed.info/sct", "code": "71651007" }] },
            "subject": { "reference": "Patient/p1" },
            "authoredOn": self.today,
            "requester": { "reference": "Practitioner/dr1" },
        });
        [oxygen, mammography]
    }

    /// A call of the CRD hook `order-sign` with two orders: a home oxygen concentrator, and a mammography without a
    /// billing code.
    pub fn order_sign_hook(&self) -> Value {
        let ehr = "https://ehr.demo.example/fhir";
        let orders: Vec<Value> = self
            .draft_orders()
            .into_iter()
            .map(|order| {
                let resource_type = order.get("resourceType").and_then(Value::as_str).unwrap_or("");
                let id = order.get("id").and_then(Value::as_str).unwrap_or("");
                json!({ "fullUrl": format!("{ehr}/{resource_type}/{id}"), "resource": order })
            })
            .collect();
        json!({
            "hook": "order-sign",
            "hookInstance": self.uuid(),
            "context": {
                "userId": "Practitioner/dr1",
                "patientId": "p1",
                "draftOrders": { "resourceType": "Bundle", "type": "collection", "entry": orders },
            },
            "prefetch": {
                "patient": patient(),
                "coverage": { "resourceType": "Bundle", "type": "searchset", "entry": [
                    { "fullUrl": format!("{ehr}/Coverage/c1"), "resource": coverage() },
                ] },
                "practitioners": { "resourceType": "Bundle", "type": "searchset", "entry": [
                    { "fullUrl": format!("{ehr}/Practitioner/dr1"), "resource": practitioner() },
                ] },
                "organizations": { "resourceType": "Bundle", "type": "searchset", "entry": [
                    { "fullUrl": format!("{ehr}/Organization/payer"), "resource": insurer() },
                ] },
                "observations": { "resourceType": "Bundle", "type": "searchset", "entry": [
                    { "fullUrl": format!("{ehr}/Observation/spo2"), "resource": self.oximetry(87) },
                ] },
            },
            "extension": { "davinci-crd.requestedVersion": "2.2" },
        })
    }

    /// The input of DTR's `$questionnaire-package` for a coverage-assertion-id.
    pub fn questionnaire_package_input(assertion: &str) -> Value {
        json!({ "resourceType": "Parameters", "parameter": [
            { "name": "coverage", "resource": coverage() },
            { "name": "context", "valueString": assertion },
        ] })
    }

    /// A completed QuestionnaireResponse for the home oxygen form with this canonical URL.
    pub fn oxygen_answers(&self, form: &str) -> Value {
        let origin = json!({
            "url": "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin",
            "extension": [
                { "url": "source", "valueCode": "manual" },
                { "url": "author", "extension": [
                    { "url": "practitioner", "valueReference": { "reference": "Practitioner/dr1" } },
                ] },
            ],
        });
        let item = |link_id: &str, name: &str, value: Value| json!({ "linkId": link_id, "answer": [{ "extension": [origin], name: value }] });
        json!({
            "resourceType": "QuestionnaireResponse",
            "id": "answers",
            "status": "completed",
            "questionnaire": form,
            "subject": { "reference": "Patient/p1" },
            "authored": format!("{}T16:00:00Z", self.today),
            "item": [
                item("oxygen.test-ordered-by-treating-practitioner", "valueBoolean", json!(true)),
                item("oxygen.test-performed-by-dme-supplier", "valueBoolean", json!(false)),
                item("oxygen.test-condition", "valueCoding", json!({ "code": "rest-awake-room-air" })),
                item("oxygen.dependent-edema", "valueBoolean", json!(false)),
                item("oxygen.cor-pulmonale", "valueBoolean", json!(false)),
                item("oxygen.visit-date", "valueDate", json!(self.date(-7))),
                item("oxygen.order-before-delivery", "valueBoolean", json!(true)),
            ],
        })
    }

    /// A PAS request for twelve months of home oxygen with an oxygen saturation of `percent`. `form` is the canonical
    /// URL of the answered form (empty: no answers), `assertion` the coverage-assertion-id, `priority` a code of
    /// `processpriority`.
    pub fn oxygen_request(&self, form: &str, assertion: Option<&str>, percent: u32, priority: &str) -> Value {
        let mut item = self.item(1, HCPCS, "E1390");
        set(
            &mut item,
            "quantity",
            json!({ "value": 12, "unit": "MO", "system": "https://codesystem.x12.org/005010/673", "code": "MO" }),
        );
        let mut order = json!({
            "resourceType": "ServiceRequest", "id": "oxygen", "status": "active", "intent": "original-order",
            "code": { "coding": [{ "system": HCPCS, "code": "E1390" }] },
            "subject": { "reference": "Patient/p1" }, "authoredOn": self.today,
            "requester": { "reference": "Practitioner/dr1" },
        });
        if let Some(assertion) = assertion {
            set(
                &mut order,
                "extension",
                json!([{
                    "url": "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information",
                    "extension": [
                        { "url": "coverage", "valueReference": { "reference": "Coverage/c1" } },
                        { "url": "covered", "valueCode": "covered" },
                        { "url": "pa-needed", "valueCode": "auth-needed" },
                        { "url": "date", "valueDate": self.today },
                        { "url": "coverage-assertion-id", "valueString": assertion },
                    ],
                }]),
            );
        }
        let mut resources = vec![order, practitioner(), self.oximetry(percent)];
        let mut supporting = vec!["Observation/spo2"];
        if !form.is_empty() {
            resources.push(self.oxygen_answers(form));
            supporting.push("QuestionnaireResponse/answers");
        }
        self.bundle(priority, &[item], &supporting, resources)
    }

    /// A PAS request for a referral to one consultation.
    pub fn referral_request(&self) -> Value {
        self.bundle(
            "normal",
            &[self.item(1, "https://codesystem.x12.org/005010/1365", "3")],
            &[],
            Vec::new(),
        )
    }

    /// A PAS request for a surgery with two items.
    pub fn surgery_request(&self) -> Value {
        let cpt = "http://www.ama-assn.org/go/cpt";
        self.bundle(
            "normal",
            &[self.item(1, cpt, "33510"), self.item(2, cpt, "33510")],
            &[],
            Vec::new(),
        )
    }

    /// A PAS request for home care: a visit that needs authorization, and a supply that does not.
    pub fn home_care_request(&self) -> Value {
        self.bundle(
            "normal",
            &[self.item(1, HCPCS, "G0154"), self.item(2, HCPCS, "B4184")],
            &[],
            Vec::new(),
        )
    }

    /// A PAS request with four errors: no timestamp, two items with the same sequence, an item without a location, and
    /// a coverage reference that does not resolve.
    pub fn request_with_four_errors(&self) -> Value {
        let mut second = self.item(1, HCPCS, "E1390");
        if let Some(fields) = second.as_object_mut() {
            fields.remove("locationCodeableConcept");
        }
        let mut bundle = self.bundle("normal", &[self.item(1, HCPCS, "E1390"), second], &[], Vec::new());
        if let Some(fields) = bundle.as_object_mut() {
            fields.remove("timestamp");
        }
        if let Some(coverage) = bundle.pointer_mut("/entry/0/resource/insurance/0/coverage") {
            set(coverage, "reference", json!("Coverage/nowhere"));
        }
        bundle
    }

    fn item(&self, sequence: u32, system: &str, code: &str) -> Value {
        json!({
            "extension": [
                { "url": format!("{SD}/extension-serviceItemRequestType"), "valueCodeableConcept": { "coding": [{
                    "system": "https://codesystem.x12.org/005010/1525", "code": "HS" }] } },
                { "url": format!("{SD}/extension-certificationType"), "valueCodeableConcept": { "coding": [{
                    "system": "https://codesystem.x12.org/005010/1322", "code": "I" }] } },
                { "url": format!("{SD}/extension-itemTraceNumber"), "valueIdentifier": {
                    "system": "urn:trnorg:9012345678", "value": format!("{}-{sequence}", self.tag) } },
            ],
            "sequence": sequence,
            "category": { "coding": [{ "system": "https://codesystem.x12.org/005010/1365", "code": "1" }] },
            "productOrService": { "coding": [{ "system": system, "code": code }] },
            "servicedDate": self.date(3),
            "locationCodeableConcept": { "coding": [{
                "system": "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set",
                "code": "12" }] },
        })
    }

    fn bundle(&self, priority: &str, items: &[Value], supporting: &[&str], resources: Vec<Value>) -> Value {
        let information: Vec<Value> = (1..)
            .zip(supporting)
            .map(|(sequence, reference)| {
                json!({
                    "sequence": sequence,
                    "category": { "coding": [{
                        "system": "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes",
                        "code": "additionalInformation" }] },
                    "valueReference": { "reference": reference },
                })
            })
            .collect();
        let mut claim = self.claim(priority);
        set(&mut claim, "item", json!(items));
        if !information.is_empty() {
            set(&mut claim, "supportingInfo", json!(information));
        }
        let parties = [patient(), coverage(), insurer(), requester()];
        let resources = std::iter::once(claim).chain(parties).chain(resources);
        let entries: Vec<Value> = resources
            .map(|resource| {
                let resource_type = resource.get("resourceType").and_then(Value::as_str).unwrap_or("").to_owned();
                let id = resource.get("id").and_then(Value::as_str).unwrap_or("").to_owned();
                json!({ "fullUrl": format!("https://ehr.demo.example/fhir/{resource_type}/{id}"), "resource": resource })
            })
            .collect();
        json!({
            "resourceType": "Bundle",
            "meta": { "profile": [format!("{SD}/profile-pas-request-bundle")] },
            "identifier": { "system": "https://ehr.demo.example/bundles", "value": self.uuid() },
            "type": "collection",
            "timestamp": format!("{}T16:05:00Z", self.today),
            "entry": entries,
        })
    }

    fn claim(&self, priority: &str) -> Value {
        json!({
            "resourceType": "Claim",
            "id": self.uuid(),
            "meta": { "profile": [format!("{SD}/profile-claim")] },
            "extension": [{ "url": format!("{SD}/extension-TransmissionIdentifiers"), "extension": [
                { "url": "applicationSenderCode", "valueString": "LAKESIDE" },
                { "url": "applicationReceiverCode", "valueString": "ASSENT" },
                { "url": "interchangeSenderID", "valueString": SENDER },
                { "url": "interchangeReceiverID", "valueString": "ASSENTDEMO" },
            ] }],
            "identifier": [{ "system": "urn:trnorg:9012345678", "value": format!("{}-{}", self.tag, self.uuid()) }],
            "status": "active",
            "type": { "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional" }] },
            "use": "preauthorization",
            "patient": { "reference": "Patient/p1" },
            "created": self.today,
            "insurer": { "reference": "Organization/payer" },
            "provider": { "reference": "Organization/requester" },
            "priority": { "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/processpriority", "code": priority }] },
            "insurance": [{ "sequence": 1, "focal": true, "coverage": { "reference": "Coverage/c1" } }],
        })
    }

    /// A PAS inquiry by authorization or tracking number.
    pub fn inquiry(&self, number: &str) -> Value {
        let mut claim = self.claim("normal");
        let absent = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
        set(
            &mut claim,
            "item",
            json!([{
                "extension": [{ "url": format!("{SD}/extension-administrationReferenceNumber"), "valueString": number }],
                "sequence": 1,
                "productOrService": { "coding": [{ "system": absent, "code": "not-applicable" }] },
            }]),
        );
        let mut bundle = self.bundle("normal", &[], &[], Vec::new());
        if let Some(first) = bundle.pointer_mut("/entry/0/resource") {
            *first = claim;
        }
        bundle
    }

    /// A PAS subscription of the demo's sending system.
    pub fn subscription(endpoint: &str) -> Value {
        let backport = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";
        json!({
            "resourceType": "Subscription",
            "status": "requested",
            "reason": "Results of prior authorization",
            "criteria": "http://hl7.org/fhir/us/davinci-pas/SubscriptionTopic/PASSubscriptionTopic",
            "_criteria": { "extension": [{
                "url": format!("{backport}/backport-filter-criteria"),
                "valueString": format!("org-identifier={SENDER}"),
            }] },
            "channel": {
                "type": "rest-hook",
                "endpoint": endpoint,
                "payload": "application/fhir+json",
                "_payload": { "extension": [{
                    "url": format!("{backport}/backport-payload-content"), "valueCode": "full-resource" }] },
            },
        })
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// The first parameter of a `Parameters` resource with this name.
pub fn parameter<'a>(parameters: &'a Value, name: &str) -> Option<&'a Value> {
    parameters
        .get("parameter")?
        .as_array()?
        .iter()
        .find(|p| p.get("name").and_then(Value::as_str) == Some(name))
}

/// The first extension of an element (or of an extension) with this url.
pub fn extension<'a>(element: &'a Value, url: &str) -> Option<&'a Value> {
    element
        .get("extension")?
        .as_array()?
        .iter()
        .find(|e| e.get("url").and_then(Value::as_str) == Some(url))
}

/// The X12 review action code (A1, A3, A4, NA …) of a ClaimResponse item.
pub fn review_action_code(item: &Value) -> Option<&str> {
    review_action_part(item, &format!("{SD}/extension-reviewActionCode"))?
        .pointer("/valueCodeableConcept/coding/0/code")?
        .as_str()
}

/// A named part of a ClaimResponse item's review action, such as `number` or `reasonCode`.
pub fn review_action_part<'a>(item: &'a Value, name: &str) -> Option<&'a Value> {
    let adjudication = item.pointer("/adjudication/0")?;
    extension(
        extension(adjudication, &format!("{SD}/extension-reviewAction"))?,
        name,
    )
}

/// The PAS extension with this name on an item of a Claim or ClaimResponse.
pub fn item_extension<'a>(item: &'a Value, name: &str) -> Option<&'a Value> {
    extension(item, &format!("{SD}/{name}"))
}
