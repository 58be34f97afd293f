//! Exports of other systems, each with every pitfall that its profile knows: the figures are computed
//! by hand, in `expected.toml` beside the files.

use std::collections::BTreeMap;
use std::path::Path;

use goldsmith::domain::account::{Account, in_millionths};
use goldsmith::domain::data_set::DataSet;
use goldsmith::domain::reading::Status;
use goldsmith::domain::time::Timestamp;
use goldsmith::pipeline::silver::{
    CleaningOptions, CleaningRules, Refunds, Revenue, Silver, clean,
};
use goldsmith::sources::{Profile, SourceOptions, read_in_memory};
use polars::prelude::Int64Chunked;
use proptest::prelude::*;
use serde::Deserialize;

/// What is right.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    pub(super) total_revenue: String,
    pub(super) gross_revenue: String,
    pub(super) refunds: String,
    pub(super) total_purchases: usize,
    pub(super) sale_lines: usize,
    pub(super) refund_lines: usize,
    pub(super) total_customers: usize,
    pub(super) purchasing_customers: usize,
    pub(super) guest_revenue: String,
    pub(super) as_of: String,
    pub(super) currency: String,
    #[serde(default)]
    pub(super) left_out: BTreeMap<String, Rows>,
    #[serde(default)]
    pub(super) set_aside: BTreeMap<String, Rows>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Rows {
    rows: u64,
    sum: String,
}

/// Millionths as an amount with two decimals.
pub(super) fn shown(micros: i64) -> String {
    assert_eq!(micros % 10_000, 0, "{micros} is no amount of cents");
    format!(
        "{}{}.{:02}",
        if micros < 0 { "-" } else { "" },
        micros.abs() / 1_000_000,
        micros.abs() / 10_000 % 100
    )
}

