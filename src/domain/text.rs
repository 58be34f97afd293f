//! Words for people that depend on a number.

use std::fmt::Display;

/// A number of things: `1 day`, `2 days`.
#[must_use]
pub fn counted(number: impl Display, of: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {of}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_many() {
        assert_eq!([counted(0, "day"), counted(1, "day")], ["0 days", "1 day"]);
    }
}
