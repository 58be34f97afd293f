//! Exchange rates, as exact decimals.

use serde::{Serialize, Serializer};

use super::account::half_even;
use super::time::Day;

/// Digits after the point that a rate may have.
const DIGITS: u32 = 12;

/// The rates by which amounts become those of another currency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rates(Vec<Rate>);

/// What one unit of a currency is worth from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// The currency.
    pub currency: String,
    /// The first day; `None`: it was always so.
    pub from: Option<Day>,
    /// Units of the other currency.
    pub factor: Factor,
}

/// A positive decimal number, in units of 10^-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor(i128);

impl Serialize for Factor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON's numbers end before these do.
        serializer.collect_str(&self.0)
    }
}

impl Rates {
    /// Rates in any order; `Err` names two that begin on one day.
    ///
    /// # Errors
    /// The currency with two rates for one day.
    pub fn new(mut rates: Vec<Rate>) -> Result<Self, String> {
        rates.sort_by(|a, b| (&a.currency, a.from).cmp(&(&b.currency, b.from)));
        let twice = rates
            .windows(2)
            .find(|pair| (&pair[0].currency, pair[0].from) == (&pair[1].currency, pair[1].from));
        match twice {
            Some(pair) => Err(pair[0].currency.clone()),
            None => Ok(Self(rates)),
        }
    }

    /// The currencies that have rates.
    pub fn currencies(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|rate| rate.currency.as_str())
    }

    /// The rate of a currency on a day; `None` where there is none yet.
    #[must_use]
    pub fn on(&self, currency: &str, day: Day) -> Option<Factor> {
        let of_currency = self.0.iter().filter(|rate| rate.currency == currency);
        let mut valid = of_currency.filter(|rate| rate.from.is_none_or(|from| from <= day));
        valid.next_back().map(|rate| rate.factor)
    }
}

impl Factor {
    /// Parses a positive decimal number with a point; `None` for anything else and for more than twelve digits
    /// before or after the point.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = |part: &str| part.len() <= DIGITS as usize && is_digits(part);
        if whole.is_empty() || !fits(whole) || !fits(fraction) {
            return None;
        }
        let units: i128 = format!("{whole}{fraction:0<12}").parse().ok()?;
        (units > 0).then_some(Self(units))
    }

    /// An amount in the other currency, both in millionths; halves become the even one. `None` beyond what is
    /// counted exactly.
    #[must_use]
    pub fn convert(self, millionths: i64) -> Option<i64> {
        const UNIT: i128 = 10_i128.pow(DIGITS);
        let product = i128::from(millionths).checked_mul(self.0)?;
        i64::try_from(half_even(product, UNIT)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_converted_exactly_and_halves_become_even() {
        let rate = |text: &str| Factor::parse(text).unwrap();
        assert_eq!(rate("0.92").convert(10_000_000), Some(9_200_000));
        assert_eq!(rate("0.5").convert(3), Some(2));
        assert_eq!(rate("0.5").convert(1), Some(0));
        assert_eq!(rate("0.5").convert(-1), Some(0));
        assert_eq!(rate("0.5").convert(-3), Some(-2));
        assert_eq!(rate("0.333333333333").convert(3_000_000), Some(1_000_000));
        assert_eq!(rate("999999999999").convert(i64::MAX), None);
        for other in ["", ".5", "-1", "0", "0.0", "1,5", "1e3", "0.0000000000001"] {
            assert_eq!(Factor::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_last_rate_that_has_begun_counts() {
        let day = |text: &str| Day::parse(text).unwrap();
        let of = |currency: &str, from: Option<&str>, factor: &str| Rate {
            currency: currency.to_owned(),
            from: from.map(day),
            factor: Factor::parse(factor).unwrap(),
        };
        let rates = vec![
            of("USD", Some("2026-02-01"), "0.9"),
            of("USD", Some("2026-01-01"), "0.8"),
            of("GBP", None, "1.2"),
        ];
        let rates = Rates::new(rates).unwrap();
        assert_eq!(rates.on("USD", day("2025-12-31")), None);
        assert_eq!(rates.on("USD", day("2026-01-31")), Factor::parse("0.8"));
        assert_eq!(rates.on("USD", day("2026-02-01")), Factor::parse("0.90"));
        assert_eq!(rates.on("GBP", day("1970-01-01")), Factor::parse("1.2"));
        assert_eq!(rates.on("CHF", day("2026-01-01")), None);
        let twice = vec![of("USD", None, "1"), of("USD", None, "2")];
        assert_eq!(Rates::new(twice), Err("USD".to_owned()));
    }
}
