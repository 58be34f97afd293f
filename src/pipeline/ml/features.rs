//! The features of a customer: numbers computed from a [`Past`] and nothing else.
//!
//! Training uses their values at the cut-off, scoring their values at `as_of`. One function
//! computes both, and its only source of purchases is a type that ends at the cut-off.

use rayon::prelude::*;

use super::history::{Past, Purchases, days_between};
use super::matrix::Matrix;
use crate::domain::text::counted;
use crate::domain::time::DAY_MICROS;

/// Days between the last purchase and the cut-off.
pub(crate) const DAYS_SINCE_LAST: usize = 0;
/// Number of orders.
pub(crate) const FREQUENCY: usize = 1;
/// Mean spend on an order, EUR.
pub(crate) const AVG_BASKET: usize = 2;
/// Days between the first purchase and the cut-off.
pub(crate) const TENURE: usize = 3;
/// Spend to date less refunds, at least 0, EUR.
pub(crate) const SPEND: usize = 4;
/// Number of orders in the last 90 days.
pub(crate) const FREQUENCY_90D: usize = 5;
/// Number of orders in the last 365 days.
pub(crate) const FREQUENCY_365D: usize = 6;
/// Spend of the last 365 days less refunds in them, at least 0, EUR.
pub(crate) const SPEND_365D: usize = 7;
/// Mean number of days between purchases; after a single purchase, days since.
pub(crate) const MEAN_GAP_DAYS: usize = 8;
/// Days since the last purchase, as a multiple of the mean gap.
pub(crate) const SILENCE_IN_GAPS: usize = 9;
/// Number of different products.
pub(crate) const PRODUCT_COUNT: usize = 10;
/// Number of features.
pub(crate) const COUNT: usize = PRODUCT_COUNT + 1;

/// The names of the features, in the order of the columns.
pub(crate) const NAMES: [&str; COUNT] = [
    "days_since_last",
    "frequency",
    "avg_basket",
    "tenure",
    "spend",
    "frequency_90d",
    "frequency_365d",
    "spend_365d",
    "mean_gap_days",
    "silence_in_gaps",
    "product_count",
];

const RECENT_DAYS: i64 = 90;
const YEAR_DAYS: i64 = 365;

/// One row per customer of the past, in its order; one column per entry of [`NAMES`].
#[must_use]
pub fn features(past: &Past<'_>) -> Matrix {
    let mut matrix = Matrix::zeros(past.len(), COUNT);
    matrix.values.par_chunks_mut(COUNT).enumerate().for_each(|(position, row)| {
        row.copy_from_slice(&of_customer(past.purchases(position), past.cut_off().0));
    });
    matrix
}

/// The features of one customer, in single precision because trees split on that.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn of_customer(purchases: Purchases<'_>, cut_off: i64) -> [f32; COUNT] {
    let at = purchases.at;
    let (first, last) = (at[0], at[at.len() - 1]);
    let count = purchases.orders() as f64;
    let spend = purchases.spend();
    let since = |days: i64| purchases.since(cut_off - days * DAY_MICROS);
    let (recent, year) = (since(RECENT_DAYS), since(YEAR_DAYS));
    let silence = days_between(last, cut_off) as f64;
    let tenure = days_between(first, cut_off) as f64;
    // After a single purchase the gap is at least as long as the time since.
    let mean_gap =
        if count > 1.0 { days_between(first, last) as f64 / (count - 1.0) } else { tenure };
    [
        silence,
        count,
        spend / count.max(1.0),
        tenure,
        spend,
        recent.orders() as f64,
        year.orders() as f64,
        // An empty sum is -0.
        year.spend() + 0.0,
        mean_gap,
        silence / mean_gap.max(1.0),
        purchases.product_count() as f64,
    ]
    .map(|value| value as f32)
}

