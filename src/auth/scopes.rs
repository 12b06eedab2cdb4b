//! SMART scopes in the syntax of version 2 (`patient/Patient.rs`) and of version 1 (`patient/Patient.read`). SMART App
//! Launch 2.2, "Scopes and launch context". Resource type names are compared without regard to case: DTR writes them in
//! lower case.
//!
//! The server never grants more than was requested, registered and offered. It returns scopes in the requested syntax.

mod resource_scope;

use resource_scope::ResourceScope;
use std::fmt;

pub use resource_scope::{Permission, ScopeLevel};

/// The scopes that this server offers to members' apps: read and search only.
pub const APP_SCOPES: [&str; 7] = [
    "patient/ExplanationOfBenefit.rs",
    "patient/Patient.rs",
    "patient/Coverage.rs",
    "patient/Organization.rs",
    "patient/Practitioner.rs",
    "patient/Location.rs",
    "patient/QuestionnaireResponse.rs",
];

/// The scopes that this server offers to partners' systems. DTR `spec-120` lists those of DTR; PAS lists none, so they
/// are the resource types of its operations.
pub const SYSTEM_SCOPES: [&str; 7] = [
    "system/Claim.crus",
    "system/ClaimResponse.rs",
    "system/Subscription.cruds",
    "system/Questionnaire.rs",
    "system/QuestionnaireResponse.crus",
    "system/ValueSet.rs",
    "system/Library.rs",
];

/// The scopes without a resource type that this server supports.
pub const NAMED_SCOPES: [&str; 2] = ["launch/patient", "offline_access"];

/// One scope.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    /// On resources: `patient/Patient.rs`.
    Resource(ResourceScope),
    /// Without a resource type: `offline_access`.
    Named(String),
}

impl Scope {
    fn parse(text: &str) -> Option<Self> {
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
            return Some(Self::Named(text.to_owned()));
        }
        ResourceScope::parse(text).map(Self::Resource)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(scope) => scope.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// A list of scopes, as requested, registered or granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Parses a list separated by spaces and leaves out what is not a valid scope (RFC 6749, section 3.3).
    pub fn parse(text: &str) -> Self {
        Self(text.split_ascii_whitespace().filter_map(Scope::parse).collect())
    }

    /// The scopes that a client is registered for.
    pub fn registered(scopes: &[String]) -> Self {
        Self(scopes.iter().filter_map(|s| Scope::parse(s)).collect())
    }

    /// Whether `text` is one valid scope.
    pub fn is_valid(text: &str) -> bool {
        Scope::parse(text).is_some()
    }

    /// Whether the list holds no scope.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the list holds a scope without a resource type, such as `offline_access`.
    pub fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|s| matches!(s, Scope::Named(own) if own == name))
    }

    /// Whether any scope gives access to resources.
    pub fn include_resources(&self) -> bool {
        self.0.iter().any(|s| matches!(s, Scope::Resource(_)))
    }

    /// Whether the scopes allow `permission` on a resource type.
    pub fn allow(&self, level: ScopeLevel, resource_type: &str, permission: Permission) -> bool {
        self.0.iter().any(|scope| match scope {
            Scope::Resource(scope) => scope.allows(level, resource_type, permission),
            Scope::Named(_) => false,
        })
    }

    /// The resource types (or `*`) of the list, for the page on which a member reads what an app may see.
    pub fn resource_types(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|scope| match scope {
            Scope::Resource(scope) => Some(scope.resource_type.as_str()),
            Scope::Named(_) => None,
        })
    }

    /// The part of the requested scopes that a client is granted: no more than its registration and `offered` allow.
    #[must_use]
    pub fn narrowed(&self, registered: &Self, offered: &[&str]) -> Self {
        let offered: Vec<ResourceScope> = offered
            .iter()
            .filter_map(|text| ResourceScope::parse(text))
            .collect();
        let mut granted = Vec::new();
        for scope in &self.0 {
            match scope {
                Scope::Named(name) => {
                    let registered = name == "launch/patient" || registered.has(name);
                    if registered && NAMED_SCOPES.contains(&name.as_str()) {
                        granted.push(scope.clone());
                    }
                }
                Scope::Resource(requested) => {
                    granted.extend(
                        registered
                            .0
                            .iter()
                            .flat_map(|r| intersect(requested, r, &offered)),
                    );
                }
            }
        }
        let mut unique: Vec<Scope> = Vec::with_capacity(granted.len());
        for scope in granted {
            if !unique.contains(&scope) {
                unique.push(scope);
            }
        }
        Self(unique)
    }

    /// Whether these scopes include every one of `requested`. A refresh may request fewer scopes, never more.
    pub fn cover(&self, requested: &Self) -> bool {
        requested.0.iter().all(|scope| match scope {
            Scope::Named(name) => self.has(name),
            Scope::Resource(requested) => self
                .0
                .iter()
                .any(|held| matches!(held, Scope::Resource(held) if held.covers(requested))),
        })
    }
}

