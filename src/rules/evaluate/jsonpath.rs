//! JSONPath (RFC 9535). No other module uses the JSONPath crate. A path may only find nodes: `..`, functions,
//! comparisons of two paths and comparisons with dates are refused when the file is read. All of them can give results
//! that an author does not expect, and `..` and the functions with regular expressions cost up to a hundred times
//! more. Paths are compiled once.

use jsonpath_rust::parser::model::{Comparable, Filter, FilterAtom, JpQuery, Segment, Selector, Test};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

/// A compiled path.
#[derive(Debug, Clone)]
pub(in crate::rules) struct Path {
    query: JpQuery,
    fan_out: usize,
}

/// The greatest length of a path in bytes. A very deep path could exhaust the parser's stack.
const MAX_LENGTH: usize = 500;

/// A node and its normalized path, relative to where the search began.
pub(in crate::rules) type FoundNode<'a> = (&'a Value, String);

impl Path {
    /// Compiles a path. The error is a sentence for the author of the policy.
    pub(in crate::rules) fn compile(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("A path can have at most {MAX_LENGTH} characters"));
        }
        let query =
            parse_json_path(text).map_err(|_| format!("'{text}' is not a valid JSONPath (RFC 9535)"))?;
        let mut fan_out = 0;
        segments(&query.segments, &mut fan_out)
            .map_err(|reason| format!("In the path '{text}', {reason}"))?;
        Ok(Self { query, fan_out })
    }

    /// All nodes that the path finds in `value`.
    pub(in crate::rules) fn find<'a>(&self, value: &'a Value) -> Result<Vec<FoundNode<'a>>, String> {
        let found = js_path_process(&self.query, value).map_err(|e| format!("a path failed: {e}"))?;
        Ok(found.into_iter().map(|node| (node.val, node.path)).collect())
    }

    /// The name of the path's first step; none if it is no name.
    pub(in crate::rules) fn first_step(&self) -> Option<&str> {
        self.query.segments.first().and_then(name_of)
    }

    /// The type of the resources that the path finds: `Condition` of `$.res.Condition[*]`.
    pub(in crate::rules) fn resource_type(&self) -> Option<&str> {
        let [first, second, ..] = self.query.segments.as_slice() else {
            return None;
        };
        let [root, resource_type] = [first, second].map(|segment| name_of(segment).unwrap_or(""));
        (root == "res" && !resource_type.is_empty()).then_some(resource_type)
    }

    /// How many wildcards, slices and filters the path has. The cost of a search grows with it.
    pub(in crate::rules) fn fan_out(&self) -> usize {
        self.fan_out
    }
}

/// The name that a step selects, without quotes.
fn name_of(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Selector(Selector::Name(name)) => Some(name.trim_matches(['\'', '"'])),
        _ => None,
    }
}

fn segments(all: &[Segment], fan_out: &mut usize) -> Result<(), String> {
    all.iter().try_for_each(|segment| match segment {
        Segment::Descendant(_) => Err("'..' is not allowed; name each step".to_owned()),
        Segment::Selector(one) => selector(one, fan_out),
        // The same node could be found twice in each pair of brackets, so the work could double with every pair.
        Segment::Selectors(_) => {
            Err("a pair of brackets has several selectors; write a separate fact for each".to_owned())
        }
    })
}

fn selector(selector: &Selector, fan_out: &mut usize) -> Result<(), String> {
    match selector {
        Selector::Name(_) | Selector::Index(_) => Ok(()),
        Selector::Wildcard | Selector::Slice(..) => {
            *fan_out += 1;
            Ok(())
        }
        Selector::Filter(inner) => {
            *fan_out += 1;
            filter(inner, fan_out)
        }
    }
}

fn filter(at: &Filter, fan_out: &mut usize) -> Result<(), String> {
    match at {
        Filter::Or(all) | Filter::And(all) => all.iter().try_for_each(|one| filter(one, fan_out)),
        Filter::Atom(FilterAtom::Filter { expr, .. }) => filter(expr, fan_out),
        Filter::Atom(FilterAtom::Test { expr, .. }) => match expr.as_ref() {
            Test::RelQuery(inner) => segments(inner, fan_out),
            // The whole document would be searched once for every node.
            Test::AbsQuery(_) => {
                Err("a filter searches the whole document; search the node itself instead: @".to_owned())
            }
            Test::Function(_) => Err(NO_FUNCTION.to_owned()),
        },
        Filter::Atom(FilterAtom::Comparison(comparison)) => {
            let (left, right) = comparison.vals();
            match (left, right) {
                (Comparable::Function(_), _) | (_, Comparable::Function(_)) => Err(NO_FUNCTION.to_owned()),
                (Comparable::SingularQuery(_), Comparable::SingularQuery(_)) => {
                    Err("two paths are compared, which is true when both are missing".to_owned())
                }
                (Comparable::Literal(l), _) | (_, Comparable::Literal(l)) => literal(l),
            }
        }
    }
}

const NO_FUNCTION: &str =
    "a function is used (length, count, value, match, search, …); a path may only find nodes";

