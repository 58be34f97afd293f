//! The generated shop as every system exports it: read back, each export gives the sums that
//! `ground_truth.json` has of the shop. What a system does not record, its export cannot give: each
//! difference stands here with its reason.

use std::collections::{BTreeMap, BTreeSet};

use goldsmith::domain::account::in_millionths;
use goldsmith::pipeline::silver::{CleaningRules, Silver};
use goldsmith::sample::{Format, Spec, export};
use goldsmith::sources::SourceOptions;
use polars::prelude::DataType;
use serde_json::Value;

use super::profiles::{Expected, cleaned, shown, totals};

const SPEC: Spec = Spec { customers: 300, purchases: 2_500, seed: 19, dirty: 0.0 };

fn read_back(format: Format, spec: Spec, rules: CleaningRules) -> (Silver, Value) {
    let files = export(spec, format).unwrap();
    let (name, truth) = &files[0];
    assert_eq!(*name, "ground_truth.json");
    let truth = serde_json::from_slice(truth).unwrap();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    (cleaned(&files, &SourceOptions::default(), rules), truth)
}

/// An amount of the truth in cents.
fn cents(truth: &Value, name: &str) -> i64 {
    truth[name].as_str().unwrap().replace('.', "").parse().unwrap()
}

fn count(truth: &Value, name: &str) -> usize {
    usize::try_from(truth[name].as_u64().unwrap()).unwrap()
}

/// The sums of the shop as an export without gaps gives them.
fn complete(truth: &Value) -> Expected {
    let text = |name: &str| truth[name].as_str().unwrap().to_owned();
    Expected {
        total_revenue: text("total_revenue"),
        gross_revenue: text("gross_revenue"),
        refunds: text("refunds"),
        total_purchases: count(truth, "orders"),
        sale_lines: count(truth, "sale_lines"),
        refund_lines: count(truth, "refund_lines"),
        total_customers: count(truth, "customers"),
        purchasing_customers: count(truth, "purchasing_customers"),
        guest_revenue: text("guest_revenue"),
        as_of: text("last_sale").max(text("last_refund")),
        currency: "EUR".to_owned(),
        left_out: BTreeMap::new(),
        set_aside: BTreeMap::new(),
    }
}

/// What a system does not record of the shop.
#[derive(Debug, Clone, Copy)]
enum Gap {
    /// Refunds in a column or by a status count on the day of their order.
    DaysOfRefunds,
    /// A refund of an order is spread over all of its lines.
    ProductsOfRefunds,
    /// Order totals: one line per order, one refund per refunded order.
    Lines,
    /// A line per piece.
    UnitsOfLines,
    /// A status tells that all of an order was given back; of a part, nothing tells how much.
    PartialRefunds,
    Refunds,
    /// Orders name their buyers, or not even that: all of them are guests'.
    CustomersOfOrders,
    /// Customers who never bought are in no list of orders.
    OtherCustomers,
    /// Buyers without an account are customers as all others.
    Guests,
    /// A row needs a customer.
    OrdersOfGuests,
    TimeOfDay,
}

/// The gaps of an export, and its currency.
fn gaps(format: Format) -> (&'static [Gap], &'static str) {
    use Gap::*;
    match format {
        Format::Goldsmith => (&[], "EUR"),
        Format::Shopify => (&[DaysOfRefunds, ProductsOfRefunds], "EUR"),
        Format::Woocommerce => (&[ProductsOfRefunds, CustomersOfOrders], "EUR"),
        Format::Prestashop => (&[DaysOfRefunds, Lines, PartialRefunds, CustomersOfOrders], "EUR"),
        // No column and no sign says the currency.
        Format::Magento => (&[DaysOfRefunds, Lines, OtherCustomers], "unknown"),
        Format::Stripe => (&[Lines], "EUR"),
        Format::Square => (&[OtherCustomers], "EUR"),
        Format::Etsy => (&[DaysOfRefunds, Refunds, OtherCustomers, TimeOfDay], "EUR"),
        Format::Amazon => {
            (&[DaysOfRefunds, PartialRefunds, CustomersOfOrders, OtherCustomers], "EUR")
        }
        Format::Bigcommerce => (&[DaysOfRefunds, Lines, OtherCustomers, TimeOfDay], "EUR"),
        Format::Olist => (&[DaysOfRefunds, Refunds, UnitsOfLines, Guests, OtherCustomers], "BRL"),
        Format::OnlineRetail => (&[OtherCustomers], "GBP"),
        Format::Cdnow => {
            (&[DaysOfRefunds, Refunds, OrdersOfGuests, Lines, OtherCustomers, TimeOfDay], "USD")
        }
    }
}

