//! Pages without sign-in: the front page, the page behind the link of an email notice, and the public list of services
//! that need prior authorization.

pub mod front_page;
pub mod public_list;
pub mod views;
