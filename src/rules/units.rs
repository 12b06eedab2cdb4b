//! Quantities as people write them: `88%`, `55 mm Hg`, `12 months`. Codes of UCUM and of X12 data element 673 become
//! words here and nowhere else.

/// How a unit is written after a number: for one, for any other number, and whether a space comes before it.
struct Unit {
    codes: &'static [&'static str],
    one: &'static str,
    many: &'static str,
    space: bool,
}

const fn counted(codes: &'static [&'static str], one: &'static str, many: &'static str) -> Unit {
    Unit {
        codes,
        one,
        many,
        space: true,
    }
}

const fn symbol(codes: &'static [&'static str], text: &'static str) -> Unit {
    Unit {
        codes,
        one: text,
        many: text,
        space: true,
    }
}

const fn attached(codes: &'static [&'static str], text: &'static str) -> Unit {
    Unit {
        codes,
        one: text,
        many: text,
        space: false,
    }
}

/// Units of the shipped policies and forms, and those that clinical results commonly carry. A code that is not listed
/// is shown as it was sent.
const UNITS: &[Unit] = &[
    attached(&["%"], "%"),
    counted(&["min", "MJ"], "minute", "minutes"),
    counted(&["h", "HR", "HS"], "hour", "hours"),
    counted(&["d", "DA"], "day", "days"),
    counted(&["wk", "WK"], "week", "weeks"),
    counted(&["mo", "MO"], "month", "months"),
    counted(&["a", "YR"], "year", "years"),
    counted(&["VS", "{visit}", "{visits}"], "visit", "visits"),
    counted(&["UN", "U", "{unit}", "{units}"], "unit", "units"),
    counted(&["deg"], "degree", "degrees"),
    counted(&["s"], "second", "seconds"),
    symbol(&["mm[Hg]"], "mm Hg"),
    symbol(&["cm[H2O]"], "cm H2O"),
    symbol(&["Cel"], "°C"),
    symbol(&["[degF]"], "°F"),
    symbol(&["[lb_av]"], "lb"),
    symbol(&["[in_i]"], "in"),
    symbol(&["[ft_i]"], "ft"),
    symbol(&["[IU]"], "IU"),
    symbol(&["ug"], "mcg"),
    symbol(&["kg/m2"], "kg/m²"),
    symbol(&["/min", "{breaths}/min", "{beats}/min"], "per minute"),
    symbol(&["/h", "{events}/h"], "per hour"),
    // UCUM's code for a number without a unit.
    symbol(&["1"], ""),
];

/// A number with its unit as people write it. `number` is the number as text; `unit` is a code of UCUM or of X12 673,
/// or the unit in words, which is kept.
pub fn quantity_text(number: &str, unit: Option<&str>) -> String {
    let Some(code) = unit.map(str::trim).filter(|code| !code.is_empty()) else {
        return number.to_owned();
    };
    let Some(unit) = UNITS.iter().find(|unit| unit.codes.contains(&code)) else {
        return format!("{number} {}", annotation(code).unwrap_or(code));
    };
    let word = if number == "1" { unit.one } else { unit.many };
    match (word, unit.space) {
        ("", _) => number.to_owned(),
        (word, true) => format!("{number} {word}"),
        (word, false) => format!("{number}{word}"),
    }
}

/// The words of a unit that is only a UCUM annotation: `{score}`.
fn annotation(code: &str) -> Option<&str> {
    let words = code.strip_prefix('{')?.strip_suffix('}')?;
    (!words.is_empty() && !words.contains(['{', '}'])).then_some(words)
}

/// A code or an answer as people read it: the words of a name such as `rest-awake-room-air`; any other text unchanged.
pub(in crate::rules) fn name_text(text: &str) -> String {
    let is_name = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if is_name {
        text.replace('-', " ")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_written_as_people_write_them() {
        for (number, unit, text) in [
            ("88", "%", "88%"),
            ("55", "mm[Hg]", "55 mm Hg"),
            ("12", "mo", "12 months"),
            ("1", "mo", "1 month"),
            ("2", "wk", "2 weeks"),
            ("30", "d", "30 days"),
            ("1", "d", "1 day"),
            ("65", "a", "65 years"),
            ("8", "h", "8 hours"),
            ("120", "min", "120 minutes"),
            ("2", "L/min", "2 L/min"),
            ("14.2", "g/dL", "14.2 g/dL"),
            ("20", "cm[H2O]", "20 cm H2O"),
            ("37.5", "Cel", "37.5 °C"),
            ("31", "kg/m2", "31 kg/m²"),
            ("0.88", "1", "0.88"),
            ("9", "{score}", "9 score"),
            ("15", "{events}/h", "15 per hour"),
        ] {
            assert_eq!(quantity_text(number, Some(unit)), text);
        }
    }

    #[test]
    fn x12_units_are_written_in_the_same_words() {
        for (unit, text) in [
            ("MO", "3 months"),
            ("WK", "3 weeks"),
            ("DA", "3 days"),
            ("YR", "3 years"),
            ("HR", "3 hours"),
            ("HS", "3 hours"),
            ("UN", "3 units"),
            ("VS", "3 visits"),
        ] {
            assert_eq!(quantity_text("3", Some(unit)), text);
        }
    }

    #[test]
    fn a_unit_that_is_not_in_the_table_is_shown_as_it_was_sent() {
        assert_eq!(quantity_text("5", Some("mmol/L")), "5 mmol/L");
        assert_eq!(quantity_text("3", Some("visits")), "3 visits");
        assert_eq!(quantity_text("3", Some("{}")), "3 {}");
        assert_eq!(quantity_text("3", Some("")), "3");
        assert_eq!(quantity_text("3", None), "3");
    }

    #[test]
    fn hyphens_of_a_name_become_spaces_and_codes_stay() {
        assert_eq!(name_text("rest-awake-room-air"), "rest awake room air");
        assert_eq!(name_text("home-type-2"), "home type 2");
        for code in ["E1390", "59408-5", "J44.9", "K0813-K0816", ""] {
            assert_eq!(name_text(code), code);
        }
    }
}