/// What an export with a gap gives of the shop.
fn with_gap(mut expected: Expected, gap: Gap, truth: &Value) -> Expected {
    let text = |name: &str| truth[name].as_str().unwrap().to_owned();
    let less = |name: &str| shown((cents(truth, "gross_revenue") - cents(truth, name)) * 10_000);
    let zero = || "0.00".to_owned();
    match gap {
        Gap::DaysOfRefunds => expected.as_of = text("last_sale"),
        Gap::ProductsOfRefunds => expected.refund_lines = count(truth, "lines_of_refunded_orders"),
        Gap::Lines => {
            expected.sale_lines = expected.total_purchases;
            expected.refund_lines = expected.refund_lines.min(count(truth, "refunded_orders"));
        }
        Gap::UnitsOfLines => expected.sale_lines = count(truth, "units"),
        Gap::PartialRefunds => {
            let by_order = expected.sale_lines == expected.total_purchases;
            let lines = if by_order { "orders_given_back" } else { "lines_of_orders_given_back" };
            expected.refund_lines = count(truth, lines);
            expected.refunds = text("refunds_of_orders_given_back");
            expected.total_revenue = less("refunds_of_orders_given_back");
        }
        Gap::Refunds => {
            (expected.refunds, expected.refund_lines) = (zero(), 0);
            expected.total_revenue.clone_from(&expected.gross_revenue);
            expected.guest_revenue = text("guest_gross_revenue");
        }
        Gap::CustomersOfOrders => {
            expected.purchasing_customers = 0;
            expected.guest_revenue.clone_from(&expected.total_revenue);
        }
        Gap::OtherCustomers => expected.total_customers = expected.purchasing_customers,
        Gap::Guests => {
            expected.purchasing_customers += count(truth, "guest_orders");
            expected.guest_revenue = zero();
        }
        Gap::OrdersOfGuests => {
            expected.gross_revenue = less("guest_gross_revenue");
            expected.total_revenue.clone_from(&expected.gross_revenue);
            expected.guest_revenue = zero();
            expected.total_purchases -= count(truth, "guest_orders");
            expected.as_of = text("last_sale_of_a_customer");
        }
        Gap::TimeOfDay => expected.as_of = format!("{}T00:00:00", &expected.as_of[..10]),
    }
    expected
}

