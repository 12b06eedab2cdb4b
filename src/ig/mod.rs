//! What differs between versions of a guide, as data. A door asks a field; it never compares versions.

pub mod pas;
