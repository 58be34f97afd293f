//! Orders of several lines: which line an order is counted at, and what was sold on it.
//!
//! An order is counted once, at its first sale line, so that counts by country, period and customer
//! add up. An order without a sale line is not a purchase.

use std::collections::HashMap;

use polars::prelude::*;

use super::Result;

/// The type of a line that was sold.
pub(crate) const SALE: &str = "sale";
/// Millionths in a euro.
pub(crate) const MICROS: f64 = 1e6;

/// The amount that was sold on each order, EUR, in the row of its first sale line: the smallest
/// (date_achat, ligne, id_achat); null in every other row. Reads these columns, id_commande, type
/// and montant.
///
/// # Errors
/// When a column is missing or has another type.
pub(crate) fn baskets(lines: &DataFrame) -> Result<Float64Chunked> {
    if are_orders(lines)? {
        return Ok(lines.column("montant")?.f64()?.clone());
    }
    let rows = Rows::of(lines)?;
    let mut amounts: Vec<Option<f64>> =
        (0..rows.len()).map(|row| rows.is_sale[row].then(|| rows.amounts[row])).collect();
    let mut orders: HashMap<i64, Order> = rows.orders_of_several_rows();
    if !orders.is_empty() {
        for (row, basket) in amounts.iter_mut().enumerate().filter(|(_, basket)| basket.is_some()) {
            if let Some(order) = orders.get_mut(&rows.orders[row]) {
                order.add(&rows, row);
                *basket = None;
            }
        }
        for order in orders.into_values() {
            if let Some(first) = order.first {
                amounts[first] = Some(order.amount(&rows));
            }
        }
    }
    Ok(Float64Chunked::from_iter_options("basket".into(), amounts.into_iter()))
}

/// Whether every row is the only line of an order, and a sale: the usual case of sources without
/// order lines.
fn are_orders(lines: &DataFrame) -> Result<bool> {
    let ids = lines.column("id_achat")?.i64()?;
    let has_own_number = lines.column("id_commande")?.i64()?.equal(ids).all();
    Ok(has_own_number && are_sales(lines)?)
}

/// Whether no row is a refund.
///
/// # Errors
/// When there is no type.
pub(crate) fn are_sales(lines: &DataFrame) -> Result<bool> {
    Ok(lines.column("type")?.str()?.equal(SALE).all())
}

/// The columns that tell orders apart, row by row.
struct Rows {
    ids: Vec<i64>,
    orders: Vec<i64>,
    at: Vec<i64>,
    numbers: Vec<i64>,
    amounts: Vec<f64>,
    is_sale: Vec<bool>,
}

impl Rows {
    fn of(lines: &DataFrame) -> Result<Self> {
        let whole = |name: &str| -> Result<Vec<i64>> {
            let column = lines.column(name)?.to_physical_repr();
            Ok(column.i64()?.iter().map(Option::unwrap_or_default).collect())
        };
        let amounts = lines.column("montant")?.f64()?.iter().map(Option::unwrap_or_default);
        let types = lines.column("type")?.str()?;
        Ok(Self {
            ids: whole("id_achat")?,
            orders: whole("id_commande")?,
            at: whole("date_achat")?,
            numbers: whole("ligne")?,
            amounts: amounts.collect(),
            is_sale: types.iter().map(|ty| ty == Some(SALE)).collect(),
        })
    }

    fn len(&self) -> usize {
        self.ids.len()
    }

    /// Orders that may have several rows. The first line of an order has the order's number, which
    /// no other row has: where every row has it, every order has one row.
    fn orders_of_several_rows(&self) -> HashMap<i64, Order> {
        let pairs = self.ids.iter().zip(&self.orders);
        let further = pairs.filter(|(id, order)| id != order);
        further.map(|(_, order)| (*order, Order::default())).collect()
    }

    /// What decides which line is the first.
    fn place(&self, row: usize) -> (i64, i64, i64) {
        (self.at[row], self.numbers[row], self.ids[row])
    }
}

/// The sale lines of an order, as far as they were seen.
#[derive(Default)]
struct Order {
    first: Option<usize>,
    lines: usize,
    micros: i64,
}

impl Order {
    #[allow(clippy::cast_possible_truncation)] // that sums fit was checked
    fn add(&mut self, rows: &Rows, row: usize) {
        let is_first = self.first.is_none_or(|first| rows.place(row) < rows.place(first));
        self.first = if is_first { Some(row) } else { self.first };
        self.lines += 1;
        self.micros += (rows.amounts[row] * MICROS).round_ties_even() as i64;
    }

    /// The only line's amount as it is, the exact sum of several.
    #[allow(clippy::cast_precision_loss)]
    fn amount(&self, rows: &Rows) -> f64 {
        match self.first {
            Some(only) if self.lines == 1 => rows.amounts[only],
            _ => self.micros as f64 / MICROS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line: id_achat, id_commande, date_achat, ligne, montant.
    type Line = (i64, i64, i64, i64, f64);

    fn found(lines: &[Line]) -> Vec<Option<f64>> {
        let whole = |value: fn(&Line) -> i64| lines.iter().map(value).collect::<Vec<i64>>();
        let amounts: Vec<f64> = lines.iter().map(|line| line.4).collect();
        let types: Vec<&str> =
            amounts.iter().map(|amount| if *amount < 0.0 { "refund" } else { SALE }).collect();
        let frame = df!(
            "id_achat" => whole(|line| line.0),
            "id_commande" => whole(|line| line.1),
            "date_achat" => whole(|line| line.2),
            "ligne" => whole(|line| line.3),
            "montant" => amounts,
            "type" => types,
        );
        baskets(&frame.unwrap()).unwrap().iter().collect()
    }

    #[test]
    fn an_order_is_counted_at_its_first_sale_line_with_all_that_was_sold_on_it() {
        let lines = [
            (1, 1, 50, 1, 0.1),
            (101, 1, 50, 2, 0.2),
            (2, 2, 50, 1, 5.0),
            // Ten days earlier than the line with the order's number.
            (102, 3, 40, 2, 7.0),
            (3, 3, 50, 1, 8.0),
        ];
        assert_eq!(found(&lines), [Some(0.3), None, Some(5.0), Some(15.0), None]);
    }

    #[test]
    fn refunds_are_no_purchase_and_take_nothing_off_a_basket() {
        let lines = [
            // Refunded on the line with the order's number, sold on another.
            (1, 1, 50, 1, -4.0),
            (101, 1, 60, 2, 9.0),
            // Only refunded: one row with the order's number, and two rows.
            (2, 2, 50, 1, -1.0),
            (3, 3, 50, 1, -1.0),
            (103, 3, 50, 2, -1.0),
            // A line of 0 is a purchase.
            (4, 4, 50, 1, 0.0),
        ];
        assert_eq!(found(&lines), [None, Some(9.0), None, None, None, Some(0.0)]);
    }

    #[test]
    fn ties_of_instant_and_line_go_to_the_smaller_id() {
        let lines = [(8, 5, 50, 1, 1.0), (7, 5, 50, 1, 2.0), (9, 5, 50, 1, 4.0)];
        assert_eq!(found(&lines), [None, Some(7.0), None]);
    }
}