#[test]
fn every_export_of_the_shop_gives_its_sums() {
    let mut wrong = Vec::new();
    for format in Format::ALL {
        let (silver, truth) = read_back(*format, SPEC, CleaningRules::default());
        assert_eq!(truth["format"], format.as_str());
        for account in &silver.report.accounts {
            assert_eq!(account.explained(), account.read, "{format:?} {account:?}");
        }
        // Nothing of it is small enough to be right without being looked at.
        for name in ["refunds", "refunds_of_orders_given_back", "guest_revenue"] {
            assert!(cents(&truth["totals"], name) > 0, "{name}");
        }
        let found = totals(&silver);
        let (gaps, currency) = gaps(*format);
        let shop = Expected { currency: currency.to_owned(), ..complete(&truth["totals"]) };
        let with = |expected, gap: &Gap| with_gap(expected, *gap, &truth["totals"]);
        let expected = gaps.iter().fold(shop, with);
        if found != expected {
            wrong.push(format!("{format:?}\nfound {found:#?}\nexpected {expected:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sums of lines by the text of a column: sales, refunds, millionths.
fn sums_by(silver: &Silver, key: &str) -> BTreeMap<String, (i64, i64)> {
    let lines = silver.purchases();
    let keys = lines.column(key).unwrap().cast(&DataType::String).unwrap();
    let amounts = lines.column("montant").unwrap().f64().unwrap().clone();
    let mut sums: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for (key, amount) in keys.str().unwrap().iter().zip(amounts.iter()) {
        let amount = in_millionths(amount.unwrap());
        let entry = sums.entry(key.unwrap_or("none").to_owned()).or_default();
        if amount < 0 {
            entry.1 -= amount;
        } else {
            entry.0 += amount;
        }
    }
    sums
}

/// What customers bought and gave back, whatever their numbers.
fn by_customer(silver: &Silver) -> Vec<(i64, i64)> {
    let mut sums: Vec<(i64, i64)> = sums_by(silver, "id_client").into_values().collect();
    sums.sort_unstable();
    sums
}

#[test]
fn exports_with_lines_agree_on_every_product_and_day() {
    let read = |format| read_back(format, SPEC, CleaningRules::default()).0;
    let reference = read(Format::Goldsmith);
    let products = sums_by(&reference, "produit");
    assert!(products.len() > 100, "{}", products.len());
    assert_eq!(sums_by(&read(Format::Square), "produit"), products);
    assert_eq!(sums_by(&read(Format::Square), "date_achat"), sums_by(&reference, "date_achat"));
    let sales = |silver: &Silver| -> Vec<(String, i64)> {
        sums_by(silver, "produit").into_iter().map(|(product, sums)| (product, sums.0)).collect()
    };
    for format in [Format::Shopify, Format::Etsy, Format::Amazon] {
        assert_eq!(sales(&read(format)), sales(&reference), "{format:?}");
    }
}

#[test]
fn exports_with_customers_agree_on_each_of_them_and_on_countries() {
    let read = |format| read_back(format, SPEC, CleaningRules::default()).0;
    let customers = by_customer(&read(Format::Goldsmith));
    // achats.csv has no countries.
    let countries = sums_by(&read(Format::OnlineRetail), "pays");
    assert!(countries.len() > 10, "{countries:?}");
    for format in [
        Format::Shopify,
        Format::Magento,
        Format::Stripe,
        Format::Square,
        Format::Bigcommerce,
        Format::OnlineRetail,
    ] {
        let silver = read(format);
        assert_eq!(by_customer(&silver), customers, "{format:?}");
        if format != Format::Square {
            assert_eq!(sums_by(&silver, "pays"), countries, "{format:?}");
        }
    }
}

#[test]
fn customers_of_woocommerce_are_known_by_name_where_the_settings_say_so() {
    let rules = CleaningRules { customers_by_name: true, ..CleaningRules::default() };
    let (silver, truth) = read_back(Format::Woocommerce, SPEC, rules);
    let found = totals(&silver);
    assert_eq!(found.total_revenue, truth["totals"]["total_revenue"].as_str().unwrap());
    // Names are not unique, and guests have one too.
    assert!(found.purchasing_customers > 250, "{}", found.purchasing_customers);
}

#[test]
fn planted_pairs_are_in_as_many_orders_as_the_truth_has() {
    let spec = Spec { customers: 1_000, purchases: 12_000, ..SPEC };
    let (silver, truth) = read_back(Format::Goldsmith, spec, CleaningRules::default());
    let lines = silver.purchases();
    let orders = lines.column("id_commande").unwrap().i64().unwrap().clone();
    let products = lines.column("produit").unwrap().str().unwrap().clone();
    let kinds = lines.column("type").unwrap().str().unwrap().clone();
    let mut with: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for row in 0..lines.height() {
        if kinds.get(row) == Some("sale") {
            with.entry(products.get(row).unwrap()).or_default().insert(orders.get(row).unwrap());
        }
    }
    let number = |set: &BTreeSet<i64>| set.len() as u64;
    let all = truth["totals"]["orders"].as_f64().unwrap();
    let planted = truth["bought_together"]["planted"].as_array().unwrap();
    assert_eq!(planted.len(), 6);
    for pair in planted {
        let orders = |index: usize| &with[pair["products"][index].as_str().unwrap()];
        let both: BTreeSet<i64> = orders(0).intersection(orders(1)).copied().collect();
        assert_eq!(number(orders(0)), pair["orders_with_first"]);
        assert_eq!(number(orders(1)), pair["orders_with_second"]);
        assert_eq!(number(&both), pair["orders_with_both"]);
        // Far more often than products that do not belong together.
        let count = |name: &str| pair[name].as_f64().unwrap();
        let lift = count("orders_with_both") * all
            / (count("orders_with_first") * count("orders_with_second"));
        assert!(lift > 5.0, "{pair} {lift}");
    }
}

#[test]
fn every_format_is_the_same_bytes_for_a_seed_and_has_no_invalid_rows_to_add() {
    let small = Spec { customers: 40, purchases: 300, ..SPEC };
    for format in Format::ALL {
        assert_eq!(export(small, *format).unwrap(), export(small, *format).unwrap());
        let dirty = export(Spec { dirty: 0.1, ..small }, *format);
        assert_eq!(dirty.is_ok(), *format == Format::Goldsmith, "{format:?}");
    }
    assert_eq!(Format::NAMES.len(), Format::ALL.len());
}
