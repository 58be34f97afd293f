//! What only an S3 store refuses, ignores or contains.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use goldsmith::error_chain::describe;
use goldsmith::lake::{Lake, LakeError, Layer, keys};
use object_store::ObjectStoreExt as _;
use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::client::HttpRequest;

use crate::support::s3::{Server, ceph, open, shared, unique};
use crate::support::{Running, Shop, TINY, report_left_out};

/// A shop with its lake in buckets of its own, and their template.
pub fn shop_on(server: &Server, shop: Shop) -> (Shop, String) {
    let template = format!("s3://{}-{{layer}}", unique());
    let variables = server.variables();
    let sources = shop.data("sources").display().to_string();
    let shop = shop
        .with_settings(&variables)
        .with_settings(&[("LAKE_URL", &template), ("LAKE_SOURCES_URL", &sources)]);
    (shop, template)
}

/// Asserts that a text holds no key.
#[track_caller]
pub fn assert_no_keys(server: &Server, text: &str) {
    assert!(!text.contains(&server.secret), "{text}");
    assert!(!text.contains(&server.key), "{text}");
}

#[test]
fn wrong_keys_are_one_sentence_that_does_not_repeat_them() {
    let good = shared();
    let other_key = Server { key: "NOSUCHKEY00123".to_owned(), ..good.clone() };
    let other_secret = Server { secret: "wrong00123".to_owned(), ..good.clone() };
    for (server, code) in
        [(other_key, "InvalidAccessKeyId"), (other_secret, "SignatureDoesNotMatch")]
    {
        let (shop, _) = shop_on(&server, Shop::sample(TINY));
        let log = [("RUST_LOG", "debug")];
        let ran = shop.run_with(&["refresh"], &log);
        let ran = ran.refused(1, &["cannot look into s3://gt-", "403 Forbidden", code]);
        // Wrong keys are not retried.
        assert!(!ran.err.contains("transient failure; retrying"), "{}", ran.err);
        assert_no_keys(&server, &ran.err);
        assert_no_keys(&server, &ran.out);
        let record: String = shop
            .sqlite()
            .query_row("SELECT record FROM goldsmith_runs", [], |row| row.get(0))
            .unwrap();
        assert!(record.contains("403 Forbidden"), "{record}");
        assert_no_keys(&server, &record);
        let settings = shop.run(&["settings"]).good();
        assert!(settings.out.contains(&server.endpoint), "{}", settings.out);
        assert_no_keys(&server, &settings.out);
    }
}

#[test]
fn a_missing_bucket_is_named_or_created_as_the_settings_say() {
    let (shop, template) = shop_on(&shared(), Shop::sample(TINY));
    let bucket = template.strip_prefix("s3://").unwrap().replace("{layer}", "bronze");
    let never = [("LAKE__CREATE_BUCKETS", "false")];
    for command in [&["refresh"][..], &["refresh", "--force"]] {
        let expected = [&format!("there is no bucket {bucket}")[..], "lake.create_buckets"];
        shop.run_with(command, &never).refused(1, &expected);
    }
    shop.run(&["lake", "ls"]).refused(1, &["cannot list s3://", "NoSuchBucket"]);
    shop.run(&["refresh"]).good();
    shop.run_with(&["refresh", "--force"], &never).good();
    shop.run(&["check"]).good();
}

/// A store that accepts every write, also where its condition does not hold, as none of the real ones here
/// does.
fn careless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                let mut part = [0; 4_096];
                while !String::from_utf8_lossy(&request).contains("\r\n\r\n") {
                    let read = stream.read(&mut part).unwrap();
                    request.extend_from_slice(&part[..read]);
                }
                let answer = "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 19\r\n\
                              Connection: close\r\n\r\n<ListBucketResult/>";
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    endpoint
}

#[tokio::test]
async fn a_store_that_ignores_conditional_writes_is_detected_and_used_with_a_warning() {
    let server = Server { endpoint: careless(), ..shared() };
    let lake = server.lake("s3://careless/{layer}");
    lake.prepare().await.unwrap();
    // There the lease decides, and both are written.
    for content in ["one", "another"] {
        lake.commit(Layer::Gold, "gen-000001/manifest.json", content.into()).await.unwrap();
    }
    let careful = shared().lake(&format!("s3://{}/{{layer}}", unique()));
    careful.prepare().await.unwrap();
    careful.commit(Layer::Gold, "gen-000001/manifest.json", "one".into()).await.unwrap();
    let error = careful.commit(Layer::Gold, "gen-000001/manifest.json", "another".into()).await;
    assert!(matches!(error, Err(LakeError::AlreadyCommitted(_))), "{error:?}");
    // Nothing of the probe stays.
    assert_eq!(careful.names(Layer::Gold).await.unwrap(), [""; 0]);
}

