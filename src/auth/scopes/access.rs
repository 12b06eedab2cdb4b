//! One scope on resources: level, type, rights, refinement.

use std::fmt;

/// The refinements that the data meets by itself: every `ExplanationOfBenefit` here is a prior authorization.
const MET: [(&str, &str); 1] = [("ExplanationOfBenefit", "use=preauthorization")];

/// In whose name the data is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// One patient's data.
    Patient,
    /// What a person may see.
    User,
    /// A system on its own.
    System,
}

impl Level {
    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "patient" => Self::Patient,
            "user" => Self::User,
            "system" => Self::System,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::User => "user",
            Self::System => "system",
        }
    }
}

/// A set of the five rights create, read, update, delete, search; one bit each, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rights(u8);

const LETTERS: [char; 5] = ['c', 'r', 'u', 'd', 's'];

impl Rights {
    const READ: Self = Self(0b1_0010);
    const WRITE: Self = Self(0b0_1101);
    const ALL: Self = Self(0b1_1111);

    /// Letters in their order, each once.
    fn of_letters(text: &str) -> Option<Self> {
        let mut rights = 0_u8;
        for letter in text.chars() {
            let bit = 1_u8 << LETTERS.iter().position(|l| *l == letter)?;
            if bit <= rights {
                return None;
            }
            rights |= bit;
        }
        (rights != 0).then_some(Self(rights))
    }

    fn of_word(text: &str) -> Option<Self> {
        Some(match text {
            "read" => Self::READ,
            "write" => Self::WRITE,
            "*" => Self::ALL,
            _ => return None,
        })
    }

    fn word(self) -> Option<&'static str> {
        [("read", Self::READ), ("write", Self::WRITE), ("*", Self::ALL)]
            .into_iter()
            .find_map(|(word, rights)| (rights == self).then_some(word))
    }

    pub(super) fn of_one(letter: char) -> Self {
        Self(LETTERS.iter().position(|l| *l == letter).map_or(0, |at| 1 << at))
    }

    fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn holds(self, other: Self) -> bool {
        other.0 != 0 && self.0 & other.0 == other.0
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, letter) in LETTERS.iter().enumerate() {
            if self.0 & (1 << at) != 0 {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// A scope on resources of one type, or of all (`*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) level: Level,
    pub(super) kind: String,
    pub(super) rights: Rights,
    finer: Option<String>,
    version_1: bool,
}

impl Access {
    pub(super) fn read(text: &str) -> Option<Self> {
        let (level, rest) = text.split_once('/')?;
        let level = Level::read(level)?;
        let (rest, finer) = match rest.split_once('?') {
            Some((rest, finer)) if !finer.is_empty() => (rest, Some(finer.to_owned())),
            Some(_) => return None,
            None => (rest, None),
        };
        let (kind, rights) = rest.rsplit_once('.')?;
        if kind != "*" && (kind.is_empty() || !kind.chars().all(|c| c.is_ascii_alphabetic())) {
            return None;
        }
        let (rights, version_1) = match Rights::of_word(rights) {
            Some(rights) => (rights, true),
            None => (Rights::of_letters(rights)?, false),
        };
        Some(Self {
            level,
            kind: kind.to_owned(),
            rights,
            finer,
            version_1,
        })
    }

    pub(super) fn is_about(&self, kind: &str) -> bool {
        self.kind == "*" || self.kind.eq_ignore_ascii_case(kind)
    }

    /// What both allow, in this one's spelling.
    pub(super) fn both(&self, other: &Self) -> Option<Self> {
        let kind = match (self.kind.as_str(), other.kind.as_str()) {
            ("*", theirs) => theirs,
            (ours, "*") => ours,
            (ours, theirs) if ours.eq_ignore_ascii_case(theirs) => ours,
            _ => return None,
        };
        let finer = match (&self.finer, &other.finer) {
            (Some(a), Some(b)) if a != b => return None,
            (Some(a), _) => Some(a),
            (None, b) => b.as_ref(),
        };
        let rights = self.rights.both(other.rights);
        (self.level == other.level && rights.0 != 0).then(|| Self {
            level: self.level,
            kind: kind.to_owned(),
            rights,
            finer: finer.cloned(),
            version_1: self.version_1,
        })
    }

    /// Whether everything that `other` allows is allowed by this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.level == other.level
            && self.is_about(&other.kind)
            && self.rights.holds(other.rights)
            && (self.finer.is_none() || self.finer == other.finer)
    }

    pub(super) fn is_met(&self) -> bool {
        self.finer.as_deref().is_none_or(|finer| {
            MET.iter()
                .any(|(kind, met)| self.kind.eq_ignore_ascii_case(kind) && *met == finer)
        })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.", self.level.word(), self.kind)?;
        match self.rights.word().filter(|_| self.version_1) {
            Some(word) => f.write_str(word)?,
            None => write!(f, "{}", self.rights)?,
        }
        self.finer.as_ref().map_or(Ok(()), |finer| write!(f, "?{finer}"))
    }
}
