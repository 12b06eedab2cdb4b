//! The demo: a small plan with people in it, and the walk, which sends the thread over HTTP as any client would.

pub mod keys;
pub mod seed;
pub mod walk;
