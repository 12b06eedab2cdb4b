//! What each page is given: one type per template, with exactly the fields that the template shows. Instants are UTC
//! and days are days; the template puts them into the plan's zone.
//!
//! Views are filled by the handlers from what the doors answer. They hold words, not rules.

#[cfg(test)]
mod samples;

pub use crate::web::member::views::{
    App, Appeal, Connection, Consent, MemberHome, MemberLine, MemberRequest, MemberSignIn, Message, WebLink,
};
pub use crate::web::public::views::{Edition, ListedRow, PublicListPage, Source};
pub use crate::web::staff::views::policies::{
    FileChange, InForce, LogEntry, PoliciesPage, PolicyChanges, PolicyRow, RefusedSet, TextLine, TextSide,
    WaitingSet,
};
pub use crate::web::staff::views::{
    Actions, Answer, Approval, Asked, Brief, CaseClock, CasePage, CasePolicy, Chip, Choice, Counts,
    Criterion, Denial, Event, Evidence, Fact, Filter, Found, LeafView, Line, Observation, Person,
    QueueFragment, QueuePage, QueueRow, QueueTable, ServiceName, StaffSignIn, Step,
};

use crate::web::render::Page;
use serde::Serialize;

/// What every page carries around its content.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Frame {
    /// Who is signed in; a page without sign-in has none.
    pub signed_in: Option<SignedIn>,
}

/// The person in the page's corner, and the way out.
#[derive(Debug, Clone, Serialize)]
pub struct SignedIn {
    /// The name as it stands on record.
    pub name: String,
    /// The role and credential in words: `Medical director, MD (OH)`. None for a member.
    pub role: Option<String>,
    /// Where the product's name leads: `/staff` or `/me`.
    pub home: String,
    /// Where the sign-out button posts to.
    pub sign_out: String,
    /// The token that a form of this session must carry.
    pub csrf: String,
    /// Whether the person may look at cases (staff).
    pub cases: bool,
    /// Whether the person may look at policies (staff).
    pub policies: bool,
}

/// A state as word, icon and colour together, so that none of them stands alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Chooses icon and colour.
    pub tone: Tone,
    /// The word beside it.
    pub word: String,
}

impl Mark {
    /// A mark of `tone` that says `word`.
    pub fn new(tone: Tone, word: impl Into<String>) -> Self {
        Self {
            tone,
            word: word.into(),
        }
    }
}

/// The looks that a mark can have. Each has its own shape of icon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// A criterion is met.
    Met,
    /// A criterion is not met.
    NotMet,
    /// A criterion cannot be told from what was sent.
    Unknown,
    /// Plenty of time.
    Calm,
    /// Worth an eye.
    Watch,
    /// Due soon.
    Soon,
    /// Due now.
    Now,
    /// Past due, or no receipt time.
    Late,
    /// In work.
    Open,
    /// Waiting for papers from outside.
    Waiting,
    /// Approved as asked.
    Approved,
    /// Approved in part.
    Partly,
    /// Denied.
    Denied,
    /// Over without a decision: not required, withdrawn, void.
    Closed,
}

/// Whom to call: shown to members wherever something may be unclear.
#[derive(Debug, Clone, Serialize)]
pub struct Contact {
    /// The plan's name.
    pub plan: String,
    /// The number for members.
    pub phone: Option<String>,
    /// The same by text telephone.
    pub tty: Option<String>,
}

/// A page before any sign-in: `/` and the links of e-mails. It names nobody and does nothing.
#[derive(Debug, Serialize)]
pub struct Doorstep {
    /// The page's surroundings.
    pub frame: Frame,
    /// The heading.
    pub title: String,
    /// What the page is for.
    pub message: String,
    /// Where to go.
    pub doors: Vec<Door>,
    /// Whom to call.
    pub contact: Contact,
}

impl Page for Doorstep {
    const TEMPLATE: &'static str = "doorstep.html";
}

/// One way in.
#[derive(Debug, Serialize)]
pub struct Door {
    /// The address.
    pub href: String,
    /// The words on it.
    pub label: String,
    /// Who goes in here.
    pub text: String,
}

/// Something went wrong, in a sentence that holds no detail of a case.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// The page's surroundings.
    pub frame: Frame,
    /// The status that goes with it.
    pub status: u16,
    /// A short heading: `Page not found`.
    pub title: String,
    /// The sentence of the error.
    pub message: String,
    /// The request's id, to quote when asking for help.
    pub request_id: Option<String>,
    /// Where to go on.
    pub back: String,
}

impl Page for Problem {
    const TEMPLATE: &'static str = "problem.html";
}

/// The session is over.
#[derive(Debug, Serialize)]
pub struct SignedOut {
    /// The page's surroundings.
    pub frame: Frame,
    /// Why, where the person did not ask for it: `You were signed out after 15 minutes without activity.`
    pub reason: Option<String>,
    /// The sign-in page to return to.
    pub sign_in: String,
}

