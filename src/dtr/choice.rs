//! Which forms go out, each for which orders (DTR 2.2.0, "Data expectations"; operation `questionnaire-package`):
//! those that were asked for by canonical, else those that the orders need. What is left out is told, with the reason.

use super::orders::Judged;
use super::request::{Placed, Request};
use crate::fhir::dates::DateRange;
use crate::fhir::outcome::{Code, Issue};
use crate::fhir::text;
use crate::forms::{Form, Forms, Found};
use crate::rules::Source;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

/// One form with the orders that one response to it is for.
#[derive(Debug, Clone)]
pub(super) struct Package<'a> {
    /// The form.
    pub form: &'a Form,
    /// The orders; may be empty when the form was asked for by name.
    pub orders: Vec<&'a Judged<'a>>,
}

/// What the choice is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    /// The forms in force.
    pub forms: &'a Forms,
    /// Today in the plan's zone.
    pub today: NaiveDate,
    /// When policies were last published; none when it is not known.
    pub published: Option<DateTime<Utc>>,
    /// Where to ask.
    pub phone: &'a str,
}

/// The packages of a call, and what its sender should know.
pub(super) fn choose<'a>(
    request: &Request<'_>,
    judged: &'a [Judged<'a>],
    ground: Ground<'a>,
) -> (Vec<Package<'a>>, Vec<Issue>) {
    let mut issues = Vec::new();
    let wanted = if request.questionnaires.is_empty() {
        needed(judged, ground, &mut issues)
    } else {
        asked_for(&request.questionnaires, judged, ground, &mut issues)
    };
    let mut packages = split(one_version_each(&wanted, &mut issues));
    let before = packages.len();
    packages.retain(|package| {
        request
            .changed_since
            .is_none_or(|since| changed(package.form, ground, since))
    });
    if packages.is_empty() && before > 0 {
        issues.push(Issue::information("Nothing has changed since then"));
    }
    (packages, issues)
}

/// The forms that the orders need, in the order of the orders.
fn needed<'a>(judged: &'a [Judged<'a>], ground: Ground<'a>, issues: &mut Vec<Issue>) -> Vec<Package<'a>> {
    let mut wanted: Vec<Package<'a>> = Vec::new();
    for order in judged {
        if order.forms.is_empty() {
            issues.push(without_form(order, ground.phone));
        }
        for key in &order.forms {
            let found = ground.forms.find(key, ground.today).form();
            let Some(form) = found.filter(|form| form.is_current(ground.today)) else {
                let message = format!(
                    "A form is needed for this order, and none is in force; ask {}",
                    ground.phone
                );
                issues.push(Issue::warning(Code::NotFound, order.path.clone(), message));
                continue;
            };
            match wanted.iter_mut().find(|package| package.form.key() == form.key()) {
                Some(package) => package.orders.push(order),
                None => wanted.push(Package {
                    form,
                    orders: vec![order],
                }),
            }
        }
    }
    wanted
}

/// The forms that were named. Each is for the orders that need it, else for all of them.
fn asked_for<'a>(
    canonicals: &[Placed<'_, str>],
    judged: &'a [Judged<'a>],
    ground: Ground<'a>,
    issues: &mut Vec<Issue>,
) -> Vec<Package<'a>> {
    let mut wanted: Vec<Package<'a>> = Vec::new();
    for canonical in canonicals {
        let why = match ground.forms.find(canonical.what, ground.today) {
            Found::Form(form) => {
                if !wanted.iter().any(|package| package.form.key() == form.key()) {
                    wanted.push(Package {
                        form,
                        orders: orders_of(form, judged),
                    });
                }
                continue;
            }
            Found::NoSuchVersion => "is known, but not in this version, or no version of it is in force",
            Found::Unknown => "is not known",
        };
        let message = format!("Questionnaire {} was asked for and {why}", canonical.what);
        issues.push(Issue::warning(Code::NotFound, canonical.path.clone(), message));
    }
    wanted
}

fn orders_of<'a>(form: &Form, judged: &'a [Judged<'a>]) -> Vec<&'a Judged<'a>> {
    let needing: Vec<&Judged<'_>> = judged
        .iter()
        .filter(|order| order.forms.contains(&form.key()))
        .collect();
    if needing.is_empty() {
        judged.iter().collect()
    } else {
        needing
    }
}

