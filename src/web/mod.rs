//! The pages: reviewers at `/staff`, members at `/me`, the consent page of the authorization server. Rendered on the
//! server, plain links and forms; the one script only adds to them.
//!
//! Pages show what `review`, `access` and `oauth` answer and send what people typed back to them. No rule about who may
//! decide lives here: it sits in `prior_auth`, so a raw POST meets the same guard as a click.

pub mod assets;
pub mod render;
pub mod views;
