//! The rules that a setting's value must meet.

use super::{Config, MailTransport};

/// Whether a setting is valid, its dotted name, and the message if it is not.
pub(super) type Check = (bool, &'static str, &'static str);

impl Config {
    /// Each invalid setting with what is wrong and what to set.
    pub(super) fn mistakes(&self) -> Vec<(&'static str, &'static str)> {
        let checks = [
            self.server_checks(),
            self.limit_checks(),
            self.worker_checks(),
            self.sign_in_checks(),
            self.connections.checks(self.limits.body_bytes),
            self.mail_checks(),
        ];
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
            (self.limits.items >= 1, "limits.items", "must be at least 1."),
            (
                self.limits.entries >= 10,
                "limits.entries",
                "must be at least 10. A request has its Claim and the resources that it references.",
            ),
            (self.limits.orders >= 1, "limits.orders", "must be at least 1."),
            (
                self.limits.inquiry_cases >= 1,
                "limits.inquiry_cases",
                "must be at least 1.",
            ),
            (
                self.limits.computations <= 1024,
                "limits.computations",
                "must be from 0 to 1024.",
            ),
            (
                (1..=1000).contains(&self.limits.subscriptions),
                "limits.subscriptions",
                "must be from 1 to 1000.",
            ),
        ]
    }

    fn worker_checks(&self) -> Vec<Check> {
        vec![
            (
                (1..=1000).contains(&self.workers.deliveries),
                "workers.deliveries",
                "must be from 1 to 1000.",
            ),
            (
                (1..=300).contains(&self.workers.delivery_seconds),
                "workers.delivery_seconds",
                "must be from 1 to 300.",
            ),
            (
                (1..=3600).contains(&self.workers.lease_seconds),
                "workers.lease_seconds",
                "must be from 1 to 3600.",
            ),
            (
                self.retention.case_years >= 1,
                "retention.case_years",
                "must be at least 1.",
            ),
            (
                self.retention.access_log_years >= 6,
                "retention.access_log_years",
                "must be at least 6 (45 CFR 164.316(b)(2)).",
            ),
            (
                self.retention.message_days >= 1,
                "retention.message_days",
                "must be at least 1.",
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

    fn sign_in_checks(&self) -> Vec<Check> {
        vec![
            (
                (1..=1440).contains(&self.sign_in.window_minutes),
                "sign_in.window_minutes",
                "must be from 1 to 1440.",
            ),
            (
                self.sign_in.tries >= 3,
                "sign_in.tries",
                "must be at least 3. With fewer, a typing error locks a person out.",
            ),
            (
                self.sign_in.account_tries >= self.sign_in.tries,
                "sign_in.account_tries",
                "must be at least sign_in.tries.",
            ),
            (
                self.sign_in.address_tries >= self.sign_in.tries,
                "sign_in.address_tries",
                "must be at least sign_in.tries.",
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
