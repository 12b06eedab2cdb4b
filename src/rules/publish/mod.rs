//! What a rule set makes public: the list of items and services that need prior authorization.

pub mod public_list;
