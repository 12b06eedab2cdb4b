//! The rules that a setting's value must meet.

use super::{Config, MailTransport};

/// Whether a setting is valid, its dotted name, and the message if it is not.
type Check = (bool, &'static str, &'static str);

impl Config {
    /// Each invalid setting with what is wrong and what to set.
    pub(super) fn mistakes(&self) -> Vec<(&'static str, &'static str)> {
        let checks = [self.server_checks(), self.limit_checks(), self.mail_checks()];
        checks
            .into_iter()
            .flatten()
            .filter(|(valid, _, _)| !valid)
            .map(|(_, setting, problem)| (setting, problem))
            .collect()
    }

    fn server_checks(&self) -> Vec<Check> {
        let url = url::Url::parse(&self.public_url);
        let is_web_url = url.is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        vec![
            (
                is_web_url,
                "public_url",
                "must be an http or https URL, such as https://pa.plan.example.",
            ),
            (
                !self.public_url.ends_with('/'),
                "public_url",
                "must not end with a slash.",
            ),
            (
                self.database().is_ok(),
                "database",
                "must be sqlite:PATH or postgres://user:password@host/name.",
            ),
            (
                !self.payer.name.trim().is_empty(),
                "payer.name",
                "must not be empty. It appears on every CDS card and page.",
            ),
            (
                !self.payer.identifiers.is_empty(),
                "payer.identifiers",
                "must contain at least the plan's NPI. Without it, no coverage is recognized as this plan's.",
            ),
        ]
    }

    fn limit_checks(&self) -> Vec<Check> {
        vec![
            (
                self.limits.body_bytes >= 65_536,
                "limits.body_bytes",
                "must be at least 65536.",
            ),
            (
                self.limits.fetch_ms < self.limits.hook_ms,
                "limits.fetch_ms",
                "must be less than the time limit of the whole hook call (hook_ms).",
            ),
            (
                (1..=5000).contains(&self.limits.hook_ms),
                "limits.hook_ms",
                "must be from 1 to 5000.",
            ),
            (
                (1..=3600).contains(&self.workers.lease_seconds),
                "workers.lease_seconds",
                "must be from 1 to 3600.",
            ),
            (
                (5..=720).contains(&self.sessions.idle_minutes),
                "sessions.idle_minutes",
                "must be from 5 to 720.",
            ),
            (
                (4..=20).contains(&self.wording.reading_grade),
                "wording.reading_grade",
                "must be from 4 to 20.",
            ),
            (
                (2..=200).contains(&self.postgres.connections),
                "postgres.connections",
                "must be from 2 to 200.",
            ),
        ]
    }

    fn mail_checks(&self) -> Vec<Check> {
        let url = &self.mail.url;
        let encrypted =
            url.starts_with("smtps://") || (url.starts_with("smtp://") && url.contains("tls=required"));
        vec![
            (
                self.mail.from.contains('@'),
                "mail.from",
                "must contain an email address.",
            ),
            (
                self.mail.alerts_to.is_empty() || self.mail.alerts_to.contains('@'),
                "mail.alerts_to",
                "must be an email address or empty.",
            ),
            (
                self.mail.transport != MailTransport::Smtp || encrypted,
                "mail.url",
                "must be smtps://… or smtp://…?tls=required. Mail is never sent without encryption.",
            ),
        ]
    }
}
