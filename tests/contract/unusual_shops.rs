//! Shops of guests, of one order, of refunds only, of customers who never came back, and of random
//! lines: each is served, and what cannot be known is said.

use std::collections::BTreeSet;

use goldsmith::pipeline::gold::Gold;
use goldsmith::pipeline::ml::report::Task;
use polars::prelude::ChunkAgg;

use super::lines::{Customer, Line, rows, table, through_gold};

/// The row of a task in ml_model_metrics.
fn note(gold: &Gold, task: Task) -> String {
    let metrics = rows(gold, "ml_model_metrics", &["model", "note"]);
    let row = metrics.into_iter().find(|row| row.starts_with(task.as_str()));
    row.unwrap()
}

#[test]
fn a_shop_without_a_known_customer_is_served_and_its_models_say_why_they_are_not() {
    let guest = Line { at: "2024-05-01", amount: 20.0, product: Some("Tea"), ..Line::default() };
    let lines = [
        Line { id: 1, order: 1, number: 1, ..guest },
        Line { id: 2, order: 1, number: 2, ..guest },
        Line { id: 3, order: 3, number: 1, at: "2024-08-20", amount: -5.0, ..guest },
    ];
    let (_, gold) = through_gold(&[], &lines);
    for name in ["customer_metrics", "customer_scores", "customer_segments", "customers"] {
        assert_eq!(table(&gold, name).height(), 0, "{name}");
    }
    for name in ["churn_predictions", "clv_predictions", "cohort_first_purchase"] {
        assert_eq!(table(&gold, name).height(), 0, "{name}");
    }
    let columns = ["total_revenue", "guest_revenue", "total_purchases", "total_customers"];
    let more = ["purchasing_customers", "predicted_clv_12m", "expected_purchases_12m"];
    assert_eq!(rows(&gold, "kpis", &[&columns[..], &more].concat()), ["35.0 35.0 1 0 0 - -"]);
    assert_eq!(
        rows(&gold, "revenue_by_country", &["pays", "unique_customers", "total_customers"]),
        ["Unknown 0 0"]
    );
    assert!(note(&gold, Task::Churn).contains("0 customers had bought by the cut-off"));
    assert!(note(&gold, Task::Clv).contains("skipped"), "{}", note(&gold, Task::Clv));
    assert!(note(&gold, Task::Segmentation).contains("0 customers"));
    assert!(note(&gold, Task::PurchaseForecast).contains("0 customers"));
}

#[test]
fn a_shop_with_one_order_is_served_and_nothing_is_predicted_from_it() {
    let line = Line { id: 7, order: 7, number: 1, customer: Some(1), ..Line::default() };
    let lines = [Line { at: "2024-05-01", amount: 20.0, product: Some("Tea"), ..line }];
    let (_, gold) = through_gold(&[(1, Some("France"), None)], &lines);
    let columns = ["total_revenue", "total_purchases", "predicted_clv_12m"];
    let columns = [&columns[..], &["expected_purchases_12m"]].concat();
    assert_eq!(rows(&gold, "kpis", &columns), ["20.0 1 0.0 0.0"]);
    for task in [Task::Clv, Task::PurchaseForecast] {
        assert!(note(&gold, task).contains("no customer came back"), "{}", note(&gold, task));
    }
}

#[test]
fn an_order_of_two_customers_is_counted_once_for_the_one_of_its_first_line() {
    let line = Line { at: "2024-05-01", product: Some("Tea"), order: 1, ..Line::default() };
    let lines = [
        Line { id: 1, number: 1, customer: Some(1), amount: 10.0, ..line },
        Line { id: 2, number: 2, customer: Some(2), amount: 5.0, ..line },
    ];
    let (_, gold) = through_gold(&[(1, Some("France"), None), (2, Some("Italy"), None)], &lines);
    assert_eq!(
        rows(&gold, "revenue_by_country", &["pays", "total_purchases", "total_revenue"]),
        ["France 1 10.0", "Italy 0 5.0"]
    );
    assert_eq!(
        rows(&gold, "customer_metrics", &["id_client", "purchase_count", "total_spent"]),
        ["1 1 10.0", "2 0 5.0"]
    );
    assert_eq!(rows(&gold, "clv_predictions", &["id_client", "frequency"]), ["1 1", "2 0"]);
}

