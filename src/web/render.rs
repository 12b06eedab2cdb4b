//! Renders views as HTML. The templates are compiled into the program and escape every value. A template that uses a
//! field which its view does not have is an error, not an empty text.

use crate::error::{Error, Result};
use crate::fhir::dates;
use crate::web::assets;
use chrono::{DateTime, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{
    AutoEscape, Environment, ErrorKind, Output, State as EngineState, UndefinedBehavior, escape_formatter,
};
use serde::Serialize;
use std::fmt::Write;

/// A view: the values of one page. Each type belongs to one template.
pub trait Page: Serialize {
    /// The template's file name.
    const TEMPLATE: &'static str;
}

/// All templates, compiled. Built once and shared by all handlers.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
}

const TEMPLATE_FILES: [(&str, &str); 24] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("components.html", include_str!("templates/components.html")),
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
        "case_set_aside.html",
        include_str!("templates/staff/case_set_aside.html"),
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
    (
        "front_page.html",
        include_str!("templates/public/front_page.html"),
    ),
    (
        "public_list.html",
        include_str!("templates/public/public_list.html"),
    ),
    ("policies.html", include_str!("templates/staff/policies.html")),
    (
        "file_comparison.html",
        include_str!("templates/staff/file_comparison.html"),
    ),
    (
        "confirm_denial.html",
        include_str!("templates/staff/confirm_denial.html"),
    ),
    ("access_log.html", include_str!("templates/staff/access_log.html")),
    (
        "staff_navigation.html",
        include_str!("templates/staff/staff_navigation.html"),
    ),
    ("error.html", include_str!("templates/error.html")),
    ("signed_out.html", include_str!("templates/signed_out.html")),
];

impl Templates {
    /// Compiles every template. An error in any of them is an error here.
    pub fn load() -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(|e| template_error("syntax", &e))?);
        environment.set_formatter(write_escaped);
        environment.add_filter("date_time", date_time);
        environment.add_filter("iso_date_time", iso_date_time);
        environment.add_filter("date", date);
        environment.add_filter("iso_date", iso_date);
        environment.add_filter("time_left", time_left);
        environment.add_filter("elapsed", elapsed);
        environment.add_function("asset", asset_url);
        for (name, text) in TEMPLATE_FILES {
            environment
                .add_template(name, text)
                .map_err(|e| template_error(name, &e))?;
        }
        Ok(Self { environment })
    }

    /// The HTML of one page.
    pub fn render<P: Page>(&self, page: &P) -> Result<String> {
        self.environment
            .get_template(P::TEMPLATE)
            .and_then(|template| template.render(Value::from(Serde(page))))
            .map_err(|e| template_error(P::TEMPLATE, &e))
    }
}

