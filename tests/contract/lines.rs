//! Orders of several lines, refunds, guests and what is not known of them: every table of gold from
//! silver's rows, with values computed by hand.

use goldsmith::domain::data_set::{DataSet, PerDataSet};
use goldsmith::domain::time::{Day, Timestamp};
use goldsmith::pipeline::gold::{self, Gold};
use goldsmith::pipeline::ml::history::History;
use goldsmith::pipeline::ml::{LastSegments, Trained, TrainingOptions, train};
use polars::prelude::*;

const OPTIONS: TrainingOptions =
    TrainingOptions { seed: 42, min_customers: 50, churn_horizon_days: 60, max_fit_rows: 50_000 };

/// A customer: number, country, day of registration.
pub type Customer = (i64, Option<&'static str>, Option<&'static str>);

/// A line of an order; a negative amount is a refund.
#[derive(Clone, Copy, Default)]
pub struct Line {
    pub id: i64,
    pub order: i64,
    pub number: i64,
    pub customer: Option<i64>,
    pub at: &'static str,
    pub amount: f64,
    pub product: Option<&'static str>,
    pub units: Option<i64>,
    pub price: Option<f64>,
    pub country: Option<&'static str>,
}

fn customers(all: &[Customer]) -> DataFrame {
    let day = |text: Option<&str>| text.map(|text| Day::parse(text).unwrap().0);
    let signed_up: Vec<Option<i32>> = all.iter().map(|(_, _, text)| day(*text)).collect();
    let source = signed_up.iter().map(|day| day.map(|_| "file")).collect::<Vec<Option<&str>>>();
    df!(
        "id_client" => all.iter().map(|(id, ..)| *id).collect::<Vec<i64>>(),
        "ref_client" => all.iter().map(|(id, ..)| format!("C-{id}")).collect::<Vec<String>>(),
        "nom" => vec![None::<&str>; all.len()],
        "email" => vec![None::<&str>; all.len()],
        "date_inscription" => signed_up,
        "date_inscription_source" => source,
        "pays" => all.iter().map(|(_, country, _)| *country).collect::<Vec<Option<&str>>>(),
    )
    .unwrap()
    .lazy()
    .with_column(col("date_inscription").cast(DataType::Date))
    .collect()
    .unwrap()
}

fn purchases(lines: &[Line]) -> DataFrame {
    let at = |line: &Line| Timestamp::parse(line.at).unwrap().0;
    let ty = |line: &Line| if line.amount < 0.0 { "refund" } else { "sale" };
    df!(
        "id_achat" => lines.iter().map(|line| line.id).collect::<Vec<i64>>(),
        "id_client" => lines.iter().map(|line| line.customer).collect::<Vec<Option<i64>>>(),
        "date_achat" => lines.iter().map(at).collect::<Vec<i64>>(),
        "montant" => lines.iter().map(|line| line.amount).collect::<Vec<f64>>(),
        "produit" => lines.iter().map(|line| line.product).collect::<Vec<Option<&str>>>(),
        "quantite" => lines.iter().map(|line| line.units).collect::<Vec<Option<i64>>>(),
        "prix" => lines.iter().map(|line| line.price).collect::<Vec<Option<f64>>>(),
        "pays" => lines.iter().map(|line| line.country).collect::<Vec<Option<&str>>>(),
        "id_commande" => lines.iter().map(|line| line.order).collect::<Vec<i64>>(),
        "ref_commande" => lines.iter().map(|line| format!("#{}", line.order)).collect::<Vec<_>>(),
        "ligne" => lines.iter().map(|line| line.number).collect::<Vec<i64>>(),
        "type" => lines.iter().map(ty).collect::<Vec<&str>>(),
        "devise" => vec![None::<&str>; lines.len()],
    )
    .unwrap()
    .lazy()
    .with_column(col("date_achat").cast(DataType::Datetime(TimeUnit::Microseconds, None)))
    .sort(["id_achat"], SortMultipleOptions::default())
    .collect()
    .unwrap()
}

/// Takes a shop through gold and its proof.
pub fn through_gold(all: &[Customer], lines: &[Line]) -> (Trained, Gold) {
    let valid = PerDataSet::from_fn(|set| match set {
        DataSet::Customers => customers(all),
        DataSet::Purchases => purchases(lines),
    });
    let aggregates = gold::aggregate(&valid, None).unwrap();
    let last = LastSegments::new();
    let history = History::new(&aggregates.base.fact).unwrap();
    let trained = train(&history, aggregates.base.as_of, &OPTIONS, &last);
    let gold = gold::complete(aggregates, &trained, &OPTIONS, &last, Timestamp(0)).unwrap();
    assert!(gold.proof.iter().all(|check| check.holds));
    (trained, gold)
}

