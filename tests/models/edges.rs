//! Shops that are too small, too young or too plain to learn from: every one of them is served.

use goldsmith::domain::time::Timestamp;
use goldsmith::pipeline::gold::{self, Gold};
use goldsmith::pipeline::ml::explain::ReferenceCustomer;
use goldsmith::pipeline::ml::history::History;
use goldsmith::pipeline::ml::methods::bg_nbd::{self, Dropout};
use goldsmith::pipeline::ml::purchase_forecast::Expected;
use goldsmith::pipeline::ml::report::{Method, Metrics, Task};
use goldsmith::pipeline::ml::snapshot::CustomerSnapshot;
use goldsmith::pipeline::ml::tasks::churn;
use goldsmith::pipeline::ml::{LastSegments, Trained, score, train};
use polars::prelude::*;

use super::{RULES, refined, serving};

/// A purchase: customer, day since 2024-01-01, amount.
type Purchase = (usize, i64, f64);

/// A shop of so many customers, the whole way through gold, which proves that no value is missing,
/// out of range, infinite or no number.
fn shop(customers: usize, purchases: &[Purchase]) -> (Trained, Gold) {
    let client = |id| format!("{id},N{id},n{id}@x.io,2024-01-01,France\n");
    let clients: String = (1..=customers).map(client).collect();
    let clients = format!("id_client,nom,email,date_inscription,pays\n{clients}");
    let start = Timestamp::parse("2024-01-01").unwrap().0;
    let purchase = |(index, (id, day, amount)): (usize, &Purchase)| {
        let at = Timestamp(start + day * 86_400_000_000 + 3_600_000_000);
        format!("{},{id},{at},{amount},Tea\n", index + 1)
    };
    let achats: String = purchases.iter().enumerate().map(purchase).collect();
    let achats = format!("id_achat,id_client,date_achat,montant,produit\n{achats}");
    let files = [("clients.csv", clients.into_bytes()), ("achats.csv", achats.into_bytes())];
    through_gold(&files)
}

fn through_gold(files: &[(&str, Vec<u8>)]) -> (Trained, Gold) {
    let silver = refined(files);
    let aggregates = gold::aggregate(&silver.valid, None).unwrap();
    let last = LastSegments::new();
    let history = History::new(&aggregates.base.fact).unwrap();
    let trained = train(&history, aggregates.base.as_of, &RULES, &last);
    let gold = gold::complete(aggregates, &trained, &RULES, &last, Timestamp(0)).unwrap();
    for score in &trained.scores {
        let numbers = [Some(score.churn_probability), Some(score.predicted_clv_12m)];
        let Expected { p_alive, purchases_12m, spend_12m } = score.expected;
        let more = [p_alive, purchases_12m, spend_12m];
        assert!(numbers.iter().chain(&more).flatten().all(|number| number.is_finite()));
    }
    (trained, gold)
}

fn table<'a>(gold: &'a Gold, name: &str) -> &'a DataFrame {
    &gold.tables.iter().find(|gold| gold.table.name == name).unwrap().frame
}

/// Customers who buy every so many days over two years, each at their own pace.
fn regulars(customers: usize) -> Vec<Purchase> {
    (1..=customers)
        .flat_map(|id| {
            let gap = 5 + i64::try_from(id % 23).unwrap() * 4;
            #[allow(clippy::cast_precision_loss)]
            let amount = 5.0 + id as f64;
            (0..).map(move |n| (id, n * gap, amount)).take_while(|(_, day, _)| *day < 700)
        })
        .collect()
}

#[track_caller]
fn says(trained: &Trained, task: Task, method: Method, said: &str) {
    let entry = serving(trained, task);
    assert_eq!(entry.method, method, "{task:?}: {}", entry.note);
    assert!(entry.note.contains(said), "{task:?}: {:?} does not say {said:?}", entry.note);
}