/// What the requested scope, one registered scope and the offered scopes have in common.
fn intersect(requested: &ResourceScope, registered: &Scope, offered: &[ResourceScope]) -> Vec<Scope> {
    let Scope::Resource(registered) = registered else {
        return Vec::new();
    };
    let Some(common) = requested.intersection(registered) else {
        return Vec::new();
    };
    offered
        .iter()
        .filter_map(|offer| common.intersection(offer))
        .filter(ResourceScope::is_refinement_met)
        .map(Scope::Resource)
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

    fn granted(requested: &str, registered: &str) -> String {
        let offered = [&APP_SCOPES[..], &SYSTEM_SCOPES[..]].concat();
        Scopes::parse(requested)
            .narrowed(&Scopes::parse(registered), &offered)
            .to_string()
    }

    #[test]
    fn permission_letters_must_be_in_order_and_unique() {
        for good in [
            "patient/Patient.r",
            "patient/Patient.rs",
            "system/*.cruds",
            "user/Claim.c",
        ] {
            assert_eq!(Scopes::parse(good).to_string(), good);
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
            assert!(!Scopes::is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn version_1_syntax_means_the_same_and_is_returned_as_requested() {
        assert!(Scopes::parse("patient/Patient.read").allow(
            ScopeLevel::Patient,
            "Patient",
            Permission::Search
        ));
        assert!(!Scopes::parse("patient/Patient.read").allow(
            ScopeLevel::Patient,
            "Patient",
            Permission::Update
        ));
        assert!(Scopes::parse("system/Claim.write").allow(ScopeLevel::System, "Claim", Permission::Create));
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
    fn no_more_is_granted_than_requested_registered_and_offered() {
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
        for (requested, registered, expected) in cases {
            assert_eq!(
                granted(requested, registered),
                expected,
                "{requested} requested, {registered} registered"
            );
        }
    }

    #[test]
    fn a_wildcard_is_granted_as_the_scopes_offered() {
        assert_eq!(granted("patient/*.rs", "patient/*.rs"), APP_SCOPES.join(" "));
    }

    #[test]
    fn a_refinement_is_granted_only_where_all_data_meets_it() {
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
    fn unsupported_named_scopes_are_not_granted() {
        assert_eq!(
            granted(
                "openid fhirUser launch/patient offline_access",
                "openid offline_access"
            ),
            "launch/patient offline_access"
        );
        assert_eq!(granted("offline_access", "patient/*.rs"), "");
        assert!(!Scopes::parse("launch/patient offline_access").include_resources());
    }

    #[test]
    fn a_refresh_may_request_fewer_scopes_and_not_more() {
        let held = Scopes::parse("patient/Patient.rs patient/Coverage.rs offline_access");
        assert!(held.cover(&Scopes::parse("patient/Patient.r")));
        assert!(held.cover(&Scopes::parse("patient/patient.read offline_access")));
        assert!(!held.cover(&Scopes::parse("patient/Organization.rs")));
        assert!(!held.cover(&Scopes::parse("patient/Patient.cruds")));
        assert!(!held.cover(&Scopes::parse("launch/patient")));
        assert!(!Scopes::parse("patient/Patient.rs?a=b").cover(&Scopes::parse("patient/Patient.rs")));
    }
}
