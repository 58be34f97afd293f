//! Numbers of things in messages.

use std::fmt::Display;

/// A number with its noun: `1 day`, `2 days`.
#[must_use]
pub fn counted(number: impl Display, noun: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_thing_is_singular() {
        assert_eq!([counted(0, "day"), counted(1, "day")], ["0 days", "1 day"]);
    }
}
