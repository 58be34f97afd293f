//! What a file says about a whole order, and what of it is goods.

use super::layer::Revenue;

/// A cent: amounts that differ by no more are equal.
pub(super) const CENT: i64 = 10_000;

/// What a file says about a whole order, millionths.
pub(super) struct Order {
    pub(super) subtotal: Option<i64>,
    pub(super) gross_subtotal: Option<i64>,
    pub(super) discount: Option<i64>,
    pub(super) shipping: Option<i64>,
    pub(super) tax: Option<i64>,
    pub(super) total: Option<i64>,
    pub(super) amount: Option<i64>,
}

impl Order {
    /// `first` gives the first filled cell of a column among the rows of the order.
    pub(super) fn of(first: impl Fn(&str) -> Option<i64>) -> Self {
        Self {
            subtotal: first("sous_total"),
            gross_subtotal: first("sous_total_brut"),
            discount: first("remise_commande").map(i64::abs),
            shipping: first("livraison"),
            tax: first("taxe"),
            total: first("total"),
            amount: first("montant_commande"),
        }
    }

    /// What its goods were sold for; `sum` is that of its lines.
    pub(super) fn goods(&self, sum: Option<i64>, revenue: Revenue) -> Option<i64> {
        if let (Revenue::OrderTotal, Some(total)) = (revenue, self.total) {
            return Some(total);
        }
        let before_discount = || {
            let gross = self.gross_subtotal?;
            let paid = self.total.map(|total| total.saturating_sub(self.shipping.unwrap_or(0)));
            // What a discount or a credit paid is neither goods nor refund.
            Some(paid.map_or(gross, |paid| paid.min(gross).max(gross.min(0))))
        };
        let discounted = || Some(sum?.saturating_sub(self.discount.unwrap_or(0)));
        self.subtotal.or_else(before_discount).or(self.amount).or_else(discounted).or(self.total)
    }

    /// What it holds beside goods.
    pub(super) fn beside(&self, goods: i64, revenue: Revenue) -> i64 {
        match (self.total, self.shipping, self.tax) {
            (Some(total), ..) => total.saturating_sub(goods),
            _ if revenue == Revenue::OrderTotal => 0,
            (None, shipping, tax) => shipping.unwrap_or(0).saturating_add(tax.unwrap_or(0)),
        }
    }

    /// By how much its amounts contradict each other.
    pub(super) fn difference(&self, sum: Option<i64>) -> Option<i64> {
        let subtotal = self.subtotal?;
        let lines = sum.map(|sum| {
            let discounted = sum.saturating_sub(self.discount.unwrap_or(0));
            // Some systems count the order's discount in the lines already.
            least(subtotal.saturating_sub(discounted), subtotal.saturating_sub(sum))
        });
        let total = self.total.zip(self.shipping).map(|(total, shipping)| {
            let without_tax = total.saturating_sub(subtotal).saturating_sub(shipping);
            least(without_tax, without_tax.saturating_sub(self.tax.unwrap_or(0)))
        });
        let difference =
            lines.unwrap_or(0).saturating_abs().max(total.unwrap_or(0).saturating_abs());
        (difference > CENT).then_some(difference)
    }
}

/// The number that is nearer to 0.
const fn least(a: i64, b: i64) -> i64 {
    if a.abs() <= b.abs() { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn order(subtotal: i64, shipping: i64, tax: i64, total: i64) -> Order {
        Order {
            subtotal: Some(subtotal),
            gross_subtotal: None,
            discount: None,
            shipping: Some(shipping),
            tax: Some(tax),
            total: Some(total),
            amount: None,
        }
    }

    #[test]
    fn an_order_is_worth_its_goods_whether_tax_is_added_or_included() {
        let added = order(50_000_000, 4_500_000, 10_000_000, 64_500_000);
        let included = order(50_000_000, 4_500_000, 8_000_000, 54_500_000);
        for (order, beside) in [(added, 14_500_000), (included, 4_500_000)] {
            let goods = order.goods(Some(60_000_000), Revenue::Goods).unwrap();
            assert_eq!((goods, order.beside(goods, Revenue::Goods)), (50_000_000, beside));
            assert_eq!(order.difference(Some(50_000_000)), None);
            let all = order.goods(Some(60_000_000), Revenue::OrderTotal).unwrap();
            assert_eq!((Some(all), order.beside(all, Revenue::OrderTotal)), (order.total, 0));
        }
        assert_eq!(order(50_000_000, 0, 0, 60_000_000).difference(None), Some(10_000_000));
        assert_eq!(
            order(50_000_000, 0, 0, 50_000_000).difference(Some(55_000_000)),
            Some(5_000_000)
        );
    }
}
