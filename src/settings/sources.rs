//! `[sources]`: files whose columns are mapped, and what to do about unknown ones.

use std::collections::BTreeMap;

use serde::Deserialize;
use strum::VariantArray as _;

use super::error::{SettingsError, invalid};
use crate::domain::data_set::DataSet;
use crate::domain::rates::{Factor, Rate, Rates};
use crate::domain::time::Day;
use crate::domain::verdict::Verdict;
use crate::domain::zone::Zone;
use crate::pipeline::silver::CleaningRules;
use crate::sources::{
    FileMapping, Profile, SourceOptions, built_in_profiles, is_column, set_by_kind,
};

#[derive(Debug, Deserialize)]
pub(super) struct RawSources {
    unknown: String,
    files: Vec<RawFile>,
    profiles: Vec<String>,
    statuses: Vec<RawStatus>,
    sales: String,
    revenue: String,
    refunds: String,
    customer_key: String,
    timezone: String,
    date_order: String,
    decimal_sign: String,
    repeated_id: String,
    unlisted: String,
    currency: String,
    rates: Vec<RawRate>,
    guest_key: String,
    ids: String,
    id_salt: String,
    pub(super) watch: bool,
    pub(super) watch_secs: u64,
}

/// An entry of `[[sources.statuses]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStatus {
    text: String,
    means: String,
}

/// An entry of `[[sources.rates]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    currency: String,
    rate: String,
    from: Option<String>,
}

/// An entry of `[[sources.files]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    name: String,
    kind: String,
    columns: BTreeMap<String, String>,
}

pub(super) fn validate(raw: RawSources) -> Result<SourceOptions, SettingsError> {
    let unknown = raw.unknown.parse().map_err(|_| {
        invalid("sources.unknown", format!("{:?} is neither warn nor stop", raw.unknown))
    })?;
    let files = raw.files.into_iter().enumerate();
    let files = files.map(|(index, file)| validate_file(index, file));
    let profiles = raw.profiles.iter().map(|path| read_profile(path));
    let profiles: Vec<Profile> = profiles.collect::<Result<_, _>>()?;
    let status = |RawStatus { text, means }: &RawStatus| {
        let parsed = choice("sources.statuses", means, "sale, refund, not_a_sale, pending")?;
        let missing = || invalid("sources.statuses", format!("{text:?} has no meaning"));
        Ok((text.clone(), parsed.ok_or_else(missing)?))
    };
    let statuses = raw.statuses.iter().map(status).collect::<Result<_, _>>()?;
    let own = profiles.iter().map(|profile| profile.name.clone());
    let built_in = [Verdict::GOLDSMITH].into_iter().chain(built_in_profiles());
    let names: Vec<String> = own.chain(built_in.map(str::to_owned)).collect();
    let sales = Some(raw.sales).filter(|sales| !sales.is_empty());
    if let Some(sales) = sales.as_ref().filter(|sales| !names.contains(sales)) {
        let problem = format!("{sales:?} is not one of the profiles {}", names.join(", "));
        return Err(invalid("sources.sales", problem));
    }
    let files = files.collect::<Result<_, _>>()?;
    Ok(SourceOptions { files, unknown, profiles, statuses, sales })
}

/// Reads a profile of the operator.
fn read_profile(path: &str) -> Result<Profile, SettingsError> {
    let bad = |problem: String| invalid("sources.profiles", format!("{path}: {problem}"));
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    Profile::parse(&text).map_err(bad)
}

