//! Which forms are returned, each for which orders (DTR 2.2.0, "Data expectations"; operation `questionnaire-package`):
//! the forms requested by canonical, else the forms that the orders need. Each form that is left out is explained in an
//! issue.

use super::orders::EvaluatedOrder;
use super::request::{Located, Request};
use crate::error::{Issue, IssueCode};
use crate::fhir::dates::DateRange;
use crate::fhir::text;
use crate::forms::{Form, FormLookup, Forms};
use crate::rules::VerdictSource;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

/// One form with the orders that one response to it concerns.
#[derive(Debug, Clone)]
pub(super) struct FormPackage<'a> {
    /// The form.
    pub form: &'a Form,
    /// The orders; may be empty if the form was requested by canonical.
    pub orders: Vec<&'a EvaluatedOrder<'a>>,
}

/// The plan's data for the selection.
#[derive(Debug, Clone, Copy)]
pub(super) struct SelectionInput<'a> {
    /// The forms of the current policy set.
    pub forms: &'a Forms,
    /// Today in the plan's time zone.
    pub today: NaiveDate,
    /// When policies were last published; none if that is not known.
    pub last_publication: Option<DateTime<Utc>>,
    /// The plan's phone number for questions.
    pub phone: &'a str,
}

/// Selects the forms for a request. Also returns the issues for its sender.
pub(super) fn select_forms<'a>(
    request: &Request<'_>,
    orders: &'a [EvaluatedOrder<'a>],
    input: SelectionInput<'a>,
) -> (Vec<FormPackage<'a>>, Vec<Issue>) {
    let mut issues = Vec::new();
    let candidates = if request.questionnaires.is_empty() {
        forms_needed_by_orders(orders, input, &mut issues)
    } else {
        requested_forms(&request.questionnaires, orders, input, &mut issues)
    };
    let mut packages = split_by_order(one_version_per_order(&candidates, &mut issues));
    let count = packages.len();
    packages.retain(|package| {
        request
            .changed_since
            .is_none_or(|since| may_have_changed(package.form, input, since))
    });
    if packages.is_empty() && count > 0 {
        issues.push(Issue::information(
            "Nothing has changed since the time in changedsince",
        ));
    }
    (packages, issues)
}

/// The forms that the orders need, in the sequence of the orders.
fn forms_needed_by_orders<'a>(
    orders: &'a [EvaluatedOrder<'a>],
    input: SelectionInput<'a>,
    issues: &mut Vec<Issue>,
) -> Vec<FormPackage<'a>> {
    let mut packages: Vec<FormPackage<'a>> = Vec::new();
    for order in orders {
        if order.forms.is_empty() {
            issues.push(explain_no_form(order, input.phone));
        }
        for key in &order.forms {
            let found = input.forms.find(key, input.today).form();
            let Some(form) = found.filter(|form| form.is_current(input.today)) else {
                let message = format!(
                    "This order needs a form that is not available. Contact the plan at {}",
                    input.phone
                );
                issues.push(Issue::warning(IssueCode::NotFound, order.path.clone(), message));
                continue;
            };
            match packages
                .iter_mut()
                .find(|package| package.form.key() == form.key())
            {
                Some(package) => package.orders.push(order),
                None => packages.push(FormPackage {
                    form,
                    orders: vec![order],
                }),
            }
        }
    }
    packages
}

/// The forms requested by canonical. Each concerns the orders that need it; if none does, all orders.
fn requested_forms<'a>(
    canonicals: &[Located<'_, str>],
    orders: &'a [EvaluatedOrder<'a>],
    input: SelectionInput<'a>,
    issues: &mut Vec<Issue>,
) -> Vec<FormPackage<'a>> {
    let mut packages: Vec<FormPackage<'a>> = Vec::new();
    for canonical in canonicals {
        let reason = match input.forms.find(canonical.value, input.today) {
            FormLookup::Found(form) => {
                if !packages.iter().any(|package| package.form.key() == form.key()) {
                    packages.push(FormPackage {
                        form,
                        orders: orders_for_form(form, orders),
                    });
                }
                continue;
            }
            FormLookup::NoSuchVersion => "the version does not exist, or no version of it is current",
            FormLookup::Unknown => "the plan has no form with this canonical",
        };
        let message = format!("Questionnaire {} is not available: {reason}", canonical.value);
        issues.push(Issue::warning(
            IssueCode::NotFound,
            canonical.path.clone(),
            message,
        ));
    }
    packages
}

fn orders_for_form<'a>(form: &Form, orders: &'a [EvaluatedOrder<'a>]) -> Vec<&'a EvaluatedOrder<'a>> {
    let needing: Vec<&EvaluatedOrder<'_>> = orders
        .iter()
        .filter(|order| order.forms.contains(&form.key()))
        .collect();
    if needing.is_empty() {
        orders.iter().collect()
    } else {
        needing
    }
}

