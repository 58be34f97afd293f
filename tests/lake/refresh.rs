//! Whole refreshes on a lake on S3: the same gold as on disk, also after runs that were killed.

use std::collections::BTreeMap;

use goldsmith::domain::manifest::Manifest;
use goldsmith::lake::{Lake, Layer};
use goldsmith::sample::Spec;

use super::s3::shop_on;
use crate::support::s3::{shared, unique};
use crate::support::{Ran, Running, SMALL, Shop, TINY, orders_and_rows, reference_folder};

/// Tables about the run and the one before it.
const OF_THE_RUN: [&str; 2] = ["ml_model_metrics", "segment_migration"];

/// The reference data, published, or a sample as large.
fn real_shop() -> Shop {
    match reference_folder() {
        Some(folder) => Shop::published_from(&folder),
        None => Shop::published(Spec { customers: 1_500, purchases: 23_663, seed: 1, dirty: 0.02 }),
    }
}

/// The content of a generation in gold, without the tables about the run, by name.
async fn gold(lake: &Lake, generation: u64) -> BTreeMap<String, Vec<u8>> {
    let path = format!("gen-{generation:06}/manifest.json");
    let manifest = lake.get(Layer::Gold, &path).await.unwrap().unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    let mut gold = BTreeMap::new();
    for table in manifest.tables.iter().filter(|table| !OF_THE_RUN.contains(&table.name.as_str())) {
        for file in &table.files {
            let bytes = lake.get_file(Layer::Gold, file).await.unwrap();
            gold.insert(table.name.clone(), bytes.to_vec());
        }
    }
    let models = lake.get_file(Layer::Gold, manifest.models.as_ref().unwrap()).await.unwrap();
    gold.insert("models".to_owned(), models.to_vec());
    gold
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_on_s3_gives_the_same_gold_byte_for_byte_as_on_disk() {
    let server = shared();
    let shop = real_shop();
    let on_disk = Lake::in_directory(&shop.data("{layer}").display().to_string()).unwrap();
    let expected = gold(&on_disk, 1).await;
    assert_eq!(expected.len(), 24);
    for template in
        [format!("s3://{}-{{layer}}", unique()), format!("s3://{}/analytics/{{layer}}", unique())]
    {
        let variables = server.variables();
        let lake = server.lake(&template);
        lake.prepare().await.unwrap();
        for name in ["clients.csv", "achats.csv"] {
            let content = std::fs::read(shop.data("sources").join(name)).unwrap();
            lake.put(Layer::Sources, name, content.into()).await.unwrap();
        }
        let elsewhere = Shop::empty()
            .with_settings(&variables)
            .with_settings(&[("LAKE_URL", &template), ("SQLITE_PATH", "./serving.db")]);
        let ran = elsewhere.run(&["refresh"]).good();
        assert!(ran.out.contains("published generation 1"), "{}", ran.out);
        assert!(gold(&lake, 1).await == expected, "{template}");
        let again = elsewhere.run(&["refresh"]).good();
        assert_eq!(again.out, "nothing changed: generation 1 is up to date\n");
        elsewhere.run(&["check"]).good();
        elsewhere.run(&["lake", "verify"]).good();
        // Only the serving store is on the disk.
        assert!(!elsewhere.path().join("data").exists());
    }
}

#[test]
fn replays_and_comparisons_read_the_lake_on_s3() {
    let (shop, _) = shop_on(&shared(), Shop::sample(TINY));
    shop.run(&["refresh"]).good();
    let running = Running::start(&shop, &["serve"], &[("ADMIN_TOKEN", "t")]);
    let wait = [("Prefer", "wait=120")];
    for (body, generation) in [
        (r#"{"replay": 1, "force": true}"#, 2),
        (r#"{"only": ["gold", "models"], "force": true}"#, 3),
    ] {
        let ended = running.http.ask("POST", "/admin/refresh", "t", &wait, body).json();
        assert_eq!(ended["data"]["state"], "succeeded", "{ended}");
        assert_eq!(ended["data"]["generation"], generation, "{ended}");
    }
    let diff = running.http.ask("GET", "/admin/generations/1/diff/3", "t", &[], "");
    assert_eq!(diff.status, 200, "{}", diff.text);
    running.stop();
    shop.run(&["lake", "verify"]).good();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_removes_what_a_killed_run_has_left() {
    let (shop, template) = shop_on(&shared(), Shop::sample(TINY));
    let lake = shared().lake(&template);
    for point in ["bronze", "silver", "models", "manifest", "publish:kpis", "switched"] {
        let aborted = shop.run_with(&["refresh", "--force"], &[("TESTING__ABORT_AT", point)]);
        assert_eq!(aborted.code, None, "{point}: {aborted:?}");
        shop.run(&["refresh", "--force"]).good();
        shop.run(&["check"]).good();
    }
    let before = shop.run(&["lake", "ls"]).good();
    assert!(!before.out.contains("not committed"), "{}", before.out);
    for layer in [Layer::Silver, Layer::Gold] {
        assert_eq!(lake.remove_incomplete(layer, |_| true, true).await.unwrap(), 0);
    }
    shop.run(&["lake", "verify"]).good();
}

#[test]
fn two_serving_stores_on_one_lake_never_publish_what_is_not_there() {
    // On S3 no lock keeps them apart: of two first runs at once, one makes its store the owner.
    let (one, template) = shop_on(&shared(), Shop::sample(TINY));
    let sources = one.data("sources").display().to_string();
    let server = shared();
    let other = Shop::empty().with_settings(&server.variables()).with_settings(&[
        ("LAKE_URL", &template),
        ("LAKE_SOURCES_URL", &sources),
        ("MODELS__SEED", "7"),
    ]);
    let started = [&one, &other].map(|shop| shop.start(&["refresh", "--force"]));
    let ended = started.map(Ran::at_end_of);
    let (winner, loser) = if ended[0].code == Some(0) { (&one, &other) } else { (&other, &one) };
    for ran in ended {
        if ran.code != Some(0) {
            ran.refused(1, &["belongs to the serving store", "goldsmith lake adopt"]);
        }
    }
    for _ in 0..2 {
        winner.run(&["refresh", "--force"]).good();
        loser.run(&["refresh", "--force"]).refused(1, &["belongs to the serving store"]);
        loser.run(&["lake", "verify"]).refused(1, &["belongs to the serving store"]);
        loser.run(&["lake", "vacuum"]).refused(1, &["belongs to the serving store"]);
    }
    winner.run(&["check"]).good();
    winner.run(&["lake", "verify"]).good();
}

#[test]
fn silver_is_read_by_its_manifest_and_not_by_a_listing() {
    let shop = Shop::published(SMALL);
    // A stray month, as an incomplete copy would leave it, is not read by a run that starts from silver.
    let silver = shop.made("silver", 1);
    let month = shop.names(&format!("{silver}/achats")).remove(0);
    let stray = shop.data(&format!("{silver}/achats/mois=1999-01"));
    std::fs::create_dir_all(&stray).unwrap();
    let part = shop.data(&format!("{silver}/achats/{month}/part-0.parquet"));
    std::fs::copy(&part, stray.join("part-0.parquet")).unwrap();
    let running = Running::start(&shop, &["serve"], &[("ADMIN_TOKEN", "t")]);
    let wait = [("Prefer", "wait=120")];
    let only = r#"{"only": ["gold", "models"], "force": true}"#;
    let ended = running.http.ask("POST", "/admin/refresh", "t", &wait, only).json();
    assert_eq!(ended["data"]["state"], "succeeded", "{ended}");
    assert_eq!(running.http.data("/kpis")["total_purchases"], orders_and_rows(SMALL).0);
    // A damaged file is an error that names it.
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let replay = r#"{"only": ["gold", "models"], "replay": 1, "force": true}"#;
    let ended = running.http.ask("POST", "/admin/refresh", "t", &wait, replay).json();
    let error = ended["data"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("part-0.parquet is damaged"), "{ended}");
}

#[test]
fn a_source_file_that_is_damaged_in_bronze_is_stored_again() {
    let shop = Shop::published(SMALL);
    let stored = shop.names("bronze/achats").remove(0);
    let path = shop.data(&format!("bronze/achats/{stored}"));
    let good = std::fs::read(&path).unwrap();
    // A byte that is not UTF-8 is damage too, not a bad source file.
    for flipped in [0x81, 1] {
        let mut bad = good.clone();
        bad[200] ^= flipped;
        std::fs::write(&path, &bad).unwrap();
        shop.run(&["refresh", "--force"]).good();
        assert!(std::fs::read(&path).unwrap() == good, "{flipped}");
    }
    let mut bad = good.clone();
    bad[200] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    let ran = shop.run(&["lake", "verify"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains(&format!("{stored} is damaged: its SHA-256")), "{}", ran.out);
    shop.run(&["refresh", "--force"]).good();
    assert!(std::fs::read(&path).unwrap() == good);
    shop.run(&["lake", "verify"]).good();
    shop.run(&["check"]).good();
}

/// What cannot be read at all may be damaged, too: a quotation that is opened and never closed.
#[test]
fn a_source_file_that_cannot_be_read_for_its_damage_is_stored_again() {
    let shop = Shop::empty();
    let mut text = "id_achat,id_client,date_achat,montant\n".to_owned();
    // More than a row may have.
    let row = |order: u32| format!("{order:09},{:0>80},2026-01-02,1.50\n", order % 7);
    text.extend((1..50_000).map(row));
    shop.put("achats.csv", text.as_bytes());
    shop.run(&["refresh"]).good();
    let stored = shop.names("bronze/achats").remove(0);
    let path = shop.data(&format!("bronze/achats/{stored}"));
    let mut bad = text.clone().into_bytes();
    bad[text.find('\n').unwrap() + 1] = b'"';
    std::fs::write(&path, &bad).unwrap();
    shop.run(&["refresh", "--force"]).good();
    assert!(std::fs::read(&path).unwrap() == text.as_bytes());
}
