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
    /// The denial was not confirmed, or something else was confirmed.
    NotConfirmed,
    /// The reason for the member is harder to read than the plan allows, and the physician did not accept that.
    HardToRead,
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
            CommandError::NotConfirmed => {
                Self::invalid("confirmation", "Read what will be sent, then confirm the denial")
            }
            CommandError::HardToRead => Self::invalid(
                "reason",
                "The reason for the member is hard to read. Use shorter sentences and words, or accept it as written",
            ),
            CommandError::ItemNotFound(sequence) => Self::not_found("item", sequence),
        }
    }
}