/// A feature's value as a phrase for people: `last purchase 92 days ago`. `row` holds all features
/// of the customer.
pub(crate) fn describe_value(feature: usize, row: &[f32]) -> String {
    let value = row[feature];
    let counted = |of| counted(format!("{value:.0}"), of);
    // There is no gap after a single purchase, whatever value stands in for it.
    let is_once = row[FREQUENCY] <= 1.0;
    match feature {
        DAYS_SINCE_LAST => format!("last purchase {} ago", counted("day")),
        FREQUENCY => format!("{} in all", counted("purchase")),
        AVG_BASKET => format!("average basket of {value:.2} EUR"),
        TENURE => format!("customer for {}", counted("day")),
        SPEND => format!("{value:.2} EUR spent in all"),
        FREQUENCY_90D => {
            format!("{} in the last {RECENT_DAYS} days", counted("purchase"))
        }
        FREQUENCY_365D => format!("{} in the last {YEAR_DAYS} days", counted("purchase")),
        SPEND_365D => format!("{value:.2} EUR spent in the last {YEAR_DAYS} days"),
        MEAN_GAP_DAYS if is_once => format!("bought once, {} ago", counted("day")),
        MEAN_GAP_DAYS => format!("{value:.1} days between purchases on average"),
        SILENCE_IN_GAPS if is_once => "bought only once".to_owned(),
        SILENCE_IN_GAPS => format!("silent for {value:.1} times the usual gap"),
        _ => counted("different product"),
    }
}

#[allow(clippy::float_cmp)] // whole numbers and one ratio, exact in single precision
#[cfg(test)]
mod tests {
    use super::*;

    fn sales<'a>(at: &'a [i64], amounts: &'a [f64], is_order: &'a [bool]) -> Purchases<'a> {
        let products = &[0; 1];
        Purchases { at, amounts, products, is_order, refunded_at: &[], refunded: &[] }
    }

    #[test]
    fn features_of_a_customer_computed_by_hand() {
        let day = DAY_MICROS;
        let at = [0, 100 * day, 380 * day];
        let products = &[1, 2, 1];
        let purchases = Purchases { products, ..sales(&at, &[10.0, 20.0, 60.0], &[true; 3]) };
        let row = of_customer(purchases, 400 * day);
        assert_eq!(row, [20.0, 3.0, 30.0, 400.0, 90.0, 1.0, 2.0, 80.0, 190.0, 20.0 / 190.0, 2.0]);
        // The second line belongs to the first order, and 30 EUR were refunded in the last year.
        let purchases = Purchases {
            is_order: &[true, false, true],
            refunded_at: &[200 * day],
            refunded: &[30.0],
            ..purchases
        };
        let row = of_customer(purchases, 400 * day);
        assert_eq!(row, [20.0, 2.0, 30.0, 400.0, 60.0, 1.0, 1.0, 50.0, 380.0, 20.0 / 380.0, 2.0]);
    }

    #[test]
    fn no_spend_is_zero_and_not_minus_zero() {
        let purchases = sales(&[0], &[10.0], &[true]);
        let row = of_customer(purchases, 400 * DAY_MICROS);
        assert_eq!(describe_value(SPEND_365D, &row), "0.00 EUR spent in the last 365 days");
    }

    #[test]
    fn after_a_single_purchase_no_phrase_mentions_a_gap() {
        let once = sales(&[0], &[10.0], &[true]);
        let row = of_customer(once, 22 * DAY_MICROS);
        let phrases: Vec<String> =
            (0..COUNT).map(|feature| describe_value(feature, &row)).collect();
        assert_eq!(phrases[DAYS_SINCE_LAST], "last purchase 22 days ago");
        assert_eq!(phrases[FREQUENCY], "1 purchase in all");
        assert_eq!(phrases[MEAN_GAP_DAYS], "bought once, 22 days ago");
        assert_eq!(phrases[SILENCE_IN_GAPS], "bought only once");
        assert_eq!(phrases[PRODUCT_COUNT], "1 different product");
    }

    #[test]
    fn every_feature_has_its_own_phrase_with_its_value() {
        let phrases: Vec<String> =
            (0..COUNT).map(|feature| describe_value(feature, &[3.0; COUNT])).collect();
        assert!(phrases.iter().all(|text| text.contains('3')), "{phrases:?}");
        assert_eq!(phrases.iter().collect::<std::collections::BTreeSet<_>>().len(), COUNT);
    }

    #[test]
    fn features_of_a_customer_with_a_single_purchase_just_now() {
        let purchases = sales(&[5], &[10.0], &[true]);
        let row = of_customer(purchases, 5);
        assert_eq!(row, [0.0, 1.0, 10.0, 0.0, 10.0, 1.0, 1.0, 10.0, 0.0, 0.0, 1.0]);
    }
}
