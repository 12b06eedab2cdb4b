//! Why a command on a case is refused, and the message for the reviewer.

use crate::error::Error;

/// Why a command was refused. The case is unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// This reviewer is not allowed to do it (message).
    NotPermitted(&'static str),
    /// A field is missing or too short (field, message).
    Incomplete(&'static str, &'static str),
    /// The case has changed since the reviewer opened it.
    OutOfDate,
    /// The item already has a different decision.
    AlreadyDecided,
    /// The case has no item with this sequence.
    ItemNotFound(u32),
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotPermitted(message) => Self::forbidden(message),
            CommandError::Incomplete(field, message) => Self::invalid(field, message),
            CommandError::OutOfDate => Self::conflict(
                "This case was updated while you were working. Review it again before you decide.",
            ),
            CommandError::AlreadyDecided => {
                Self::conflict("This item has already been decided. A decision cannot be changed.")
            }
            CommandError::ItemNotFound(sequence) => Self::not_found("item", sequence),
        }
    }
}
