//! Checks of the reason that a member reads: its length, whether it is written in words, and its reading grade
//! (Flesch-Kincaid, for English).

/// The fewest characters of a reason.
pub const SHORTEST_REASON: usize = 30;
/// The most characters of a reason.
pub const LONGEST_REASON: usize = 2000;
/// The fewest plain words of a reason.
const FEWEST_WORDS: usize = 5;

/// A text that is harder to read than allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardText {
    /// The reading grade of the whole text.
    pub grade: u32,
    /// The highest reading grade that the plan allows.
    pub limit: u32,
    /// The sentences above the limit, hardest first; never empty.
    pub sentences: Vec<HardSentence>,
}

/// A sentence and its reading grade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardSentence {
    /// The reading grade of the sentence.
    pub grade: u32,
    /// The sentence as written.
    pub text: String,
}

/// What is wrong with a reason for a member, as an instruction to the writer; `None` when it can be sent. `ids` are the
/// internal names that the text may not consist of, such as those of criteria.
pub fn reason_mistake(reason: &str, ids: &[&str]) -> Option<&'static str> {
    let length = reason.trim().chars().count();
    if length < SHORTEST_REASON {
        return Some("Enter the specific reason for this member, at least 30 characters");
    }
    if length > LONGEST_REASON {
        return Some("Shorten the reason for this member to at most 2000 characters");
    }
    let tokens: Vec<&str> = reason.split_whitespace().collect();
    let plain = tokens.iter().filter(|token| is_plain_word(token, ids)).count();
    (plain < FEWEST_WORDS || plain * 2 < tokens.len()).then_some(
        "Explain the reason in plain words. Codes, abbreviations and internal names alone do not tell the member why",
    )
}

/// Whether a token is a word: letters, perhaps with an apostrophe or a hyphen, not all in capitals, and not an internal
/// name.
fn is_plain_word(token: &str, ids: &[&str]) -> bool {
    let word = token.trim_matches(|c: char| !c.is_alphanumeric());
    let is_lettered = word
        .chars()
        .all(|c| c.is_alphabetic() || matches!(c, '\'' | '’' | '-'));
    let is_abbreviation = word.chars().count() > 1 && !word.chars().any(char::is_lowercase);
    !word.is_empty() && is_lettered && !is_abbreviation && !ids.iter().any(|id| id.eq_ignore_ascii_case(word))
}

/// The sentences that make a text harder to read than grade `limit`; `None` when the text is easy enough.
pub fn hard_text(text: &str, limit: u32) -> Option<HardText> {
    let grade = reading_grade(text);
    if grade <= limit {
        return None;
    }
    let mut all: Vec<HardSentence> = sentences(text)
        .into_iter()
        .map(|sentence| HardSentence {
            grade: reading_grade(sentence),
            text: sentence.to_owned(),
        })
        .collect();
    all.sort_by_key(|sentence| std::cmp::Reverse(sentence.grade));
    let above = all.iter().filter(|sentence| sentence.grade > limit).count();
    // The grade of the whole text can be above the limit although no sentence is.
    all.truncate(above.max(1));
    Some(HardText {
        grade,
        limit,
        sentences: all,
    })
}

/// The Flesch-Kincaid grade of an English text, rounded: the years of school that a reader needs.
pub fn reading_grade(text: &str) -> u32 {
    let sentences = sentences(text).len();
    let (mut words, mut syllables) = (0, 0);
    for word in text
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric))
    {
        words += 1;
        syllables += syllable_count(word);
    }
    if words == 0 || sentences == 0 {
        return 0;
    }
    // The counts are small, so the conversion is exact.
    let [words, sentences, syllables] =
        [words, sentences, syllables].map(|n| f64::from(u32::try_from(n).unwrap_or(u32::MAX)));
    let grade = 0.39 * words / sentences + 11.8 * syllables / words - 15.59;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 through 99"
    )]
    let rounded = grade.round().clamp(0.0, 99.0) as u32;
    rounded
}

/// Abbreviations whose period does not end a sentence, in lower case.
const ABBREVIATIONS: [&str; 9] = ["dr", "mr", "mrs", "ms", "no", "vs", "e.g", "i.e", "approx"];

/// The sentences of a text, each with at least one letter or digit.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let end = at + letter.len_utf8();
        let before_space = letters.peek().is_none_or(|(_, next)| next.is_whitespace());
        let written = text.get(start..at).unwrap_or("");
        let last_word = written
            .rsplit(char::is_whitespace)
            .next()
            .unwrap_or("")
            .to_lowercase();
        let is_end = match letter {
            '\n' => true,
            '!' | '?' => before_space,
            '.' => before_space && !ABBREVIATIONS.contains(&last_word.as_str()),
            _ => false,
        };
        if is_end {
            found.extend(text.get(start..end));
            start = end;
        }
    }
    found.extend(text.get(start..));
    found
        .into_iter()
        .map(str::trim)
        .filter(|sentence| sentence.chars().any(char::is_alphanumeric))
        .collect()
}

/// An estimate of the number of syllables of an English word. A number counts as one.
fn syllable_count(word: &str) -> usize {
    word.split(|c: char| !c.is_alphabetic() && !matches!(c, '\'' | '’'))
        .map(|part| part.replace(['\'', '’'], "").to_lowercase())
        .filter(|part| !part.is_empty())
        .map(|part| syllables_of_part(&part))
        .sum::<usize>()
        .max(1)
}

