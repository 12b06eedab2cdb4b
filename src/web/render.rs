//! Turns a view into a page. The templates are compiled in, escape everything, and know no field by accident: a name
//! that the view does not carry is an error, never an empty space.

use crate::error::{Error, Result};
use crate::fhir::dates;
use crate::web::assets;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{
    AutoEscape, Environment, ErrorKind, Output, State as EngineState, UndefinedBehavior, escape_formatter,
};
use serde::Serialize;
use std::fmt::Write;

/// What a template is given: one type for one template.
pub trait Page: Serialize {
    /// The file under `templates/`.
    const TEMPLATE: &'static str;
}

/// Every template, ready to render. Built once, shared by all handlers.
#[derive(Debug)]
pub struct Pages {
    environment: Environment<'static>,
}

const TEMPLATES: [(&str, &str); 20] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("marks.html", include_str!("templates/marks.html")),
    (
        "staff_sign_in.html",
        include_str!("templates/staff/staff_sign_in.html"),
    ),
    ("queue.html", include_str!("templates/staff/queue.html")),
    (
        "queue_table.html",
        include_str!("templates/staff/queue_table.html"),
    ),
    ("case.html", include_str!("templates/staff/case.html")),
    (
        "case_criteria.html",
        include_str!("templates/staff/case_criteria.html"),
    ),
    (
        "case_evidence.html",
        include_str!("templates/staff/case_evidence.html"),
    ),
    (
        "case_actions.html",
        include_str!("templates/staff/case_actions.html"),
    ),
    (
        "case_history.html",
        include_str!("templates/staff/case_history.html"),
    ),
    (
        "member_sign_in.html",
        include_str!("templates/member/member_sign_in.html"),
    ),
    (
        "member_home.html",
        include_str!("templates/member/member_home.html"),
    ),
    (
        "about_apps.html",
        include_str!("templates/public/about_apps.html"),
    ),
    ("consent.html", include_str!("templates/member/consent.html")),
    ("doorstep.html", include_str!("templates/public/doorstep.html")),
    (
        "public_list.html",
        include_str!("templates/public/public_list.html"),
    ),
    ("policies.html", include_str!("templates/staff/policies.html")),
    (
        "policy_changes.html",
        include_str!("templates/staff/policy_changes.html"),
    ),
    ("problem.html", include_str!("templates/problem.html")),
    ("signed_out.html", include_str!("templates/signed_out.html")),
];

impl Pages {
    /// Compiles every template; a broken one is an error at start, not at the first visitor.
    pub fn load() -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|e| fault("syntax", &e))?);
        environment.set_formatter(write_escaped);
        environment.add_filter("stamp", stamp);
        environment.add_filter("moment", moment);
        environment.add_filter("day", day);
        environment.add_filter("left", left);
        environment.add_filter("age", age);
        environment.add_function("asset", asset);
        for (name, text) in TEMPLATES {
            environment
                .add_template(name, text)
                .map_err(|e| fault(name, &e))?;
        }
        Ok(Self { environment })
    }

    /// The HTML of one page.
    pub fn render<P: Page>(&self, page: &P) -> Result<String> {
        self.environment
            .get_template(P::TEMPLATE)
            .and_then(|template| template.render(Value::from(Serde(page))))
            .map_err(|e| fault(P::TEMPLATE, &e))
    }
}

/// Writes a value into HTML. The engine's own escaping also rewrites `/`, which makes every address unreadable; in text
/// and in quoted attributes, the only places that the templates use, these five letters are all that can break out.
fn write_escaped(out: &mut Output, state: &mut EngineState, value: &Value) -> Result<(), minijinja::Error> {
    let text = value
        .as_str()
        .filter(|_| !value.is_safe() && *state.auto_escape() == AutoEscape::Html);
    let Some(text) = text else {
        return escape_formatter(out, state, value);
    };
    for letter in text.chars() {
        let written = match letter {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\'' => out.write_str("&#39;"),
            other => out.write_char(other),
        };
        written
            .map_err(|_| minijinja::Error::new(ErrorKind::WriteFailure, "the page could not be written"))?;
    }
    Ok(())
}

/// The log learns the template and the line; the detail of a template error may quote values, so it stays out.
fn fault(template: &str, error: &minijinja::Error) -> Error {
    Error::internal(format!(
        "template {template}: {} at {}:{}",
        error.kind(),
        error.name().unwrap_or(template),
        error.line().unwrap_or_default()
    ))
}

fn unreadable(what: &'static str) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, what)
}

fn instant(text: &str) -> Result<DateTime<Utc>, minijinja::Error> {
    dates::instant(text)
        .map(|at| at.to_utc())
        .ok_or_else(|| unreadable("not an instant"))
}

