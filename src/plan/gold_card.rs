//! Gold cards: exemptions of a provider from prior authorization for certain services of one line of business, for a
//! period, based on an evaluation by the plan (some states require them; no federal rule does). The plan enters them;
//! no approval rate is computed here, and policies decide what a gold card changes. Callers pass the day; this module
//! does not read the clock.

use super::requester::Requester;
use crate::fhir::{list, text};
use crate::rules::{CodeRange, code_key};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// One exemption of a provider.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoldCard {
    /// Primary key of the row.
    pub id: Uuid,
    /// The provider's NPI.
    pub npi: String,
    /// The code system's URL, normalized.
    pub system: String,
    /// A code, a range of HCPCS or CPT codes (`E0424-E1406`), or `*` for every service.
    pub code: String,
    /// Line of business, such as `MA`.
    pub line_of_business: String,
    /// First day.
    pub starts: NaiveDate,
    /// Last day; none while no end is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<NaiveDate>,
    /// The plan's reason for the exemption, as text: `approved 96 of 100, 2025-11 to 2026-10`.
    pub evidence: String,
    /// Name of the person who entered it.
    pub added_by: String,
    /// When it was entered.
    pub added_at: DateTime<Utc>,
    /// Who ended the card early and why; none if nobody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<GoldCardEnd>,
}

/// The early end of a gold card. The card is kept as a record of the days on which no authorization was needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GoldCardEnd {
    /// Name of the person who ended it.
    pub by: String,
    /// When the end was entered; the last day itself is [`GoldCard::ends`].
    pub at: DateTime<Utc>,
    /// The reason.
    pub why: String,
}

impl GoldCard {
    /// The mistakes in a card that is to be entered, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !is_npi(&self.npi) {
            problems.push(format!(
                "{} is not a valid NPI: the check digit does not match",
                self.npi
            ));
        }
        if let Err(problem) = self.services() {
            problems.push(problem);
        }
        if self.ends.is_some_and(|ends| ends < self.starts) {
            problems.push("The last day is before the first day".to_owned());
        }
        if self.evidence.trim().is_empty() {
            problems.push("The evidence is missing: enter the reason for the exemption".to_owned());
        }
        problems
    }

    /// Whether both cards exempt the same provider for some service, line of business and day.
    pub fn overlaps(&self, other: &Self) -> bool {
        let days = self.ends.is_none_or(|ends| other.starts <= ends)
            && other.ends.is_none_or(|ends| self.starts <= ends);
        let services = match (self.services(), other.services()) {
            (Ok(Services::All), Ok(_)) | (Ok(_), Ok(Services::All)) => true,
            (Ok(Services::Range(one)), Ok(Services::Range(another))) => one.meets(&another),
            (Ok(Services::Code(one)), Ok(Services::Code(another))) => one == another,
            _ => false,
        };
        self.npi == other.npi && self.line_of_business == other.line_of_business && days && services
    }

    /// Whether the card applies to this line of business on this day. A card that was ended before its first day never
    /// applies.
    fn is_valid(&self, line_of_business: &str, day: NaiveDate) -> bool {
        self.line_of_business == line_of_business
            && self.starts <= day
            && self.ends.is_none_or(|ends| day <= ends)
    }

    /// Whether the card covers this code.
    fn covers(&self, system: &str, code: &str) -> bool {
        match self.services() {
            Ok(Services::All) => true,
            Ok(Services::Range(range)) => {
                CodeRange::of_code(system, code).is_some_and(|single| range.holds(&single))
            }
            Ok(Services::Code(key)) => key == code_key(system, code),
            Err(_) => false,
        }
    }

    fn services(&self) -> Result<Services, String> {
        Services::read(&self.system, &self.code)
    }
}

/// The NPIs of the requester that are exempt from prior authorization for an item on a day. `item` is the item of a
/// case document.
pub fn exempt_requesters(
    cards: &[GoldCard],
    requester: &Requester,
    item: &Value,
    line_of_business: &str,
    day: NaiveDate,
) -> Vec<String> {
    let codes: Vec<(&str, &str)> = list(item, "codes")
        .filter_map(|c| Some((text(c, &["system"]).unwrap_or(""), text(c, &["code"])?)))
        .collect();
    let is_exempt = |npi: &&String| {
        cards
            .iter()
            .filter(|card| card.npi == **npi && card.is_valid(line_of_business, day))
            .any(|card| codes.iter().any(|(system, code)| card.covers(system, code)))
    };
    requester.npis.iter().filter(is_exempt).cloned().collect()
}

/// The services of a card.
enum Services {
    /// Every service.
    All,
    /// The codes of a range; a single code is a range of one.
    Range(CodeRange),
    /// The key of a single code without a number.
    Code(String),
}

impl Services {
    /// Reads [`GoldCard::code`]; the error is a sentence.
    fn read(system: &str, code: &str) -> Result<Self, String> {
        if code == "*" {
            return Ok(Self::All);
        }
        if let Some(range) = CodeRange::read(system, code) {
            return range.map(Self::Range);
        }
        if code.is_empty() || !code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(format!(
                "'{code}' is not a valid code: enter one code, a range of codes (E0424-E1406), or * for every service"
            ));
        }
        Ok(CodeRange::of_code(system, code).map_or_else(|| Self::Code(code_key(system, code)), Self::Range))
    }
}