/// Writes a value into HTML. The engine's own escaping also replaces `/`, which makes URLs unreadable. The templates
/// put values only into text and quoted attributes; there, escaping these five characters is enough.
fn write_escaped(out: &mut Output, state: &mut EngineState, value: &Value) -> Result<(), minijinja::Error> {
    let text = value
        .as_str()
        .filter(|_| !value.is_safe() && *state.auto_escape() == AutoEscape::Html);
    let Some(text) = text else {
        return escape_formatter(out, state, value);
    };
    for character in text.chars() {
        let written = match character {
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

/// An error that names the template and the line. The detail of a template error may quote values, so it is left out.
fn template_error(template: &str, error: &minijinja::Error) -> Error {
    Error::internal(format!(
        "template {template}: {} at {}:{}",
        error.kind(),
        error.name().unwrap_or(template),
        error.line().unwrap_or_default()
    ))
}

fn invalid_argument(message: &'static str) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, message)
}

fn parse_instant(text: &str) -> Result<DateTime<Utc>, minijinja::Error> {
    dates::instant(text)
        .map(|at| at.to_utc())
        .ok_or_else(|| invalid_argument("not an instant"))
}

fn in_zone(instant: &str, zone: &str) -> Result<DateTime<Tz>, minijinja::Error> {
    let zone: Tz = zone.parse().map_err(|_| invalid_argument("not a time zone"))?;
    Ok(parse_instant(instant)?.with_timezone(&zone))
}

/// An instant for members and the public: `Oct 6, 2026, 3:05 p.m. EDT`.
fn date_time(instant: &str, zone: &str) -> Result<String, minijinja::Error> {
    let at = in_zone(instant, zone)?;
    let half = if at.hour() < 12 { "a.m." } else { "p.m." };
    Ok(at.format(&format!("%b %-d, %Y, %-I:%M {half} %Z")).to_string())
}

/// An instant for staff: `2026-10-06 15:05 EDT`.
fn iso_date_time(instant: &str, zone: &str) -> Result<String, minijinja::Error> {
    Ok(in_zone(instant, zone)?.format("%Y-%m-%d %H:%M %Z").to_string())
}

/// A FHIR date or instant for members and the public: `Oct 6, 2026`. A partial date is shown as received.
fn date(text: &str, zone: &str) -> Result<String, minijinja::Error> {
    format_date(text, zone, "%b %-d, %Y")
}

/// A FHIR date or instant for staff: `2026-10-06`. A partial date is shown as received.
fn iso_date(text: &str, zone: &str) -> Result<String, minijinja::Error> {
    format_date(text, zone, "%Y-%m-%d")
}

fn format_date(text: &str, zone: &str, format: &str) -> Result<String, minijinja::Error> {
    let date = match text.len() {
        4 | 7 => return Ok(text.to_owned()),
        10 => NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| invalid_argument("not a date"))?,
        _ => in_zone(text, zone)?.date_naive(),
    };
    Ok(date.format(format).to_string())
}

/// The time until a due time: `2 d 4 h left`, or `35 min overdue` after it.
fn time_left(due: &str, now: &str) -> Result<String, minijinja::Error> {
    let left = parse_instant(due)? - parse_instant(now)?;
    let suffix = if left < TimeDelta::zero() {
        "overdue"
    } else {
        "left"
    };
    Ok(format!("{} {suffix}", duration_text(left)))
}

/// The time since an instant: `3 d 4 h`.
fn elapsed(since: &str, now: &str) -> Result<String, minijinja::Error> {
    Ok(duration_text(parse_instant(now)? - parse_instant(since)?))
}

/// A duration in its two largest units. `assent.js` uses the same format for the running countdown.
fn duration_text(duration: TimeDelta) -> String {
    let minutes = duration.num_minutes().abs();
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The URL of an asset. It is not user input, so it is not escaped.
fn asset_url(name: &str) -> Result<Value, minijinja::Error> {
    assets::url(name)
        .map(|url| Value::from_safe_string(url.to_owned()))
        .ok_or_else(|| invalid_argument("no such asset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_the_time_zone_of_the_plan() {
        let at = "2026-10-08T14:05:00Z";
        assert_eq!(
            date_time(at, "America/New_York").unwrap(),
            "Oct 8, 2026, 10:05 a.m. EDT"
        );
        assert_eq!(
            date_time("2026-10-08T17:05:00Z", "America/New_York").unwrap(),
            "Oct 8, 2026, 1:05 p.m. EDT"
        );
        assert_eq!(
            iso_date_time(at, "America/Chicago").unwrap(),
            "2026-10-08 09:05 CDT"
        );
        assert_eq!(
            date("2026-11-02T02:00:00Z", "America/New_York").unwrap(),
            "Nov 1, 2026"
        );
        assert_eq!(
            iso_date("2026-11-02T02:00:00Z", "America/New_York").unwrap(),
            "2026-11-01"
        );
        assert_eq!(date("2026-09", "America/New_York").unwrap(), "2026-09");
        assert!(date_time("soon", "America/New_York").is_err());
    }

    #[test]
    fn a_countdown_shows_the_time_left_and_then_the_time_overdue() {
        let now = "2026-10-01T12:00:00Z";
        assert_eq!(time_left("2026-10-03T16:30:00Z", now).unwrap(), "2 d 4 h left");
        assert_eq!(time_left("2026-10-01T15:05:00Z", now).unwrap(), "3 h 5 min left");
        assert_eq!(time_left("2026-10-01T11:25:00Z", now).unwrap(), "35 min overdue");
        assert_eq!(elapsed("2026-09-30T12:00:00Z", now).unwrap(), "1 d 0 h");
    }

    #[test]
    fn markup_in_values_is_escaped_and_urls_stay_readable() {
        let mut page = crate::web::views::ErrorPage {
            frame: crate::web::views::PageFrame::default(),
            status: 404,
            title: "<b>&\"'".to_owned(),
            message: String::new(),
            request_id: None,
            back: "/staff/cases".to_owned(),
            back_label: String::new(),
        };
        let html = Templates::load().unwrap().render(&page).unwrap();
        assert!(html.contains("<h1>&lt;b&gt;&amp;&quot;&#39;</h1>"), "{html}");
        assert!(html.contains("href=\"/staff/cases\""), "{html}");
        page.back = "\" onclick=\"x".to_owned();
        assert!(
            !Templates::load()
                .unwrap()
                .render(&page)
                .unwrap()
                .contains("onclick=\"x")
        );
    }

    #[test]
    fn a_missing_field_is_an_error_that_quotes_no_value() {
        #[derive(Serialize)]
        struct Incomplete {
            title: &'static str,
        }
        impl Page for Incomplete {
            const TEMPLATE: &'static str = "error.html";
        }
        let error = Templates::load()
            .unwrap()
            .render(&Incomplete { title: "ZZ-private" })
            .unwrap_err();
        let line = error.log_detail().unwrap();
        assert!(
            line.contains("undefined") && !line.contains("ZZ-private"),
            "{line}"
        );
    }
}