/// Adds to the rules of cleaning what `[sources]` says.
pub(super) fn add_rules(raw: &RawSources, rules: &mut CleaningRules) -> Result<(), SettingsError> {
    rules.timezone = Zone::find(&raw.timezone).ok_or_else(|| {
        let problem =
            format!("{:?} is not a known time zone (example: Europe/Paris)", raw.timezone);
        invalid("sources.timezone", problem)
    })?;
    rules.date_order = choice("sources.date_order", &raw.date_order, "day_first, month_first")?;
    rules.decimal_sign = choice("sources.decimal_sign", &raw.decimal_sign, "point, comma")?;
    rules.repeated_id =
        choice("sources.repeated_id", &raw.repeated_id, "line, order_total, replace")?;
    if let Some(unlisted) = choice("sources.unlisted", &raw.unlisted, "customer, reject")? {
        rules.unlisted = unlisted;
    }
    if let Some(revenue) = choice("sources.revenue", &raw.revenue, "goods, order_total")? {
        rules.revenue = revenue;
    }
    if let Some(refunds) = choice("sources.refunds", &raw.refunds, "net, leave_out")? {
        rules.refunds = refunds;
    }
    rules.customers_by_name = match raw.customer_key.as_str() {
        "" => false,
        "name" => true,
        other => {
            let problem = format!("{other:?} is not name");
            return Err(invalid("sources.customer_key", problem));
        }
    };
    rules.guests_by_email = match raw.guest_key.as_str() {
        "email" => true,
        "none" => false,
        other => {
            return Err(invalid(
                "sources.guest_key",
                format!("{other:?} is neither email nor none"),
            ));
        }
    };
    rules.currency = match raw.currency.as_str() {
        "" => None,
        code if is_currency(code) => Some(code.to_owned()),
        other => {
            let problem = format!("{other:?} is not the code of a currency, like EUR");
            return Err(invalid("sources.currency", problem));
        }
    };
    rules.rates = rates(&raw.rates, rules.currency.as_deref())?;
    rules.integer_ids = match raw.ids.as_str() {
        "" => false,
        "integer" => true,
        other => return Err(invalid("sources.ids", format!("{other:?} is not integer"))),
    };
    raw.id_salt.clone_into(&mut rules.id_salt);
    Ok(())
}

fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The rates by which amounts become those of the served currency.
fn rates(raw: &[RawRate], served: Option<&str>) -> Result<Rates, SettingsError> {
    let bad = |problem: String| invalid("sources.rates", problem);
    if !raw.is_empty() && served.is_none() {
        let problem = "set sources.currency too: it is what rates convert to";
        return Err(bad(problem.to_owned()));
    }
    let rate = |RawRate { currency, rate, from }: &RawRate| {
        if !is_currency(currency) || served == Some(currency) {
            let problem = "is not the code of another currency than sources.currency";
            return Err(bad(format!("{currency:?} {problem}")));
        }
        let factor = Factor::parse(rate).ok_or_else(|| {
            bad(format!("{rate:?} is not a positive decimal number, like 0.92, for {currency}"))
        })?;
        let day = |text: &String| {
            Day::parse(text)
                .ok_or_else(|| bad(format!("{text:?} is not a day (YYYY-MM-DD), for {currency}")))
        };
        let from = from.as_ref().map(day).transpose()?;
        Ok(Rate { currency: currency.clone(), from, factor })
    };
    let rates = raw.iter().map(rate).collect::<Result<_, _>>()?;
    Rates::new(rates).map_err(|currency| bad(format!("{currency} has two rates from one day on")))
}

/// One of several words; `None` for an empty text.
fn choice<T: std::str::FromStr>(
    key: &'static str,
    text: &str,
    words: &str,
) -> Result<Option<T>, SettingsError> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse().map(Some);
    parsed.map_err(|_| invalid(key, format!("{text:?} is not one of {words}")))
}

fn validate_file(index: usize, file: RawFile) -> Result<FileMapping, SettingsError> {
    let key = format!("sources.files[{}]", index + 1);
    let bad = |name: &str, problem: String| invalid(format!("{key}.{name}"), problem);
    let pattern = glob::Pattern::new(&file.name)
        .map_err(|error| bad("name", format!("{:?} is not a pattern: {error}", file.name)))?;
    if file.name.is_empty() || file.name.contains('/') {
        return Err(bad("name", format!("{:?} is not the name of a file", file.name)));
    }
    let Some(data_set) = set_by_kind(&file.kind) else {
        let kinds: Vec<&str> = DataSet::VARIANTS.iter().map(|set| set.noun()).collect();
        return Err(bad("kind", format!("{:?} is not one of {}", file.kind, kinds.join(", "))));
    };
    for (column, header) in &file.columns {
        if !is_column(data_set, column) {
            let noun = data_set.noun();
            return Err(bad("columns", format!("{column:?} is not a column of {noun}")));
        }
        if header.trim().is_empty() {
            return Err(bad("columns", format!("{column} has no header")));
        }
    }
    Ok(FileMapping { key, pattern, data_set, columns: file.columns.into_iter().collect() })
}
