//! Decision clocks, read from `rules/clocks/*.yaml`. A clock says how much time a line of business has to decide a
//! request, counted from receipt. When several clocks match, the earliest due time applies. This module does not read
//! the system clock; callers pass the time of receipt and the current time.
//!
//! A length in calendar days can be read in two ways, so a due time has both: `internal` counts 24 hours per day from
//! the second of receipt (the earliest due time under any reading), `legal` is the end of the last calendar day in the
//! plan's time zone.

use crate::rules::{Finding, read_yaml};
use chrono::{DateTime, Days, Duration, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// All decision clocks of a rule set.
#[derive(Debug, Clone, Default)]
pub struct Clocks {
    clocks: Vec<ClockRule>,
}

/// When a case must be decided, and which clock says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueTime {
    /// The due time that staff work to and see counted down.
    pub internal: DateTime<Utc>,
    /// The due time for reports: the last second of the last calendar day in the plan's time zone. The same as
    /// `internal` when the clock counts hours.
    pub legal: DateTime<Utc>,
    /// The name of the clock.
    pub clock: String,
    /// The law, regulation or contract that sets the clock.
    pub source: String,
}

/// How close a case is to its due time. Each clock sets the hours at which the steps begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EscalationStep {
    /// More time is left than the first threshold of the clock.
    OnTrack,
    /// Days are left.
    Watch,
    /// Less than a working day is left.
    DueSoon,
    /// Only hours are left.
    DueNow,
    /// The due time has passed.
    Overdue,
}

impl EscalationStep {
    /// The value in links, dedupe keys and stored JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnTrack => "on-track",
            Self::Watch => "watch",
            Self::DueSoon => "due-soon",
            Self::DueNow => "due-now",
            Self::Overdue => "overdue",
        }
    }

    /// The label that staff see.
    pub fn label(self) -> &'static str {
        match self {
            Self::OnTrack => "on track",
            Self::Watch => "watch",
            Self::DueSoon => "due soon",
            Self::DueNow => "due now",
            Self::Overdue => "overdue",
        }
    }
}

/// The due times of one escalation step at one instant: those at or after `from` and before `before`. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DueWindow {
    /// The earliest due time.
    pub from: Option<DateTime<Utc>>,
    /// The end, not included.
    pub before: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockFile {
    format: String,
    clocks: Vec<ClockRule>,
}

/// One clock of a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockRule {
    name: String,
    lines_of_business: Vec<String>,
    urgent: bool,
    length: Length,
    /// First day of receipt to which the clock applies.
    from: NaiveDate,
    /// Last day of receipt to which the clock applies.
    to: Option<NaiveDate>,
    source: String,
    escalation_hours: EscalationHours,
}

/// An escalation step begins when fewer than this many hours are left.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct EscalationHours {
    watch: u32,
    due_soon: u32,
    due_now: u32,
}

impl EscalationHours {
    /// The steps of a standard request, for a due time whose clock is no longer in the files.
    const STANDARD: Self = Self {
        watch: 72,
        due_soon: 24,
        due_now: 8,
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Length {
    Hours(u32),
    CalendarDays(u32),
}

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let invalid =
            || format!("'{text}' is not a valid length. Write, for example, '72 hours' or '7 calendar days'");
        let (count, unit) = text.split_once(' ').ok_or_else(invalid)?;
        // 4400 hours is about half a year. The limit keeps the date arithmetic below in range; real clocks are shorter.
        let count: u32 = count
            .parse()
            .ok()
            .filter(|n| (1..=4400).contains(n))
            .ok_or_else(invalid)?;
        match unit {
            "hour" | "hours" => Ok(Self::Hours(count)),
            "calendar day" | "calendar days" => Ok(Self::CalendarDays(count)),
            _ => Err(invalid()),
        }
    }
}

impl Clocks {
    /// Reads the files in `clocks/` from `(path, text)` pairs and ignores all others. Returns every finding at once.
    pub fn load(files: &[(String, String)]) -> Result<Self, Vec<Finding>> {
        let mut clocks = Self::default();
        let mut findings = Vec::new();
        let mut names = HashSet::new();
        for (path, text) in files.iter().filter(|(path, _)| path.starts_with("clocks/")) {
            let mut find = |message: String| findings.push(Finding::new(path, None, message));
            let file: ClockFile = match read_yaml(path, text) {
                Ok(file) => file,
                Err(finding) => {
                    findings.push(finding);
                    continue;
                }
            };
            if file.format != "pa-clock/1" {
                find(format!("The format is '{}', not 'pa-clock/1'", file.format));
            }
            for rule in &file.clocks {
                if !names.insert(rule.name.clone()) {
                    find(format!("Two clocks have the name '{}'", rule.name));
                }
                if rule.source.trim().is_empty() {
                    find(format!("The clock '{}' has no source", rule.name));
                }
                let hours = rule.escalation_hours;
                if hours.watch < hours.due_soon || hours.due_soon < hours.due_now {
                    find(format!(
                        "The escalation_hours of '{}' must not increase from watch to due_soon to due_now",
                        rule.name
                    ));
                }
            }
            clocks.clocks.extend(file.clocks);
        }
        if findings.is_empty() {
            Ok(clocks)
        } else {
            Err(findings)
        }
    }

