//! What a test requires of its fact, in plain words: one phrase for each operator of the format.

use crate::rules::format::conditions::{CaseDay, DayLimit, Limit, Literal, Requirement};
use crate::rules::units::{name_text, quantity_text};

/// The phrase that follows "required:", such as `88% or less`. `set_label` gives the text for the name of a set.
pub(in crate::rules) fn requirement_text<'a>(
    requirement: &'a Requirement,
    set_label: impl Fn(&'a str) -> &'a str,
) -> String {
    match requirement {
        Requirement::AtMost(limit) => format!("{} or less", limit_text(limit)),
        Requirement::AtLeast(limit) => format!("{} or more", limit_text(limit)),
        Requirement::LessThan(limit) => format!("less than {}", limit_text(limit)),
        Requirement::MoreThan(limit) => format!("more than {}", limit_text(limit)),
        Requirement::Between(low, high) if low == high => limit_text(low),
        Requirement::Between(low, high) => format!("{} to {}", low.value, limit_text(high)),
        Requirement::Equals(Literal::Bool(true)) => "yes".to_owned(),
        Requirement::Equals(Literal::Bool(false)) => "no".to_owned(),
        Requirement::Equals(Literal::Number(number)) => number.to_string(),
        Requirement::Equals(Literal::Text(text)) => name_text(text),
        Requirement::InSet(set) => format!("a code from the set \"{}\"", set_label(set)),
        Requirement::Exists(true) => "on record".to_owned(),
        Requirement::Exists(false) => "not on record".to_owned(),
        Requirement::DatedWithin(within) => format!(
            "dated no more than {} before {}",
            within.at_most,
            case_day_text(within.of)
        ),
        Requirement::OnOrAfter(limit) => format!("on or after {}", day_limit_text(*limit)),
        Requirement::OnOrBefore(limit) => format!("on or before {}", day_limit_text(*limit)),
    }
}

/// The same phrase for the opposite, such as `more than 88%`: what a test requires below a `not`.
pub(in crate::rules) fn negated_text<'a>(
    requirement: &'a Requirement,
    set_label: impl Fn(&'a str) -> &'a str,
) -> String {
    match requirement {
        Requirement::AtMost(limit) => format!("more than {}", limit_text(limit)),
        Requirement::AtLeast(limit) => format!("less than {}", limit_text(limit)),
        Requirement::LessThan(limit) => format!("{} or more", limit_text(limit)),
        Requirement::MoreThan(limit) => format!("{} or less", limit_text(limit)),
        Requirement::Between(low, high) if low == high => format!("other than {}", limit_text(low)),
        Requirement::Between(low, high) => {
            format!("less than {} or more than {}", low.value, limit_text(high))
        }
        Requirement::Equals(Literal::Bool(value)) => if *value { "no" } else { "yes" }.to_owned(),
        Requirement::Equals(Literal::Number(number)) => format!("other than {number}"),
        Requirement::Equals(Literal::Text(text)) => format!("other than {}", name_text(text)),
        Requirement::InSet(set) => format!("no code from the set \"{}\"", set_label(set)),
        Requirement::Exists(required) => if *required { "not on record" } else { "on record" }.to_owned(),
        Requirement::DatedWithin(within) => format!(
            "dated more than {} before {}",
            within.at_most,
            case_day_text(within.of)
        ),
        Requirement::OnOrAfter(limit) => format!("before {}", day_limit_text(*limit)),
        Requirement::OnOrBefore(limit) => format!("after {}", day_limit_text(*limit)),
    }
}

fn limit_text(limit: &Limit) -> String {
    quantity_text(&limit.value.to_string(), limit.unit.as_deref())
}

fn day_limit_text(limit: DayLimit) -> String {
    match limit {
        DayLimit::CaseDay(day) => case_day_text(day).to_owned(),
        DayLimit::Date(day) => day.to_string(),
    }
}

/// A day of the case in words.
pub(in crate::rules) fn case_day_text(day: CaseDay) -> &'static str {
    match day {
        CaseDay::Received => "the day of receipt",
        CaseDay::ServiceStart => "the first day of service",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::format::conditions::DatedWithin;
    use crate::rules::period::Period;

    fn limit(value: f64, unit: &str) -> Limit {
        Limit {
            value,
            unit: (!unit.is_empty()).then(|| unit.to_owned()),
        }
    }

    #[test]
    fn each_operator_has_a_phrase_in_plain_words_and_one_for_its_opposite() {
        let equals = |text: &str| Requirement::Equals(Literal::Text(text.into()));
        let within = |of| {
            Requirement::DatedWithin(DatedWithin {
                of,
                at_most: Period::Days(30),
            })
        };
        let day = DayLimit::Date("2026-10-01".parse().unwrap());
        for (requirement, text, opposite) in [
            (
                Requirement::AtMost(limit(88.0, "%")),
                "88% or less",
                "more than 88%",
            ),
            (
                Requirement::AtLeast(limit(18.0, "")),
                "18 or more",
                "less than 18",
            ),
            (
                Requirement::LessThan(limit(5.5, "")),
                "less than 5.5",
                "5.5 or more",
            ),
            (
                Requirement::MoreThan(limit(56.0, "%")),
                "more than 56%",
                "56% or less",
            ),
            (
                Requirement::Between(limit(56.0, "mm[Hg]"), limit(59.0, "mm[Hg]")),
                "56 to 59 mm Hg",
                "less than 56 or more than 59 mm Hg",
            ),
            (
                Requirement::Between(limit(89.0, "%"), limit(89.0, "%")),
                "89%",
                "other than 89%",
            ),
            (Requirement::Equals(Literal::Bool(true)), "yes", "no"),
            (Requirement::Equals(Literal::Bool(false)), "no", "yes"),
            (Requirement::Equals(Literal::Number(4.0)), "4", "other than 4"),
            (
                equals("rest-awake-room-air"),
                "rest awake room air",
                "other than rest awake room air",
            ),
            (equals("E1390"), "E1390", "other than E1390"),
            (
                Requirement::InSet("icd.lungs".into()),
                "a code from the set \"Chronic lung disease\"",
                "no code from the set \"Chronic lung disease\"",
            ),
            (Requirement::Exists(true), "on record", "not on record"),
            (Requirement::Exists(false), "not on record", "on record"),
            (
                within(CaseDay::Received),
                "dated no more than 30 days before the day of receipt",
                "dated more than 30 days before the day of receipt",
            ),
            (
                within(CaseDay::ServiceStart),
                "dated no more than 30 days before the first day of service",
                "dated more than 30 days before the first day of service",
            ),
            (
                Requirement::OnOrAfter(DayLimit::CaseDay(CaseDay::Received)),
                "on or after the day of receipt",
                "before the day of receipt",
            ),
            (
                Requirement::OnOrBefore(day),
                "on or before 2026-10-01",
                "after 2026-10-01",
            ),
        ] {
            assert_eq!(requirement_text(&requirement, |_| "Chronic lung disease"), text);
            assert_eq!(negated_text(&requirement, |_| "Chronic lung disease"), opposite);
        }
    }
}