fn read_folder(folder: &Path) -> Silver {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name != "expected.toml" {
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    cleaned(&files, &SourceOptions::default(), CleaningRules::default())
}

pub(super) fn cleaned(
    files: &[(&str, &[u8])],
    options: &SourceOptions,
    rules: CleaningRules,
) -> Silver {
    let raw = read_in_memory(files, options).unwrap();
    let run_start = Timestamp::parse("2026-11-01").unwrap();
    clean(raw, &CleaningOptions { run_start, rules }).unwrap()
}

/// The figures of silver, as gold shows them.
pub(super) fn totals(silver: &Silver) -> Expected {
    let lines = silver.purchases();
    let number = |name: &str| lines.column(name).unwrap().i64().unwrap().clone();
    let text = |name: &str| lines.column(name).unwrap().str().unwrap().clone();
    let amounts = lines.column("montant").unwrap().f64().unwrap().clone();
    let micros: Vec<i64> = amounts.iter().map(|amount| in_millionths(amount.unwrap())).collect();
    let (kinds, orders, customers) = (text("type"), number("id_commande"), number("id_client"));
    let is_sale: Vec<bool> = kinds.iter().map(|kind| kind == Some("sale")).collect();
    let sum = |is_counted: &dyn Fn(usize) -> bool| {
        (0..micros.len()).filter(|row| is_counted(*row)).map(|row| micros[row]).sum::<i64>()
    };
    let distinct = |values: &Int64Chunked| {
        let sold = (0..micros.len()).filter(|row| is_sale[*row]);
        let mut values: Vec<i64> = sold.filter_map(|row| values.get(row)).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    let sale_lines = is_sale.iter().filter(|is_sale| **is_sale).count();
    let latest = lines.column("date_achat").unwrap().to_physical_repr();
    let latest = latest.i64().unwrap().iter().flatten().max().unwrap_or(0);
    let add = |to: &mut BTreeMap<String, (u64, i64)>, reason: &String, rows: u64, sum: i64| {
        let entry = to.entry(reason.clone()).or_default();
        *entry = (entry.0 + rows, entry.1 + sum);
    };
    let (mut left_out, mut set_aside) = (BTreeMap::new(), BTreeMap::new());
    for account in &silver.report.accounts {
        for (reason, entry) in &account.left_out {
            add(&mut left_out, reason, entry.rows, entry.sum);
        }
        for (reason, entry) in &account.set_aside {
            add(&mut set_aside, reason, entry.rows, entry.sum);
        }
    }
    let rows = |entries: BTreeMap<String, (u64, i64)>| {
        let entries = entries.into_iter();
        entries.map(|(reason, (rows, sum))| (reason, Rows { rows, sum: shown(sum) })).collect()
    };
    Expected {
        total_revenue: shown(sum(&|_| true)),
        gross_revenue: shown(sum(&|row| is_sale[row])),
        refunds: shown(-sum(&|row| !is_sale[row])),
        total_purchases: distinct(&orders),
        sale_lines,
        refund_lines: is_sale.len() - sale_lines,
        total_customers: silver.valid[DataSet::Customers].height(),
        purchasing_customers: distinct(&customers),
        guest_revenue: shown(sum(&|row| customers.get(row).is_none())),
        as_of: Timestamp(latest).to_string(),
        currency: text("devise").first().unwrap_or("EUR").to_owned(),
        left_out: rows(left_out),
        set_aside: rows(set_aside),
    }
}

#[test]
fn exports_of_every_profile_give_the_figures_computed_by_hand() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exports");
    let mut folders: Vec<_> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 12, "{folders:?}");
    let mut wrong = Vec::new();
    for folder in folders {
        let expected = std::fs::read_to_string(folder.join("expected.toml")).unwrap();
        let expected: Expected = toml::from_str(&expected).unwrap();
        let silver = read_folder(&folder);
        let found = totals(&silver);
        if found != expected {
            let folder = folder.display();
            wrong.push(format!("{folder}\nfound {found:#?}\nexpected {expected:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Shopify: an order of 50.00 with 4.50 for shipping, of which 10.00 were given back, and one that is
/// pending.
const SHOPIFY: &str = "\
Name,Email,Financial Status,Currency,Subtotal,Shipping,Taxes,Total,Created at,Lineitem quantity,Lineitem name,Lineitem price,Billing Name,Refunded Amount,Id
#1,ann@example.org,partially_refunded,EUR,50.00,4.50,0.00,54.50,2026-03-01 10:00:00 +0100,2,Mug,10.00,Ann Lee,10.00,71
#1,ann@example.org,,,,,,,2026-03-01 10:00:00 +0100,1,Lamp,30.00,,,
#2,,pending,EUR,7.00,0.00,0.00,7.00,2026-03-02 10:00:00 +0100,1,Mug,7.00,Bob Ray,0.00,72
";

fn shopify(options: &SourceOptions, rules: CleaningRules) -> Expected {
    totals(&cleaned(&[("orders.csv", SHOPIFY.as_bytes())], options, rules))
}

#[test]
fn an_orders_refund_is_spread_over_its_lines() {
    let found = shopify(&SourceOptions::default(), CleaningRules::default());
    assert_eq!((found.total_revenue.as_str(), found.gross_revenue.as_str()), ("40.00", "50.00"));
    assert_eq!((found.sale_lines, found.refund_lines), (2, 2));
    assert_eq!(found.set_aside["not_a_sale"], Rows { rows: 1, sum: "7.00".to_owned() });
    assert_eq!(found.set_aside["not_goods"], Rows { rows: 1, sum: "4.50".to_owned() });
}

#[test]
fn the_settings_decide_what_counts_as_revenue() {
    let rules = CleaningRules { revenue: Revenue::OrderTotal, ..CleaningRules::default() };
    let found = shopify(&SourceOptions::default(), rules);
    assert_eq!(found.gross_revenue, "54.50");
    assert!(!found.set_aside.contains_key("not_goods"));

    let rules = CleaningRules { refunds: Refunds::LeaveOut, ..CleaningRules::default() };
    let found = shopify(&SourceOptions::default(), rules);
    assert_eq!((found.total_revenue.as_str(), found.refund_lines), ("50.00", 0));
    assert_eq!(found.set_aside["refund"], Rows { rows: 1, sum: "-10.00".to_owned() });
}

#[test]
fn the_settings_decide_what_a_status_means() {
    let statuses = vec![("Pending".to_owned(), Status::Sale)];
    let options = SourceOptions { statuses, ..SourceOptions::default() };
    let found = shopify(&options, CleaningRules::default());
    assert_eq!((found.total_revenue.as_str(), found.total_purchases), ("47.00", 2));
    assert_eq!(found.guest_revenue, "7.00");
}

#[test]
fn customers_are_known_by_name_where_the_settings_say_so() {
    let customers = "ID;Social title;First name;Last name;Email address;Company;Sales;Enabled;Newsletter;Partner offers;Registration;Last visit\n\
        1;Mrs;Alba;Rouvier;alba@example.org;;;1;0;0;2025-01-02;\n\
        2;Mr;Bruno;Keller;bruno@example.org;;;1;0;0;2025-01-02;\n\
        3;Mr;Bert;Keller;bert@example.org;;;1;0;0;2025-01-02;\n";
    let orders = "ID;Reference;New client;Delivery;Customer;Total;Payment;Status;Date\n\
        1;AAA;1;France;A. ROUVIER;10.00 €;Card;Delivered;2026-01-05 10:00:00\n\
        2;BBB;0;France;B. KELLER;20.00 €;Card;Delivered;2026-01-06 10:00:00\n";
    let files: [(&str, &[u8]); 2] =
        [("customers.csv", customers.as_bytes()), ("orders.csv", orders.as_bytes())];
    let by_default = cleaned(&files, &SourceOptions::default(), CleaningRules::default());
    assert_eq!(totals(&by_default).guest_revenue, "30.00");
    let findings = by_default.report.findings.join("\n");
    assert!(findings.contains("sources.customer_key = \"name\""), "{findings}");
    let rules = CleaningRules { customers_by_name: true, ..CleaningRules::default() };
    let by_name = cleaned(&files, &SourceOptions::default(), rules);
    let customers = by_name.purchases().column("id_client").unwrap().i64().unwrap().clone();
    // Two customers are called B. Keller: the order is of neither.
    assert_eq!(customers.iter().filter(|id| *id == Some(1)).count(), 1);
    assert_eq!(customers.iter().filter(|id| [Some(2), Some(3)].contains(id)).count(), 0);
}

#[test]
fn an_operator_adds_a_profile_of_another_system() {
    let profile = Profile::parse(
        r#"
name = "till"
source = "the manual of the till"

[[files]]
kind = "purchases"
headers = ["Bon", "Kunde", "Betrag"]
currency = "CHF"

[files.columns]
id_achat = "Bon"
id_client = "Kunde"
date_achat = "Datum"
montant = "Betrag"

[[files.statuses]]
column = "Status"
values = { bezahlt = "sale", storniert = "not_a_sale" }
"#,
    )
    .unwrap();
    let file = "Bon;Kunde;Datum;Betrag;Status\n1;7;6.3.2026;1.299,50;Bezahlt\n2;7;7.3.2026;5,00;Storniert\n3;8;7.3.2026;2,00;offen\n";
    let options = SourceOptions { profiles: vec![profile], ..SourceOptions::default() };
    let silver = cleaned(&[("till.csv", file.as_bytes())], &options, CleaningRules::default());
    let found = totals(&silver);
    assert_eq!((found.total_revenue.as_str(), found.currency.as_str()), ("1301.50", "CHF"));
    assert_eq!(found.set_aside["not_a_sale"].rows, 1);
    let findings = silver.report.findings.join("\n");
    assert!(findings.contains("the status \"offen\", which is not known"), "{findings}");
}

/// A Shopify export of these rows: name, status, subtotal, total, quantity, product, price, refunded, id.
fn orders(rows: &[[&str; 9]]) -> String {
    let mut file = SHOPIFY.lines().next().unwrap().to_owned() + "\n";
    for [name, status, subtotal, total, quantity, product, price, refunded, id] in rows {
        let email = format!("a{}@example.org", name.trim_start_matches('#'));
        let row = format!(
            "{name},{email},{status},EUR,{subtotal},0.00,0.00,{total},2026-03-01,{quantity},{product},{price},,{refunded},{id}\n"
        );
        file.push_str(&row);
    }
    file
}

fn totals_of(files: &[(&str, String)]) -> Expected {
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    totals(&cleaned(&files, &SourceOptions::default(), CleaningRules::default()))
}

#[test]
fn rows_of_an_order_are_filled_wherever_its_first_row_stands() {
    let rows = [
        ["#1", "", "", "", "1", "Lamp", "20.00", "", ""],
        ["#2", "paid", "5.00", "5.00", "1", "Mug", "5.00", "0.00", "12"],
        ["#1", "paid", "30.00", "30.00", "1", "Mug", "10.00", "0.00", "11"],
    ];
    let found = totals_of(&[("orders.csv", orders(&rows))]);
    assert_eq!((found.total_revenue.as_str(), found.total_purchases), ("35.00", 2));
}

#[test]
fn an_order_is_one_in_exports_with_and_without_its_number() {
    let row = |id| ["#1", "paid", "10.00", "10.00", "1", "Mug", "10.00", "0.00", id];
    let files = [("2026-01-10.csv", orders(&[row("")])), ("2026-02-10.csv", orders(&[row("11")]))];
    let found = totals_of(&files);
    assert_eq!((found.total_revenue.as_str(), found.total_purchases), ("10.00", 1));
    assert_eq!(found.set_aside["superseded"].rows, 1);
}

#[test]
fn the_refund_of_a_gift_card_is_taken_off_no_goods() {
    let rows = [
        ["#1", "paid", "100.00", "100.00", "1", "Mug", "100.00", "0.00", "11"],
        ["#2", "refunded", "50.00", "50.00", "1", "Gift Card", "50.00", "50.00", "12"],
    ];
    let found = totals_of(&[("orders.csv", orders(&rows))]);
    assert_eq!((found.total_revenue.as_str(), found.refunds.as_str()), ("100.00", "0.00"));
    assert_eq!(found.set_aside["not_goods"].sum, "0.00");
}

#[test]
fn a_partial_refund_without_an_amount_is_named() {
    let rows = [["#1", "partially_refunded", "9.00", "9.00", "1", "Mug", "9.00", "", "11"]];
    let file = orders(&rows);
    let files: [(&str, &[u8]); 1] = [("orders.csv", file.as_bytes())];
    let silver = cleaned(&files, &SourceOptions::default(), CleaningRules::default());
    let findings = silver.report.findings.join("\n");
    assert!(findings.contains("1 order given back in part"), "{findings}");
}

#[test]
fn quantities_beyond_reason_stop_nothing() {
    let barcode = ["#1", "paid", "10.00", "10.00", "4006381333931", "Mug", "1.00", "0.00", "11"];
    let found = totals_of(&[("orders.csv", orders(&[barcode; 3]))]);
    assert_eq!(found.total_revenue, "10.00");
}

#[test]
fn a_refund_and_a_lost_dispute_are_two() {
    let file = "id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Status,Customer ID,Customer Email,Disputed Amount,Dispute Status\n\
        1,2026-03-01 10:00:00,50.00,20.00,eur,true,Paid,c1,a@example.org,30.00,lost\n\
        2,2026-03-01 10:00:00,40.00,40.00,eur,true,Refunded,c1,a@example.org,40.00,lost\n\
        3,2026-03-01 10:00:00,7.00,0.00,eur,true,Paid,c1,a@example.org,,\n";
    let found = totals_of(&[("payments.csv", file.to_owned())]);
    assert_eq!((found.gross_revenue.as_str(), found.refunds.as_str()), ("97.00", "90.00"));
}

#[test]
fn an_order_paid_by_credit_is_a_line_of_nothing() {
    let file = "ID,Purchase Point,Purchase Date,Bill-to Name,Ship-to Name,Grand Total (Base),Grand Total (Purchased),Status,Customer Email,Subtotal,Shipping and Handling,Total Refunded\n\
        1,Main,2026-03-01 10:00:00,Ann Lee,Ann Lee,105.00,105.00,Complete,a@example.org,100.00,5.00,0.00\n\
        2,Main,2026-03-02 10:00:00,Ann Lee,Ann Lee,0.00,0.00,Complete,a@example.org,40.00,5.00,0.00\n";
    let found = totals_of(&[("export.csv", file.to_owned())]);
    assert_eq!((found.total_revenue.as_str(), found.refunds.as_str()), ("100.00", "0.00"));
    assert_eq!(found.total_purchases, 2);
}

/// A data frame that was saved with its index has a column without a name, or `Unnamed: 0`, in every file.
#[test]
fn columns_of_one_name_in_joined_files_do_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exports/olist");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name != "expected.toml" {
            let text = std::fs::read_to_string(&path).unwrap();
            let numbered = text.lines().enumerate().map(|(number, row)| match number {
                0 => format!("Unnamed: 0,{row}\n"),
                _ => format!("{number},{row}\n"),
            });
            files.push((name, numbered.collect::<String>()));
        }
    }
    files.sort();
    let files: Vec<(&str, String)> =
        files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let expected = std::fs::read_to_string(folder.join("expected.toml")).unwrap();
    let expected: Expected = toml::from_str(&expected).unwrap();
    assert_eq!(totals_of(&files), expected);
}

#[test]
fn a_file_that_needs_another_one_says_which() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exports/olist");
    let items = std::fs::read(folder.join("olist_order_items_dataset.csv")).unwrap();
    let error = read_in_memory(&[("items.csv", items)], &SourceOptions::default()).unwrap_err();
    let problem = error.to_string();
    assert!(problem.contains("items.csv") && problem.contains("the file with orders"), "{problem}");
}

/// A row of an export: order, quantity, price, shipping, subtotal, refunded amount (cents), status.
type ShopifyRow = (u8, u8, i32, i32, i32, i32, usize);

fn shopify_row() -> impl Strategy<Value = ShopifyRow> {
    (1..5_u8, 0..4_u8, 0..400_i32, 0..30_i32, -20..500_i32, 0..300_i32, 0..6_usize)
}

/// An export with these rows.
fn shopify_file(rows: &[ShopifyRow]) -> String {
    const STATUSES: [&str; 6] =
        ["paid", "refunded", "partially_refunded", "voided", "pending", "odd"];
    let mut file = SHOPIFY.lines().next().unwrap().to_owned() + "\n";
    for (order, quantity, price, shipping, subtotal, refunded, status) in rows {
        let amount = |cents: &i32| format!("{:.2}", f64::from(*cents) / 100.0);
        let subtotal = if *subtotal < 0 { String::new() } else { amount(subtotal) };
        let (price, shipping) = (amount(price), amount(shipping));
        let (refunded, status) = (amount(refunded), STATUSES[*status]);
        let row = format!(
            "#{order},a{order}@example.org,{status},EUR,{subtotal},{shipping},0.00,,2026-03-01,{quantity},Mug,{price},,{refunded},{order}\n"
        );
        file.push_str(&row);
    }
    file
}

fn cleaned_shopify(rows: &[ShopifyRow]) -> Silver {
    let file = shopify_file(rows);
    let files: [(&str, &[u8]); 1] = [("orders.csv", file.as_bytes())];
    cleaned(&files, &SourceOptions::default(), CleaningRules::default())
}

/// Accounts without the rows that are shown as examples.
fn sums(silver: &Silver) -> Vec<Account> {
    let mut accounts = silver.report.accounts.clone();
    for account in &mut accounts {
        let entries = account.set_aside.values_mut().chain(account.left_out.values_mut());
        entries.for_each(|entry| (entry.line, entry.value) = (0, String::new()));
    }
    accounts
}

/// Rows in the order of others, of which each order has as many; those of one order stay as they were.
fn with_orders_of(rows: &[ShopifyRow], others: &[ShopifyRow]) -> Vec<ShopifyRow> {
    let mut left: Vec<ShopifyRow> = rows.to_vec();
    let next = |other: &ShopifyRow| {
        let at = left.iter().position(|row| row.0 == other.0).unwrap();
        left.remove(at)
    };
    others.iter().map(next).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Cleaning fails where an account does not balance to the millionth.
    #[test]
    fn the_account_balances_whatever_orders_say(rows in prop::collection::vec(shopify_row(), 1..20)) {
        let silver = cleaned_shopify(&rows);
        for account in &silver.report.accounts {
            prop_assert_eq!(account.read, account.explained());
        }
        let served: i64 = silver.report.accounts.iter().map(|a| a.sales - a.refunds).sum();
        let amounts = silver.purchases().column("montant").unwrap().f64().unwrap().clone();
        let lines: i64 = amounts.iter().map(|amount| in_millionths(amount.unwrap())).sum();
        prop_assert_eq!(served, lines);
    }

    #[test]
    fn rows_of_several_orders_may_be_mixed(
        (rows, others) in prop::collection::vec(shopify_row(), 1..20)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let mixed = with_orders_of(&rows, &others);
        let (one, other) = (cleaned_shopify(&rows), cleaned_shopify(&mixed));
        prop_assert!(one.purchases().equals_missing(other.purchases()), "{mixed:?}");
        prop_assert!(one.customers().equals_missing(other.customers()), "{mixed:?}");
        prop_assert_eq!(sums(&one), sums(&other));
    }
}