#[test]
fn a_shop_with_refunds_only_is_served() {
    let line = Line { id: 7, order: 7, number: 1, customer: Some(1), ..Line::default() };
    let lines = [Line { at: "2024-05-01", amount: -20.0, product: Some("Tea"), ..line }];
    let (_, gold) = through_gold(&[(1, Some("France"), None)], &lines);
    let columns = ["total_revenue", "refunds", "total_purchases", "avg_basket", "first_purchase"];
    assert_eq!(rows(&gold, "kpis", &columns), ["-20.0 20.0 0 - -"]);
    assert_eq!(rows(&gold, "statistics", &["mean", "total_products"]), ["- 0"]);
    assert_eq!(table(&gold, "statistics_by_product").height(), 0);
    assert_eq!(rows(&gold, "revenue_by_country", &["pays", "market_share_pct"]), ["France 0.0"]);
    assert_eq!(table(&gold, "cohort_retention").height(), 0);
}

/// Issues 134, 336 and 405 of `lifetimes`: customers who each bought once.
#[test]
fn where_no_returns_nothing_is_predicted_from_past_spend() {
    let customers: Vec<Customer> = (1..=80).map(|id| (id, Some("Italy"), None)).collect();
    let days = ["2024-01-05", "2024-06-01", "2024-12-01", "2025-05-01", "2025-12-22"];
    let lines: Vec<Line> = customers
        .iter()
        .map(|(id, ..)| {
            let at = days[usize::try_from(id % 5).unwrap()];
            let customer = Some(*id);
            Line { id: *id, order: *id, number: 1, customer, at, amount: 50.0, ..Line::default() }
        })
        .collect();
    let (trained, gold) = through_gold(&customers, &lines);
    assert_eq!(trained.scores.len(), 80);
    assert!(trained.scores.iter().all(|score| score.predicted_clv_12m == 0.0));
    assert_eq!(rows(&gold, "kpis", &["predicted_clv_12m", "expected_purchases_12m"]), ["0.0 0.0"]);
    for task in [Task::Churn, Task::Clv, Task::PurchaseForecast] {
        assert!(note(&gold, task).contains("no customer came back"), "{}", note(&gold, task));
    }
}

/// Pseudo-random numbers by xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let bound = u64::try_from(choices.len()).unwrap();
        choices[usize::try_from(self.below(bound)).unwrap()]
    }
}

/// Orders of one to four lines at any times, a third of them refunds, of customers and guests.
fn random_lines(random: &mut Random) -> Vec<Line> {
    let days = ["2024-01-31", "2024-02-01", "2024-02-29T23:59:59", "2024-06-03", "2025-01-01"];
    let mut lines = Vec::new();
    for order in 1..=40_i64 {
        let customer = random.of(&[None, Some(1), Some(2), Some(3), Some(4)]);
        let country = random.of(&[None, Some("Spain"), Some("Peru")]);
        for number in 1..=1 + i64::try_from(random.below(4)).unwrap() {
            let cents = i32::try_from(random.below(10_000)).unwrap();
            let amount = f64::from(cents) / 100.0;
            lines.push(Line {
                id: if number == 1 { order } else { 1_000 * number + order },
                order,
                number,
                customer,
                at: random.of(&days),
                amount: if random.below(3) == 0 { -amount } else { amount },
                product: random.of(&[None, Some("Tea"), Some("Mug")]),
                units: random.of(&[None, Some(2)]),
                price: random.of(&[None, Some(3.25)]),
                country,
            });
        }
    }
    lines
}

#[test]
fn counts_and_revenue_by_country_period_and_customer_agree_whatever_the_lines() {
    let customers =
        [(1, Some("France"), None), (2, None, None), (3, Some("Spain"), None), (4, None, None)];
    for seed in 1..=40 {
        let lines = random_lines(&mut Random(seed));
        let (_, gold) = through_gold(&customers, &lines);
        let sum = |name: &str, column: &str| -> i64 {
            table(&gold, name).column(column).unwrap().i64().unwrap().sum().unwrap_or(0)
        };
        let orders: BTreeSet<i64> =
            lines.iter().filter(|line| line.amount >= 0.0).map(|line| line.order).collect();
        let orders = i64::try_from(orders.len()).unwrap();
        for name in ["kpis", "revenue_by_country", "monthly_revenue", "weekly_revenue"] {
            assert_eq!(sum(name, "total_purchases"), orders, "{name} of seed {seed}");
        }
        assert_eq!(sum("daily_revenue", "total_purchases"), orders);
        assert_eq!(sum("basket_distribution", "count"), orders);
        let known = lines.iter().filter(|line| line.amount >= 0.0 && line.customer.is_some());
        let known: BTreeSet<i64> = known.map(|line| line.order).collect();
        let known = i64::try_from(known.len()).unwrap();
        assert_eq!(sum("customer_metrics", "purchase_count"), known, "seed {seed}");
        assert_eq!(sum("customer_segments", "frequency"), known, "seed {seed}");
    }
}