/// Two versions of a form may be returned only for different orders (oper-7): an order keeps the newest version.
fn one_version_per_order<'a>(packages: &[FormPackage<'a>], issues: &mut Vec<Issue>) -> Vec<FormPackage<'a>> {
    let is_newer =
        |other: &Form, than: &Form| other.name() == than.name() && other.version() > than.version();
    let mut kept = Vec::with_capacity(packages.len());
    for package in packages {
        let newer_packages = || packages.iter().filter(|other| is_newer(other.form, package.form));
        let has_newer_form = |order: &EvaluatedOrder<'_>| {
            newer_packages().any(|newer| {
                newer
                    .orders
                    .iter()
                    .any(|o| std::ptr::eq::<EvaluatedOrder<'_>>(*o, order))
            })
        };
        let orders: Vec<&EvaluatedOrder<'_>> = package
            .orders
            .iter()
            .copied()
            .filter(|order| !has_newer_form(order))
            .collect();
        if newer_packages().next().is_none() || !orders.is_empty() {
            kept.push(FormPackage {
                form: package.form,
                orders,
            });
        } else {
            let message = format!(
                "Version {} of form {} is not returned: a newer version is returned for the same orders",
                package.form.version(),
                package.form.name()
            );
            issues.push(Issue::warning(IssueCode::Duplicate, "", message));
        }
    }
    kept
}

