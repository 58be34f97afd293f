//! Every error response is a problem document that names what is wrong.

use crate::support::{Reply, SMALL, Shop, TestApp};

#[track_caller]
fn assert_problem(reply: &Reply, status: u16, code: &str, parts: &[&str]) {
    assert_eq!(reply.status, status, "{}", reply.text);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{}", reply.text);
    let problem = reply.json();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["code"], code);
    assert_eq!(problem["type"], format!("urn:goldsmith:problem:{code}"));
    assert!(!problem["title"].as_str().unwrap().is_empty());
    for part in parts {
        assert!(reply.text.contains(part), "{part:?} is not in {}", reply.text);
    }
}

#[test]
fn an_invalid_parameter_is_named_with_its_valid_values() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    for (path, parts) in [
        ("/customers?limit=0", vec!["\"parameter\":\"limit\"", "1 to 1000"]),
        ("/customers?limit=1001", vec!["limit"]),
        ("/customers?limit=-1", vec!["limit"]),
        ("/customers?limit=", vec!["limit"]),
        ("/customers?offset=-1", vec!["offset"]),
        ("/customers?offset=99999999999999999999", vec!["offset"]),
        ("/customers?limit=1&limit=2", vec!["given twice"]),
        (
            "/customers?colour=red",
            vec!["\"parameter\":\"colour\"", "\"pays\"", "\"total_spent_min\"", "\"q\""],
        ),
        ("/customers?sort=age", vec!["age", "\"total_spent:desc\""]),
        ("/customers?sort=nom:sideways", vec!["sideways"]),
        ("/customers?total_spent_min=lots", vec!["total_spent_min", "money"]),
        ("/customers?id_client=1.5", vec!["id_client", "integer"]),
        ("/customers?date_inscription=31-12-2024", vec!["date_inscription", "2025-12-31"]),
        ("/customers?is_active=maybe", vec!["is_active", "true or false"]),
        ("/customers?pays_min=A", vec!["pays_min"]),
        ("/revenue/country?total_revenue_min=5", vec!["total_revenue_min"]),
        ("/revenue/country?q=x", vec!["\"q"]),
        ("/revenue/product?top_countries=France", vec!["top_countries"]),
        ("/kpis?limit=1", vec!["limit", "no parameters"]),
        ("/customers/1?limit=1", vec!["limit"]),
        ("/customers/one", vec!["\"parameter\":\"id\"", "one"]),
        ("/customers/99999999999999999999", vec!["id"]),
        ("/customers/one/purchases", vec!["id"]),
        ("/customers?%00=1", vec!["no such parameter"]),
        ("/health?x=1", vec!["\"parameter\":\"x\""]),
        ("/openapi.json?x", vec!["\"parameter\":\"x\""]),
    ] {
        assert_problem(&app.get(path), 400, "invalid_parameter", &parts);
    }
    // Odd, but valid.
    for path in [
        "/customers?offset=9223372036854775807",
        "/customers?limit=10.0",
        "/customers?pays=%00",
        "/customers?pays=%ff",
        "/customers/1.0",
    ] {
        assert_eq!(app.get(path).status, 200, "{path}");
    }
}

#[test]
fn a_missing_resource_is_404_and_a_wrong_method_405() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    assert_problem(&app.get("/customers/424242"), 404, "not_found", &["424242"]);
    assert_problem(&app.get("/customers/-1"), 404, "not_found", &["-1"]);
    assert_problem(&app.get("/customers/424242/purchases"), 404, "not_found", &["424242"]);
    for path in ["/nope", "/revenue", "/customers/1/2", "/docs/nope.js", "/..%2f..%2fetc/passwd"] {
        assert_eq!(
            app.get(path).header("content-type"),
            Some("application/problem+json"),
            "{path}"
        );
        assert_eq!(app.get(path).status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for path in
            ["/kpis", "/customers", "/customers/1", "/health", "/health/live", "/openapi.json", "/"]
        {
            let reply = app.send(method, path);
            assert_problem(&reply, 405, "method_not_allowed", &[method, path]);
            assert_eq!(reply.header("allow"), Some("GET, HEAD"), "{method} {path}");
        }
    }
    for path in ["/kpis", "/customers", "/health/live", "/openapi.json", "/"] {
        let head = app.send("HEAD", path);
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
    }
}

#[test]
fn an_unsupported_encoding_gets_a_problem_document() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request =
        agent.get(format!("{}/kpis", app.url())).header("Accept-Encoding", "identity;q=0");
    let mut response = request.call().unwrap();
    assert_eq!(response.status(), 406);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: serde_json::Value = response.body_mut().read_json().unwrap();
    assert_eq!(problem["status"], 406);
}

#[test]
fn before_the_first_publish_data_are_503_with_retry_after() {
    let shop = Shop::empty();
    let app = TestApp::spawn(&shop);
    for path in
        ["/kpis", "/revenue/daily", "/customers", "/customers/1", "/scores", "/health/ready"]
    {
        let reply = app.get(path);
        assert_problem(&reply, 503, "not_published", &["goldsmith refresh"]);
        assert!(reply.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    }
    assert_eq!(app.get("/health/live").status, 200);
    assert_eq!(app.data("/health")["status"], "unpublished");
}

#[test]
fn a_store_that_fails_is_503_without_its_secrets() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn_with(&shop, &[("HTTP__CACHE_BYTES", "0")]);
    let tables = shop.json("gold/gen-000001/manifest.json")["tables"].clone();
    let kpis = tables.as_array().unwrap().iter().find(|table| table["name"] == "kpis").unwrap();
    let physical = format!("kpis_{}_revision", &kpis["content_hash"].as_str().unwrap()[..16]);
    shop.sqlite().execute_batch(&format!("DROP VIEW kpis; DROP TABLE \"{physical}\"")).unwrap();
    let reply = app.get("/kpis");
    assert_problem(&reply, 503, "store_unavailable", &["log"]);
    assert!(
        !reply.text.contains(&physical) && !reply.text.contains("serving.db"),
        "{}",
        reply.text
    );
    assert!(reply.header("retry-after").is_some());
    assert_eq!(app.get("/revenue/country").status, 200);
}