    /// The earliest due time under all clocks for this line of business and urgency that apply on the day of receipt.
    /// `zone` is the plan's time zone. None if no clock applies.
    pub fn due(
        &self,
        line_of_business: &str,
        urgent: bool,
        received: DateTime<Utc>,
        zone: Tz,
    ) -> Option<DueTime> {
        let day = received.with_timezone(&zone).date_naive();
        self.clocks
            .iter()
            .filter(|clock| clock.covers(line_of_business, urgent))
            .filter(|clock| clock.from <= day && clock.to.is_none_or(|to| day <= to))
            .filter_map(|clock| clock.due(received, zone))
            .min_by_key(|due| due.internal)
    }

    /// Whether there is a clock, for any period, for requests of this line of business and urgency.
    pub fn has_clock_for(&self, line_of_business: &str, urgent: bool) -> bool {
        self.clocks
            .iter()
            .any(|clock| clock.covers(line_of_business, urgent))
    }

    /// How close `due` is at `now`, by the escalation hours of its clock.
    pub fn escalation_step(&self, due: &DueTime, now: DateTime<Utc>) -> EscalationStep {
        self.step_at(&due.clock, due.internal, now)
    }

    /// How close a due time of the clock with this name is at `now`.
    pub fn step_at(&self, clock: &str, due: DateTime<Utc>, now: DateTime<Utc>) -> EscalationStep {
        let hours = self.escalation_hours(clock);
        let left = due - now;
        let below = |hours: u32| left < Duration::hours(hours.into());
        if left < Duration::zero() {
            EscalationStep::Overdue
        } else if below(hours.due_now) {
            EscalationStep::DueNow
        } else if below(hours.due_soon) {
            EscalationStep::DueSoon
        } else if below(hours.watch) || left == Duration::hours(hours.watch.into()) {
            EscalationStep::Watch
        } else {
            EscalationStep::OnTrack
        }
    }

    /// Which due times of the clock with this name are at `step` at `now`.
    pub fn due_window(&self, clock: &str, step: EscalationStep, now: DateTime<Utc>) -> DueWindow {
        let hours = self.escalation_hours(clock);
        // No clock is longer than half a year, so more hours change nothing and cannot leave the range of dates.
        let after = |hours: u32| now + Duration::hours(hours.min(10_000).into());
        // A case with exactly `watch` hours left is still at that step.
        let watch = after(hours.watch) + Duration::microseconds(1);
        let (from, before) = match step {
            EscalationStep::Overdue => (None, Some(now)),
            EscalationStep::DueNow => (Some(now), Some(after(hours.due_now))),
            EscalationStep::DueSoon => (Some(after(hours.due_now)), Some(after(hours.due_soon))),
            EscalationStep::Watch => (Some(after(hours.due_soon)), Some(watch)),
            EscalationStep::OnTrack => (Some(watch), None),
        };
        DueWindow { from, before }
    }

    fn escalation_hours(&self, clock: &str) -> EscalationHours {
        self.clocks
            .iter()
            .find(|rule| rule.name == clock)
            .map_or(EscalationHours::STANDARD, |rule| rule.escalation_hours)
    }
}

impl ClockRule {
    fn covers(&self, line_of_business: &str, urgent: bool) -> bool {
        self.urgent == urgent && self.lines_of_business.iter().any(|lob| lob == line_of_business)
    }

    fn due(&self, received: DateTime<Utc>, zone: Tz) -> Option<DueTime> {
        let (internal, legal) = match self.length {
            Length::Hours(hours) => {
                let due = received.checked_add_signed(Duration::hours(hours.into()))?;
                (due, due)
            }
            Length::CalendarDays(days) => {
                let internal = received.checked_add_signed(Duration::days(days.into()))?;
                (internal, end_of_day(received, days, zone)?)
            }
        };
        Some(DueTime {
            internal,
            legal,
            clock: self.name.clone(),
            source: self.source.clone(),
        })
    }
}

/// The last second of the day `days` days after the day of receipt, in `zone`.
fn end_of_day(received: DateTime<Utc>, days: u32, zone: Tz) -> Option<DateTime<Utc>> {
    let last = received
        .with_timezone(&zone)
        .date_naive()
        .checked_add_days(Days::new(days.into()))?;
    let midnight = last.succ_opt()?.and_time(NaiveTime::MIN);
    // In zones that set clocks forward at midnight, that day begins an hour later.
    let next = midnight.and_local_timezone(zone).earliest().or_else(|| {
        (midnight + Duration::hours(1))
            .and_local_timezone(zone)
            .earliest()
    })?;
    Some(next.with_timezone(&Utc) - Duration::seconds(1))
}

#[cfg(test)]
mod tests;
