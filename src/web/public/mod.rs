//! Pages that anybody may read: the front page and the public list of services that need prior authorization.

pub mod front_page;
pub mod public_list;
pub mod views;