pub fn table<'a>(gold: &'a Gold, name: &str) -> &'a DataFrame {
    &gold.tables.iter().find(|built| built.table.name == name).unwrap().frame
}

/// The rows of some columns, as they would be written into a CSV file.
pub fn rows(gold: &Gold, name: &str, columns: &[&str]) -> Vec<String> {
    let frame = table(gold, name);
    (0..frame.height())
        .map(|row| {
            let cells = columns.iter().map(|column| {
                match frame.column(column).unwrap().get(row).unwrap() {
                    AnyValue::Null => "-".to_owned(),
                    AnyValue::String(text) => text.to_owned(),
                    AnyValue::StringOwned(text) => text.to_string(),
                    AnyValue::List(texts) => {
                        let texts = texts.str().unwrap().iter().flatten().collect::<Vec<_>>();
                        texts.join("+")
                    }
                    other => other.to_string(),
                }
            });
            cells.collect::<Vec<_>>().join(" ")
        })
        .collect()
}

/// Ann (1, France) has an order of two lines, of which the mug is partly refunded on the same day,
/// and another order. Bob (2, nothing known) has one order, refunded in a later month under another
/// number. Cy (3, Germany) was only refunded, Dee (4, France) never bought. A guest from Spain
/// bought two lines, one without a product; a guest from nowhere bought one.
fn shop() -> (Trained, Gold) {
    let customers = [
        (1, Some("France"), Some("2024-01-01")),
        (2, None, None),
        (3, Some("Germany"), Some("2024-01-01")),
        (4, Some("France"), Some("2024-01-01")),
    ];
    let ann = Line { customer: Some(1), ..Line::default() };
    let bob = Line { customer: Some(2), ..Line::default() };
    let guest = Line::default();
    let (tea, mug) = (Some("Tea"), Some("Mug"));
    let (jan, feb, mar) = ("2024-01-10T10:00:00", "2024-02-15", "2024-03-04");
    #[rustfmt::skip]
    let lines = [
        Line { id: 1, order: 1, number: 1, at: jan, amount: 10.0, product: tea, units: Some(2), price: Some(5.0), ..ann },
        Line { id: 101, order: 1, number: 2, at: jan, amount: 20.0, product: mug, ..ann },
        Line { id: 102, order: 1, number: 3, at: "2024-01-10T12:00:00", amount: -5.0, product: mug, units: Some(1), ..ann },
        Line { id: 2, order: 2, number: 1, at: "2024-01-20", amount: 30.0, product: tea, units: Some(3), price: Some(10.0), ..bob },
        Line { id: 3, order: 3, number: 1, at: "2024-03-05", amount: -12.0, ..bob },
        Line { id: 4, order: 4, number: 1, at: feb, amount: 7.0, units: Some(1), price: Some(7.0), country: Some("Spain"), ..guest },
        Line { id: 401, order: 4, number: 2, at: feb, amount: 5.0, product: tea, units: Some(1), price: Some(6.0), country: Some("Spain"), ..guest },
        Line { id: 5, order: 5, number: 1, at: "2024-03-01", amount: 8.0, product: mug, ..guest },
        Line { id: 6, order: 6, number: 1, customer: Some(3), at: "2024-02-02", amount: -4.0, product: mug, ..guest },
        Line { id: 7, order: 7, number: 1, at: mar, amount: 2.5, product: tea, units: Some(1), price: Some(2.5), ..ann },
    ];
    through_gold(&customers, &lines)
}

#[test]
fn lines_have_the_country_of_the_customer_and_of_guests_that_of_the_row() {
    let (_, gold) = shop();
    let columns = ["id_achat", "id_client", "pays", "id_commande", "ref_commande", "ligne", "type"];
    assert_eq!(
        rows(&gold, "fact_achats", &columns),
        [
            "1 1 France 1 #1 1 sale",
            "2 2 - 2 #2 1 sale",
            "3 2 - 3 #3 1 refund",
            "4 - Spain 4 #4 1 sale",
            "5 - - 5 #5 1 sale",
            "6 3 Germany 6 #6 1 refund",
            "7 1 France 7 #7 1 sale",
            "101 1 France 1 #1 2 sale",
            "102 1 France 1 #1 3 refund",
            "401 - Spain 4 #4 2 sale",
        ]
    );
    assert_eq!(gold.as_of, Timestamp::parse("2024-03-05").unwrap());
}

