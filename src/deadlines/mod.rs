//! Decision clocks as data: `rules/clocks/*.yaml`. A rule says how long a line of business has, from receipt; the
//! earliest due of all rules that match wins. Nothing here reads the time: receipt and now are handed in.
//!
//! A number of calendar days is read twice: as hours from the second of receipt (`work`, the earliest instant that any
//! reading allows) and as the end of the last calendar day in the plan's zone (`legal`).

use crate::rules::{Finding, read_yaml};
use chrono::{DateTime, Days, Duration, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Every clock rule, in memory.
#[derive(Debug, Clone, Default)]
pub struct Clocks {
    rules: Vec<Rule>,
}

/// When an item is due, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// What reviewers see counted down.
    pub work: DateTime<Utc>,
    /// What is reported on: the last second of the last calendar day in the plan's zone; for hours the same as `work`.
    pub legal: DateTime<Utc>,
    /// The rule's name.
    pub rule: String,
    /// Its source in law or contract.
    pub source: String,
}

/// How near a due time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Band {
    /// Far away.
    Calm,
    /// Within days.
    Watch,
    /// Within a working day.
    Soon,
    /// Within hours.
    Now,
    /// Past.
    Late,
}

impl Band {
    /// The word beside the colour.
    pub fn word(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Watch => "watch",
            Self::Soon => "soon",
            Self::Now => "now",
            Self::Late => "late",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    clocks: Vec<Rule>,
}

/// One row: for whom, how long, from when to when, by what source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    lines: Vec<String>,
    urgent: bool,
    length: Length,
    from: NaiveDate,
    to: Option<NaiveDate>,
    source: String,
    /// Below how many hours left each band begins.
    bands: Bands,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bands {
    watch: u32,
    soon: u32,
    now: u32,
}

impl Bands {
    /// The bands of a standard request, for a due time whose rule is no longer in the files.
    const STANDARD: Self = Self {
        watch: 72,
        soon: 24,
        now: 8,
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
        let wrong = || format!("'{text}' is no length; write '72 hours' or '7 calendar days'");
        let (count, unit) = text.split_once(' ').ok_or_else(wrong)?;
        // Half a year bounds the arithmetic below; no clock in force is longer than a month.
        let count: u32 = count
            .parse()
            .ok()
            .filter(|n| (1..=4400).contains(n))
            .ok_or_else(wrong)?;
        match unit {
            "hour" | "hours" => Ok(Self::Hours(count)),
            "calendar day" | "calendar days" => Ok(Self::CalendarDays(count)),
            _ => Err(wrong()),
        }
    }
}

impl Clocks {
    /// Reads every file below `clocks/`; other files are left alone. All findings at once.
    pub fn load(files: &[(String, String)]) -> Result<Self, Vec<Finding>> {
        let mut clocks = Self::default();
        let mut findings = Vec::new();
        let mut names = HashSet::new();
        for (path, text) in files.iter().filter(|(path, _)| path.starts_with("clocks/")) {
            let mut find = |message: String| findings.push(Finding::new(path, None, message));
            let file: File = match read_yaml(path, text) {
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
                    find(format!("Two clocks are named '{}'", rule.name));
                }
                if rule.source.trim().is_empty() {
                    find(format!("The clock '{}' names no source", rule.name));
                }
                if rule.bands.watch < rule.bands.soon || rule.bands.soon < rule.bands.now {
                    find(format!(
                        "The bands of '{}' are not in order: watch, soon, now",
                        rule.name
                    ));
                }
            }
            clocks.rules.extend(file.clocks);
        }
        if findings.is_empty() {
            Ok(clocks)
        } else {
            Err(findings)
        }
    }

    /// The earliest due of every rule that matches the line, the urgency and the day of receipt in `zone`.
    pub fn due(&self, line: &str, urgent: bool, received: DateTime<Utc>, zone: Tz) -> Option<Due> {
        let day = received.with_timezone(&zone).date_naive();
        self.rules
            .iter()
            .filter(|r| r.urgent == urgent && r.lines.iter().any(|l| l == line))
            .filter(|r| r.from <= day && r.to.is_none_or(|to| day <= to))
            .filter_map(|r| r.due(received, zone))
            .min_by_key(|due| due.work)
    }

    /// Whether any clock, of whatever days, times the requests of a line.
    pub fn answer_for(&self, line: &str, urgent: bool) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.urgent == urgent && rule.lines.iter().any(|own| own == line))
    }

    /// How near `due` is at `now`, by the bands of its rule. A due time past is late.
    pub fn band(&self, due: &Due, now: DateTime<Utc>) -> Band {
        let bands = self
            .rules
            .iter()
            .find(|r| r.name == due.rule)
            .map_or(Bands::STANDARD, |r| r.bands);
        let left = due.work - now;
        let below = |hours: u32| left < Duration::hours(hours.into());
        if left < Duration::zero() {
            Band::Late
        } else if below(bands.now) {
            Band::Now
        } else if below(bands.soon) {
            Band::Soon
        } else if below(bands.watch) || left == Duration::hours(bands.watch.into()) {
            Band::Watch
        } else {
            Band::Calm
        }
    }
}

impl Rule {
    fn due(&self, received: DateTime<Utc>, zone: Tz) -> Option<Due> {
        let (work, legal) = match self.length {
            Length::Hours(hours) => {
                let work = received.checked_add_signed(Duration::hours(hours.into()))?;
                (work, work)
            }
            Length::CalendarDays(days) => {
                let work = received.checked_add_signed(Duration::days(days.into()))?;
                (work, end_of_day(received, days, zone)?)
            }
        };
        Some(Due {
            work,
            legal,
            rule: self.name.clone(),
            source: self.source.clone(),
        })
    }
}

/// The last second of the day that lies `days` after the day of receipt, in `zone`.
fn end_of_day(received: DateTime<Utc>, days: u32, zone: Tz) -> Option<DateTime<Utc>> {
    let last = received
        .with_timezone(&zone)
        .date_naive()
        .checked_add_days(Days::new(days.into()))?;
    let midnight = last.succ_opt()?.and_time(NaiveTime::MIN);
    // Where clocks are set forward at midnight, the next day begins an hour later.
    let next = midnight.and_local_timezone(zone).earliest().or_else(|| {
        (midnight + Duration::hours(1))
            .and_local_timezone(zone)
            .earliest()
    })?;
    Some(next.with_timezone(&Utc) - Duration::seconds(1))
}

#[cfg(test)]
mod tests;
