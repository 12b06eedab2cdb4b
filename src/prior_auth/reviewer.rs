//! Who acts on a case, and with which right. Identity and credential come from sign-in and are written into the
//! event as they were that day.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a member of staff may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Completes and sorts requests; judges no clinical need.
    Intake,
    /// Reviews against criteria, approves as asked, refers up.
    Nurse,
    /// Approves and denies.
    Physician,
    /// Assigns, sees the risk of lateness, changes no decision.
    Supervisor,
    /// Writes policies; proposes and confirms sets of them. Sees no case.
    PolicyAuthor,
    /// Approves policies; proposes and confirms sets of them. Sees no case.
    PolicyApprover,
}

impl Role {
    /// Reads the word of the command line and the store.
    pub fn read(word: &str) -> Option<Self> {
        Some(match word {
            "intake" => Self::Intake,
            "nurse" => Self::Nurse,
            "physician" => Self::Physician,
            "supervisor" => Self::Supervisor,
            "policy-author" => Self::PolicyAuthor,
            "policy-approver" => Self::PolicyApprover,
            _ => return None,
        })
    }

    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Nurse => "nurse",
            Self::Physician => "physician",
            Self::Supervisor => "supervisor",
            Self::PolicyAuthor => "policy-author",
            Self::PolicyApprover => "policy-approver",
        }
    }
}

/// What kind of license a person holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// MD or DO.
    Physician,
    /// RN or LPN.
    Nurse,
}

/// A license on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its kind.
    pub kind: CredentialKind,
    /// Its number.
    pub license: String,
    /// The state that gave it.
    pub state: String,
    /// The holder's NPI.
    pub npi: Option<String>,
    /// The holder's specialty (NUCC taxonomy code).
    pub specialty: Option<String>,
    /// The last day on which it holds; none = no end on record.
    pub expires: Option<NaiveDate>,
}

impl Credential {
    fn holds(&self, today: NaiveDate) -> bool {
        !self.license.is_empty() && self.expires.is_none_or(|end| today <= end)
    }
}

/// A named member of staff as signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewer {
    /// The person's row.
    pub id: Uuid,
    /// The sign-in name.
    pub username: String,
    /// The person's name.
    pub name: String,
    /// What the person may do.
    pub roles: Vec<Role>,
    /// The license that the person acts under.
    pub credential: Option<Credential>,
}

impl Reviewer {
    /// Whether the person has this role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// A physician with a license that holds today.
    pub fn may_deny(&self, today: NaiveDate) -> bool {
        self.is(Role::Physician)
            && self
                .credential
                .as_ref()
                .is_some_and(|c| c.kind == CredentialKind::Physician && c.holds(today))
    }

    /// A nurse or physician with a license that holds today.
    pub fn may_approve(&self, today: NaiveDate) -> bool {
        (self.is(Role::Nurse) || self.is(Role::Physician))
            && self.credential.as_ref().is_some_and(|c| c.holds(today))
    }

    /// Proposes and confirms policy sets; never both for the same set.
    pub fn may_publish(&self) -> bool {
        self.is(Role::PolicyAuthor) || self.is(Role::PolicyApprover)
    }

    /// Looks at policies and at the log of what was in force.
    pub fn may_see_policies(&self) -> bool {
        self.may_publish() || self.is(Role::Supervisor)
    }

    /// Looks at cases. The roles of policies alone give no right to it.
    pub fn may_see_cases(&self) -> bool {
        [Role::Intake, Role::Nurse, Role::Physician, Role::Supervisor]
            .into_iter()
            .any(|role| self.is(role))
    }

    /// The role to write into an event: the highest that the person has.
    pub fn acting_role(&self) -> Role {
        [
            Role::Physician,
            Role::Nurse,
            Role::Supervisor,
            Role::Intake,
            Role::PolicyApprover,
            Role::PolicyAuthor,
        ]
        .into_iter()
        .find(|role| self.is(*role))
        .unwrap_or(Role::Intake)
    }
}

/// Who made an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "actor", rename_all = "kebab-case")]
pub enum Actor {
    /// The policies, by this server.
    Software,
    /// A partner's system.
    Client {
        /// Its row.
        id: Uuid,
    },
    /// A person.
    Staff(Reviewer),
}

impl Actor {
    /// A name for lists of events; never a member's.
    pub fn name(&self) -> &str {
        match self {
            Self::Software => "policies",
            Self::Client { .. } => "sender",
            Self::Staff(reviewer) => &reviewer.name,
        }
    }

    /// The role in the event's column.
    pub fn role(&self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Client { .. } => "client",
            Self::Staff(reviewer) => reviewer.acting_role().as_str(),
        }
    }

    /// The reviewer, if it was a person.
    pub fn reviewer(&self) -> Option<&Reviewer> {
        match self {
            Self::Staff(reviewer) => Some(reviewer),
            _ => None,
        }
    }
}