#[test]
fn revenue_by_country_and_product_is_net_and_counts_orders_and_lines() {
    let (_, gold) = shop();
    let revenue = ["total_revenue", "gross_revenue", "refunds"];
    let columns = ["pays", "total_purchases", "avg_basket", "unique_customers"];
    let more = ["avg_revenue_per_customer", "total_customers"];
    let columns = [&columns[..], &revenue, &more].concat();
    assert_eq!(
        rows(&gold, "revenue_by_country", &columns),
        [
            "France 2 16.25 1 27.5 32.5 5.0 27.5 2",
            "Unknown 2 19.0 1 26.0 38.0 12.0 18.0 1",
            "Spain 1 12.0 0 12.0 12.0 0.0 - 0",
            "Germany 0 - 0 -4.0 0.0 4.0 - 1",
        ]
    );
    let shares = table(&gold, "revenue_by_country").column("market_share_pct").unwrap();
    let shares: Vec<f64> = shares.f64().unwrap().iter().flatten().collect();
    let expected = [32.5, 38.0, 12.0, 0.0].map(|gross| 100.0 * gross / 82.5);
    assert!(shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{shares:?}");

    let columns = ["produit", "total_sales", "avg_price", "min_price", "max_price"];
    let more = ["unique_customers", "units_sold", "top_countries"];
    let columns = [&columns[..], &revenue, &more].concat();
    assert_eq!(
        rows(&gold, "revenue_by_product", &columns),
        [
            "Tea 4 11.88 2.5 30.0 47.5 47.5 0.0 2 7 Unknown+France+Spain",
            "Mug 2 14.0 8.0 20.0 19.0 28.0 9.0 1 2 France+Unknown+Germany",
            "Unknown 1 7.0 7.0 7.0 -5.0 7.0 12.0 0 1 Spain+Unknown",
        ]
    );
}

#[test]
fn periods_are_net_and_growth_is_null_after_a_period_without_net_revenue() {
    let (_, gold) = shop();
    let columns = ["month", "total_revenue", "gross_revenue", "refunds", "total_purchases"];
    let more = ["avg_basket", "unique_customers", "prev_revenue", "growth_abs"];
    assert_eq!(
        rows(&gold, "monthly_revenue", &[&columns[..], &more].concat()),
        [
            "2024-01 55.0 60.0 5.0 2 30.0 2 - -",
            "2024-02 8.0 12.0 4.0 1 12.0 0 55.0 -47.0",
            "2024-03 -1.5 10.5 12.0 2 5.25 1 8.0 -9.5",
        ]
    );
    let growth = table(&gold, "monthly_revenue").column("growth_pct").unwrap().f64().unwrap();
    assert!((growth.get(1).unwrap() + 47.0 / 55.0).abs() < 1e-12);
    assert!((growth.get(2).unwrap() + 9.5 / 8.0).abs() < 1e-12);

    let days = rows(&gold, "daily_revenue", &["day", "total_revenue", "growth_abs", "growth_pct"]);
    assert_eq!(days.first().unwrap(), "2024-01-10 25.0 - -");
    assert_eq!(days[23..25], ["2024-02-02 -4.0 -4.0 -", "2024-02-03 0.0 4.0 -"]);
    assert_eq!(days.last().unwrap(), "2024-03-05 -12.0 -14.5 -5.8");
    let mean = rows(&gold, "daily_revenue", &["day", "revenue_7d_avg", "purchases_7d_avg"]);
    assert_eq!(mean[29], "2024-02-08 -0.57 0.0");
}

#[test]
fn baskets_are_orders_and_statistics_are_of_sale_lines() {
    let (_, gold) = shop();
    // Baskets of 30, 30, 12, 8 and 2.5 EUR, in bins of 27.5 / 12 EUR.
    let counts = rows(&gold, "basket_distribution", &["count"]).join("");
    assert_eq!(counts, "101010000002");
    let columns = ["total_purchases", "total_revenue", "total_customers", "total_products"];
    let more = ["total_countries", "mean", "median", "min", "max", "prix_mean", "quantite_mean"];
    assert_eq!(
        rows(&gold, "statistics", &[&columns[..], &more].concat()),
        ["5 61.5 2 2 2 11.79 8.0 2.5 30.0 6.1 1.6"]
    );
    let columns = ["count", "mean", "median", "q25", "q75", "min", "max"];
    assert_eq!(
        rows(&gold, "statistics_by_product", &[&["produit"][..], &columns].concat()),
        [
            "Mug 2 14.0 14.0 11.0 17.0 8.0 20.0",
            "Tea 4 12.12 8.0 5.12 15.0 2.5 30.0",
            "Unknown 1 7.0 7.0 7.0 7.0 7.0 7.0",
        ]
    );
    assert_eq!(
        rows(&gold, "statistics_by_country", &[&["pays"][..], &columns].concat()),
        [
            "France 3 10.83 10.0 6.25 15.0 2.5 20.0",
            "Spain 2 6.5 6.5 6.25 6.75 6.0 7.0",
            "Unknown 2 19.0 19.0 13.5 24.5 8.0 30.0",
        ]
    );
}

#[test]
fn customers_are_described_by_their_sales_and_their_net_revenue() {
    let (_, gold) = shop();
    let columns = ["id_client", "total_spent", "gross_revenue", "refunds", "purchase_count"];
    let more = ["avg_basket", "min_basket", "max_basket", "recency_days", "product_count"];
    let last = ["tenure_days", "is_high_value", "ref_client", "date_inscription_source"];
    for name in ["customer_metrics", "customers"] {
        assert_eq!(
            rows(&gold, name, &[&columns[..], &more, &last].concat()),
            [
                "1 27.5 32.5 5.0 2 16.25 2.5 30.0 1 2 64 true C-1 file",
                "2 18.0 30.0 12.0 1 30.0 30.0 30.0 45 1 - true C-2 -",
                "3 -4.0 0.0 4.0 0 - - - - 0 64 false C-3 file",
                "4 0.0 0.0 0.0 0 - - - - 0 64 false C-4 file",
            ]
        );
    }
    let frequency = table(&gold, "customers").column("purchase_frequency_per_month").unwrap();
    assert!((frequency.f64().unwrap().get(0).unwrap() - 2.0 / 1.8).abs() < 1e-12);
    let columns = ["id_client", "freq_12m", "monetary_12m", "monetary_avg_12m", "recency_days"];
    assert_eq!(
        rows(&gold, "customer_features", &columns),
        ["1 2 27.5 16.25 1", "2 1 18.0 30.0 45", "3 0 -4.0 0.0 365", "4 0 0.0 0.0 365"]
    );
    let columns = ["id_client", "expected_value_12m", "value_at_risk_12m"];
    assert_eq!(rows(&gold, "customer_scores", &columns)[2..], ["3 0.0 0.0", "4 0.0 0.0"]);
    assert_eq!(
        rows(&gold, "customer_segments", &["id_client", "frequency", "monetary"]),
        ["1 2 27.5", "2 1 18.0", "3 0 0.0", "4 0 0.0"]
    );
    assert_eq!(
        rows(&gold, "clv_predictions", &["id_client", "frequency", "historical_clv"]),
        ["1 2 27.5", "2 1 18.0"]
    );
}

#[test]
fn cohorts_begin_with_a_sale_and_are_net() {
    let (_, gold) = shop();
    let columns = ["first_purchase_month", "clients", "ca"];
    assert_eq!(rows(&gold, "cohort_first_purchase", &columns), ["2024-01 2 45.5"]);
    assert_eq!(
        rows(&gold, "cohort_retention", &["month_offset", "active_clients", "ca"]),
        ["0 2 55.0", "1 0 0.0", "2 1 -9.5"]
    );
}

#[test]
fn the_headline_adds_guests_to_customers() {
    let (_, gold) = shop();
    let columns = ["total_revenue", "gross_revenue", "refunds", "guest_revenue", "currency"];
    let more = ["total_purchases", "avg_basket", "total_customers", "purchasing_customers"];
    assert_eq!(
        rows(&gold, "kpis", &[&columns[..], &more].concat()),
        ["61.5 82.5 21.0 20.0 EUR 5 16.5 4 2"]
    );
    let instants = ["first_purchase", "last_purchase", "as_of"];
    assert_eq!(
        rows(&gold, "kpis", &instants),
        ["2024-01-10 10:00:00 2024-03-04 00:00:00 2024-03-05 00:00:00"]
    );
    let what = "customer_metrics and guest_revenue against fact_achats";
    assert!(gold.proof.iter().any(|check| check.what == what && check.found == "61.50 EUR"));
    let lines = gold.proof.iter().find(|check| check.what.contains("totals of fact_achats"));
    assert_eq!(lines.unwrap().found, "61.50 EUR, 10 lines");
    let orders = gold.proof.iter().find(|check| check.what.contains("totals of daily_revenue"));
    assert_eq!(orders.unwrap().found, "61.50 EUR, 5 orders");
}
