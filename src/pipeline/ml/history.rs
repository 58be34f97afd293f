//! Sales and refunds by customer and time, and the cut-off that keeps models from seeing the future.
//!
//! A [`History`] holds everything. Features are built from a [`Past`], which only
//! [`History::up_to`] makes and which cannot reach a later line. Labels come from a [`Window`]
//! after the cut-off. Guests are no customers, and neither is who was only refunded.

use std::ops::Range;

use polars::prelude::*;

use crate::domain::data_set::DataSet;
use crate::domain::time::{DAY_MICROS, Timestamp};
use crate::pipeline::Result;
use crate::pipeline::orders::{MICROS, SALE, baskets};
use crate::pipeline::silver::lines;

/// What "12 months" means, days.
pub(crate) const YEAR_DAYS: f64 = 365.0;
/// A history shorter than this says nothing about 12 months: its last third is less than a month.
pub(crate) const MIN_HISTORY_DAYS: i64 = 90;
/// The code of a product that is not known.
const NO_PRODUCT: u32 = u32::MAX;

/// Every line, by customer and then by time.
#[derive(Debug, Default)]
pub struct History {
    /// The customers with a sale, ascending.
    ids: Vec<i64>,
    /// Where each customer's sale lines start; one more entry than customers.
    starts: Vec<usize>,
    sales: Sales,
    /// Where each customer's refunds start; one more entry than customers.
    refund_starts: Vec<usize>,
    refunds: Refunds,
    /// The instant of the last line of all, guests included.
    last: Option<i64>,
}

/// Sale lines.
#[derive(Debug, Default)]
struct Sales {
    /// Instants, microseconds.
    at: Vec<i64>,
    /// Amounts, EUR.
    amounts: Vec<f64>,
    /// Products, as codes that are only good for telling them apart.
    products: Vec<u32>,
    /// Whether an order is counted at this line.
    is_order: Vec<bool>,
}

/// Refund lines.
#[derive(Debug, Default)]
struct Refunds {
    /// Instants, microseconds.
    at: Vec<i64>,
    /// Amounts, EUR, positive.
    amounts: Vec<f64>,
}

impl History {
    /// From lines in any order, as silver has them: id_achat, id_client, date_achat, montant,
    /// produit. Without the columns of orders each row is an order of its own.
    ///
    /// # Errors
    /// When a column is missing or has another type.
    pub fn new(purchases: &DataFrame) -> Result<Self> {
        let columns = ["id_achat", "id_client", "date_achat", "montant", "produit"];
        let of_orders = ["id_commande", "ligne", "type"];
        let has_orders = of_orders.iter().all(|name| purchases.column(name).is_ok());
        let purchases = if has_orders {
            purchases.select(columns.into_iter().chain(of_orders))?
        } else {
            lines::complete(DataSet::Purchases, purchases.select(columns)?)?
        };
        let purchases = purchases
            .lazy()
            .with_columns([
                col("id_client").cast(DataType::Int64),
                col("montant").cast(DataType::Float64),
            ])
            .collect()?;
        let is_order = baskets(&purchases)?.is_not_null().with_name("is_order".into());
        let is_sale = purchases.column("type")?.str()?.equal(SALE).with_name("is_sale".into());
        let last = purchases.column("date_achat")?.to_physical_repr().i64()?.max();
        let rows = purchases
            .select(["id_achat", "id_client", "date_achat", "montant"])?
            .hstack(&[
                Column::new("product".into(), product_codes(&purchases)?),
                is_order.into_column(),
                is_sale.into_column(),
            ])?
            .lazy()
            .filter(col("id_client").is_not_null())
            .sort(["id_client", "date_achat", "id_achat"], SortMultipleOptions::default())
            .collect()?;
        Ok(Self { last, ..Self::of_sorted(&rows)? })
    }

    /// From the lines of customers by id_client and time.
    fn of_sorted(rows: &DataFrame) -> Result<Self> {
        let customers = rows.column("id_client")?.i64()?.iter().flatten();
        let dates = rows.column("date_achat")?.to_physical_repr();
        let at = dates.i64()?.iter().flatten();
        let amounts = rows.column("montant")?.f64()?.iter().flatten();
        let products = rows.column("product")?.u32()?.iter().flatten();
        let is_order = rows.column("is_order")?.bool()?.iter().flatten();
        let is_sale = rows.column("is_sale")?.bool()?.iter().flatten();
        let all = customers.zip(at).zip(amounts.zip(products)).zip(is_order.zip(is_sale));

        let mut history = Self::default();
        let mut before_first_sale = Vec::new();
        for (((customer, at), (amount, product)), (is_order, is_sale)) in all {
            if is_sale {
                if history.ids.last() != Some(&customer) {
                    history.begin(customer);
                    before_first_sale.retain(|(other, _, _)| *other == customer);
                    for (_, at, amount) in before_first_sale.drain(..) {
                        history.refunds.push(at, amount);
                    }
                }
                history.sales.push(at, amount, product, is_order);
            } else if history.ids.last() == Some(&customer) {
                history.refunds.push(at, -amount);
            } else {
                before_first_sale.push((customer, at, -amount));
            }
        }
        history.starts.push(history.sales.at.len());
        history.refund_starts.push(history.refunds.at.len());
        Ok(history)
    }

