//! Gold cards: providers who need not ask for certain services of a line of business, for a time, on the strength of
//! an evaluation that the plan made (state laws; none is federal). The plan enters them; no rate is computed here, and
//! what follows from a card is a policy's word. Pure: the day is handed in.

use super::requester::Requester;
use crate::fhir::coding::{CPT, HCPCS, normal_system};
use crate::fhir::{list, text};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// One exemption: a provider, a service or a range of services, a line of business, from a day to a day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoldCard {
    /// The row.
    pub id: Uuid,
    /// The provider's NPI.
    pub npi: String,
    /// The code system's URL in its stored spelling.
    pub system: String,
    /// A code, a range of codes of one length (`E0424-E1406`), or `*` for every service.
    pub code: String,
    /// Line of business.
    pub line: String,
    /// First day.
    pub starts: NaiveDate,
    /// Last day; none while no end is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<NaiveDate>,
    /// What the exemption rests on, in the plan's words: `approved 96 of 100, 2025-11 to 2026-10`.
    pub evidence: String,
    /// Who entered it.
    pub added_by: String,
    /// When it was entered.
    pub added_at: DateTime<Utc>,
    /// How it was brought to an end before its time, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// Who ended a card, when, and why. The card stays: it says until when nothing had to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// Who.
    pub by: String,
    /// When it was written down; the last day itself is the card's `ends`.
    pub at: DateTime<Utc>,
    /// Why.
    pub why: String,
}

impl GoldCard {
    /// What is wrong with a card that somebody wants to enter, one sentence each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !is_npi(&self.npi) {
            faults.push(format!("{} is no NPI: its check digit does not fit", self.npi));
        }
        if Services::of(&self.code).is_none() {
            faults.push(format!(
                "{} is no code, no range of codes of one length (E0424-E1406), and not *",
                self.code
            ));
        }
        if self.ends.is_some_and(|ends| ends < self.starts) {
            faults.push("The last day lies before the first".to_owned());
        }
        if self.evidence.trim().is_empty() {
            faults.push("Say what the exemption rests on".to_owned());
        }
        faults
    }

    /// Whether both say the same of some provider, service, line and day.
    pub fn overlaps(&self, other: &Self) -> bool {
        let days = self.ends.is_none_or(|ends| other.starts <= ends)
            && other.ends.is_none_or(|ends| self.starts <= ends);
        let services = match (Services::of(&self.code), Services::of(&other.code)) {
            (Some(Services::Every), Some(_)) | (Some(_), Some(Services::Every)) => true,
            (Some(Services::Range(a, b)), Some(Services::Range(c, d))) => {
                space(&self.system) == space(&other.system) && a.len() == c.len() && a <= d && c <= b
            }
            _ => false,
        };
        self.npi == other.npi && self.line == other.line && days && services
    }

    fn holds(&self, line: &str, day: NaiveDate) -> bool {
        // A card that was ended before its first day never held.
        self.line == line && self.starts <= day && self.ends.is_none_or(|ends| day <= ends)
    }

    fn is_for(&self, system: &str, code: &str) -> bool {
        match Services::of(&self.code) {
            Some(Services::Every) => true,
            Some(Services::Range(low, high)) => {
                space(&self.system) == space(system) && code.len() == low.len() && low <= code && code <= high
            }
            None => false,
        }
    }
}

/// Which of the requesters need not ask for this item (the item facts of a case document) on this day: their NPIs, each
/// once.
pub fn exempt(
    cards: &[GoldCard],
    requester: &Requester,
    item: &Value,
    line: &str,
    day: NaiveDate,
) -> Vec<String> {
    let codes: Vec<(&str, &str)> = list(item, "codes")
        .filter_map(|c| Some((text(c, &["system"]).unwrap_or(""), text(c, &["code"])?)))
        .collect();
    let holds = |npi: &&String| {
        cards
            .iter()
            .filter(|card| card.npi == **npi && card.holds(line, day))
            .any(|card| codes.iter().any(|(system, code)| card.is_for(system, code)))
    };
    requester.npis.iter().filter(holds).cloned().collect()
}

/// What the code of a card means.
enum Services<'a> {
    Every,
    Range(&'a str, &'a str),
}

impl<'a> Services<'a> {
    fn of(code: &'a str) -> Option<Self> {
        if code == "*" {
            return Some(Self::Every);
        }
        let (low, high) = code.split_once('-').unwrap_or((code, code));
        let plain = |code: &str| !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric());
        (plain(low) && plain(high) && low.len() == high.len() && low <= high)
            .then_some(Self::Range(low, high))
    }
}

/// CPT and HCPCS share one space: senders put either's codes under either's URL.
fn space(system: &str) -> String {
    match normal_system(system).as_ref() {
        CPT => HCPCS.to_owned(),
        other => other.to_owned(),
    }
}

