//! `[quality]`: when a row is believed, what sources are checked against, and how much each check matters.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use serde::Deserialize;

use super::error::{SettingsError, invalid, within};
use super::sources::{self, RawSources};
use crate::domain::quality::Severity;
use crate::domain::time::Day;
use crate::pipeline::silver::CleaningRules;
use crate::pipeline::silver::Gate;

#[derive(Debug, Deserialize)]
#[allow(clippy::struct_field_names)] // the keys of the section
pub(super) struct RawQuality {
    max_reject_ratio: f64,
    max_row_drop: f64,
    max_row_growth: f64,
    max_left_out: f64,
    max_null_rise: f64,
    max_new_share: f64,
    max_mean_change: f64,
    max_drift: f64,
    max_amount: String,
    min_date: String,
    severity: BTreeMap<String, String>,
}

/// `[quality]`
#[derive(Debug, Clone)]
pub struct Quality {
    /// What sources are checked against.
    pub gate: Gate,
    /// How rows are judged where sources alone do not decide.
    pub cleaning: CleaningRules,
}

pub(super) fn validate(raw: &RawQuality, sources: &RawSources) -> Result<Quality, SettingsError> {
    let max_amount = match raw.max_amount.as_str() {
        "" => None,
        text => match text.parse::<f64>() {
            Ok(amount) if amount > 0.0 && amount <= 1e12 => Some(amount),
            _ => {
                let problem = format!("{text} is not more than 0 and at most 1e12");
                return Err(invalid("quality.max_amount", problem));
            }
        },
    };
    let min_date = Day::parse(&raw.min_date).ok_or_else(|| {
        invalid("quality.min_date", format!("{:?} is not a day (YYYY-MM-DD)", raw.min_date))
    })?;
    let mut cleaning =
        CleaningRules { max_amount, min_date: min_date.start(), ..CleaningRules::default() };
    sources::add_rules(sources, &mut cleaning)?;
    Ok(Quality { gate: gate(raw)?, cleaning })
}

fn gate(raw: &RawQuality) -> Result<Gate, SettingsError> {
    /// Nothing changes by more than this.
    const MAX_CHANGE: f64 = 1e6;
    let share = |key, share| within(key, share, 0.0..=1.0);
    let change = |key, change| within(key, change, 0.0..=MAX_CHANGE);
    Ok(Gate {
        max_reject_ratio: share("quality.max_reject_ratio", raw.max_reject_ratio)?,
        max_row_drop: share("quality.max_row_drop", raw.max_row_drop)?,
        max_row_growth: change("quality.max_row_growth", raw.max_row_growth)?,
        max_left_out: share("quality.max_left_out", raw.max_left_out)?,
        max_null_rise: share("quality.max_null_rise", raw.max_null_rise)?,
        max_new_share: share("quality.max_new_share", raw.max_new_share)?,
        max_mean_change: change("quality.max_mean_change", raw.max_mean_change)?,
        max_drift: change("quality.max_drift", raw.max_drift)?,
        severities: severities(&raw.severity)?,
    })
}

/// How much each check matters. The keys are those of the defaults: others were refused before.
fn severities(raw: &BTreeMap<String, String>) -> Result<BTreeMap<String, Severity>, SettingsError> {
    let severity = |(name, text): (&String, &String)| {
        let severity = Severity::from_str(text).map_err(|_| {
            let key = format!("quality.severity.{name}");
            invalid(&key, format!("{text:?} is none of info, warn and block"))
        })?;
        Ok((name.clone(), severity))
    };
    raw.iter().map(severity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::quality::CHECKS;
    use crate::settings::load_from;

    #[test]
    fn the_defaults_list_every_check_with_its_severity() {
        let settings = load_from(None, Vec::new(), Vec::new()).unwrap().settings;
        let expected = CHECKS.map(|(name, severity)| (name.to_owned(), severity));
        assert_eq!(settings.quality.gate.severities, BTreeMap::from(expected));
        let variables = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
        let changed = variables("QUALITY__SEVERITY__UNLISTED_CUSTOMER", "block");
        let settings = load_from(None, Vec::new(), changed).unwrap().settings;
        assert_eq!(settings.quality.gate.severities["unlisted_customer"], Severity::Block);
        for (name, text, sentence) in [
            (
                "QUALITY__SEVERITY__ROW_DROP",
                "stop",
                "quality.severity.row_drop: \"stop\" is none of",
            ),
            ("QUALITY__SEVERITY__ROW_DORP", "warn", "quality.severity.row_dorp"),
        ] {
            let error = load_from(None, Vec::new(), variables(name, text)).unwrap_err();
            assert!(error.to_string().contains(sentence), "{error}");
        }
    }
}