    /// Begins the lines of another customer.
    fn begin(&mut self, customer: i64) {
        self.ids.push(customer);
        self.starts.push(self.sales.at.len());
        self.refund_starts.push(self.refunds.at.len());
    }

    /// The instant of the first sale; `None` without one.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.sales.at.iter().min().copied().map(Timestamp)
    }

    /// The instant of the last line, refunds and guests included; `None` without one.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.last.map(Timestamp)
    }

    /// Days from the first sale to an instant; 0 without a sale.
    pub(crate) fn days_until(&self, as_of: Timestamp) -> i64 {
        days_between(self.first().unwrap_or(as_of).0, as_of.0)
    }

    /// What was known at an instant: lines up to and including it, of the customers who had bought
    /// by then.
    #[must_use]
    pub fn up_to(&self, cut_off: Timestamp) -> Past<'_> {
        let customers = (0..self.ids.len())
            .filter_map(|customer| {
                let sales = self.sales_of(customer);
                let count = self.sales.at[sales.clone()].partition_point(|at| *at <= cut_off.0);
                let refunds = self.refunds_of(customer);
                let refunded =
                    self.refunds.at[refunds.clone()].partition_point(|at| *at <= cut_off.0);
                (count > 0).then_some(PurchaseRange {
                    customer,
                    start: sales.start,
                    end: sales.start + count,
                    refund_start: refunds.start,
                    refund_end: refunds.start + refunded,
                })
            })
            .collect();
        Past { history: self, customers, cut_off }
    }

    /// What the customers of a past did in `(its cut-off, until]`.
    #[must_use]
    pub fn after(&self, past: &Past<'_>, until: Timestamp) -> Vec<Window> {
        past.customers
            .iter()
            .map(|range| {
                let later = range.end..self.sales_of(range.customer).end;
                let reached = self.sales.at[later.clone()].partition_point(|at| *at <= until.0);
                let amounts = &self.sales.amounts[later.start..later.start + reached];
                let later = range.refund_end..self.refunds_of(range.customer).end;
                let reached = self.refunds.at[later.clone()].partition_point(|at| *at <= until.0);
                let refunds = &self.refunds.amounts[later.start..later.start + reached];
                Window { purchases: amounts.len(), spend: spend(amounts, refunds) }
            })
            .collect()
    }

    fn sales_of(&self, customer: usize) -> Range<usize> {
        self.starts[customer]..self.starts[customer + 1]
    }

    fn refunds_of(&self, customer: usize) -> Range<usize> {
        self.refund_starts[customer]..self.refund_starts[customer + 1]
    }
}

impl Sales {
    fn push(&mut self, at: i64, amount: f64, product: u32, is_order: bool) {
        self.at.push(at);
        self.amounts.push(amount);
        self.products.push(product);
        self.is_order.push(is_order);
    }
}

impl Refunds {
    fn push(&mut self, at: i64, amount: f64) {
        self.at.push(at);
        self.amounts.push(amount);
    }
}

/// What was sold less what was refunded, EUR. With refunds in whole millionths, so that nothing is
/// left of a sale that was refunded whole.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn net(sold: &[f64], refunded: &[f64]) -> f64 {
    if refunded.is_empty() {
        return sold.iter().sum();
    }
    let micros = |amounts: &[f64]| -> i64 {
        amounts.iter().map(|amount| (amount * MICROS).round_ties_even() as i64).sum()
    };
    (micros(sold) - micros(refunded)) as f64 / MICROS
}

/// The same, and 0 where more was refunded.
fn spend(sold: &[f64], refunded: &[f64]) -> f64 {
    net(sold, refunded).max(0.0)
}

/// A number per row that is the same for the same product.
fn product_codes(purchases: &DataFrame) -> Result<Vec<u32>> {
    let product = purchases.column("produit")?.as_materialized_series();
    let names = product.to_physical_repr().str()?.clone();
    let distinct = names.unique()?.sort(false);
    let codes: std::collections::HashMap<&str, u32> = distinct.iter().flatten().zip(0..).collect();
    let code = |name: Option<&str>| name.and_then(|name| codes.get(name)).copied();
    Ok(names.iter().map(|name| code(name).unwrap_or(NO_PRODUCT)).collect())
}

