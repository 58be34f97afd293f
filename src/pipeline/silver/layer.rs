//! What cleaning depends on, and what comes out of it.

use polars::prelude::DataFrame;
use serde::Serialize;

pub use super::orders::RepeatedId;
use crate::domain::data_set::{DataSet, PerDataSet};
use crate::domain::quality::QualityReport;
use crate::domain::rates::Rates;
pub use crate::domain::reading::{DateOrder, DecimalSign};
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;

/// What cleaning depends on besides the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct CleaningOptions {
    /// Start of the run as the clocks of the shop show it: later dates lie in the future.
    pub run_start: Timestamp,
    /// What the settings say.
    pub rules: CleaningRules,
}

impl CleaningOptions {
    /// Options of a run that starts at an instant in UTC.
    #[must_use]
    pub fn new(rules: CleaningRules, started_at: Timestamp) -> Self {
        Self { run_start: rules.timezone.wall_clock(started_at), rules }
    }
}

/// How rows are judged where sources alone do not decide. Part of a run's fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CleaningRules {
    /// Earlier dates are taken for errors.
    pub min_date: Timestamp,
    /// Greatest acceptable amount of one line; `None` accepts all.
    pub max_amount: Option<f64>,
    /// Where the shop is: instants become what its clocks showed, so that its days are cut at its midnights.
    pub timezone: Zone,
    /// The order of day and month where a column does not show it; `None`: as the file's profile has it.
    pub date_order: Option<DateOrder>,
    /// What separates decimals where a column does not show it; `None`: such amounts are left out.
    pub decimal_sign: Option<DecimalSign>,
    /// What amounts mean that repeat within an order; `None`: as the file shows.
    pub repeated_id: Option<RepeatedId>,
    /// What becomes of purchases whose customer no file lists.
    pub unlisted: Unlisted,
    /// The currency that is served; `None`: the one that most rows name.
    pub currency: Option<String>,
    /// The rates by which amounts in other currencies are converted.
    pub rates: Rates,
    /// Whether a guest with an e-mail address is a customer.
    pub guests_by_email: bool,
    /// Whether leading zeros of identifiers do not count, whatever their files are.
    pub integer_ids: bool,
    /// What is hashed before the text of an identifier.
    pub id_salt: String,
    /// What counts as revenue where files tell goods from the rest.
    pub revenue: Revenue,
    /// Whether refunds are taken off revenue.
    pub refunds: Refunds,
    /// Whether a customer may be known by name alone.
    pub customers_by_name: bool,
}

impl Default for CleaningRules {
    fn default() -> Self {
        Self {
            min_date: Timestamp(0),
            max_amount: None,
            timezone: Zone::default(),
            date_order: None,
            decimal_sign: None,
            repeated_id: None,
            unlisted: Unlisted::Customer,
            currency: None,
            rates: Rates::default(),
            guests_by_email: true,
            integer_ids: false,
            id_salt: String::new(),
            revenue: Revenue::Goods,
            refunds: Refunds::Net,
            customers_by_name: false,
        }
    }
}

/// What becomes of a purchase whose customer no file lists.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Unlisted {
    /// It makes that customer.
    Customer,
    /// It is rejected.
    Reject,
}

/// What counts as revenue where files tell goods from the rest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Revenue {
    /// Goods after every discount.
    Goods,
    /// The totals of orders, with shipping and tax.
    OrderTotal,
}

/// What becomes of refunds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Refunds {
    /// They are taken off revenue.
    Net,
    /// They are not served.
    LeaveOut,
}

/// The silver layer of one run.
#[derive(Debug)]
pub struct Silver {
    /// The typed rows of each data set, ascending by its key.
    pub valid: PerDataSet<DataFrame>,
    /// The rejected rows of each data set: raw texts, source_file, line_number, reason.
    pub rejected: PerDataSet<DataFrame>,
    /// The counts.
    pub report: QualityReport,
}

impl Silver {
    /// The valid customers: id_client, nom, email, date_inscription, pays, ref_client,
    /// date_inscription_source.
    #[must_use]
    pub fn customers(&self) -> &DataFrame {
        &self.valid[DataSet::Customers]
    }

    /// The lines of valid purchases: id_achat, id_client (null: a guest), date_achat, montant
    /// (negative: a refund), produit, quantite, prix, pays (the row's own), id_commande,
    /// ref_commande, ligne, type, devise.
    #[must_use]
    pub fn purchases(&self) -> &DataFrame {
        &self.valid[DataSet::Purchases]
    }
}
