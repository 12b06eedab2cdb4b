//! Views that several parts of the site share. A view is the set of values that one template shows: one type per
//! template. Instants are UTC and dates are dates; the template shows them in the plan's time zone.
//!
//! Handlers fill the views from what `review`, `access`, `oauth` and `publication` return. Views contain text, not
//! rules. The views of single pages are in `staff::views`, `member::views` and `public::views`.

#[cfg(test)]
pub(in crate::web) mod samples;

use crate::web::render::Page;
use serde::Serialize;

/// What every page shows around its content.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PageFrame {
    /// Who is signed in; `None` on pages without sign-in.
    pub signed_in: Option<SignedInUser>,
}

/// The signed-in person, for the page header with the sign-out button.
#[derive(Debug, Clone, Serialize)]
pub struct SignedInUser {
    /// The name on record.
    pub name: String,
    /// The role, with the state of the license: `Physician reviewer (OH)`. `None` for a member.
    pub role: Option<String>,
    /// Where the product name in the header links to: `/staff` or `/me`.
    pub home: String,
    /// Where the sign-out form posts to.
    pub sign_out: String,
    /// The CSRF token of the session.
    pub csrf: String,
    /// Whether the person may see cases (staff).
    pub may_see_cases: bool,
    /// Whether the person may see policies (staff).
    pub may_see_policies: bool,
    /// Whether the person may see the access log (staff).
    pub may_see_access_log: bool,
}

/// A status as a text with an icon and a color. The text is always shown, so no status depends on color alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Badge {
    /// Selects the icon and the color.
    pub style: BadgeStyle,
    /// The status as text.
    pub text: String,
}

impl Badge {
    /// A badge of `style` with `text`.
    pub fn new(style: BadgeStyle, text: impl Into<String>) -> Self {
        Self {
            style,
            text: text.into(),
        }
    }
}

/// The icons and colors of badges. Each style has an icon of its own shape, except that approved looks like met and
/// denied like not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadgeStyle {
    /// A criterion is met.
    Met,
    /// A criterion is not met.
    NotMet,
    /// A criterion cannot be judged from the request.
    Unknown,
    /// The due time is far away.
    OnTrack,
    /// The due time is days away.
    Watch,
    /// The due time is less than a working day away.
    DueSoon,
    /// The due time is hours away.
    DueNow,
    /// The due time has passed, or there is no receipt time.
    Overdue,
    /// In review.
    Open,
    /// Waiting for documents.
    Waiting,
    /// Approved as requested.
    Approved,
    /// Some items are approved and some denied.
    PartlyApproved,
    /// Denied.
    Denied,
    /// Closed without a decision: not required, withdrawn, void.
    Closed,
}

/// The plan's name and telephone numbers for members.
#[derive(Debug, Clone, Serialize)]
pub struct PlanContact {
    /// The plan's name.
    pub plan: String,
    /// The telephone number for members.
    pub phone: Option<String>,
    /// The TTY number for members.
    pub tty: Option<String>,
}

/// One option of a select box.
#[derive(Debug, Clone, Serialize)]
pub struct SelectOption {
    /// The value that the form sends.
    pub value: String,
    /// The text that the user sees.
    pub label: String,
    /// Whether it is selected now.
    pub selected: bool,
}

/// A page without sign-in: the front page and the page behind the link of an email notice. It contains no personal
/// data.
#[derive(Debug, Serialize)]
pub struct FrontPage {
    /// The page frame.
    pub frame: PageFrame,
    /// The heading.
    pub title: String,
    /// What the page is for.
    pub message: String,
    /// Links to the parts of the site.
    pub links: Vec<FrontPageLink>,
    /// Whom to call with questions.
    pub contact: PlanContact,
}

impl Page for FrontPage {
    const TEMPLATE: &'static str = "front_page.html";
}

/// A link on the front page.
#[derive(Debug, Serialize)]
pub struct FrontPageLink {
    /// The address.
    pub href: String,
    /// The text of the link.
    pub label: String,
    /// Who or what the linked page is for.
    pub text: String,
}

/// An error with a message that contains no data of a case or a member.
#[derive(Debug, Serialize)]
pub struct ErrorPage {
    /// The page frame.
    pub frame: PageFrame,
    /// The HTTP status.
    pub status: u16,
    /// A short heading: `Page not found`.
    pub title: String,
    /// The error's message.
    pub message: String,
    /// The id of the HTTP request, to quote when asking for help.
    pub request_id: Option<String>,
    /// Where the link back leads.
    pub back: String,
    /// The text of the link back: `Back to the queue`.
    pub back_label: String,
}

impl Page for ErrorPage {
    const TEMPLATE: &'static str = "error.html";
}

/// The page after sign-out or at the end of a session.
#[derive(Debug, Serialize)]
pub struct SignedOutPage {
    /// The page frame.
    pub frame: PageFrame,
    /// Why the person is signed out.
    pub reason: Option<String>,
    /// The address of the sign-in page.
    pub sign_in: String,
}