/// What a customer did in a window of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Number of sale lines.
    pub purchases: usize,
    /// What was sold less what was refunded in the window, at least 0, EUR.
    pub spend: f64,
}

/// The rows of one customer's sales and refunds up to the cut-off.
#[derive(Debug, Clone, Copy)]
struct PurchaseRange {
    customer: usize,
    start: usize,
    end: usize,
    refund_start: usize,
    refund_end: usize,
}

/// What was known at the cut-off, and nothing else.
#[derive(Debug)]
pub struct Past<'a> {
    history: &'a History,
    customers: Vec<PurchaseRange>,
    cut_off: Timestamp,
}

/// One customer's lines up to the cut-off by time: at least one of a sale, and refunds.
#[derive(Debug, Clone, Copy)]
pub struct Purchases<'a> {
    /// Instants of sale lines, microseconds, ascending.
    pub at: &'a [i64],
    /// Their amounts, EUR.
    pub amounts: &'a [f64],
    /// Their product codes.
    pub products: &'a [u32],
    /// Whether an order is counted at the line.
    pub is_order: &'a [bool],
    /// Instants of refunds, microseconds, ascending.
    pub refunded_at: &'a [i64],
    /// Their amounts, EUR, positive.
    pub refunded: &'a [f64],
}

impl Purchases<'_> {
    /// The days of the first and of the last sale, counted from the epoch.
    pub(crate) fn span(&self) -> (i64, i64) {
        (day(self.at[0]), day(self.at[self.at.len() - 1]))
    }

    /// Number of days with a sale: the transactions of the purchase models.
    pub(crate) fn transactions(&self) -> u32 {
        let days = self.at.chunk_by(|a, b| day(*a) == day(*b)).count();
        u32::try_from(days).unwrap_or(u32::MAX)
    }

    /// Number of orders.
    pub(crate) fn orders(&self) -> usize {
        self.is_order.iter().filter(|is_order| **is_order).count()
    }

    /// Number of different products that are known.
    pub(crate) fn product_count(&self) -> usize {
        let mut distinct = self.products.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        distinct.iter().filter(|product| **product != NO_PRODUCT).count()
    }

    /// What was sold less what was refunded, EUR; negative where more was refunded.
    pub(crate) fn net(&self) -> f64 {
        net(self.amounts, self.refunded)
    }

    /// What models see of it: at least 0.
    pub(crate) fn spend(&self) -> f64 {
        spend(self.amounts, self.refunded)
    }

    /// The lines from an instant on.
    pub(crate) fn since(&self, from: i64) -> Self {
        let first = self.at.partition_point(|at| *at < from);
        let first_refund = self.refunded_at.partition_point(|at| *at < from);
        Self {
            at: &self.at[first..],
            amounts: &self.amounts[first..],
            products: &self.products[first..],
            is_order: &self.is_order[first..],
            refunded_at: &self.refunded_at[first_refund..],
            refunded: &self.refunded[first_refund..],
        }
    }
}

impl Past<'_> {
    pub(crate) fn cut_off(&self) -> Timestamp {
        self.cut_off
    }

    /// How many customers had bought by the cut-off.
    pub(crate) fn len(&self) -> usize {
        self.customers.len()
    }

    /// Whether any customer bought on several days.
    pub(crate) fn has_repeats(&self) -> bool {
        (0..self.len()).any(|position| self.purchases(position).transactions() > 1)
    }

    /// The ids of the customers, ascending.
    pub fn ids(&self) -> impl Iterator<Item = i64> + '_ {
        self.customers.iter().map(|range| self.history.ids[range.customer])
    }

    /// The lines of the customer at a position of [`Past::ids`].
    pub(crate) fn purchases(&self, position: usize) -> Purchases<'_> {
        let PurchaseRange { start, end, refund_start, refund_end, .. } = self.customers[position];
        let History { sales, refunds, .. } = self.history;
        Purchases {
            at: &sales.at[start..end],
            amounts: &sales.amounts[start..end],
            products: &sales.products[start..end],
            is_order: &sales.is_order[start..end],
            refunded_at: &refunds.at[refund_start..refund_end],
            refunded: &refunds.amounts[refund_start..refund_end],
        }
    }
}

/// The day of an instant, counted from the epoch.
pub(crate) fn day(at: i64) -> i64 {
    at.div_euclid(DAY_MICROS)
}

/// Whole days between two instants, rounded down.
pub(crate) fn days_between(from: i64, to: i64) -> i64 {
    (to - from).div_euclid(DAY_MICROS)
}

