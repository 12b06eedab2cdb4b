//! SMART scopes, in the spelling of version 2 (`patient/Patient.rs`) and of version 1 (`patient/Patient.read`).
//! SMART App Launch 2.2, "Scopes and launch context". Type names are read in any case: DTR writes them small.
//!
//! What is granted is never more than was asked, registered and offered; it is answered in the spelling asked.

mod access;

use access::{Access, Rights};
use std::fmt;

pub use access::Level;

/// What this server offers to members' apps: reading, nothing else.
pub const FOR_APPS: [&str; 5] = [
    "patient/ExplanationOfBenefit.rs",
    "patient/Patient.rs",
    "patient/Coverage.rs",
    "patient/Organization.rs",
    "patient/Practitioner.rs",
];

/// What this server offers to partners' systems (DTR `spec-120`; PAS names none, so the operations' own types).
pub const FOR_SYSTEMS: [&str; 7] = [
    "system/Claim.crus",
    "system/ClaimResponse.rs",
    "system/Subscription.cruds",
    "system/Questionnaire.rs",
    "system/QuestionnaireResponse.crus",
    "system/ValueSet.rs",
    "system/Library.rs",
];

/// Words beside the resource scopes that mean something here.
pub const WORDS: [&str; 2] = ["launch/patient", "offline_access"];

/// One scope.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    Access(Access),
    Word(String),
}

impl Scope {
    fn read(text: &str) -> Option<Self> {
        const KNOWN: [&str; 7] = [
            "openid",
            "fhirUser",
            "profile",
            "launch",
            "launch/patient",
            "offline_access",
            "online_access",
        ];
        if KNOWN.contains(&text) {
            return Some(Self::Word(text.to_owned()));
        }
        Access::read(text).map(Self::Access)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(access) => access.fmt(f),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// A list of scopes, as asked, registered or granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Reads a list with blanks between; what is no scope is left out (RFC 6749, section 3.3).
    pub fn read(text: &str) -> Self {
        Self(text.split_ascii_whitespace().filter_map(Scope::read).collect())
    }

    /// The scopes that a client is registered for.
    pub fn registered(scopes: &[String]) -> Self {
        Self(scopes.iter().filter_map(|s| Scope::read(s)).collect())
    }

    /// Whether this text is one scope.
    pub fn is_one(text: &str) -> bool {
        Scope::read(text).is_some()
    }

    /// Nothing was granted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a word such as `offline_access` is among them.
    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|s| matches!(s, Scope::Word(w) if w == word))
    }

    /// Whether any of them reaches resources.
    pub fn reaches_data(&self) -> bool {
        self.0.iter().any(|s| matches!(s, Scope::Access(_)))
    }

    /// Whether they allow one right (`c r u d s`) on a type.
    pub fn allow(&self, level: Level, kind: &str, right: char) -> bool {
        self.0.iter().any(|scope| match scope {
            Scope::Access(access) => {
                access.level == level
                    && access.is_about(kind)
                    && access.rights.holds(Rights::of_one(right))
                    && access.is_met()
            }
            Scope::Word(_) => false,
        })
    }

    /// The types that can be read, for a page that says so in words.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|scope| match scope {
            Scope::Access(access) => Some(access.kind.as_str()),
            Scope::Word(_) => None,
        })
    }

    /// What of these a client gets: no more than it is registered for and than `offered` holds.
    #[must_use]
    pub fn narrowed(&self, registered: &Self, offered: &[&str]) -> Self {
        let offered: Vec<Access> = offered.iter().filter_map(|text| Access::read(text)).collect();
        let mut granted = Vec::new();
        for scope in &self.0 {
            match scope {
                Scope::Word(word) => {
                    let follows = word == "launch/patient" || registered.has(word);
                    if follows && WORDS.contains(&word.as_str()) {
                        granted.push(scope.clone());
                    }
                }
                Scope::Access(asked) => {
                    granted.extend(registered.0.iter().flat_map(|r| meet(asked, r, &offered)));
                }
            }
        }
        let mut once: Vec<Scope> = Vec::with_capacity(granted.len());
        for scope in granted {
            if !once.contains(&scope) {
                once.push(scope);
            }
        }
        Self(once)
    }

    /// Whether every one of `asked` is inside these: a refresh may shrink, never grow.
    pub fn cover(&self, asked: &Self) -> bool {
        asked.0.iter().all(|scope| match scope {
            Scope::Word(word) => self.has(word),
            Scope::Access(asked) => self
                .0
                .iter()
                .any(|held| matches!(held, Scope::Access(access) if access.covers(asked))),
        })
    }
}

