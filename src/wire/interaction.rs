//! FHIR interactions as types, for the access rule in a handler's signature (`super::caller`).

use crate::auth::Permission;

/// A FHIR interaction, with the SMART permission that a scope must include for it.
pub trait Interaction: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: Permission;
}

/// Declares a marker type for each permission.
macro_rules! interactions {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;

            impl Interaction for $name {
                const PERMISSION: Permission = Permission::$name;
            }
        )*
    };
}

interactions! {
    /// Create a resource, or invoke an operation that creates one: `c`.
    Create,
    /// Read one resource: `r`.
    Read,
    /// Replace a resource: `u`.
    Update,
    /// Delete a resource: `d`.
    Delete,
    /// Search a resource type: `s`.
    Search,
}