fn zone_of(name: &str) -> Result<Tz, minijinja::Error> {
    name.parse().map_err(|_| unreadable("not a time zone"))
}

/// `Tue Oct 6, 2026, 10:05 EDT`.
fn stamp(at: &str, zone: &str) -> Result<String, minijinja::Error> {
    let at = instant(at)?.with_timezone(&zone_of(zone)?);
    Ok(at.format("%a %b %-d, %Y, %H:%M %Z").to_string())
}

/// `Tue Oct 6, 10:05 EDT`: for tables, where the year is plain.
fn moment(at: &str, zone: &str) -> Result<String, minijinja::Error> {
    let at = instant(at)?.with_timezone(&zone_of(zone)?);
    Ok(at.format("%a %b %-d, %H:%M %Z").to_string())
}

/// A FHIR date or instant as a day: `Oct 6, 2026`. A partial date stays as it was written.
fn day(text: &str, zone: &str) -> Result<String, minijinja::Error> {
    let date = match text.len() {
        4 | 7 => return Ok(text.to_owned()),
        10 => NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| unreadable("not a date"))?,
        _ => instant(text)?.with_timezone(&zone_of(zone)?).date_naive(),
    };
    Ok(date.format("%b %-d, %Y").to_string())
}

/// The time to a due instant: `2 d 4 h left`, `35 min late`.
fn left(due: &str, now: &str) -> Result<String, minijinja::Error> {
    let span = instant(due)? - instant(now)?;
    let word = if span < TimeDelta::zero() { "late" } else { "left" };
    Ok(format!("{} {word}", span_text(span)))
}

/// The time since an instant: `3 d 4 h`.
fn age(since: &str, now: &str) -> Result<String, minijinja::Error> {
    Ok(span_text(instant(now)? - instant(since)?))
}

/// A span in its two largest units. The script counts on in the same words.
fn span_text(span: TimeDelta) -> String {
    let minutes = span.num_minutes().abs();
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The address of an asset: our own text, so it needs no escaping.
fn asset(name: &str) -> Result<Value, minijinja::Error> {
    assets::url(name)
        .map(|url| Value::from_safe_string(url.to_owned()))
        .ok_or_else(|| unreadable("no such asset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_zone_of_the_plan() {
        let at = "2026-10-08T14:05:00Z";
        assert_eq!(
            stamp(at, "America/New_York").unwrap(),
            "Thu Oct 8, 2026, 10:05 EDT"
        );
        assert_eq!(moment(at, "America/Chicago").unwrap(), "Thu Oct 8, 09:05 CDT");
        assert_eq!(
            day("2026-11-02T02:00:00Z", "America/New_York").unwrap(),
            "Nov 1, 2026"
        );
        assert_eq!(day("2026-09", "America/New_York").unwrap(), "2026-09");
        assert!(stamp("soon", "America/New_York").is_err());
    }

    #[test]
    fn a_countdown_says_left_until_due_and_late_after() {
        let now = "2026-10-01T12:00:00Z";
        assert_eq!(left("2026-10-03T16:30:00Z", now).unwrap(), "2 d 4 h left");
        assert_eq!(left("2026-10-01T15:05:00Z", now).unwrap(), "3 h 5 min left");
        assert_eq!(left("2026-10-01T11:25:00Z", now).unwrap(), "35 min late");
        assert_eq!(age("2026-09-30T12:00:00Z", now).unwrap(), "1 d 0 h");
    }

    #[test]
    fn text_cannot_break_out_of_its_place_and_addresses_stay_readable() {
        let mut page = crate::web::views::Problem {
            frame: crate::web::views::Frame::default(),
            status: 404,
            title: "<b>&\"'".to_owned(),
            message: String::new(),
            request_id: None,
            back: "/staff/cases".to_owned(),
        };
        let html = Pages::load().unwrap().render(&page).unwrap();
        assert!(html.contains("<h1>&lt;b&gt;&amp;&quot;&#39;</h1>"), "{html}");
        assert!(html.contains("href=\"/staff/cases\""), "{html}");
        page.back = "\" onclick=\"x".to_owned();
        assert!(
            !Pages::load()
                .unwrap()
                .render(&page)
                .unwrap()
                .contains("onclick=\"x")
        );
    }

    #[test]
    fn a_field_that_the_view_does_not_carry_is_an_error_that_quotes_nothing() {
        #[derive(Serialize)]
        struct Bare {
            title: &'static str,
        }
        impl Page for Bare {
            const TEMPLATE: &'static str = "problem.html";
        }
        let error = Pages::load()
            .unwrap()
            .render(&Bare { title: "ZZ-private" })
            .unwrap_err();
        let line = error.log_line().unwrap();
        assert!(
            line.contains("undefined") && !line.contains("ZZ-private"),
            "{line}"
        );
    }
}