impl Page for SignedOut {
    const TEMPLATE: &'static str = "signed_out.html";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::render::Pages;
    use serde_json::Value;

    /// Every text of a view gets this and a number of its own, except instants, days, zones and tones.
    const POISON: &str = "<i onerror=\"alert('x')\">&";

    fn poison(value: &mut Value, key: &str, count: &mut usize) {
        match value {
            Value::String(text) if !matches!(key, "tone" | "zone") && !is_time(text) => {
                *count += 1;
                *text = format!("{text}{POISON}#{count}#");
            }
            Value::Array(list) => list.iter_mut().for_each(|one| poison(one, key, count)),
            Value::Object(map) => map.iter_mut().for_each(|(key, one)| poison(one, key, count)),
            _ => {}
        }
    }

    fn is_time(text: &str) -> bool {
        crate::fhir::dates::instant(text).is_some()
            || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
    }

    struct Poisoned<P>(Value, std::marker::PhantomData<P>);

    impl<P> Serialize for Poisoned<P> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)
        }
    }

    impl<P: Page> Page for Poisoned<P> {
        const TEMPLATE: &'static str = P::TEMPLATE;
    }

    /// Renders the sample, checks it, and answers its HTML.
    fn check<P: Page>(pages: &Pages, page: &P) -> String {
        let html = pages.render(page).expect(P::TEMPLATE);
        let mut view = serde_json::to_value(page).unwrap();
        let mut count = 0;
        poison(&mut view, "", &mut count);
        let poisoned = pages
            .render(&Poisoned::<P>(view, std::marker::PhantomData))
            .expect(P::TEMPLATE);
        assert!(
            !poisoned.contains("<i onerror"),
            "{} lets markup through",
            P::TEMPLATE
        );
        assert!(
            !poisoned.contains("onerror=\""),
            "{} lets a quote through",
            P::TEMPLATE
        );
        for number in 1..=count {
            assert!(
                poisoned.contains(&format!("#{number}#")),
                "{}: field {number} is carried and never shown",
                P::TEMPLATE
            );
        }
        for forbidden in [
            "<script>",
            "<style",
            " style=",
            " onclick",
            "javascript:",
            ">none<",
        ] {
            assert!(!html.contains(forbidden), "{} holds {forbidden}", P::TEMPLATE);
        }
        html
    }

    #[test]
    fn every_page_renders_and_escapes_what_it_is_given() {
        let pages = Pages::load().unwrap();
        check(&pages, &samples::staff_sign_in());
        check(&pages, &samples::queue());
        check(&pages, &samples::queue_fragment());
        check(&pages, &samples::case_for_physician());
        check(&pages, &samples::case_for_nurse());
        check(&pages, &samples::decided_case());
        check(&pages, &samples::member_sign_in());
        check(&pages, &samples::member_home());
        check(&pages, &samples::consent());
        check(&pages, &samples::problem());
        check(&pages, &samples::signed_out());
        check(&pages, &samples::doorstep());
        check(&pages, &samples::public_list());
        check(&pages, &samples::policies());
        check(&pages, &samples::policy_changes());
    }

    #[test]
    fn a_page_with_nothing_in_it_still_says_so() {
        let pages = Pages::load().unwrap();
        let queue = pages.render(&samples::queue_hidden_by_filters()).unwrap();
        assert!(queue.contains("0 shown, 14 hidden by filters"), "{queue}");
        let home = pages.render(&samples::member_home_empty()).unwrap();
        assert!(home.contains("no requests") && home.contains("No app"), "{home}");
    }

    #[test]
    fn only_who_may_deny_sees_the_form_to_deny() {
        let pages = Pages::load().unwrap();
        let physician = pages.render(&samples::case_for_physician()).unwrap();
        let nurse = pages.render(&samples::case_for_nurse()).unwrap();
        assert!(physician.contains("value=\"deny\"") && !nurse.contains("value=\"deny\""));
        assert!(nurse.contains("value=\"refer\"") && nurse.contains("Only a physician"));
        for html in [physician, nurse] {
            assert!(html.contains("name=\"version\" value=\"7\"") && html.contains("name=\"csrf\""));
        }
    }

    #[test]
    fn a_refused_decision_keeps_what_was_typed_and_says_why() {
        let html = Pages::load()
            .unwrap()
            .render(&samples::case_for_physician())
            .unwrap();
        assert!(
            html.contains("role=\"alert\"") && html.contains("Records arrived"),
            "{html}"
        );
        assert!(html.contains("The saturation on file is from 47 days ago."));
    }

    #[test]
    fn consent_names_the_app_the_data_the_time_and_the_limits_of_the_law() {
        let html = Pages::load().unwrap().render(&samples::consent()).unwrap();
        for words in ["Care Ledger", "90 days", "HIPAA", "Do not allow", "sensitive"] {
            assert!(html.contains(words), "{words}");
        }
    }
}
