//! `/ml/*`: segments, churn, lifetime value and model metrics.

use goldsmith::sample::Spec;
use serde_json::Value;

use crate::support::{Shop, TestApp};

const SPEC: Spec = Spec { customers: 600, purchases: 7_000, seed: 8, dirty: 0.0 };

fn app() -> (Shop, TestApp) {
    let shop = Shop::published(SPEC);
    let app = TestApp::spawn(&shop);
    (shop, app)
}

fn list(app: &TestApp, path: &str) -> Vec<Value> {
    app.data(path).as_array().unwrap_or_else(|| panic!("{path}")).clone()
}

#[test]
fn predictions_are_filtered_and_agree_with_each_other() {
    let (_shop, app) = app();
    let all = list(&app, "/ml/churn?limit=1000");
    let high = list(&app, "/ml/churn?churn_risk_level=High&limit=1000");
    assert!(!high.is_empty() && high.len() < all.len());
    assert!(high.iter().all(|row| row["churn_probability"].as_f64().unwrap() >= 0.7));
    let between =
        list(&app, "/ml/churn?churn_probability_min=0.4&churn_probability_max=0.69&limit=1000");
    assert!(between.iter().all(|row| row["churn_risk_level"] == "Medium"));
    assert_eq!(app.data("/kpis")["high_risk_customers"], high.len());

    let at_risk = list(&app, "/ml/churn/high-risk?limit=1000");
    assert_eq!(at_risk.len(), high.len());
    let probabilities: Vec<f64> =
        at_risk.iter().map(|row| row["churn_probability"].as_f64().unwrap()).collect();
    assert!(probabilities.windows(2).all(|pair| pair[0] >= pair[1]));
    let by_id = list(&app, "/ml/churn/high-risk?sort=id_client&limit=1000");
    let ids: Vec<i64> = by_id.iter().map(|row| row["id_client"].as_i64().unwrap()).collect();
    assert!(ids.is_sorted());
    assert!(list(&app, "/ml/churn/high-risk?churn_risk_level=Low").is_empty());

    let champions = list(&app, "/ml/segments?segment_name=Champions&limit=1000");
    let summary = list(&app, "/ml/segments/summary");
    let champions_row = summary.iter().find(|row| row["segment_name"] == "Champions").unwrap();
    assert_eq!(champions_row["clients"], champions.len());
    let clients: i64 = summary.iter().map(|row| row["clients"].as_i64().unwrap()).sum();
    assert_eq!(clients, 600);

    let premium = list(&app, "/ml/clv?clv_segment=Premium&limit=1000");
    assert!(premium.iter().all(|row| row["predicted_clv_12m"].as_f64().unwrap() >= 1_000.0));
    assert_eq!(list(&app, "/ml/scores?limit=3"), list(&app, "/scores?limit=3"));
    assert_eq!(list(&app, "/ml/scores/summary"), list(&app, "/segments"));
}

#[test]
fn one_customer_has_every_prediction_with_its_factors_as_text() {
    let (_shop, app) = app();
    let id = list(&app, "/ml/churn/high-risk?limit=1")[0]["id_client"].clone();
    let customer = app.data(&format!("/customers/{id}"));
    let churn = &list(&app, &format!("/ml/churn?id_client={id}"))[0];
    let clv = &list(&app, &format!("/ml/clv?id_client={id}"))[0];
    let segment = &list(&app, &format!("/ml/segments?id_client={id}"))[0];
    for (field, row, column) in [
        ("churn_probability", churn, "churn_probability"),
        ("churn_risk_level", churn, "churn_risk_level"),
        ("churn_factors", churn, "factors"),
        ("churn_method", churn, "method"),
        ("predicted_clv_12m", clv, "predicted_clv_12m"),
        ("clv_segment", clv, "clv_segment"),
        ("clv_method", clv, "method"),
        ("p_alive", clv, "p_alive"),
        ("expected_purchases_12m", clv, "expected_purchases_12m"),
        ("expected_spend_12m", clv, "expected_spend_12m"),
        ("segment_name", segment, "segment_name"),
        ("segment_method", segment, "method"),
    ] {
        assert_eq!(customer[field], row[column], "{field}");
    }
    let factors = customer["churn_factors"].as_array().unwrap();
    assert!(!factors.is_empty() && factors.len() <= 3);
    assert_eq!(factors.len(), churn["top_factors"].as_array().unwrap().len());
    let factor = factors[0].as_str().unwrap();
    assert!(factor.contains("it by") && factor.ends_with("points"), "{factor}");
}

#[test]
fn metrics_show_the_serving_model_every_candidate_and_the_calibration() {
    let (_shop, app) = app();
    let all = list(&app, "/ml/model-metrics");
    for task in ["segmentation", "churn", "clv", "buying"] {
        let own: Vec<&Value> = all.iter().filter(|row| row["task"] == task).collect();
        let serving = own.iter().find(|row| row["model"] == task).unwrap();
        assert_eq!(serving["serves"], true);
        let named = format!("{task}_{}", serving["method"].as_str().unwrap());
        assert!(
            ["segmentation", "buying"].contains(&task)
                || own.iter().any(|row| row["model"] == named.as_str())
        );
    }
    for row in all.iter().filter(|row| row["task"] == "churn") {
        assert!(row["baseline_brier"].is_f64() && row["n_held_out"].as_i64().unwrap() > 100);
    }
    let churn = app.data("/ml/model-metrics/churn");
    let bins = churn["calibration"].as_array().unwrap();
    assert_eq!(bins.len(), 10);
    let evaluated: i64 = bins.iter().map(|bin| bin["clients"].as_i64().unwrap()).sum();
    assert_eq!(churn["n_held_out"], evaluated);
    assert!(churn["brier"].as_f64() < churn["baseline_brier"].as_f64());
    assert_eq!(app.data("/ml/model-metrics/clv")["calibration"], Value::Array(Vec::new()));
    let missing = app.get("/ml/model-metrics/oracle");
    assert_eq!(missing.status, 404);
    assert!(missing.json()["detail"].as_str().unwrap().contains("/ml/model-metrics lists them"));
}
