//! Telephone numbers and names, as those of one person are compared.

use super::texts::folded;

/// A telephone number as it is compared: its digits, after a plus where it has one.
pub(crate) fn telephone(cell: &str) -> Option<String> {
    /// Shorter ones are no telephone numbers.
    const LEAST: usize = 6;
    let cell = cell.trim().trim_start_matches('\'');
    let digits: String = cell.chars().filter(char::is_ascii_digit).collect();
    let (plus, digits) = match digits.strip_prefix("00") {
        _ if cell.starts_with('+') => ("+", digits.as_str()),
        Some(digits) => ("+", digits),
        None => ("", digits.as_str()),
    };
    (digits.len() >= LEAST).then(|| format!("{plus}{digits}"))
}

/// Names as they are compared: whole, and as `a. rouvier` where only the initial is known.
pub(crate) fn name_keys(name: &str) -> [String; 2] {
    let folded = folded(name);
    let initial = folded
        .split_once(' ')
        .and_then(|(first, last)| Some(format!("{}. {last}", first.chars().next()?)));
    [folded.clone(), initial.unwrap_or(folded)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telephone_numbers_are_compared_by_their_digits() {
        assert_eq!(telephone("'+47 400-00 001").as_deref(), Some("+4740000001"));
        assert_eq!(telephone("0047 400 00 001").as_deref(), Some("+4740000001"));
        assert_eq!(telephone("(06) 12 34 56 78").as_deref(), Some("0612345678"));
        assert_eq!(telephone("n/a 12"), None);
    }

    #[test]
    fn names_are_compared_whole_or_by_initial() {
        assert_eq!(name_keys("Alba Rouvier"), ["alba rouvier", "a. rouvier"]);
        assert_eq!(name_keys("A. ROUVIER")[0], name_keys("Alba Rouvier")[1]);
    }
}
