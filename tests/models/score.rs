//! `goldsmith score`: scoring without training.

use std::collections::BTreeMap;

use goldsmith::sample::Spec;

use crate::support::{Shop, TestApp};

const SPEC: Spec = Spec { customers: 800, purchases: 8_000, seed: 4, dirty: 0.0 };

fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn scoring_again_gives_the_scores_of_the_run() {
    let shop = Shop::published(SPEC);
    let achats = shop.data("sources/achats.csv").display().to_string();
    let output = shop.run(&["score", "--customers", &achats]).good();
    let scored = rows(&output.out);
    let app = TestApp::spawn(&shop);
    let served = app.data("/customers?limit=1000");
    let buyers: Vec<_> =
        served.as_array().unwrap().iter().filter(|row| row["purchase_count"] != 0).collect();
    assert_eq!(scored.len(), buyers.len());
    for (scored, served) in scored.iter().zip(buyers) {
        assert_eq!(scored["id_client"], served["id_client"].to_string());
        for field in
            ["segment_name", "churn_risk_level", "clv_segment", "churn_method", "clv_method"]
        {
            assert_eq!(scored[field], served[field].as_str().unwrap(), "{field}");
        }
        for field in ["churn_probability", "predicted_clv_12m", "p_alive", "expected_purchases_12m"]
        {
            assert_eq!(
                scored[field].parse::<f64>().unwrap(),
                served[field].as_f64().unwrap(),
                "{field}"
            );
        }
    }
}

#[test]
fn new_customers_are_scored_and_bad_rows_are_counted() {
    let shop = Shop::published(SPEC);
    let file = shop.path().join("new.csv");
    let header = "order_id;customer_id;date;amount;item\n";
    let body = "1;900001;2025-12-30;1 234,50;Tea\n2;900001;2025-12-31;10;Tea\n3;900002;2020-01-01;5;Tea\n4;900003;never;5;Tea\n";
    std::fs::write(&file, format!("{header}{body}")).unwrap();
    let output = shop.run(&["score", "--customers", file.to_str().unwrap()]).good();
    let scored = rows(&output.out);
    let ids: Vec<&str> = scored.iter().map(|row| row["id_client"].as_str()).collect();
    assert_eq!(ids, ["900001", "900002"]);
    let probability = |row: usize| scored[row]["churn_probability"].parse::<f64>().unwrap();
    assert!(probability(0) < probability(1));
    assert!(output.err.contains("1 row rejected: invalid_date"), "{}", output.err);
    assert!(output.err.contains("2 customers scored"), "{}", output.err);
}

#[test]
fn a_file_that_cannot_be_scored_is_refused_with_one_sentence() {
    let shop = Shop::sample(SPEC);
    let file = shop.path().join("new.csv").display().to_string();
    let score = |shop: &Shop| shop.run(&["score", "--customers", &file]);
    score(&shop).refused(1, &["there are no models to score with: nothing is published"]);
    shop.run(&["refresh"]).good();
    score(&shop).refused(1, &["cannot read", "new.csv"]);
    std::fs::write(&file, "id_achat,id_client\n").unwrap();
    score(&shop).refused(1, &["new.csv"]);
    let bad = "id_achat,id_client,date_achat,montant,produit\n1,1,soon,5,Tea\n";
    std::fs::write(&file, bad).unwrap();
    score(&shop).refused(1, &["new.csv", "no valid purchase", "1 rows were rejected"]);
    shop.run(&["check"]).good();
    std::fs::write(shop.data(&format!("{}/models.json", shop.made("gold", 1))), "{}").unwrap();
    score(&shop)
        .refused(1, &["models.json", "SHA-256", "run goldsmith refresh to train the models again"]);
}

#[test]
fn missing_models_are_noticed_and_trained_again() {
    let shop = Shop::published(SPEC);
    shop.run(&["check"]).good();
    let models = shop.data(&format!("{}/models.json", shop.made("gold", 1)));
    let before = std::fs::read(&models).unwrap();
    std::fs::remove_file(&models).unwrap();
    let output = shop.run(&["check"]);
    assert_eq!(output.code, Some(1));
    assert!(output.out.contains("models.json is damaged: it is missing"), "{}", output.out);
    // The sources have not changed, but the models are missing.
    shop.run(&["refresh"]).good();
    shop.run(&["check"]).good();
    assert_eq!(
        std::fs::read(shop.data(&format!("{}/models.json", shop.made("gold", 2)))).unwrap(),
        before
    );
    let output = shop.run(&["refresh"]).good();
    assert!(output.out.contains("nothing changed"), "{}", output.out);
}