fn literal(literal: &jsonpath_rust::parser::model::Literal) -> Result<(), String> {
    if let jsonpath_rust::parser::model::Literal::String(text) = literal {
        let mut parsed = text.splitn(3, '-');
        let digits = |part: Option<&str>, n| {
            part.is_some_and(|p| p.len() == n && p.bytes().all(|b| b.is_ascii_digit()))
        };
        if digits(parsed.next(), 4) && digits(parsed.next(), 2) {
            return Err(
                "a date is compared as text; use 'dated_within', 'on_or_after' or 'on_or_before'".into(),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(path: &str) -> String {
        Path::compile(path).unwrap_err()
    }

    #[test]
    fn descent_functions_and_path_to_path_comparisons_are_refused() {
        assert!(refused("$..code").contains("'..'"));
        assert!(refused("$.res[?@..code]").contains("'..'"));
        for path in [
            "$.a[?match(@.b, 'x')]",
            "$.a[?search(@.b, 'x')]",
            "$.a[?count(@.b[*]) == 0]",
            "$.a[?length(@.b) > 1]",
            "$.a[?value(@.b) == 1]",
            "$.a[?in(@.b, $.c)]",
            "$.a[?@.b == 1 && !match(@.c, 'x')]",
            "$.a[?@.b[?search(@.c, 'x')]]",
        ] {
            assert!(refused(path).contains("function"), "{path}");
        }
        assert!(refused("$.a[?@.b == @.c]").contains("two paths"));
        assert!(refused("$.a[?@.d >= '2026-10-01']").contains("date"));
        assert!(refused("$.a[?@.d == '2026-10']").contains("date"));
        assert!(refused("$.a[?@.b ~= 'x']").contains("not a valid JSONPath"));
        assert!(refused("a.b").contains("not a valid JSONPath"));
        assert!(refused("$.a[?$.b[?@.c]]").contains("whole document"));
        assert!(refused("$.a[*,*][*,*]").contains("several selectors"));
        assert!(refused(&format!("$.{}", "a".repeat(600))).contains("at most 500"));
    }

    #[test]
    fn codes_that_resemble_dates_are_allowed() {
        for code in ["59408-5", "2703-7", "1234-567"] {
            assert!(
                Path::compile(&format!("$.a[?@.code == '{code}']")).is_ok(),
                "{code}"
            );
        }
    }

    #[test]
    fn found_nodes_have_a_normalized_path() {
        let value = json!({ "res": { "Condition": [
            { "clinicalStatus": { "coding": [{ "code": "inactive" }] } },
            { "clinicalStatus": { "coding": [{ "code": "active" }] }, "id": "b" }
        ]}});
        let path = Path::compile("$.res.Condition[?@.clinicalStatus.coding[?@.code=='active']]").unwrap();
        let found = path.find(&value).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0["id"], "b");
        assert_eq!(found[0].1, "$['res']['Condition'][1]");
        assert_eq!(path.fan_out(), 2);
    }

    // The following tests record how the crate behaves, which is why the checks above exist. If one of them fails
    // after an update of the crate, review the checks.

    fn find_unchecked<'a>(path: &str, value: &'a Value) -> Vec<&'a Value> {
        js_path_process(&parse_json_path(path).unwrap(), value)
            .unwrap()
            .into_iter()
            .map(|n| n.val)
            .collect()
    }

    #[test]
    fn two_missing_paths_are_equal() {
        assert_eq!(
            find_unchecked("$.x[?@.a == @.b]", &json!({ "x": [{ "c": 1 }] })).len(),
            1
        );
    }

    #[test]
    fn count_of_nothing_is_not_zero() {
        let value = json!({ "x": [{ "item": [] }] });
        assert_eq!(find_unchecked("$.x[?count(@.item[*]) == 0]", &value).len(), 0);
        assert_eq!(find_unchecked("$.x[?!@.item[*]]", &value).len(), 1);
    }

    #[test]
    fn dates_compare_as_text() {
        let value = json!({ "x": [{ "at": "2026-09-30T23:30:00-04:00" }] });
        assert_eq!(find_unchecked("$.x[?@.at >= '2026-10-01']", &value).len(), 0);
    }

    #[test]
    fn null_and_missing_differ() {
        assert_eq!(
            find_unchecked("$.x[?@.a == null]", &json!({ "x": [{ "a": null }] })).len(),
            1
        );
        assert_eq!(
            find_unchecked("$.x[?@.a == null]", &json!({ "x": [{ "b": 1 }] })).len(),
            0
        );
    }

    #[test]
    fn the_crate_accepts_a_function_that_returns_a_value_as_a_test() {
        // RFC 9535 allows such a function only in a comparison. The crate accepts it as a test and checks only whether
        // the value exists. For `length` the result is always false.
        let value = json!({ "x": [{ "a": "word" }, { "a": "" }, { "a": false }, {}] });
        for (path, found) in [
            ("$.x[?length(@.a)]", 0),
            ("$.x[?value(@.a)]", 3),
            ("$.x[?count(@.a)]", 0),
        ] {
            assert_eq!(find_unchecked(path, &value).len(), found, "{path}");
            assert!(refused(path).contains("function"), "{path}");
        }
        let compared = "$.x[?length(@.a) == 4]";
        assert_eq!(find_unchecked(compared, &value).len(), 1);
        assert!(refused(compared).contains("function"));
    }

    #[test]
    fn the_crate_accepts_patterns_that_are_not_in_the_standard() {
        // RFC 9485 has no flags: by the standard nothing matches.
        let value = json!({ "x": [{ "a": "HOME" }] });
        for path in ["$.x[?match(@.a, '(?i)home')]", "$.x[?search(@.a, '(?i)om')]"] {
            assert_eq!(find_unchecked(path, &value).len(), 1, "{path}");
            assert!(refused(path).contains("function"), "{path}");
        }
    }

    #[test]
    fn the_crate_accepts_functions_of_its_own() {
        let value = json!({ "x": [{ "a": "b" }, { "a": "c" }], "known": ["b"] });
        for (path, found) in [("$.x[?in(@.a, $.known)]", 1), ("$.x[?nin(@.a, $.known)]", 1)] {
            assert_eq!(find_unchecked(path, &value).len(), found, "{path}");
            assert!(refused(path).contains("function"), "{path}");
        }
    }
}
