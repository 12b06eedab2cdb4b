//! What differs between the versions of the implementation guides, as data. Each guide has an enum of the versions that
//! this server answers and one static table of fields per version. The table is found by the address that was called
//! or by what the client names; a module reads its fields and never compares versions.

pub mod crd;
pub mod dtr;
pub mod pas;
pub mod pdex;

/// A guide version with a FHIR base path of its own.
pub trait ServedAtAddress: Sync + 'static {
    /// The version whose base path a request path is below.
    fn at_address(path: &str) -> Option<&'static Self>;
}

/// Whether a request path is this base path or below it.
pub fn is_below(path: &str, base_path: &str) -> bool {
    path.strip_prefix(base_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