/// Splits each package whose form needs one response per order (DTR `request-specific`) into one package per order.
fn split_by_order(packages: Vec<FormPackage<'_>>) -> Vec<FormPackage<'_>> {
    packages
        .into_iter()
        .flat_map(|package| {
            if package.form.is_request_specific() && package.orders.len() > 1 {
                let form = package.form;
                package
                    .orders
                    .into_iter()
                    .map(|order| FormPackage {
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

/// Whether a package may have changed since `since`: policies were published after it, or the form is dated on that day
/// or later. If either date is not known, the package counts as changed.
fn may_have_changed(form: &Form, input: SelectionInput<'_>, since: DateTime<Utc>) -> bool {
    let published_since = input.last_publication.is_none_or(|at| at > since);
    let form_date = form.date().and_then(|date| DateRange::read(date, chrono_tz::UTC));
    published_since || form_date.is_none_or(|date| date.last >= since.date_naive())
}

/// Explains why no form is returned for an order (oper-8).
fn explain_no_form(order: &EvaluatedOrder<'_>, phone: &str) -> Issue {
    let verdict = &order.verdict;
    let warning = |code, message: String| Issue::warning(code, order.path.clone(), message);
    if let Some(problem) = &order.problem {
        return problem.clone();
    }
    if verdict.error.is_some() {
        let message = format!(
            "The plan's rules could not be evaluated for this order. Contact the plan at {phone} to find out which \
             documents are needed"
        );
        return warning(IssueCode::Exception, message);
    }
    if verdict.source == VerdictSource::NoBillingCode {
        let message = "The order has no code that can be billed, or one that is not written like a code of its system, so \
                       no form could be selected. Send the order with its code";
        return warning(IssueCode::Incomplete, message.to_owned());
    }
    if !verdict.coverage.doc.is_empty() {
        let message = format!(
            "Documentation is needed for this order, but the plan has no form for it. Send the clinical documents with \
             the request for prior authorization, or contact the plan at {phone}"
        );
        return warning(IssueCode::NotFound, message);
    }
    let message = if order.documentation_requested {
        "Documentation was requested when the order was signed. Under the current policies it is no longer needed"
    } else {
        "No form is needed for this order"
    };
    Issue {
        expression: order.path.clone(),
        ..Issue::information(message)
    }
}

/// The issues of the orders themselves.
pub(super) fn order_issues(orders: &[EvaluatedOrder<'_>], has_assertion: bool) -> Vec<Issue> {
    let mut issues = Vec::new();
    for order in orders {
        if has_assertion && !order.matches_assertion {
            let message = "The code of this order differs from the code of the order to which the context belongs. The \
                           order was evaluated again";
            issues.push(Issue {
                expression: order.path.clone(),
                ..Issue::information(message)
            });
        }
        if order.reference.is_none() {
            let message = "The order has no id, so the draft QuestionnaireResponse cannot reference it";
            issues.push(Issue::warning(
                IssueCode::Incomplete,
                format!("{}.id", order.path),
                message,
            ));
        }
    }
    issues
}

/// What the answers of a package are for: the CRD `DocReason` codes of all its orders, sorted, without repetition.
pub(super) fn intended_uses(package: &FormPackage<'_>) -> Vec<String> {
    let mut codes: Vec<String> = package
        .orders
        .iter()
        .flat_map(|order| order.verdict.coverage.doc_purpose.iter().cloned())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The orders of a package, as the client references them.
pub(super) fn order_references(package: &FormPackage<'_>) -> Vec<String> {
    package
        .orders
        .iter()
        .filter_map(|order| order.reference.clone())
        .collect()
}

/// The patient, as the first order with a patient references it.
pub(super) fn patient_of_orders<'a>(orders: &[EvaluatedOrder<'a>]) -> Option<&'a str> {
    let patient = |order: &'a Value| {
        text(order, &["subject", "reference"]).or_else(|| text(order, &["patient", "reference"]))
    };
    orders.iter().find_map(|evaluated| patient(evaluated.order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtr::samples;
    use crate::rules::{CaseDocument, RuleSet};
    use serde_json::json;

    fn evaluated<'a>(rules: &RuleSet, order: &'a Value, forms: &[&str]) -> EvaluatedOrder<'a> {
        let document = CaseDocument::from_json(json!({ "received": "2026-10-01T14:00:00Z" })).unwrap();
        let verdict = rules.evaluate(&document);
        EvaluatedOrder {
            order,
            path: "Parameters.parameter[1].resource".to_owned(),
            reference: Some("ServiceRequest/o1".to_owned()),
            document,
            verdict,
            forms: forms.iter().map(|f| (*f).to_owned()).collect(),
            matches_assertion: false,
            documentation_requested: false,
            problem: None,
        }
    }

    fn input(forms: &Forms) -> SelectionInput<'_> {
        SelectionInput {
            forms,
            today: "2026-10-01".parse().unwrap(),
            last_publication: None,
            phone: "+1-555",
        }
    }

    fn keys(packages: &[FormPackage<'_>]) -> Vec<(String, usize)> {
        packages.iter().map(|p| (p.form.key(), p.orders.len())).collect()
    }

    #[test]
    fn a_form_that_is_not_request_specific_is_returned_once_for_all_orders() {
        let rules = samples::policy_set().rules;
        let forms = samples::forms(&[("shared", "1.0.0", false), ("own", "1.0.0", true)]);
        let order = samples::order();
        let orders = [
            evaluated(&rules, &order, &["shared|1.0.0", "own|1.0.0"]),
            evaluated(&rules, &order, &["shared|1.0.0", "own|1.0.0"]),
        ];
        let mut issues = Vec::new();
        let packages = split_by_order(forms_needed_by_orders(&orders, input(&forms), &mut issues));
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
    fn an_order_never_gets_two_versions_of_a_form() {
        let rules = samples::policy_set().rules;
        let forms = samples::forms(&[("oxygen", "1.0.0", false), ("oxygen", "1.1.0", false)]);
        let order = samples::order();
        let one = [evaluated(&rules, &order, &["oxygen|1.0.0", "oxygen|1.1.0"])];
        let mut issues = Vec::new();
        let packages = forms_needed_by_orders(&one, input(&forms), &mut issues);
        assert_eq!(
            keys(&one_version_per_order(&packages, &mut issues)),
            [("oxygen|1.1.0".into(), 1)]
        );
        assert_eq!(issues.len(), 1);
        let two = [
            evaluated(&rules, &order, &["oxygen|1.0.0"]),
            evaluated(&rules, &order, &["oxygen|1.1.0"]),
        ];
        let packages = forms_needed_by_orders(&two, input(&forms), &mut issues);
        assert_eq!(one_version_per_order(&packages, &mut issues).len(), 2);
        assert_eq!(issues.len(), 1);
    }

    #[test]
    fn a_form_that_a_policy_names_but_the_plan_does_not_have_is_a_warning() {
        let rules = samples::policy_set().rules;
        let forms = samples::forms(&[]);
        let order = samples::order();
        let mut issues = Vec::new();
        assert!(
            forms_needed_by_orders(
                &[evaluated(&rules, &order, &["oxygen|1.0.0"])],
                input(&forms),
                &mut issues
            )
            .is_empty()
        );
        assert_eq!(issues[0].code, IssueCode::NotFound);
    }

    #[test]
    fn a_form_without_known_dates_counts_as_changed() {
        let forms = samples::forms(&[("oxygen", "1.0.0", false)]);
        let form = forms.all().next().unwrap();
        let since = "2030-01-01T00:00:00Z".parse().unwrap();
        let published_at = |at: &str| SelectionInput {
            last_publication: Some(at.parse().unwrap()),
            ..input(&forms)
        };
        assert!(may_have_changed(form, input(&forms), since));
        assert!(!may_have_changed(
            form,
            published_at("2026-09-01T00:00:00Z"),
            since
        ));
        assert!(may_have_changed(
            form,
            published_at("2030-02-01T00:00:00Z"),
            since
        ));
        let before_form_date = "2026-06-30T00:00:00Z".parse().unwrap();
        assert!(may_have_changed(
            form,
            published_at("2026-01-01T00:00:00Z"),
            before_form_date
        ));
    }
}