#[test]
fn with_fewer_than_fifty_customers_baselines_serve_and_say_so() {
    for customers in [1, 9, 49] {
        let (trained, gold) = shop(customers, &regulars(customers));
        let said = if customers == 1 { "1 customer," } else { "customers," };
        let said = &said.replace("customers", &format!("{customers} customers"));
        says(&trained, Task::Segmentation, Method::Baseline, said);
        says(&trained, Task::Churn, Method::Baseline, &said.replace(',', ""));
        says(&trained, Task::Clv, Method::Baseline, &said.replace(',', ""));
        assert_eq!(trained.scores.len(), customers);
        // Four tasks, and the baselines of two under their own names.
        assert_eq!(table(&gold, "ml_model_metrics").height(), 6);
        let said = format!("skipped: {said} and fewer than 50");
        let of_buying =
            trained.entries.iter().find(|entry| entry.task == Task::PurchaseModel).unwrap();
        assert!(!of_buying.serves && of_buying.note.contains(&said), "{}", of_buying.note);
    }
}

#[test]
fn fifty_customers_are_enough() {
    let (trained, _) = shop(50, &regulars(50));
    assert_eq!(serving(&trained, Task::Segmentation).method, Method::KMeans);
    for task in [Task::Churn, Task::Clv] {
        assert!(!serving(&trained, task).note.contains("too few to learn from"), "{task:?}");
    }
}

#[test]
fn customers_who_are_all_the_same_are_one_segment() {
    let purchases: Vec<Purchase> =
        (1..=80).flat_map(|id| (0..24).map(move |month| (id, month * 30, 20.0))).collect();
    let (trained, _) = shop(80, &purchases);
    says(
        &trained,
        Task::Segmentation,
        Method::Baseline,
        "only 1 different customer for 4 clusters",
    );
    says(&trained, Task::Churn, Method::Baseline, "nobody stayed away");
    assert!(trained.scores.iter().all(|score| score.segment == trained.scores[0].segment));
}

#[test]
fn where_everybody_left_there_is_no_churn_to_learn() {
    // One customer keeps the clock running; all others bought once, at the start. The only one
    // who came back came for the first time.
    let mut purchases: Vec<Purchase> = (1..=80).map(|id| (id, 0, 20.0)).collect();
    purchases.push((81, 400, 10.0));
    let (trained, _) = shop(81, &purchases);
    says(&trained, Task::Churn, Method::Baseline, "everybody stayed away");
    assert!(trained.scores[0].churn_probability > 0.95);
}

#[test]
fn one_churner_is_too_few_for_a_fit_and_a_judgement() {
    let mut purchases = regulars(80);
    purchases.retain(|(id, day, _)| *id != 7 || *day < 300);
    // The others buy at least every second week.
    for purchase in &mut purchases {
        purchase.1 = if purchase.0 == 7 { purchase.1 } else { purchase.1.min(699) };
    }
    for id in (1..=80).filter(|id| *id != 7) {
        purchases.extend((0..50).map(|n| (id, n * 14, 9.0)));
    }
    let (trained, _) = shop(80, &purchases);
    says(&trained, Task::Churn, Method::Baseline, "only 1 of 80 customers are of the rarer class");
}

#[test]
fn thirteen_days_of_history_have_no_cut_off_sixty_days_ago() {
    let purchases: Vec<Purchase> = (1..=120)
        .flat_map(|id| [(id, 0, 20.0), (id, i64::try_from(id % 14).unwrap(), 5.0)])
        .collect();
    let (trained, _) = shop(120, &purchases);
    says(&trained, Task::Churn, Method::Baseline, "0 customers had bought by the cut-off");
    assert!(trained.scores.iter().all(|score| score.churn_probability == 0.5));
    says(&trained, Task::Clv, Method::Baseline, "a history of 13 days is too short");
    assert!(trained.scores.iter().all(|score| score.expected.spend_12m.is_none()));
    // Two purchases of 25 EUR in less than 90 days, for so many: not one in 13 for a year.
    let sum: f64 = trained.scores.iter().map(|score| score.predicted_clv_12m).sum();
    assert!((sum - 120.0 * 25.0 * 365.0 / 90.0).abs() < 1.0, "{sum}");
}

#[test]
fn one_giant_spender_breaks_nothing() {
    let mut purchases = regulars(120);
    purchases.extend((0..200).map(|n| (3, n * 3, 9_999.0)));
    let (trained, _) = shop(120, &purchases);
    let giant = trained.scores.iter().find(|score| score.id_client == 3).unwrap();
    let others = trained.scores.iter().filter(|score| score.id_client != 3);
    let most = others.map(|score| score.monetary).fold(0.0, f64::max);
    assert!(giant.monetary > 10.0 * most);
    assert_eq!(giant.segment, 0);
}