impl Page for SignedOutPage {
    const TEMPLATE: &'static str = "signed_out.html";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::render::Templates;
    use serde_json::Value;

    /// Markup that is added, with a number, to every text of a view except instants, dates, time zones and badge
    /// styles.
    const MARKUP: &str = "<i onerror=\"alert('x')\">&";

    fn add_markup(value: &mut Value, key: &str, count: &mut usize) {
        match value {
            Value::String(text) if !matches!(key, "style" | "zone") && !is_time(text) => {
                *count += 1;
                *text = format!("{text}{MARKUP}#{count}#");
            }
            Value::Array(list) => list
                .iter_mut()
                .for_each(|element| add_markup(element, key, count)),
            Value::Object(map) => map
                .iter_mut()
                .for_each(|(key, field)| add_markup(field, key, count)),
            _ => {}
        }
    }

    fn is_time(text: &str) -> bool {
        crate::fhir::dates::instant(text).is_some()
            || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
    }

    struct WithMarkup<P>(Value, std::marker::PhantomData<P>);

    impl<P> Serialize for WithMarkup<P> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)
        }
    }

    impl<P: Page> Page for WithMarkup<P> {
        const TEMPLATE: &'static str = P::TEMPLATE;
    }

    /// Renders a sample, checks that its template escapes and shows every text, and returns the HTML.
    fn check<P: Page>(templates: &Templates, page: &P) -> String {
        let html = templates.render(page).expect(P::TEMPLATE);
        let mut view = serde_json::to_value(page).unwrap();
        let mut count = 0;
        add_markup(&mut view, "", &mut count);
        let with_markup = templates
            .render(&WithMarkup::<P>(view, std::marker::PhantomData))
            .expect(P::TEMPLATE);
        assert!(
            !with_markup.contains("<i onerror"),
            "{} does not escape markup",
            P::TEMPLATE
        );
        assert!(
            !with_markup.contains("onerror=\""),
            "{} does not escape a quotation mark",
            P::TEMPLATE
        );
        for number in 1..=count {
            assert!(
                with_markup.contains(&format!("#{number}#")),
                "{}: text {number} of the view is not shown",
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
            assert!(!html.contains(forbidden), "{} contains {forbidden}", P::TEMPLATE);
        }
        html
    }

    #[test]
    fn every_page_shows_and_escapes_every_text_of_its_view() {
        let templates = Templates::load().unwrap();
        check(&templates, &samples::staff_sign_in());
        check(&templates, &samples::queue());
        check(&templates, &samples::queue_table_fragment());
        check(&templates, &samples::case_for_physician());
        check(&templates, &samples::case_for_nurse());
        check(&templates, &samples::decided_case());
        check(&templates, &samples::case_decided_by_another());
        check(&templates, &samples::confirm_denial());
        check(&templates, &samples::access_log());
        check(&templates, &samples::member_sign_in());
        check(&templates, &samples::member_home());
        check(&templates, &samples::consent());
        check(&templates, &samples::error());
        check(&templates, &samples::signed_out());
        check(&templates, &samples::front_page());
        check(&templates, &samples::public_list());
        check(&templates, &samples::policies());
        check(&templates, &samples::file_comparison());
    }

    #[test]
    fn an_empty_page_says_that_it_is_empty() {
        let templates = Templates::load().unwrap();
        let queue = templates.render(&samples::queue_hidden_by_filters()).unwrap();
        assert!(queue.contains("0 shown, 14 hidden by filters"), "{queue}");
        let home = templates.render(&samples::member_home_empty()).unwrap();
        assert!(home.contains("no requests") && home.contains("No app"), "{home}");
    }

    #[test]
    fn only_users_who_may_deny_see_the_denial_form() {
        let templates = Templates::load().unwrap();
        let physician = templates.render(&samples::case_for_physician()).unwrap();
        let nurse = templates.render(&samples::case_for_nurse()).unwrap();
        assert!(physician.contains("value=\"deny\"") && !nurse.contains("value=\"deny\""));
        assert!(nurse.contains("value=\"refer\"") && nurse.contains("Only a physician"));
        for html in [physician, nurse] {
            assert!(html.contains("name=\"version\" value=\"7\"") && html.contains("name=\"csrf\""));
        }
    }

    #[test]
    fn a_rejected_decision_keeps_the_form_and_shows_the_reason() {
        let html = Templates::load()
            .unwrap()
            .render(&samples::case_for_physician())
            .unwrap();
        assert!(
            html.contains("role=\"alert\"") && html.contains("Documents arrived"),
            "{html}"
        );
        assert!(html.contains("The saturation on file is from 47 days ago."));
    }

    #[test]
    fn the_consent_page_names_app_data_duration_and_privacy_limits() {
        let html = Templates::load().unwrap().render(&samples::consent()).unwrap();
        for expected in ["Care Ledger", "90 days", "HIPAA", "Do not allow", "sensitive"] {
            assert!(html.contains(expected), "{expected}");
        }
    }
}
