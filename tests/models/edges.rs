//! Shops that are too small, too young or too uniform to learn from: each of them is served.

use goldsmith::domain::time::Timestamp;
use goldsmith::pipeline::gold::{self, Gold};
use goldsmith::pipeline::ml::explain::ReferenceCustomer;
use goldsmith::pipeline::ml::history::History;
use goldsmith::pipeline::ml::methods::bg_nbd::{self, Dropout};
use goldsmith::pipeline::ml::methods::k_means;
use goldsmith::pipeline::ml::methods::purchase_churn::PurchaseChurn;
use goldsmith::pipeline::ml::purchase_forecast::PurchaseForecast;
use goldsmith::pipeline::ml::report::{BASELINE, Candidate, Metrics, Task};
use goldsmith::pipeline::ml::snapshot::CustomerSnapshot;
use goldsmith::pipeline::ml::tasks::churn;
use goldsmith::pipeline::ml::{LastSegments, Trained, score, train};
use polars::prelude::*;

use super::{OPTIONS, refined, serving};
use crate::support::reference_folder;

/// A purchase: customer, day since 2024-01-01, amount.
type Purchase = (usize, i64, f64);

/// Takes a shop through gold, whose proof checks that no value is missing, out of range or not a
/// finite number.
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
    let trained = train(&history, aggregates.base.as_of, &OPTIONS, &last);
    let gold = gold::complete(aggregates, &trained, &OPTIONS, &last, Timestamp(0)).unwrap();
    for score in &trained.scores {
        let numbers = [Some(score.churn_probability), Some(score.predicted_clv_12m)];
        let PurchaseForecast { p_alive, purchases_12m, spend_12m } = score.forecast;
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
fn assert_serves(trained: &Trained, task: Task, method: &str, note: &str) {
    let candidate = serving(trained, task);
    assert_eq!(candidate.method, method, "{task:?}: {}", candidate.note);
    assert!(candidate.note.contains(note), "{task:?}: {note:?} is not in {:?}", candidate.note);
}

fn purchase_forecast(trained: &Trained) -> &Candidate {
    let mut candidates = trained.candidates.iter();
    candidates.find(|candidate| candidate.task == Task::PurchaseForecast).unwrap()
}

#[test]
fn with_fewer_than_fifty_customers_baselines_serve_with_a_note() {
    for customers in [1, 9, 49] {
        let (trained, gold) = shop(customers, &regulars(customers));
        let count = if customers == 1 { "1 customer," } else { "customers," };
        let count = &count.replace("customers", &format!("{customers} customers"));
        assert_serves(&trained, Task::Segmentation, BASELINE, count);
        assert_serves(&trained, Task::Churn, BASELINE, &count.replace(',', ""));
        assert_serves(&trained, Task::Clv, BASELINE, &count.replace(',', ""));
        assert_eq!(trained.scores.len(), customers);
        // Four tasks, and the baselines of two under their own names.
        assert_eq!(table(&gold, "ml_model_metrics").height(), 6);
        let reason = format!("skipped: {count} and fewer than 50");
        let forecast = purchase_forecast(&trained);
        assert!(!forecast.serves && forecast.note.contains(&reason), "{}", forecast.note);
    }
}

#[test]
fn fifty_customers_are_enough() {
    let (trained, _) = shop(50, &regulars(50));
    assert_eq!(serving(&trained, Task::Segmentation).method, k_means::NAME);
    for task in [Task::Churn, Task::Clv] {
        assert!(!serving(&trained, task).note.contains("too few to learn from"), "{task:?}");
    }
}

#[test]
fn customers_who_are_all_the_same_are_one_segment() {
    let purchases: Vec<Purchase> =
        (1..=80).flat_map(|id| (0..24).map(move |month| (id, month * 30, 20.0))).collect();
    let (trained, _) = shop(80, &purchases);
    assert_serves(
        &trained,
        Task::Segmentation,
        BASELINE,
        "only 1 different customer for 4 clusters",
    );
    assert_serves(&trained, Task::Churn, BASELINE, "no customer stayed away");
    assert!(trained.scores.iter().all(|score| score.segment == trained.scores[0].segment));
}

#[test]
fn where_every_customer_left_there_is_no_churn_to_learn() {
    // One customer's purchase sets the reference instant; all others bought once, at the start.
    let mut purchases: Vec<Purchase> = (1..=80).map(|id| (id, 0, 20.0)).collect();
    purchases.push((81, 400, 10.0));
    let (trained, _) = shop(81, &purchases);
    assert_serves(&trained, Task::Churn, BASELINE, "every customer stayed away");
    assert!(trained.scores[0].churn_probability > 0.95);
}

#[test]
fn one_churner_is_too_few_for_a_fit_and_an_evaluation() {
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
    assert_serves(&trained, Task::Churn, BASELINE, "only 1 of 80 customers are of the rarer class");
}

#[test]
fn thirteen_days_of_history_have_no_cut_off_sixty_days_ago() {
    let purchases: Vec<Purchase> = (1..=120)
        .flat_map(|id| [(id, 0, 20.0), (id, i64::try_from(id % 14).unwrap(), 5.0)])
        .collect();
    let (trained, _) = shop(120, &purchases);
    assert_serves(&trained, Task::Churn, BASELINE, "0 customers had bought by the cut-off");
    assert!(trained.scores.iter().all(|score| score.churn_probability == 0.5));
    assert_serves(&trained, Task::Clv, BASELINE, "a history of 13 days is too short");
    assert!(trained.scores.iter().all(|score| score.forecast.spend_12m.is_none()));
    // 25 EUR in 13 days are scaled as if in 90 days: 13 days would be scaled up too much.
    let sum: f64 = trained.scores.iter().map(|score| score.predicted_clv_12m).sum();
    assert!((sum - 120.0 * 25.0 * 365.0 / 90.0).abs() < 1.0, "{sum}");
}

#[test]
fn one_giant_spender_does_no_harm() {
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
fn customers_with_one_purchase_are_scored_and_those_without_are_prospects() {
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
fn data_without_dropout_are_reported_to_have_none() {
    let Some(folder) = reference_folder() else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let files = ["clients.csv", "achats.csv"].map(|name| (name, read(name)));
    let (trained, gold) = through_gold(&files);
    let note = "nothing beyond purchase frequency is there to learn";
    let candidate = serving(&trained, Task::Churn);
    assert!(candidate.note.contains(note), "{}", candidate.note);
    let metrics = table(&gold, "ml_model_metrics");
    let row = metrics.column("model").unwrap().str().unwrap().iter();
    let row = row.into_iter().position(|model| model == Some("churn")).unwrap();
    assert!(metrics.column("note").unwrap().str().unwrap().get(row).unwrap().contains(note));
}

#[test]
fn a_shop_of_regulars_stops_at_the_leak_check_and_the_rule_is_evaluated_all_the_same() {
    // Customers buy once a week, each on their own day. Every fifth left for good some months ago.
    // The days since the last purchase alone determine who will not come back.
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
    assert_serves(
        &trained,
        Task::Churn,
        BASELINE,
        "stopped by the leak check: the feature days_since_last alone tells the label (AUC 1.000 > 0.98)",
    );
    let candidate = serving(&trained, Task::Churn);
    assert_eq!(candidate.customers, 200);
    assert!(candidate.held_out > 40 && candidate.fitted + candidate.held_out == 200);
    let Some(Metrics::Churn(metrics)) = &candidate.metrics else { panic!("{candidate:?}") };
    assert!(metrics.brier < 0.01 && metrics.accuracy > 0.99, "{metrics:?}");
    let Some(Metrics::Churn(median)) = &candidate.baseline else { panic!("{candidate:?}") };
    assert!(median.brier > 0.05, "{median:?}");
    // Customers who left are told apart from those who come next week.
    for score in &trained.scores {
        let is_gone = score.recency > 100;
        assert_eq!(churn::risk_level(score.churn_probability) == "High", is_gone, "{score:?}");
    }
    assert_eq!(
        candidate.calibration.iter().map(|bin| bin.count).sum::<usize>(),
        candidate.held_out
    );
    // Under the name of the task and under that of the method.
    assert_eq!(table(&gold, "ml_calibration").height(), 20);
}

#[test]
fn factors_of_a_customer_with_one_purchase_long_ago_are_true() {
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
    let snapshot = CustomerSnapshot::of(history.up_to(history.last().unwrap()));
    // By a purchase model, whichever method serves.
    let fit = bg_nbd::fit(Dropout::AfterAny, &snapshot.patterns).unwrap();
    let reference = ReferenceCustomer::of(&snapshot.patterns, &snapshot.spends);
    trained.artefact.churn = churn::Model::Purchases(PurchaseChurn(fit.model, reference));
    let scores = score(&trained.artefact, &snapshot);
    let once = scores.iter().find(|score| score.id_client == 81).unwrap();
    assert!(once.churn_probability > 0.8, "{}", once.churn_probability);
    let silence = once.recency;
    assert_eq!(once.top_factors[0], "days_since_last", "{once:?}");
    let factors = once.factors.join("; ");
    assert!(
        factors.contains(&format!("last purchase {silence} days ago raises it by")),
        "{factors}"
    );
    assert!(!factors.contains("gap") && !factors.contains("between purchases"), "{factors}");
}

#[test]
fn too_few_customers_to_tell_are_not_reported_to_have_no_dropout() {
    // Generated with dropout, as all generated shops are; 21 of 70 customers are in the test set.
    let spec = goldsmith::sample::Spec { customers: 70, purchases: 700, seed: 4, dirty: 0.0 };
    let history = super::history(spec);
    let trained = train(&history, history.last().unwrap(), &OPTIONS, &LastSegments::new());
    let note = &serving(&trained, Task::Churn).note;
    assert!(note.contains("customers held out are too few to tell"), "{note}");
    assert!(!note.contains("no dropout"), "{note}");
}

#[test]
fn where_no_customer_bought_in_the_window_there_is_no_value_to_learn() {
    // All bought in the first month of the year before last; one later purchase sets the instant.
    let mut purchases: Vec<Purchase> =
        (1..=80).map(|id| (id, i64::try_from(id % 30).unwrap(), 20.0)).collect();
    purchases.push((81, 800, 10.0));
    let (trained, _) = shop(81, &purchases);
    assert_serves(
        &trained,
        Task::Clv,
        BASELINE,
        "no customer who had bought by the cut-off bought in",
    );
}

#[test]
fn the_better_of_two_baselines_serves_where_there_are_too_few_customers() {
    // Forty customers bought in the last period before the cut-off, two of them came back.
    let mut purchases: Vec<Purchase> =
        (1..=40).map(|id| (id, 100 + i64::try_from(id).unwrap(), 30.0)).collect();
    purchases.extend([(1, 0, 30.0), (1, 250, 30.0), (2, 299, 30.0)]);
    let (trained, _) = shop(40, &purchases);
    assert_serves(&trained, Task::Clv, BASELINE, "skipped: 40 customers had bought");
    assert_serves(&trained, Task::Clv, BASELINE, "the better of two baselines: a held-out");
    let algorithm = &serving(&trained, Task::Clv).algorithm;
    assert!(algorithm.contains("the mean of what came back"), "{algorithm}");
    // 60 EUR in 99 days, of 40 customers.
    let expected = (60.0_f64 * 365.0 / 99.0 / 40.0 * 100.0).round() / 100.0;
    assert!(trained.scores.iter().all(|score| score.predicted_clv_12m == expected));
}

#[test]
fn one_price_for_everything_still_gives_a_spend_forecast() {
    let mut purchases = regulars(120);
    for purchase in &mut purchases {
        purchase.2 = 19.9;
    }
    let (trained, _) = shop(120, &purchases);
    for score in &trained.scores {
        let PurchaseForecast { purchases_12m, spend_12m, .. } = score.forecast;
        let (purchases, spend) = (purchases_12m.unwrap(), spend_12m.unwrap());
        assert!((spend - purchases * 19.9).abs() < 0.02 * spend, "{score:?}");
    }
    let forecast = purchase_forecast(&trained);
    let note = "Gamma-Gamma: the data do not determine";
    assert!(forecast.note.contains(note), "{}", forecast.note);
}

#[test]
fn a_generated_shop_has_dropout_to_learn_and_gets_no_note() {
    let spec = goldsmith::sample::Spec { customers: 1_500, purchases: 15_000, seed: 9, dirty: 0.0 };
    let history = super::history(spec);
    let trained = train(&history, history.last().unwrap(), &OPTIONS, &LastSegments::new());
    let candidate = serving(&trained, Task::Churn);
    assert!(candidate.method != BASELINE && candidate.note.is_empty(), "{}", candidate.note);
}
