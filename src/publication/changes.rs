//! What a proposed policy set changes: which files were added, changed or removed, and one file with its old and new
//! text side by side. A line counts as changed when the other text does not contain it; everything between the first
//! and the last changed line is shown.

use crate::state::PolicySetFiles;
use std::collections::{BTreeSet, HashMap};

/// Unchanged lines shown before the first and after the last changed line.
const CONTEXT_LINES: usize = 3;
/// The most lines shown of one text.
const MAX_LINES: usize = 2000;

/// How a file differs between two policy sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Only the new set has the file.
    Added,
    /// Both sets have the file, with different texts.
    Changed,
    /// Only the old set has the file.
    Removed,
}

/// A file that differs between two policy sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Path, beginning with `rules/` or `questionnaires/`.
    pub path: String,
    /// How the file differs.
    pub kind: ChangeKind,
    /// How many lines only the new text has.
    pub added_lines: usize,
    /// How many lines only the old text has.
    pub removed_lines: usize,
}

/// The part of one text from shortly before its first change to shortly after its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The number of the first line shown, from 1.
    pub first: usize,
    /// The lines shown, each with whether the other text lacks it.
    pub lines: Vec<(String, bool)>,
    /// How many lines at the end are omitted because the excerpt is too long to show.
    pub omitted: usize,
}

/// Every file that differs between two policy sets, by path.
pub fn changes(old: &PolicySetFiles, new: &PolicySetFiles) -> Vec<Change> {
    let paths: BTreeSet<&str> = old
        .all()
        .iter()
        .chain(new.all())
        .map(|(path, _)| path.as_str())
        .collect();
    let changed = paths.into_iter().filter_map(|path| {
        let (before, after) = (old.text(path), new.text(path));
        let kind = match (before, after) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            (before, after) if before == after => return None,
            _ => ChangeKind::Changed,
        };
        let (before, after) = (before.unwrap_or(""), after.unwrap_or(""));
        let count = |lines: Vec<bool>| lines.into_iter().filter(|is_changed| *is_changed).count();
        Some(Change {
            path: path.to_owned(),
            kind,
            added_lines: count(changed_lines(after, before)),
            removed_lines: count(changed_lines(before, after)),
        })
    });
    changed.collect()
}

/// The differing parts of two texts of a file: the old text's excerpt, then the new one's.
pub fn side_by_side(old: &str, new: &str) -> (Excerpt, Excerpt) {
    let (before, after): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = |a: &&str, b: &&str| a == b;
    let head = before.iter().zip(&after).take_while(|(a, b)| same(a, b)).count();
    let rest = before.len().min(after.len()) - head;
    let backwards = before.iter().rev().zip(after.iter().rev());
    let tail = backwards.take(rest).take_while(|(a, b)| same(a, b)).count();
    let start = head.saturating_sub(CONTEXT_LINES);
    let excerpt = |lines: &[&str], changed: &[bool]| {
        let end = (lines.len() - tail + CONTEXT_LINES).min(lines.len());
        let shown = lines.iter().zip(changed).take(end).skip(start);
        Excerpt {
            first: start + 1,
            lines: shown
                .take(MAX_LINES)
                .map(|(line, is_changed)| ((*line).to_owned(), *is_changed))
                .collect(),
            omitted: (end - start.min(end)).saturating_sub(MAX_LINES),
        }
    };
    (
        excerpt(&before, &changed_lines(old, new)),
        excerpt(&after, &changed_lines(new, old)),
    )
}

/// For each line of a text, whether the other text lacks it. A line that occurs twice needs two equal lines in the
/// other text.
fn changed_lines(text: &str, other: &str) -> Vec<bool> {
    let mut unmatched: HashMap<&str, usize> = HashMap::new();
    for line in other.lines() {
        *unmatched.entry(line).or_default() += 1;
    }
    let lines = text.lines().map(|line| match unmatched.get_mut(line) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[(&str, &str)]) -> PolicySetFiles {
        let files: Vec<_> = files
            .iter()
            .map(|(p, t)| ((*p).to_owned(), (*t).to_owned()))
            .collect();
        PolicySetFiles::new(&files, &[])
    }

    #[test]
    fn added_changed_and_removed_files_are_listed_with_their_line_counts() {
        let old = set(&[("a", "1\n2\n2\n"), ("b", "x\n"), ("c", "same\n")]);
        let new = set(&[("a", "1\n2\n3\n4\n"), ("c", "same\n"), ("d", "y\nz\n")]);
        let found: Vec<_> = changes(&old, &new)
            .into_iter()
            .map(|c| (c.path, c.kind, c.added_lines, c.removed_lines))
            .collect();
        assert_eq!(
            found,
            [
                ("rules/a".to_owned(), ChangeKind::Changed, 2, 1),
                ("rules/b".to_owned(), ChangeKind::Removed, 0, 1),
                ("rules/d".to_owned(), ChangeKind::Added, 2, 0)
            ]
        );
    }

    #[test]
    fn only_the_changed_part_of_a_file_is_shown() {
        let text = |changed: &str| {
            (1..=20)
                .map(|n| {
                    if n == 10 {
                        format!("{changed}\n")
                    } else {
                        format!("line {n}\n")
                    }
                })
                .collect::<String>()
        };
        let (old, new) = side_by_side(&text("old"), &text("new"));
        assert_eq!((old.first, old.lines.len(), new.lines.len()), (7, 7, 7));
        assert_eq!(old.lines[3], ("old".to_owned(), true));
        assert_eq!(new.lines[3], ("new".to_owned(), true));
        assert!(old.lines.iter().filter(|(_, is_changed)| *is_changed).count() == 1);
        let (nothing, all) = side_by_side("", "a\nb\n");
        assert_eq!((nothing.lines.len(), all.lines.len(), all.omitted), (0, 2, 0));
    }
}