/// Whether the last digit of an NPI is the right one: Luhn's sum over the number with the prefix 80840 (45 CFR 162.406).
pub fn is_npi(npi: &str) -> bool {
    if npi.len() != 10 || !npi.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let digits = "80840".bytes().chain(npi.bytes()).map(|b| u32::from(b - b'0'));
    // Fifteen digits: those at even places from the left, counted from one, are the doubled ones.
    let sum: u32 = digits
        .enumerate()
        .map(|(n, digit)| match (n % 2, digit * 2) {
            (1, twice) if twice > 9 => twice - 9,
            (1, twice) => twice,
            _ => digit,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn card(code: &str, starts: &str, ends: &str) -> GoldCard {
        GoldCard {
            id: Uuid::nil(),
            npi: "1999999984".into(),
            system: HCPCS.into(),
            code: code.into(),
            line: "MA".into(),
            starts: starts.parse().unwrap(),
            ends: ends.parse().ok(),
            evidence: "approved 96 of 100".into(),
            added_by: "test".into(),
            added_at: DateTime::UNIX_EPOCH,
            ended: None,
        }
    }

    fn held(card: &GoldCard, system: &str, code: &str, line: &str, day: &str) -> bool {
        let item = json!({ "codes": [{ "system": system, "code": code }] });
        let requester = Requester {
            npis: vec!["1679576722".into(), "1999999984".into()],
        };
        let held = exempt(
            std::slice::from_ref(card),
            &requester,
            &item,
            line,
            day.parse().unwrap(),
        );
        assert!(held.is_empty() || held == ["1999999984"]);
        !held.is_empty()
    }

    #[test]
    fn the_check_digit_tells_an_npi_from_a_number() {
        for good in ["1234567893", "1999999984", "1407071236", "1679576722"] {
            assert!(is_npi(good), "{good}");
        }
        for bad in [
            "1234567890",
            "1999999985",
            "123456789",
            "12345678930",
            "",
            "12345 7893",
        ] {
            assert!(!is_npi(bad), "{bad}");
        }
    }

    #[test]
    fn a_card_holds_for_its_code_line_and_days_alone() {
        let one = card("E1390", "2026-01-01", "2026-12-31");
        assert!(held(&one, HCPCS, "E1390", "MA", "2026-12-31"));
        assert!(
            held(&one, CPT, "E1390", "MA", "2026-01-01"),
            "either URL names the code"
        );
        assert!(!held(&one, HCPCS, "E1390", "MA", "2027-01-01"));
        assert!(!held(&one, HCPCS, "E1390", "MA", "2025-12-31"));
        assert!(!held(&one, HCPCS, "E1390", "QHP", "2026-06-01"));
        assert!(!held(&one, HCPCS, "E1391", "MA", "2026-06-01"));
        assert!(!held(&one, "http://loinc.org", "E1390", "MA", "2026-06-01"));
    }

    #[test]
    fn a_range_and_a_star_hold_for_what_lies_in_them() {
        let range = card("E0424-E1406", "2026-01-01", "");
        assert!(held(&range, HCPCS, "E0424", "MA", "2030-01-01"));
        assert!(held(&range, HCPCS, "E1406", "MA", "2030-01-01"));
        assert!(!held(&range, HCPCS, "E1407", "MA", "2030-01-01"));
        assert!(!held(&range, HCPCS, "E05", "MA", "2030-01-01"));
        assert!(held(
            &card("*", "2026-01-01", ""),
            CPT,
            "33510",
            "MA",
            "2026-02-01"
        ));
    }

    #[test]
    fn cards_that_say_the_same_overlap() {
        let first = card("E1390", "2026-01-01", "2026-06-30");
        let star = card("*", "2026-06-30", "");
        assert!(first.overlaps(&star) && star.overlaps(&first));
        assert!(first.overlaps(&card("E1000-E1400", "2025-01-01", "")));
        assert!(!first.overlaps(&card("E1390", "2026-07-01", "")));
        assert!(!first.overlaps(&card("E1391-E1400", "2026-01-01", "")));
        assert!(!first.overlaps(&GoldCard {
            line: "QHP".into(),
            ..star.clone()
        }));
        assert!(!first.overlaps(&GoldCard {
            npi: "1234567893".into(),
            ..star
        }));
    }

    #[test]
    fn every_fault_of_a_card_is_told() {
        let bad = GoldCard {
            npi: "1".into(),
            evidence: " ".into(),
            ..card("E9-E10", "2026-02-01", "2026-01-01")
        };
        assert_eq!(bad.faults().len(), 4, "{:?}", bad.faults());
        assert!(card("E1390", "2026-01-01", "2026-01-01").faults().is_empty());
        assert!(!card("E2-E1", "2026-01-01", "").faults().is_empty());
    }
}
