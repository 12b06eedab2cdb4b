//! One scope on resources: level, resource type, permissions, refinement (SMART App Launch 2.2, "Scopes for requesting
//! FHIR resources").

use std::fmt;

/// The refinements that all data of this server meets: every `ExplanationOfBenefit` is a prior authorization.
const MET_REFINEMENTS: [(&str, &str); 1] = [("ExplanationOfBenefit", "use=preauthorization")];

/// On whose behalf a scope gives access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeLevel {
    /// One patient's data.
    Patient,
    /// What the signed-in user may see.
    User,
    /// A system without a user.
    System,
}

impl ScopeLevel {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "patient" => Self::Patient,
            "user" => Self::User,
            "system" => Self::System,
            _ => return None,
        })
    }
}

impl fmt::Display for ScopeLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patient => "patient",
            Self::User => "user",
            Self::System => "system",
        })
    }
}

/// What a scope allows on a resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// `c`: create, or an operation that creates.
    Create,
    /// `r`: read one resource by its id.
    Read,
    /// `u`: replace.
    Update,
    /// `d`: delete.
    Delete,
    /// `s`: search the type.
    Search,
}

impl Permission {
    /// Every permission in the order in which SMART requires the letters.
    const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Search];

    fn letter(self) -> char {
        match self {
            Self::Create => 'c',
            Self::Read => 'r',
            Self::Update => 'u',
            Self::Delete => 'd',
            Self::Search => 's',
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Read => 1 << 1,
            Self::Update => 1 << 2,
            Self::Delete => 1 << 3,
            Self::Search => 1 << 4,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.letter())
    }
}

/// A set of permissions, one bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Permissions(u8);

impl Permissions {
    const READ: Self = Self(0b1_0010);
    const WRITE: Self = Self(0b0_1101);
    const ALL: Self = Self(0b1_1111);

    /// The letters of version 2, each at most once and in order.
    fn from_letters(letters: &str) -> Option<Self> {
        let mut bits = 0_u8;
        for letter in letters.chars() {
            let bit = Permission::ALL.into_iter().find(|p| p.letter() == letter)?.bit();
            if bit <= bits {
                return None;
            }
            bits |= bit;
        }
        (bits != 0).then_some(Self(bits))
    }

    /// The names of version 1.
    fn from_version_1(name: &str) -> Option<Self> {
        Some(match name {
            "read" => Self::READ,
            "write" => Self::WRITE,
            "*" => Self::ALL,
            _ => return None,
        })
    }

    fn version_1_name(self) -> Option<&'static str> {
        [("read", Self::READ), ("write", Self::WRITE), ("*", Self::ALL)]
            .into_iter()
            .find_map(|(name, permissions)| (permissions == self).then_some(name))
    }

    fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn include(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    fn cover(self, other: Self) -> bool {
        other.0 != 0 && self.0 & other.0 == other.0
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for permission in Permission::ALL.into_iter().filter(|p| self.include(*p)) {
            permission.fmt(f)?;
        }
        Ok(())
    }
}

/// A scope on resources of one type, or of all types (`*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResourceScope {
    level: ScopeLevel,
    pub(super) resource_type: String,
    permissions: Permissions,
    /// The search parameters after `?`, such as `use=preauthorization`.
    refinement: Option<String>,
    /// Whether the scope is written in the syntax of version 1.
    version_1: bool,
}

impl ResourceScope {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (level, rest) = text.split_once('/')?;
        let level = ScopeLevel::parse(level)?;
        let (rest, refinement) = match rest.split_once('?') {
            Some((rest, refinement)) if !refinement.is_empty() => (rest, Some(refinement.to_owned())),
            Some(_) => return None,
            None => (rest, None),
        };
        let (resource_type, permissions) = rest.rsplit_once('.')?;
        let is_name = !resource_type.is_empty() && resource_type.chars().all(|c| c.is_ascii_alphabetic());
        if resource_type != "*" && !is_name {
            return None;
        }
        let (permissions, version_1) = match Permissions::from_version_1(permissions) {
            Some(permissions) => (permissions, true),
            None => (Permissions::from_letters(permissions)?, false),
        };
        Some(Self {
            level,
            resource_type: resource_type.to_owned(),
            permissions,
            refinement,
            version_1,
        })
    }

    /// Whether the scope allows one permission on a resource type.
    pub(super) fn allows(&self, level: ScopeLevel, resource_type: &str, permission: Permission) -> bool {
        self.level == level
            && self.includes_type(resource_type)
            && self.permissions.include(permission)
            && self.is_refinement_met()
    }

    fn includes_type(&self, resource_type: &str) -> bool {
        self.resource_type == "*" || self.resource_type.eq_ignore_ascii_case(resource_type)
    }

    /// What both scopes allow, in the syntax of this one.
    pub(super) fn intersection(&self, other: &Self) -> Option<Self> {
        let resource_type = match (self.resource_type.as_str(), other.resource_type.as_str()) {
            ("*", theirs) => theirs,
            (ours, "*") => ours,
            (ours, theirs) if ours.eq_ignore_ascii_case(theirs) => ours,
            _ => return None,
        };
        let refinement = match (&self.refinement, &other.refinement) {
            (Some(a), Some(b)) if a != b => return None,
            (Some(a), _) => Some(a),
            (None, b) => b.as_ref(),
        };
        let permissions = self.permissions.intersection(other.permissions);
        (self.level == other.level && permissions.0 != 0).then(|| Self {
            level: self.level,
            resource_type: resource_type.to_owned(),
            permissions,
            refinement: refinement.cloned(),
            version_1: self.version_1,
        })
    }

    /// Whether this scope allows everything that `other` allows.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.level == other.level
            && self.includes_type(&other.resource_type)
            && self.permissions.cover(other.permissions)
            && (self.refinement.is_none() || self.refinement == other.refinement)
    }

    /// Whether all data of the type meets the refinement, so that nothing needs to be filtered.
    pub(super) fn is_refinement_met(&self) -> bool {
        self.refinement.as_deref().is_none_or(|refinement| {
            MET_REFINEMENTS
                .iter()
                .any(|(name, met)| self.resource_type.eq_ignore_ascii_case(name) && *met == refinement)
        })
    }
}

impl fmt::Display for ResourceScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.", self.level, self.resource_type)?;
        match self.permissions.version_1_name().filter(|_| self.version_1) {
            Some(name) => f.write_str(name)?,
            None => self.permissions.fmt(f)?,
        }
        self.refinement
            .as_ref()
            .map_or(Ok(()), |refinement| write!(f, "?{refinement}"))
    }
}
