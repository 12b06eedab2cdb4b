//! Who acts on a case and what they may do. Identity and credential come from sign-in and are stored in each event as
//! they were at that time.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A staff role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Completes and routes requests; makes no clinical decision.
    Intake,
    /// Reviews against criteria, approves as requested, refers to a physician.
    Nurse,
    /// Approves and denies.
    Physician,
    /// Sees all cases and due times; makes no decision.
    Supervisor,
    /// Writes policies; proposes and confirms policy sets. Sees no cases.
    PolicyAuthor,
    /// Approves policies; proposes and confirms policy sets. Sees no cases.
    PolicyApprover,
    /// Reads the log of who opened which case. Sees no cases and decides nothing.
    Auditor,
}

impl Role {
    /// Parses the name used on the command line and in the store.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "intake" => Self::Intake,
            "nurse" => Self::Nurse,
            "physician" => Self::Physician,
            "supervisor" => Self::Supervisor,
            "policy-author" => Self::PolicyAuthor,
            "policy-approver" => Self::PolicyApprover,
            "auditor" => Self::Auditor,
            _ => return None,
        })
    }

    /// The name that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Nurse => "nurse",
            Self::Physician => "physician",
            Self::Supervisor => "supervisor",
            Self::PolicyAuthor => "policy-author",
            Self::PolicyApprover => "policy-approver",
            Self::Auditor => "auditor",
        }
    }
}

/// The kind of a license.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// MD or DO.
    Physician,
    /// RN or LPN.
    Nurse,
}

/// A license of a reviewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The kind of license.
    pub kind: CredentialKind,
    /// The license number.
    pub license: String,
    /// The state that issued it.
    pub state: String,
    /// The holder's NPI.
    pub npi: Option<String>,
    /// The holder's specialty (NUCC taxonomy code).
    pub specialty: Option<String>,
    /// The last day on which it is valid; none if no end is on record.
    pub expires: Option<NaiveDate>,
}

impl Credential {
    fn is_valid_on(&self, today: NaiveDate) -> bool {
        !self.license.is_empty() && self.expires.is_none_or(|end| today <= end)
    }
}

/// A signed-in member of staff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewer {
    /// The id of the staff account.
    pub id: Uuid,
    /// The user name for sign-in.
    pub username: String,
    /// The full name.
    pub name: String,
    /// The roles.
    pub roles: Vec<Role>,
    /// The license under which the reviewer acts.
    pub credential: Option<Credential>,
}

impl Reviewer {
    /// Whether the reviewer has this role.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether the reviewer is a physician with a license that is valid on `today`.
    pub fn may_deny(&self, today: NaiveDate) -> bool {
        self.has_role(Role::Physician)
            && self
                .credential
                .as_ref()
                .is_some_and(|c| c.kind == CredentialKind::Physician && c.is_valid_on(today))
    }

    /// Whether the reviewer is a nurse or physician with a license that is valid on `today`.
    pub fn may_approve(&self, today: NaiveDate) -> bool {
        (self.has_role(Role::Nurse) || self.has_role(Role::Physician))
            && self.credential.as_ref().is_some_and(|c| c.is_valid_on(today))
    }

    /// Whether the reviewer may propose and confirm policy sets. Nobody does both for the same set.
    pub fn may_publish(&self) -> bool {
        self.has_role(Role::PolicyAuthor) || self.has_role(Role::PolicyApprover)
    }

    /// Whether the reviewer may see policies and the log of publications.
    pub fn may_see_policies(&self) -> bool {
        self.may_publish() || self.has_role(Role::Supervisor)
    }

    /// Whether the reviewer may see cases. The policy roles and the role of an auditor do not allow it.
    pub fn may_see_cases(&self) -> bool {
        [Role::Intake, Role::Nurse, Role::Physician, Role::Supervisor]
            .into_iter()
            .any(|role| self.has_role(role))
    }

    /// Whether the reviewer may read the log of who opened which case.
    pub fn may_see_access_log(&self) -> bool {
        self.has_role(Role::Auditor)
    }

    /// The role that is stored in an event: the highest that the reviewer has.
    pub fn acting_role(&self) -> Role {
        [
            Role::Physician,
            Role::Nurse,
            Role::Supervisor,
            Role::Intake,
            Role::PolicyApprover,
            Role::PolicyAuthor,
            Role::Auditor,
        ]
        .into_iter()
        .find(|role| self.has_role(*role))
        .unwrap_or(Role::Intake)
    }
}

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "actor", rename_all = "kebab-case")]
pub enum Actor {
    /// This server, by evaluating policies.
    Software,
    /// A client.
    Client {
        /// The id of the client's registration.
        id: Uuid,
    },
    /// A member of staff.
    Staff(Reviewer),
}

impl Actor {
    /// The name of the actor; `policies` for software, `sender` for a client.
    pub fn name(&self) -> &str {
        match self {
            Self::Software => "policies",
            Self::Client { .. } => "sender",
            Self::Staff(reviewer) => &reviewer.name,
        }
    }

    /// The value of the column `event.role`.
    pub fn role(&self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Client { .. } => "client",
            Self::Staff(reviewer) => reviewer.acting_role().as_str(),
        }
    }

    /// The reviewer, if the actor is a member of staff.
    pub fn reviewer(&self) -> Option<&Reviewer> {
        match self {
            Self::Staff(reviewer) => Some(reviewer),
            _ => None,
        }
    }
}