/// Puts an object under a key that is not a path.
async fn put_raw(server: &Server, bucket: &str, key: &str) {
    let credential = AwsCredential {
        key_id: server.key.clone(),
        secret_key: server.secret.clone(),
        token: None,
    };
    let url = format!("{}/{bucket}/{key}", server.endpoint);
    let mut request = HttpRequest::new(bytes::Bytes::from_static(b"x").into());
    *request.method_mut() = http::Method::PUT;
    *request.uri_mut() = url.parse().unwrap();
    AwsAuthorizer::new(&credential, "s3", "us-east-1").try_authorize(&mut request, None).unwrap();
    let (parts, _) = request.into_parts();
    let sent = reqwest::Client::new().put(&url).headers(parts.headers).body("x").send().await;
    let status = sent.unwrap().status();
    assert!(status.is_success(), "{key}: {status}");
}

#[tokio::test]
async fn keys_that_are_not_paths_are_left_alone() {
    // SeaweedFS merges slashes, Ceph stores such keys as they are.
    let (server, merges_slashes) = match ceph() {
        Some(ceph) => (ceph, false),
        None => (shared(), true),
    };
    let mut keys = vec!["", "older/", "line%0Abreak.csv"];
    let managed = "gen-000001/run-000001/kpis.parquet";
    let mut expected = vec![managed, "line\nbreak.csv"];
    if merges_slashes {
        report_left_out("keys with empty segments, as Ceph's gateway is not installed");
    } else {
        keys.extend(["a//b.csv", "/c.csv"]);
        expected.splice(0..0, ["/c.csv", "a//b.csv"]);
    }
    for prefix in ["", "analytics/"] {
        let bucket = unique();
        let lake = server.lake(&format!("s3://{bucket}/{prefix}{{layer}}"));
        lake.prepare().await.unwrap();
        lake.put(Layer::Sources, "clients.csv", "x".into()).await.unwrap();
        lake.put(Layer::Gold, managed, "x".into()).await.unwrap();
        for layer in ["sources", "gold"] {
            for key in &keys {
                // A key with a slash at its end is how consoles make folders.
                put_raw(&server, &bucket, &format!("{prefix}{layer}/{key}")).await;
            }
        }
        let names = lake.names(Layer::Sources).await.unwrap();
        assert_eq!(names, ["clients.csv", "line\nbreak.csv"], "{prefix}");
        let listed = lake.list(Layer::Gold, "").await.unwrap();
        let listed: Vec<&str> = listed.iter().map(|object| object.path.as_str()).collect();
        assert_eq!(listed, expected, "{prefix}");
        if !merges_slashes {
            lake.delete_folder(Layer::Gold, "a").await.unwrap();
        }
        lake.delete_folder(Layer::Gold, "gen-000001").await.unwrap();
        let (left, folders) =
            if merges_slashes { (1, vec!["older"]) } else { (3, vec!["a", "older"]) };
        assert_eq!(lake.list(Layer::Gold, "").await.unwrap().len(), left, "{prefix}");
        assert_eq!(lake.folders(Layer::Gold).await.unwrap(), folders, "{prefix}");
    }
}

