//! The list of errors that the validator reports although the message is right.

use serde::Deserialize;

/// An error that the validator reports although the message is right.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defect {
    /// The guide under which the error appears; every guide if it is missing.
    pub guide: Option<String>,
    /// The error as the test prints it; `*` stands for any text.
    pub error: String,
    /// Why the message is right.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DefectFile {
    defect: Vec<Defect>,
}

impl Defect {
    pub fn matches(&self, guide: &str, error: &str) -> bool {
        self.guide.as_deref().is_none_or(|own| own == guide) && matches_pattern(&self.error, error)
    }
}

/// Whether a text consists of the parts of a pattern between its `*`, in order.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = parts.as_slice() else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

/// Reads the list.
pub fn read(text: &str) -> Vec<Defect> {
    let file: DefectFile = toml::from_str(text).unwrap();
    for defect in &file.defect {
        assert!(
            !defect.reason.trim().is_empty(),
            "{} is listed without a reason",
            defect.error
        );
    }
    file.defect
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_a_whole_error() {
        assert!(matches_pattern("a*b*c", "a-b-c"));
        assert!(matches_pattern("abc", "abc"));
        for text in ["a-c-b", "xa-b-c", "a-b-cx", "abc"] {
            assert_eq!(matches_pattern("a*b*c", text), text == "abc", "{text}");
        }
        assert!(!matches_pattern("abc", "abcd"));
    }
}
