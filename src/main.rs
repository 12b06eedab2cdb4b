//! Assent.
fn main() {}