#[test]
fn a_source_file_that_cannot_be_requested_is_an_error() {
    let (shop, template) = shop_on(&shared(), Shop::sample(TINY));
    let shop = shop.with_settings(&[("LAKE_SOURCES_URL", &template)]);
    shop.run(&["refresh"]).refused(1, &["there is no file with purchases in s3://gt-"]);
    let (server, bucket) = (shared(), template.replace("s3://", "").replace("{layer}", "sources"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(put_raw(&server, &bucket, "achats%0A2024.csv"));
    shop.run(&["refresh"]).refused(1, &["achats\\n2024.csv holds a control character"]);
    // In a directory as well.
    let shop = Shop::sample(TINY);
    shop.put("clients\t2.csv", b"x");
    shop.run(&["refresh"]).refused(1, &["clients\\t2.csv holds a control character"]);
}

#[tokio::test]
async fn incomplete_uploads_are_aborted() {
    let server = shared();
    let bucket = unique();
    let lake = server.lake(&format!("s3://{bucket}/{{layer}}"));
    lake.prepare().await.unwrap();
    // Forgotten halfway, as a killed process leaves them.
    let store = std::sync::Arc::new(
        AmazonS3Builder::new()
            .with_endpoint(&server.endpoint)
            .with_allow_http(true)
            .with_bucket_name(&bucket)
            .with_access_key_id(&server.key)
            .with_secret_access_key(&server.secret)
            .with_http_connector(
                goldsmith::lake::http::InstrumentedClient::new(Duration::from_secs(20), &[])
                    .unwrap(),
            )
            .build()
            .unwrap(),
    );
    for key in ["gold/gen-000001/run-000001/kpis.parquet", "gold/mois=2025-01/é.parquet", "other/x"]
    {
        let path = object_store::path::Path::parse(key).unwrap();
        let mut upload = store.put_multipart(&path).await.unwrap();
        upload.put_part(vec![0; 5 << 20].into()).await.unwrap();
        std::mem::forget(upload);
    }
    assert_eq!(lake.remove_incomplete(Layer::Gold, |_| true, true).await.unwrap(), 2);
    // Those of other programs are left alone.
    assert_eq!(lake.remove_incomplete(Layer::Gold, keys::is_managed, true).await.unwrap(), 1);
    let kpis: fn(&str) -> bool = |path| path.ends_with("/kpis.parquet");
    assert_eq!(lake.remove_incomplete(Layer::Gold, kpis, false).await.unwrap(), 1);
    assert_eq!(lake.remove_incomplete(Layer::Gold, |_| true, false).await.unwrap(), 1);
    assert_eq!(lake.remove_incomplete(Layer::Gold, |_| true, true).await.unwrap(), 0);
    assert_eq!(lake.remove_incomplete(Layer::Silver, |_| true, true).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_is_down_is_a_transient_error_with_its_cause() {
    let endpoint = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let server = Server { endpoint, ..shared() };
    let mut options = server.options();
    options.retries = 1;
    let lake: Lake = open("s3://{layer}", options);
    for error in [
        lake.prepare().await.unwrap_err(),
        lake.get(Layer::Gold, "x").await.unwrap_err(),
        lake.digest(Layer::Sources, "x").await.unwrap_err(),
        lake.put(Layer::Gold, "x", "y".into()).await.unwrap_err(),
        lake.names(Layer::Sources).await.unwrap_err(),
    ] {
        let text = describe(&error);
        assert!(text.contains("Connection refused"), "{text}");
        assert!(text.contains("s3://"), "{text}");
        assert!(error.is_transient(), "{text}");
        assert_no_keys(&server, &format!("{text} {error:?} {lake:?}"));
    }
}

#[test]
fn serving_does_not_need_the_lake_and_a_failed_refresh_says_why() {
    let server = shared();
    let (shop, _) = shop_on(&server, Shop::sample(TINY));
    shop.run(&["refresh"]).good();
    let endpoint = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let away = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("ADMIN_TOKEN", "t"),
        ("S3__RETRIES", "0"),
        ("REFRESH__STEP_SECS", "4"),
        ("RUST_LOG", "debug"),
    ];
    let running = Running::start(&shop, &["serve"], &away);
    assert_eq!(running.http.get("/health/ready").status, 200);
    let before = running.http.data("/kpis");
    let wait = [("Prefer", "wait=60")];
    let ended = running.http.ask("POST", "/admin/refresh", "t", &wait, "").json()["data"].take();
    assert_eq!(ended["state"], "failed", "{ended}");
    let error = ended["error"].as_str().unwrap();
    assert!(error.starts_with("the step sources did not end within 4 s"), "{error}");
    assert!(error.contains("Connection refused"), "{error}");
    assert_eq!(running.http.data("/kpis"), before);
    assert_eq!(running.http.get("/customers?limit=5").status, 200);
    let counted = running.http.get("/metrics").text;
    let refused = "goldsmith_retries_total{cause=\"connect\",what=\"lake request\"} ";
    assert!(counted.contains(refused), "{counted}");
    let (code, log) = running.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains("transient failure of a lake request"), "{log}");
    assert_no_keys(&server, &(log + &ended.to_string()));
}

#[test]
fn a_server_that_never_responds_holds_a_run_no_longer_than_a_step_may_take() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // The system accepts connections, and no process reads from them.
    let (shop, _) = shop_on(&Server { endpoint, ..shared() }, Shop::sample(TINY));
    for (settings, expected) in [
        ([("REFRESH__STEP_SECS", "2"), ("S3__REQUEST_SECS", "30")], "(refresh.step_secs)"),
        ([("REFRESH__STEP_SECS", "8"), ("S3__REQUEST_SECS", "1")], "last failure: "),
    ] {
        let settings = [settings[0], settings[1], ("S3__RETRIES", "0")];
        let ran = shop.run_with(&["refresh"], &settings);
        ran.refused(1, &["the step sources did not end within", expected]);
    }
    drop(listener);
}