#[allow(clippy::float_cmp)] // sums of small whole numbers
#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = DAY_MICROS;

    fn history() -> History {
        let frame = df!(
            "id_achat" => [4_i64, 1, 2, 3],
            "id_client" => [7_i64, 9, 7, 7],
            "date_achat" => [3 * DAY, DAY, DAY, 2 * DAY],
            "montant" => [40.0, 5.0, 10.0, 20.0],
            "produit" => ["b", "a", "a", "b"],
        );
        History::new(&frame.unwrap()).unwrap()
    }

    fn sales(at: &[i64]) -> Purchases<'_> {
        let (products, is_order) = (&[0; 4], &[true; 4]);
        Purchases { at, amounts: &[], products, is_order, refunded_at: &[], refunded: &[] }
    }

    /// Of customer 7 an order of two lines, of which one is refunded a day later, and an order;
    /// guests; a customer who was only refunded; one who was refunded before the first sale.
    fn history_with_refunds() -> History {
        let frame = df!(
            "id_achat" => [1_i64, 11, 12, 2, 3, 4, 5, 6],
            "id_client" => [Some(7_i64), Some(7), Some(7), Some(7), None, Some(8), Some(9), Some(9)],
            "date_achat" => [DAY, DAY, 2 * DAY, 3 * DAY, 9 * DAY, DAY, DAY, 2 * DAY],
            "montant" => [10.0, 5.0, -12.0, 1.0, 50.0, -3.0, -4.0, 6.0],
            "produit" => [Some("a"), None, None, Some("a"), Some("b"), None, None, Some("c")],
            "id_commande" => [1_i64, 1, 1, 2, 3, 4, 5, 6],
            "ligne" => [1_i64, 2, 3, 1, 1, 1, 1, 1],
            "type" => ["sale", "sale", "refund", "sale", "sale", "refund", "refund", "sale"],
        );
        History::new(&frame.unwrap()).unwrap()
    }

    #[test]
    fn a_refund_is_known_from_its_own_date_on_and_takes_spend_down_to_zero() {
        let history = history_with_refunds();
        let known = |days: i64| {
            let past = history.up_to(Timestamp(days * DAY));
            let of = past.purchases(0);
            (of.orders(), of.transactions(), of.product_count(), of.net(), of.spend())
        };
        assert_eq!(known(1), (1, 1, 1, 15.0, 15.0));
        assert_eq!(known(2), (1, 1, 1, 3.0, 3.0));
        assert_eq!(known(3), (2, 2, 1, 4.0, 4.0));
        let after = |from: i64, until: i64| {
            history.after(&history.up_to(Timestamp(from * DAY)), Timestamp(until * DAY))[0]
        };
        // More was refunded than sold in that day.
        assert_eq!(after(1, 2), Window { purchases: 0, spend: 0.0 });
        assert_eq!(after(2, 3), Window { purchases: 1, spend: 1.0 });
    }

    #[test]
    fn guests_and_customers_who_were_only_refunded_are_not_in_a_history() {
        let history = history_with_refunds();
        let past = history.up_to(Timestamp(9 * DAY));
        assert_eq!(past.ids().collect::<Vec<_>>(), [7, 9]);
        assert_eq!(past.purchases(1).net(), 2.0);
        // Nothing is known of a customer before the first sale.
        assert_eq!(history.up_to(Timestamp(DAY)).ids().collect::<Vec<_>>(), [7]);
        // The last line is a guest's.
        assert_eq!(history.last(), Some(Timestamp(9 * DAY)));
    }

    #[test]
    fn a_past_ends_at_its_cut_off_and_the_window_begins_after_it() {
        let history = history();
        let past = history.up_to(Timestamp(2 * DAY));
        assert_eq!(past.ids().collect::<Vec<_>>(), [7, 9]);
        assert_eq!(past.purchases(0).amounts, [10.0, 20.0]);
        assert_eq!(past.purchases(1).amounts, [5.0]);
        let next = history.after(&past, Timestamp(3 * DAY));
        assert_eq!(next[0], Window { purchases: 1, spend: 40.0 });
        assert_eq!(next[1], Window { purchases: 0, spend: 0.0 });
        let just_before = history.after(&past, Timestamp(3 * DAY - 1));
        assert_eq!(just_before[0].purchases, 0);
    }

    #[test]
    fn purchases_of_a_day_are_one_transaction() {
        let at = [0, DAY - 1, DAY, 5 * DAY];
        let purchases = Purchases { amounts: &[1.0, 2.0, 3.0, 4.0], ..sales(&at) };
        assert_eq!((purchases.transactions(), purchases.span()), (3, (0, 5)));
    }

    #[test]
    fn customers_without_a_purchase_by_the_cut_off_are_not_in_its_past() {
        assert_eq!(history().up_to(Timestamp(DAY - 1)).len(), 0);
    }
}