/// Whether the text is an NPI: ten digits, the last being the Luhn check digit over the number with the prefix 80840
/// (45 CFR 162.406).
pub fn is_npi(npi: &str) -> bool {
    if npi.len() != 10 || !npi.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let digits = "80840".bytes().chain(npi.bytes()).map(|b| u32::from(b - b'0'));
    // Of the fifteen digits, those at even positions, counted from one, are doubled.
    let sum: u32 = digits
        .enumerate()
        .map(|(n, digit)| match (n % 2, digit * 2) {
            (1, doubled) if doubled > 9 => doubled - 9,
            (1, doubled) => doubled,
            _ => digit,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::coding::{CPT, HCPCS};
    use serde_json::json;

    fn card(code: &str, starts: &str, ends: &str) -> GoldCard {
        GoldCard {
            id: Uuid::nil(),
            npi: "1999999984".into(),
            system: HCPCS.into(),
            code: code.into(),
            line_of_business: "MA".into(),
            starts: starts.parse().unwrap(),
            ends: ends.parse().ok(),
            evidence: "approved 96 of 100".into(),
            added_by: "test".into(),
            added_at: DateTime::UNIX_EPOCH,
            ended: None,
        }
    }

    fn exempts(card: &GoldCard, system: &str, code: &str, line_of_business: &str, day: &str) -> bool {
        let item = json!({ "codes": [{ "system": system, "code": code }] });
        let requester = Requester {
            npis: vec!["1679576722".into(), "1999999984".into()],
        };
        let exempt = exempt_requesters(
            std::slice::from_ref(card),
            &requester,
            &item,
            line_of_business,
            day.parse().unwrap(),
        );
        assert!(exempt.is_empty() || exempt == ["1999999984"]);
        !exempt.is_empty()
    }

    #[test]
    fn the_check_digit_of_an_npi_is_verified() {
        for valid in ["1234567893", "1999999984", "1407071236", "1679576722"] {
            assert!(is_npi(valid), "{valid}");
        }
        for invalid in [
            "1234567890",
            "1999999985",
            "123456789",
            "12345678930",
            "",
            "12345 7893",
        ] {
            assert!(!is_npi(invalid), "{invalid}");
        }
    }

    #[test]
    fn a_card_covers_only_its_code_line_of_business_and_days() {
        let one = card("E1390", "2026-01-01", "2026-12-31");
        assert!(exempts(&one, HCPCS, "E1390", "MA", "2026-12-31"));
        assert!(
            exempts(&one, CPT, "E1390", "MA", "2026-01-01"),
            "HCPCS and CPT codes may be sent under either URL"
        );
        assert!(!exempts(&one, HCPCS, "E1390", "MA", "2027-01-01"));
        assert!(!exempts(&one, HCPCS, "E1390", "MA", "2025-12-31"));
        assert!(!exempts(&one, HCPCS, "E1390", "QHP", "2026-06-01"));
        assert!(!exempts(&one, HCPCS, "E1391", "MA", "2026-06-01"));
        assert!(!exempts(&one, "http://loinc.org", "E1390", "MA", "2026-06-01"));
    }

    #[test]
    fn a_range_and_a_star_cover_the_codes_in_them() {
        let range = card("E0424-E1406", "2026-01-01", "");
        assert!(exempts(&range, HCPCS, "E0424", "MA", "2030-01-01"));
        assert!(exempts(&range, HCPCS, "E1406", "MA", "2030-01-01"));
        assert!(!exempts(&range, HCPCS, "E1407", "MA", "2030-01-01"));
        assert!(!exempts(&range, HCPCS, "E05", "MA", "2030-01-01"));
        assert!(exempts(
            &card("*", "2026-01-01", ""),
            CPT,
            "33510",
            "MA",
            "2026-02-01"
        ));
    }

    #[test]
    fn cards_that_share_services_and_days_overlap() {
        let first = card("E1390", "2026-01-01", "2026-06-30");
        let star = card("*", "2026-06-30", "");
        assert!(first.overlaps(&star) && star.overlaps(&first));
        assert!(first.overlaps(&card("E1000-E1400", "2025-01-01", "")));
        assert!(!first.overlaps(&card("E1390", "2026-07-01", "")));
        assert!(!first.overlaps(&card("E1391-E1400", "2026-01-01", "")));
        assert!(!first.overlaps(&GoldCard {
            line_of_business: "QHP".into(),
            ..star.clone()
        }));
        assert!(!first.overlaps(&GoldCard {
            npi: "1234567893".into(),
            ..star
        }));
    }

    #[test]
    fn every_mistake_in_a_card_is_reported() {
        let invalid = GoldCard {
            npi: "1".into(),
            evidence: " ".into(),
            ..card("E9-E10", "2026-02-01", "2026-01-01")
        };
        assert_eq!(invalid.problems().len(), 4, "{:?}", invalid.problems());
        assert!(card("E1390", "2026-01-01", "2026-01-01").problems().is_empty());
        assert!(!card("E2-E1", "2026-01-01", "").problems().is_empty());
    }
}
