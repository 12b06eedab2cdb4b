//! What a proposed set changes: which files came, went or differ, and one file with both texts side by side. A line counts
//! as changed when the other text does not have it; between the first and the last of them the texts stand whole.

use crate::state::SetFiles;
use std::collections::{BTreeSet, HashMap};

/// Lines around what changed.
const AROUND: usize = 3;
/// The most lines that one side shows.
const MOST: usize = 2000;

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is new.
    Added,
    /// It is another text.
    Changed,
    /// It is gone.
    Removed,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// What happened.
    pub kind: Kind,
    /// Lines that only the new text has.
    pub plus: usize,
    /// Lines that only the old text has.
    pub minus: usize,
}

/// One text of a file, from shortly before its first change to shortly after its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The number of the first line shown, from 1.
    pub first: usize,
    /// The lines, and whether the other side lacks them.
    pub lines: Vec<(String, bool)>,
    /// Lines that are left out at the end because the change is too long to show.
    pub more: usize,
}

/// Every file that differs, by path.
pub fn changes(old: &SetFiles, new: &SetFiles) -> Vec<Change> {
    let paths: BTreeSet<&str> = old
        .all()
        .iter()
        .chain(new.all())
        .map(|(path, _)| path.as_str())
        .collect();
    let changed = paths.into_iter().filter_map(|path| {
        let (before, after) = (old.text(path), new.text(path));
        let kind = match (before, after) {
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
            (before, after) if before == after => return None,
            _ => Kind::Changed,
        };
        let (before, after) = (before.unwrap_or(""), after.unwrap_or(""));
        let count = |lines: Vec<bool>| lines.into_iter().filter(|own| *own).count();
        Some(Change {
            path: path.to_owned(),
            kind,
            plus: count(own_lines(after, before)),
            minus: count(own_lines(before, after)),
        })
    });
    changed.collect()
}

/// Both texts of a file, where they differ.
pub fn sides(old: &str, new: &str) -> (Side, Side) {
    let (before, after): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = |a: &&str, b: &&str| a == b;
    let head = before.iter().zip(&after).take_while(|(a, b)| same(a, b)).count();
    let rest = before.len().min(after.len()) - head;
    let backwards = before.iter().rev().zip(after.iter().rev());
    let tail = backwards.take(rest).take_while(|(a, b)| same(a, b)).count();
    let start = head.saturating_sub(AROUND);
    let side = |lines: &[&str], own: &[bool]| {
        let end = (lines.len() - tail + AROUND).min(lines.len());
        let shown = lines.iter().zip(own).take(end).skip(start);
        Side {
            first: start + 1,
            lines: shown
                .take(MOST)
                .map(|(line, own)| ((*line).to_owned(), *own))
                .collect(),
            more: (end - start.min(end)).saturating_sub(MOST),
        }
    };
    (
        side(&before, &own_lines(old, new)),
        side(&after, &own_lines(new, old)),
    )
}

/// For each line of a text, whether the other one lacks it; a line that stands there twice takes two of the other's.
fn own_lines(text: &str, other: &str) -> Vec<bool> {
    let mut there: HashMap<&str, usize> = HashMap::new();
    for line in other.lines() {
        *there.entry(line).or_default() += 1;
    }
    let lines = text.lines().map(|line| match there.get_mut(line) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[(&str, &str)]) -> SetFiles {
        let files: Vec<_> = files
            .iter()
            .map(|(p, t)| ((*p).to_owned(), (*t).to_owned()))
            .collect();
        SetFiles::new(&files, &[])
    }

    #[test]
    fn files_that_came_went_and_changed_are_told_with_their_lines() {
        let old = set(&[("a", "1\n2\n2\n"), ("b", "x\n"), ("c", "same\n")]);
        let new = set(&[("a", "1\n2\n3\n4\n"), ("c", "same\n"), ("d", "y\nz\n")]);
        let found: Vec<_> = changes(&old, &new)
            .into_iter()
            .map(|c| (c.path, c.kind, c.plus, c.minus))
            .collect();
        assert_eq!(
            found,
            [
                ("rules/a".to_owned(), Kind::Changed, 2, 1),
                ("rules/b".to_owned(), Kind::Removed, 0, 1),
                ("rules/d".to_owned(), Kind::Added, 2, 0)
            ]
        );
    }

    #[test]
    fn only_the_place_of_the_change_is_shown() {
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
        let (old, new) = sides(&text("old"), &text("new"));
        assert_eq!((old.first, old.lines.len(), new.lines.len()), (7, 7, 7));
        assert_eq!(old.lines[3], ("old".to_owned(), true));
        assert_eq!(new.lines[3], ("new".to_owned(), true));
        assert!(old.lines.iter().filter(|(_, own)| *own).count() == 1);
        let (nothing, all) = sides("", "a\nb\n");
        assert_eq!((nothing.lines.len(), all.lines.len(), all.more), (0, 2, 0));
    }
}
