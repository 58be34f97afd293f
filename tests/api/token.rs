//! A READ_TOKEN protects data and nothing else.

use crate::support::{SMALL, Shop, TestApp, answers_from_tables, concrete};

#[test]
fn data_routes_require_the_read_token_if_one_is_set() {
    let shop = Shop::published(SMALL);
    let app = TestApp::spawn_with(&shop, &[("READ_TOKEN", "open sesame")]);
    let document = app.get("/openapi.json").json();
    let mut guarded = 0;
    for path in document["paths"].as_object().unwrap().keys() {
        if path.starts_with("/health") {
            assert_eq!(app.get(path).status, 200, "{path}");
        }
        // Admin routes require another token: `api::admin`. Events never end: `jobs::events`.
        if !answers_from_tables(path) {
            continue;
        }
        guarded += 1;
        let path = concrete(path, "1");
        for token in [None, Some("wrong"), Some(""), Some("open sesame 2")] {
            let reply = app.get_as(&path, token);
            assert_eq!(reply.status, 401, "{path} with {token:?}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
            assert_eq!(reply.header("content-type"), Some("application/problem+json"));
            assert!(!reply.text.contains("sesame"));
        }
        assert_eq!(app.get_as(&path, Some("open sesame")).status, 200, "{path}");
    }
    assert!(guarded > 20, "{guarded} guarded routes");
    for path in ["/", "/docs/"] {
        assert_eq!(app.get(path).status, 200, "{path}");
    }
}