#[test]
fn who_bought_once_is_scored_and_who_never_bought_is_a_prospect() {
    let mut purchases = regulars(80);
    purchases.push((81, 690, 12.5));
    let (trained, gold) = shop(82, &purchases);
    assert_eq!(trained.scores.len(), 81);
    let once = &trained.scores[80];
    assert_eq!((once.id_client, once.frequency, once.monetary), (81, 1, 12.5));
    let segments = table(&gold, "customer_segments");
    assert_eq!(segments.height(), 82);
    let last = |column: &str| segments.column(column).unwrap().get(81).unwrap().into_static();
    assert_eq!(last("segment_name"), AnyValue::StringOwned("Prospect".into()));
    assert!(last("segment_id").is_null() && last("recency").is_null());
    let customers = table(&gold, "customers");
    let prospect = |column: &str| customers.column(column).unwrap().get(81).unwrap().into_static();
    for column in ["churn_probability", "churn_risk_level", "churn_factors", "predicted_clv_12m"] {
        assert!(prospect(column).is_null(), "{column}");
    }
    assert_eq!(prospect("segment_name"), AnyValue::StringOwned("Prospect".into()));
}

#[test]
fn data_without_dropout_are_said_to_have_none() {
    let read = |name: &str| {
        let path = format!("{}/../shared/data/electromenager/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let files = ["clients.csv", "achats.csv"].map(|name| (name, read(name)));
    let (trained, gold) = through_gold(&files);
    let said = "nothing beyond purchase frequency is there to learn";
    let entry = serving(&trained, Task::Churn);
    assert!(entry.note.contains(said), "{}", entry.note);
    let metrics = table(&gold, "ml_model_metrics");
    let row = metrics.column("model").unwrap().str().unwrap().iter();
    let row = row.into_iter().position(|model| model == Some("churn")).unwrap();
    assert!(metrics.column("note").unwrap().str().unwrap().get(row).unwrap().contains(said));
}

#[test]
fn a_shop_of_regulars_stops_at_the_leak_check_and_the_rule_is_judged_all_the_same() {
    // Everybody buys each week, each on their day; every fifth customer left for good some months ago. Silence alone
    // tells who will not come.
    let purchases: Vec<Purchase> = (1..=200)
        .flat_map(|id| {
            let number = i64::try_from(id).unwrap();
            let end = if id % 5 == 0 { 300 + number } else { 700 };
            (0..)
                .map(move |week| (id, week * 7 + number % 7, 20.0))
                .take_while(move |(_, day, _)| *day <= end)
        })
        .collect();
    let (trained, gold) = shop(200, &purchases);
    says(
        &trained,
        Task::Churn,
        Method::Baseline,
        "stopped by the leak check: the feature days_since_last alone tells the label (AUC 1.000 > 0.98)",
    );
    let entry = serving(&trained, Task::Churn);
    assert_eq!(entry.customers, 200);
    assert!(entry.held_out > 40 && entry.fitted + entry.held_out == 200);
    let Some(Metrics::Churn(figures)) = &entry.figures else { panic!("{entry:?}") };
    assert!(figures.brier < 0.01 && figures.accuracy > 0.99, "{figures:?}");
    let Some(Metrics::Churn(of_median)) = &entry.baseline else { panic!("{entry:?}") };
    assert!(of_median.brier > 0.05, "{of_median:?}");
    // Who is gone is not taken for somebody who comes next week.
    for score in &trained.scores {
        let is_gone = score.recency > 100;
        assert_eq!(churn::risk_level(score.churn_probability) == "High", is_gone, "{score:?}");
    }
    assert_eq!(entry.calibration.iter().map(|bin| bin.count).sum::<usize>(), entry.held_out);
    // Under its task's name and its own.
    assert_eq!(table(&gold, "ml_calibration").height(), 20);
}

#[test]
fn who_bought_once_long_ago_is_told_so_in_words_that_are_true() {
    let mut purchases = regulars(80);
    purchases.push((81, 100, 12.5));
    let (mut trained, _) = shop(81, &purchases);
    let clients: Vec<i64> =
        purchases.iter().map(|(id, _, _)| i64::try_from(*id).unwrap()).collect();
    let start = Timestamp::parse("2024-01-01").unwrap().0;
    let at: Vec<i64> = purchases.iter().map(|(_, day, _)| start + day * 86_400_000_000).collect();
    let amounts: Vec<f64> = purchases.iter().map(|(_, _, amount)| *amount).collect();
    let ids: Vec<i64> = (1_i64..).take(purchases.len()).collect();
    let frame = df!("id_achat" => ids, "id_client" => clients, "date_achat" => at,
        "montant" => amounts, "produit" => vec!["Tea"; purchases.len()])
    .unwrap();
    let history = History::new(&frame).unwrap();
    let facts = CustomerSnapshot::of(history.up_to(history.last().unwrap()));
    // By a model of buying, whichever method serves.
    let fitted = bg_nbd::fit(Dropout::AfterAny, &facts.patterns).unwrap();
    let typical = ReferenceCustomer::of(&facts.patterns, &facts.spends);
    trained.artefact.churn = churn::Model::PurchaseModel(fitted.model, typical);
    let scores = score(&trained.artefact, &facts);
    let once = scores.iter().find(|score| score.id_client == 81).unwrap();
    assert!(once.churn_probability > 0.8, "{}", once.churn_probability);
    let silence = once.recency;
    assert_eq!(once.top_factors[0], "days_since_last", "{once:?}");
    let words = once.factors.join("; ");
    assert!(words.contains(&format!("last purchase {silence} days ago raises it by")), "{words}");
    assert!(!words.contains("gap") && !words.contains("between purchases"), "{words}");
}

#[test]
fn too_few_customers_to_tell_are_not_said_to_have_no_dropout() {
    // Drawn with dropout, as all generated shops are; 21 of 70 customers judge.
    let spec = goldsmith::sample::Spec { customers: 70, purchases: 700, seed: 4, dirty: 0.0 };
    let history = super::history(spec);
    let trained = train(&history, history.last().unwrap(), &RULES, &LastSegments::new());
    let note = &serving(&trained, Task::Churn).note;
    assert!(note.contains("customers held out are too few to tell"), "{note}");
    assert!(!note.contains("no dropout"), "{note}");
}

#[test]
fn where_nobody_bought_in_the_window_there_is_no_value_to_learn() {
    // All bought in the first month of the year before last, and one only came to keep the clock.
    let mut purchases: Vec<Purchase> =
        (1..=80).map(|id| (id, i64::try_from(id % 30).unwrap(), 20.0)).collect();
    purchases.push((81, 800, 10.0));
    let (trained, _) = shop(81, &purchases);
    says(&trained, Task::Clv, Method::Baseline, "nobody who had bought by the cut-off bought in");
}

#[test]
fn one_price_for_everything_is_no_reason_to_expect_nothing() {
    let mut purchases = regulars(120);
    for purchase in &mut purchases {
        purchase.2 = 19.9;
    }
    let (trained, _) = shop(120, &purchases);
    for score in &trained.scores {
        let Expected { purchases_12m, spend_12m, .. } = score.expected;
        let (times, spend) = (purchases_12m.unwrap(), spend_12m.unwrap());
        assert!((spend - times * 19.9).abs() < 0.02 * spend, "{score:?}");
    }
    let told = trained.entries.iter().find(|entry| entry.task == Task::PurchaseModel).unwrap();
    assert!(told.note.contains("Gamma-Gamma: the data do not determine"), "{}", told.note);
}

#[test]
fn a_generated_shop_has_dropout_to_learn_and_says_nothing_of_the_kind() {
    let spec = goldsmith::sample::Spec { customers: 1_500, purchases: 15_000, seed: 9, dirty: 0.0 };
    let history = super::history(spec);
    let trained = train(&history, history.last().unwrap(), &RULES, &LastSegments::new());
    let entry = serving(&trained, Task::Churn);
    assert!(entry.method != Method::Baseline && entry.note.is_empty(), "{}", entry.note);
}