/// Two versions of a form may only go out for different orders (oper-7): the newest one keeps an order.
fn one_version_each<'a>(wanted: &[Package<'a>], issues: &mut Vec<Issue>) -> Vec<Package<'a>> {
    let newer = |than: &Form, of: &Form| of.name() == than.name() && of.version() > than.version();
    let mut kept = Vec::with_capacity(wanted.len());
    for package in wanted {
        let newers = || wanted.iter().filter(|other| newer(package.form, other.form));
        let is_taken = |order: &Judged<'_>| {
            newers().any(|other| other.orders.iter().any(|o| std::ptr::eq::<Judged<'_>>(*o, order)))
        };
        let orders: Vec<&Judged<'_>> = package
            .orders
            .iter()
            .copied()
            .filter(|order| !is_taken(order))
            .collect();
        let stands = newers().next().is_none() || !orders.is_empty();
        if stands {
            kept.push(Package {
                form: package.form,
                orders,
            });
        } else {
            let message = format!(
                "A newer version than {} goes out for the same purpose",
                package.form.version()
            );
            issues.push(Issue::warning(Code::Duplicate, "", message));
        }
    }
    kept
}

/// A form that wants a response for each request goes out once for each order.
fn split(wanted: Vec<Package<'_>>) -> Vec<Package<'_>> {
    wanted
        .into_iter()
        .flat_map(|package| {
            if package.form.is_request_specific() && package.orders.len() > 1 {
                let form = package.form;
                package
                    .orders
                    .into_iter()
                    .map(|order| Package {
                        form,
                        orders: vec![order],
                    })
                    .collect()
            } else {
                vec![package]
            }
        })
        .collect()
}

/// Whether a package may have changed since an instant: its form is of that day or later, or policies were published
/// after it. What is not known has changed.
fn changed(form: &Form, ground: Ground<'_>, since: DateTime<Utc>) -> bool {
    let published = ground.published.is_none_or(|at| at > since);
    let dated = form.date().and_then(|date| DateRange::read(date, chrono_tz::UTC));
    published || dated.is_none_or(|date| date.last >= since.date_naive())
}

/// Why an order gets no form (oper-8).
fn without_form(order: &Judged<'_>, phone: &str) -> Issue {
    let verdict = &order.verdict;
    let warning = |code, message: String| Issue::warning(code, order.path.clone(), message);
    if verdict.error.is_some() {
        let message = format!(
            "The plan's rules could not be evaluated for this order; ask {phone} which papers are needed"
        );
        return warning(Code::Exception, message);
    }
    if verdict.source == Source::NoBillingCode {
        let message = "The order names no code that can be billed, so no form could be chosen; send the order with its code";
        return warning(Code::Incomplete, message.to_owned());
    }
    if !verdict.coverage.doc.is_empty() {
        let message = format!(
            "Documentation is needed for this order and there is no form for it: send the clinical documents with the \
             request, or ask {phone}"
        );
        return warning(Code::NotFound, message);
    }
    let message = if order.asked_for_papers {
        "Documentation was asked for when the order was signed; by the rules in force today it is no longer needed"
    } else {
        "No form is needed for this order"
    };
    Issue {
        expression: order.path.clone(),
        ..Issue::information(message)
    }
}

/// What the sender should know about the orders themselves.
pub(super) fn remarks(judged: &[Judged<'_>], with_context: bool) -> Vec<Issue> {
    let mut issues = Vec::new();
    for order in judged {
        if with_context && !order.is_of_context {
            let message = "The code of this order is not the one that the context was given for; the order was looked at anew";
            issues.push(Issue {
                expression: order.path.clone(),
                ..Issue::information(message)
            });
        }
        if order.reference.is_none() {
            let message = "The order has no id, so the draft response cannot point at it";
            issues.push(Issue::warning(
                Code::Incomplete,
                format!("{}.id", order.path),
                message,
            ));
        }
    }
    issues
}

/// The purposes of the answers, over all orders of a package.
pub(super) fn purposes(package: &Package<'_>) -> Vec<String> {
    let mut purposes: Vec<String> = package
        .orders
        .iter()
        .flat_map(|order| order.verdict.coverage.doc_purpose.iter().cloned())
        .collect();
    purposes.sort_unstable();
    purposes.dedup();
    purposes
}

/// The orders as the client references them.
pub(super) fn references(package: &Package<'_>) -> Vec<String> {
    package
        .orders
        .iter()
        .filter_map(|order| order.reference.clone())
        .collect()
}

/// The patient as the first order references it.
pub(super) fn subject<'a>(judged: &[Judged<'a>]) -> Option<&'a str> {
    let subject = |order: &'a Value| {
        text(order, &["subject", "reference"]).or_else(|| text(order, &["patient", "reference"]))
    };
    judged.iter().find_map(|judged| subject(judged.order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtr::samples;
    use crate::rules::{CaseDocument, RuleSet};
    use serde_json::json;

    fn judged<'a>(rules: &RuleSet, order: &'a Value, forms: &[&str]) -> Judged<'a> {
        let document = CaseDocument::from_json(json!({ "received": "2026-10-01T14:00:00Z" })).unwrap();
        let verdict = rules.evaluate(&document);
        Judged {
            order,
            path: "Parameters.parameter[1].resource".to_owned(),
            reference: Some("ServiceRequest/o1".to_owned()),
            document,
            verdict,
            forms: forms.iter().map(|f| (*f).to_owned()).collect(),
            is_of_context: false,
            asked_for_papers: false,
        }
    }

    fn ground(forms: &Forms) -> Ground<'_> {
        Ground {
            forms,
            today: "2026-10-01".parse().unwrap(),
            published: None,
            phone: "+1-555",
        }
    }

    fn keys(packages: &[Package<'_>]) -> Vec<(String, usize)> {
        packages.iter().map(|p| (p.form.key(), p.orders.len())).collect()
    }

    #[test]
    fn a_form_that_serves_several_requests_goes_out_once_for_all_orders() {
        let rules = samples::published().rules;
        let forms = samples::forms(&[("shared", "1.0.0", false), ("own", "1.0.0", true)]);
        let order = samples::order();
        let orders = [
            judged(&rules, &order, &["shared|1.0.0", "own|1.0.0"]),
            judged(&rules, &order, &["shared|1.0.0", "own|1.0.0"]),
        ];
        let mut issues = Vec::new();
        let packages = split(needed(&orders, ground(&forms), &mut issues));
        assert_eq!(
            keys(&packages),
            [
                ("shared|1.0.0".into(), 2),
                ("own|1.0.0".into(), 1),
                ("own|1.0.0".into(), 1)
            ]
        );
        assert!(issues.is_empty());
    }

    #[test]
    fn two_versions_of_a_form_never_go_out_for_one_order() {
        let rules = samples::published().rules;
        let forms = samples::forms(&[("oxygen", "1.0.0", false), ("oxygen", "1.1.0", false)]);
        let order = samples::order();
        let one = [judged(&rules, &order, &["oxygen|1.0.0", "oxygen|1.1.0"])];
        let mut issues = Vec::new();
        let wanted = needed(&one, ground(&forms), &mut issues);
        assert_eq!(
            keys(&one_version_each(&wanted, &mut issues)),
            [("oxygen|1.1.0".into(), 1)]
        );
        assert_eq!(issues.len(), 1);
        let two = [
            judged(&rules, &order, &["oxygen|1.0.0"]),
            judged(&rules, &order, &["oxygen|1.1.0"]),
        ];
        let wanted = needed(&two, ground(&forms), &mut issues);
        assert_eq!(one_version_each(&wanted, &mut issues).len(), 2);
        assert_eq!(issues.len(), 1);
    }

    #[test]
    fn a_form_that_a_policy_names_and_nobody_holds_is_a_warning() {
        let rules = samples::published().rules;
        let forms = samples::forms(&[]);
        let order = samples::order();
        let mut issues = Vec::new();
        assert!(
            needed(
                &[judged(&rules, &order, &["oxygen|1.0.0"])],
                ground(&forms),
                &mut issues
            )
            .is_empty()
        );
        assert_eq!(issues[0].code, Code::NotFound);
    }

    #[test]
    fn what_is_not_known_has_changed() {
        let forms = samples::forms(&[("oxygen", "1.0.0", false)]);
        let form = forms.all().next().unwrap();
        let since = "2030-01-01T00:00:00Z".parse().unwrap();
        let published = |at: &str| Ground {
            published: Some(at.parse().unwrap()),
            ..ground(&forms)
        };
        assert!(changed(form, ground(&forms), since));
        assert!(!changed(form, published("2026-09-01T00:00:00Z"), since));
        assert!(changed(form, published("2030-02-01T00:00:00Z"), since));
        let before_the_form = "2026-06-30T00:00:00Z".parse().unwrap();
        assert!(changed(form, published("2026-01-01T00:00:00Z"), before_the_form));
    }
}
