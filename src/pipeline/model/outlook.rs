//! Outlook: whether customers are alive, how often they will buy in 12 months and for how much.
//!
//! Always MBG/NBD and Gamma-Gamma, fitted on all that is known at `as_of`. How well the two foretell
//! is judged among the methods of churn and lifetime value, at their cut-offs.

use serde::{Deserialize, Serialize};

use super::buying::{self, Buying, Dropout};
use super::chance::Chance;
use super::clv::{LEAST_HISTORY_DAYS, YEAR_DAYS};
use super::facts::Facts;
use super::features::{AVG_BASKET, DAYS_SINCE_LAST, FREQUENCY, NAMES, TENURE};
use super::matrix::select;
use super::report::{Entry, Method, Task};
use super::spending::{self, Spending};
use super::{Rules, describe};
use crate::domain::words::counted;

const NULL: &str = "p_alive, expected_purchases_12m and expected_spend_12m are null";

/// What foretells it; `None` for what could not be fitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    buying: Option<Buying>,
    spending: Option<Spending>,
}

/// What there is to expect of a customer; `None` where nothing foretells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Probability of not having stopped for good.
    pub p_alive: Option<f64>,
    /// Days with a purchase to expect in 12 months.
    pub purchases_12m: Option<f64>,
    /// What they will be worth, EUR.
    pub spend_12m: Option<f64>,
}

impl Outlook {
    /// What there is to expect of a customer.
    #[must_use]
    pub fn of(&self, facts: &Facts<'_>, row: usize) -> Expected {
        let pattern = facts.patterns[row];
        let purchases_12m = self.buying.map(|buying| buying.expected(pattern, YEAR_DAYS));
        let worth = self.spending.map(|spending| spending.expected(facts.spends[row]));
        Expected {
            p_alive: self.buying.map(|buying| buying.p_alive(pattern)),
            purchases_12m,
            spend_12m: purchases_12m.zip(worth).map(|(times, worth)| times * worth),
        }
    }
}

/// Fits both models, and says how that went.
#[must_use]
pub fn train(facts: &Facts<'_>, rules: &Rules) -> (Outlook, Entry) {
    let algorithm =
        "MBG/NBD: p_alive and expected_purchases_12m; × Gamma-Gamma: expected_spend_12m";
    let mut entry = Entry::new(Task::Buying, Method::MbgNbd, algorithm, describe::CLIMBED);
    entry.customers = facts.len();
    entry.features =
        [DAYS_SINCE_LAST, FREQUENCY, TENURE, AVG_BASKET].map(|own| NAMES[own]).to_vec();
    let history_days = facts.history_days();
    let why = if facts.len() < rules.min_customers {
        let customers = counted(facts.len(), "customer");
        Some(format!(
            "{customers}, and fewer than {} are too few to learn from",
            rules.min_customers
        ))
    } else if history_days < LEAST_HISTORY_DAYS {
        let days = counted(history_days, "day");
        Some(format!("a history of {days} is too short to learn 12 months from"))
    } else {
        None
    };
    if let Some(why) = why {
        entry.say(&format!("skipped: {why}; {NULL}"));
        return (Outlook::default(), entry);
    }
    let rows = Chance::new(rules.seed, "buying").sample(facts.len(), rules.max_fit_rows);
    entry.fitted_on(rows.len(), facts.len(), "drawn by chance");
    let buying = match buying::fit(Dropout::AfterAny, &select(&facts.patterns, &rows)) {
        Ok(fitted) => {
            describe::buying(&fitted, &mut entry);
            Some(fitted.model)
        }
        Err(why) => {
            entry.say(&format!("MBG/NBD could not be fitted: {why}; {NULL}"));
            entry.fitted = 0;
            None
        }
    };
    let spending = match spending::fit(&select(&facts.spends, &rows)) {
        Ok(fitted) => {
            describe::spending(&fitted, &mut entry);
            Some(fitted.model)
        }
        Err(why) => {
            entry.say(&format!(
                "Gamma-Gamma could not be fitted: {why}; expected_spend_12m is null"
            ));
            None
        }
    };
    entry.serves = buying.is_some();
    (Outlook { buying, spending }, entry)
}
