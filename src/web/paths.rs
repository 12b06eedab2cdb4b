//! Addresses of pages that more than one module links to or redirects to.

/// The reviewers' queue, and the prefix of all staff pages.
pub(in crate::web) const STAFF: &str = "/staff";
/// The policies page.
pub(in crate::web) const POLICIES: &str = "/staff/policies";
/// The log of who opened which case.
pub(in crate::web) const ACCESS_LOG: &str = "/staff/access-log";
/// The staff sign-in page.
pub(in crate::web) const STAFF_SIGN_IN: &str = "/staff/sign-in";
/// The member's home page, and the prefix of all member pages.
pub(in crate::web) const MEMBER: &str = "/me";
/// The member sign-in page.
pub(in crate::web) const MEMBER_SIGN_IN: &str = "/me/sign-in";
/// The public list of services that need prior authorization.
pub(in crate::web) const PUBLIC_LIST: &str = "/prior-authorization-list";