/// What the asked scope, one registered scope and the offered ones have in common.
fn meet(asked: &Access, registered: &Scope, offered: &[Access]) -> Vec<Scope> {
    let Scope::Access(registered) = registered else {
        return Vec::new();
    };
    let Some(both) = asked.both(registered) else {
        return Vec::new();
    };
    offered
        .iter()
        .filter_map(|offer| both.both(offer))
        .filter(Access::is_met)
        .map(Scope::Access)
        .collect()
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            scope.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(asked: &str, registered: &str) -> String {
        let offered = [&FOR_APPS[..], &FOR_SYSTEMS[..]].concat();
        Scopes::read(asked)
            .narrowed(&Scopes::read(registered), &offered)
            .to_string()
    }

    #[test]
    fn letters_come_in_their_order_and_once() {
        for good in [
            "patient/Patient.r",
            "patient/Patient.rs",
            "system/*.cruds",
            "user/Claim.c",
        ] {
            assert_eq!(Scopes::read(good).to_string(), good);
        }
        for bad in [
            "patient/Patient.sr",
            "patient/Patient.rr",
            "patient/Patient.",
            "patient/.rs",
            "patient/Patient",
            "other/Patient.rs",
            "patient/Pat1ent.rs",
            "patient/Patient.rs?",
            "patient/Patient.reads",
        ] {
            assert!(!Scopes::is_one(bad), "{bad}");
        }
    }

    #[test]
    fn the_first_spelling_means_the_same_and_is_answered_as_asked() {
        assert!(Scopes::read("patient/Patient.read").allow(Level::Patient, "Patient", 's'));
        assert!(!Scopes::read("patient/Patient.read").allow(Level::Patient, "Patient", 'u'));
        assert!(Scopes::read("system/Claim.write").allow(Level::System, "Claim", 'c'));
        assert_eq!(
            granted("patient/Patient.read", "patient/Patient.rs"),
            "patient/Patient.read"
        );
        assert_eq!(
            granted("patient/Patient.rs", "patient/*.read"),
            "patient/Patient.rs"
        );
    }

    #[test]
    fn no_more_is_granted_than_was_asked_registered_and_offered() {
        let cases = [
            (
                "patient/Patient.cruds",
                "patient/Patient.cruds",
                "patient/Patient.rs",
            ),
            ("patient/Patient.*", "patient/Patient.*", "patient/Patient.read"),
            ("patient/Patient.r", "patient/*.rs", "patient/Patient.r"),
            ("patient/Observation.rs", "patient/*.rs", ""),
            ("patient/Coverage.rs", "patient/Patient.rs", ""),
            ("user/Patient.rs", "user/Patient.rs", ""),
            ("system/Claim.c", "patient/*.rs", ""),
            (
                "system/*.*",
                "system/questionnaire.rs system/valueset.rs",
                "system/questionnaire.read system/valueset.read",
            ),
            (
                "system/questionnaire.rs",
                "system/Questionnaire.rs",
                "system/questionnaire.rs",
            ),
            (
                "patient/Patient.rs patient/Patient.rs",
                "patient/*.rs",
                "patient/Patient.rs",
            ),
        ];
        for (asked, registered, expected) in cases {
            assert_eq!(granted(asked, registered), expected, "{asked} of {registered}");
        }
    }

    #[test]
    fn a_star_becomes_what_there_is() {
        assert_eq!(granted("patient/*.rs", "patient/*.rs"), FOR_APPS.join(" "));
    }

    #[test]
    fn a_refinement_is_granted_only_where_the_data_meets_it() {
        let eob = "patient/ExplanationOfBenefit.rs";
        assert_eq!(
            granted("patient/ExplanationOfBenefit.rs?use=preauthorization", eob),
            "patient/ExplanationOfBenefit.rs?use=preauthorization"
        );
        assert_eq!(granted("patient/ExplanationOfBenefit.rs?use=claim", eob), "");
        assert_eq!(granted("patient/Patient.rs?gender=female", "patient/*.rs"), "");
        assert_eq!(
            granted(eob, "patient/ExplanationOfBenefit.rs?use=preauthorization"),
            "patient/ExplanationOfBenefit.rs?use=preauthorization"
        );
    }

    #[test]
    fn words_that_mean_nothing_here_are_not_granted() {
        assert_eq!(
            granted(
                "openid fhirUser launch/patient offline_access",
                "openid offline_access"
            ),
            "launch/patient offline_access"
        );
        assert_eq!(granted("offline_access", "patient/*.rs"), "");
        assert!(!Scopes::read("launch/patient offline_access").reaches_data());
    }

    #[test]
    fn a_refresh_may_shrink_and_not_grow() {
        let held = Scopes::read("patient/Patient.rs patient/Coverage.rs offline_access");
        assert!(held.cover(&Scopes::read("patient/Patient.r")));
        assert!(held.cover(&Scopes::read("patient/patient.read offline_access")));
        assert!(!held.cover(&Scopes::read("patient/Organization.rs")));
        assert!(!held.cover(&Scopes::read("patient/Patient.cruds")));
        assert!(!held.cover(&Scopes::read("launch/patient")));
        assert!(!Scopes::read("patient/Patient.rs?a=b").cover(&Scopes::read("patient/Patient.rs")));
    }
}