/// The number of groups of vowels, without a silent ending, and with the vowels that are spoken apart (`criteria`).
fn syllables_of_part(part: &str) -> usize {
    let is_vowel = |c: char| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y');
    let letters: Vec<char> = part.chars().collect();
    let mut count = 0;
    let mut in_group = false;
    for letter in &letters {
        let vowel = is_vowel(*letter);
        count += usize::from(vowel && !in_group);
        in_group = vowel;
    }
    let apart = ["ia", "iu", "eo", "uou", "ious"];
    let joined = ["tia", "cia", "sia", "tious", "cious", "geo", "peo"];
    let occurrences = |list: &[&str]| list.iter().map(|pair| part.matches(pair).count()).sum::<usize>();
    count += occurrences(&apart).saturating_sub(occurrences(&joined));
    count = count.saturating_sub(usize::from(has_silent_ending(part, &letters, is_vowel)));
    count.max(1)
}

/// Whether the word ends with an `e` that is not spoken: `tube`, `tubes`, `walked`, but not `table`, `boxes`, `needed`.
fn has_silent_ending(part: &str, letters: &[char], is_vowel: impl Fn(char) -> bool) -> bool {
    let from_end = |n: usize| {
        letters
            .len()
            .checked_sub(n)
            .and_then(|at| letters.get(at))
            .copied()
    };
    let consonant = |n: usize| from_end(n).is_some_and(|c| !is_vowel(c));
    if part.ends_with("le") {
        return !consonant(3);
    }
    if part.ends_with('e') {
        return consonant(2);
    }
    let spoken_before_s = from_end(3).is_some_and(|c| matches!(c, 's' | 'x' | 'z' | 'c' | 'g' | 'h'));
    let spoken_before_d = from_end(3).is_some_and(|c| matches!(c, 't' | 'd'));
    (part.ends_with("es") && consonant(3) && !spoken_before_s && !part.ends_with("les"))
        || (part.ends_with("ed") && consonant(3) && !spoken_before_d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_are_counted_as_they_are_spoken() {
        for (word, count) in [
            ("the", 1),
            ("oxygen", 3),
            ("tube", 1),
            ("tubes", 1),
            ("table", 2),
            ("walked", 1),
            ("needed", 2),
            ("boxes", 2),
            ("criteria", 4),
            ("saturation", 4),
            ("wheelchair", 2),
            ("91", 1),
            ("don't", 1),
            ("long-term", 2),
            ("medically", 4),
            ("previous", 3),
            ("physician", 3),
        ] {
            assert_eq!(syllable_count(word), count, "{word}");
        }
    }

    #[test]
    fn a_period_inside_a_number_or_after_an_abbreviation_ends_no_sentence() {
        assert_eq!(
            sentences("Dr. Hale saw 88.5 percent. Is that low? Yes!\nWe need the test of May 2"),
            [
                "Dr. Hale saw 88.5 percent.",
                "Is that low?",
                "Yes!",
                "We need the test of May 2"
            ]
        );
        assert_eq!(sentences("  ... "), Vec::<&str>::new());
    }

    #[test]
    fn short_sentences_of_short_words_have_a_low_grade() {
        let easy = "Your oxygen level at rest was 91 percent. The rule asks for 88 percent or less.";
        let hard = "The documentation submitted insufficiently substantiates the medical necessity of continuous \
                    supplemental oxygen administration in accordance with applicable national coverage determinations.";
        assert!(reading_grade(easy) <= 6, "{}", reading_grade(easy));
        assert!(reading_grade(hard) >= 16, "{}", reading_grade(hard));
        assert_eq!(reading_grade(""), 0);
        assert_eq!(hard_text(easy, 8), None);
        let both = format!("{easy} {hard}");
        let found = hard_text(&both, 8).unwrap();
        assert_eq!(
            found
                .sentences
                .iter()
                .map(|s| s.text.as_str())
                .collect::<Vec<_>>(),
            [hard],
            "only the hard sentence is named"
        );
        assert!(found.grade > found.limit && found.limit == 8);
    }

    #[test]
    fn a_reason_is_written_in_words_and_neither_too_short_nor_too_long() {
        let ids = ["test-age", "qualifying", "dme.home-oxygen"];
        let mistake = |reason: &str| reason_mistake(reason, &ids);
        assert_eq!(
            mistake("Your oxygen level at rest was 91 percent, not 88 percent or less."),
            None
        );
        for (reason, expected) in [
            ("  No oxygen needed.   ", "at least 30"),
            (&"word ".repeat(401), "at most 2000"),
            ("0F 50 E1390 J44.9 59408-5 240.2 NCD CMS", "plain words"),
            (
                "test-age qualifying dme.home-oxygen test-age qualifying",
                "plain words",
            ),
            ("NOT MEDICALLY NECESSARY PER NCD SECTION", "plain words"),
            ("Denied: 0F 50 E1390 J44.9 59408-5 240.2 NCD 240.2", "plain words"),
        ] {
            let found = mistake(reason).unwrap_or_default();
            assert!(found.contains(expected), "{reason}: {found}");
        }
    }
}
