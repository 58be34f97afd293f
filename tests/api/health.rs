//! Health, the home page, Swagger UI.

use crate::support::{SMALL, Shop, TestApp};

#[test]
fn health_reports_store_and_age() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    let health = app.data("/health");
    assert_eq!(health["status"], "ok");
    assert_eq!(health["store"]["reachable"], true);
    assert!(health["store"]["location"].as_str().unwrap().starts_with("sqlite "));
    assert!(health["published_age_secs"].as_i64().unwrap() >= 0);
    assert_eq!(app.get("/health/live").status, 200);
    assert_eq!(app.get("/health/ready").status, 200);
}

#[test]
fn the_home_page_links_every_route() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    let page = app.get("/");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let document = app.get("/openapi.json").json();
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.text.contains(path), "{path} is not on the page");
        if !path.contains('{') && !path.starts_with("/admin/") {
            assert!(page.text.contains(&format!("href=\"{path}\"")), "{path} is not linked");
            // The answer of /events never ends.
            if path != "/events" {
                assert_eq!(app.get(path).status, 200, "{path}");
            }
        }
    }
    assert!(page.text.contains("href=\"/docs/\""));
}

#[test]
fn swagger_ui_is_served_from_the_binary() {
    let shop = Shop::empty();
    let app = TestApp::spawn(&shop);
    assert_eq!(app.get("/docs").header("location"), Some("/docs/"));
    let page = app.get("/docs/");
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    assert!(app.get("/docs/swagger-initializer.js").text.contains("/openapi.json"));
    assert_eq!(app.get("/docs/swagger-ui-bundle.js").status, 200);
}

#[test]
fn answers_are_compressed_for_clients_that_accept_it() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn(&shop);
    let request = ureq::get(format!("{}/customers", app.url())).header("Accept-Encoding", "gzip");
    let response = request.call().unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(app.get("/customers").header("content-encoding").is_none());
}
