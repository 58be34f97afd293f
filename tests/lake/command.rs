//! `goldsmith lake ls|verify|vacuum|adopt`, on disk and on S3.

use goldsmith::catalogue;
use goldsmith::lake::{Lake, Layer};

use super::s3::shop_on;
use crate::support::s3::shared;
use crate::support::{SMALL, Shop, TINY};

/// A shop with its lake on disk, and one with it on S3, with that lake.
fn both() -> [(Shop, Lake); 2] {
    let on_disk = Shop::sample(TINY);
    let disk = Lake::in_directory(&on_disk.data("{layer}").display().to_string()).unwrap();
    let (on_s3, template) = shop_on(&shared(), Shop::sample(TINY));
    [(on_disk, disk), (on_s3, shared().lake(&template))]
}

#[tokio::test(flavor = "multi_thread")]
async fn ls_lists_the_objects_of_each_layer_and_generation() {
    for (shop, lake) in both() {
        shop.run(&["refresh"]).good();
        shop.run(&["refresh", "--force"]).good();
        shop.run(&["rollback"]).good();
        lake.put(Layer::Gold, "gen-000009/run-000009/kpis.parquet", "half".into()).await.unwrap();
        let shown = shop.run(&["lake", "ls"]).good().out;
        let line = |layer: Layer, generation: &str| -> Vec<String> {
            let place = lake.place(layer);
            let place = place.rsplit('/').next().unwrap();
            let lines = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let found = lines.into_iter().find(|cells| {
                cells.first().is_some_and(|cell| cell.ends_with(place))
                    && (generation.is_empty() || cells.get(1) == Some(&generation))
            });
            found.unwrap_or_else(|| panic!("{place} {generation}: {shown}"))[1..]
                .iter()
                .map(|cell| (*cell).to_owned())
                .collect()
        };
        let clients = std::fs::metadata(shop.data("sources/clients.csv")).unwrap().len();
        let achats = std::fs::metadata(shop.data("sources/achats.csv")).unwrap().len();
        assert_eq!(line(Layer::Bronze, ""), ["2", &(clients + achats).to_string()]);
        // Every table, the models, the manifest.
        assert_eq!(line(Layer::Gold, "1")[1], (catalogue::ALL.len() + 2).to_string());
        assert!(line(Layer::Gold, "1").ends_with(&["served".to_owned()]), "{shown}");
        assert!(line(Layer::Gold, "2").ends_with(&["kept".to_owned()]), "{shown}");
        assert_eq!(line(Layer::Gold, "9")[1..], ["1", "4", "not", "committed"]);
        assert!(line(Layer::Silver, "1").contains(&"served".to_owned()), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_reads_every_object_and_names_what_is_damaged() {
    for (shop, lake) in both() {
        shop.run(&["refresh"]).good();
        let good = shop.run(&["lake", "verify"]).good();
        assert!(good.out.contains("bytes as written"), "{}", good.out);
        let silver = lake.list(Layer::Silver, "gen-000001").await.unwrap();
        let lost = &silver.iter().find(|object| object.path.contains("mois=")).unwrap().path;
        lake.delete(Layer::Silver, lost).await.unwrap();
        let tables = lake.list(Layer::Gold, "gen-000001").await.unwrap();
        let bad = &tables.iter().find(|object| object.path.ends_with("kpis.parquet")).unwrap().path;
        lake.put(Layer::Gold, bad, "something else".into()).await.unwrap();
        let found = shop.run(&["lake", "verify"]);
        assert_eq!(found.code, Some(1), "{found:?}");
        assert!(found.err.contains("error: the lake is damaged"), "{found:?}");
        for problem in
            [format!("{lost} is damaged: it is missing"), format!("{bad} is damaged: its")]
        {
            assert!(found.out.contains(&problem), "{problem} is not in {}", found.out);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_removes_what_no_generation_within_retention_needs_and_nothing_else() {
    for (shop, lake) in both() {
        shop.run(&["refresh"]).good();
        let first = lake.list(Layer::Bronze, "achats").await.unwrap().remove(0).path;
        // Other purchases, so that the first file belongs to no generation within retention in the end.
        let achats = std::fs::read_to_string(shop.data("sources/achats.csv")).unwrap();
        let fewer: Vec<&str> = achats.lines().take(280).collect();
        shop.put("achats.csv", (fewer.join("\n") + "\n").as_bytes());
        shop.run(&["refresh"]).good();
        let second = lake.list(Layer::Gold, "gen-000002").await.unwrap();

        // What an interrupted run, a run that lost its lease, a probe and other programs leave.
        for (layer, path) in [
            (Layer::Gold, "gen-000007/run-000031/kpis.parquet"),
            (Layer::Gold, "gen-000002/run-000030/kpis.parquet"),
            (Layer::Silver, "gen-000007/run-000031/achats/mois=2024-01/part-0.parquet"),
            (Layer::Gold, ".probe-00ff00ff00ff00ff"),
            (Layer::Gold, "readme.txt"),
            (Layer::Gold, ".probe-results.txt"),
            (Layer::Gold, "reports/2025.pdf"),
            (Layer::Bronze, "achats/by-hand.csv"),
        ] {
            lake.put(layer, path, "left".into()).await.unwrap();
        }
        let before = paths(&lake).await;
        let dry = shop.run(&["lake", "vacuum", "--dry-run"]).good().out;
        assert!(dry.contains("would remove 4 objects of 16 bytes and 0 half-written"), "{dry}");
        assert_eq!(paths(&lake).await, before);
        let done = shop.run(&["lake", "vacuum"]).good().out;
        assert!(done.contains("removed 4 objects of 16 bytes"), "{done}");
        for gone in
            ["run-000031/kpis", "run-000030/kpis", "mois=2024-01", ".probe-00ff00ff00ff00ff"]
        {
            assert!(done.contains(gone), "{gone} is not in {done}");
        }
        let after = paths(&lake).await;
        assert_eq!(after.len(), before.len() - 4);
        for stays in [
            "Gold readme.txt",
            "Gold .probe-results.txt",
            "Gold reports/2025.pdf",
            "Bronze achats/by-hand.csv",
        ] {
            assert!(after.contains(&stays.to_owned()), "{stays}");
        }
        assert_eq!(lake.list(Layer::Gold, "gen-000002").await.unwrap(), second);

        assert_vacuums_bronze_on_request(&shop, &first);
        // It is recorded as a run.
        let kinds: String = shop
            .sqlite()
            .query_row(
                "SELECT group_concat(json_extract(record, '$.kind')) FROM goldsmith_runs",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(kinds.matches("vacuum").count(), 4, "{kinds}");
    }
}

/// Bronze only on request, old enough, and of no generation within retention: at first, both are within.
fn assert_vacuums_bronze_on_request(shop: &Shop, first: &str) {
    for arguments in [&["--bronze"][..], &["--older-than", "0"]] {
        let wrong = shop.run(&[&["lake", "vacuum"], arguments].concat());
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
    }
    let bronze = ["lake", "vacuum", "--bronze", "--older-than", "0"];
    let none = shop.run(&bronze).good().out;
    assert!(none.contains("removed 0 objects"), "{none}");
    let two = [("PUBLISH__KEEP_GENERATIONS", "2")];
    for _ in 0..2 {
        shop.run_with(&["refresh", "--force"], &two).good();
    }
    let young = ["lake", "vacuum", "--bronze", "--older-than", "1"];
    let none = shop.run_with(&young, &two).good().out;
    assert!(none.contains("removed 0 objects"), "{none}");
    let old = shop.run_with(&bronze, &two).good().out;
    assert!(old.contains("removed 1 object of") && old.contains(first), "{old}");
    shop.run(&["lake", "verify"]).good();
    shop.run(&["check"]).good();
}

#[test]
fn a_vacuum_is_refused_during_a_run_and_removes_nothing_that_is_not_known() {
    let shop = Shop::published(SMALL);
    let lake = Lake::in_directory(&shop.data("{layer}").display().to_string()).unwrap();
    let held = lake.lock().unwrap();
    shop.run(&["lake", "vacuum"]).refused(1, &["another refresh is running"]);
    shop.run(&["lake", "vacuum", "--dry-run"]).good();
    drop(held);
    // With a manifest that cannot be read, it is not known what it refers to: nothing is removed.
    let gold = shop.data("gold/gen-000001");
    std::fs::write(gold.join("manifest.json"), "{").unwrap();
    std::fs::create_dir_all(gold.join("run-000009")).unwrap();
    std::fs::write(gold.join("run-000009/x.parquet"), "x").unwrap();
    shop.run(&["lake", "vacuum"]).refused(1, &["gen-000001/manifest.json is not a manifest"]);
    assert!(gold.join("run-000009/x.parquet").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_serving_store_is_refused_until_the_lake_is_handed_over() {
    for (shop, lake) in both() {
        shop.run(&["refresh"]).good();
        let before = paths(&lake).await;
        let second = beside(&shop, &lake);
        // Another seed makes another generation: by its own retention the second store would have removed
        // what the first one serves.
        let other = [("PUBLISH__KEEP_GENERATIONS", "2"), ("MODELS__SEED", "7")];
        let gold = lake.place(Layer::Gold);
        let owner = format!("{gold} belongs to the serving store sqlite ");
        for command in [
            &["refresh"][..],
            &["refresh", "--force"],
            &["lake", "ls"],
            &["lake", "verify"],
            &["lake", "vacuum", "--dry-run"],
            &["lake", "vacuum"],
        ] {
            second
                .run_with(command, &other)
                .refused(1, &[&owner, ", and this one is sqlite ", "goldsmith lake adopt"]);
        }
        // The first store is unharmed.
        assert_eq!(paths(&lake).await, before);
        shop.run(&["check"]).good();
        shop.run(&["lake", "verify"]).good();
        shop.run(&["refresh", "--force"]).good();

        let adopted = second.run(&["lake", "adopt"]).good();
        assert!(adopted.out.contains("no longer to sqlite "), "{}", adopted.out);
        let published = second.run_with(&["refresh"], &other).good();
        assert!(published.out.contains("published generation 3"), "{}", published.out);
        second.run(&["check"]).good();
        second.run(&["lake", "verify"]).good();
        // The former owner serves what it holds, and changes nothing in the lake.
        let after = paths(&lake).await;
        let former = ["gold belongs to the serving store sqlite "];
        shop.run(&["refresh", "--force"]).refused(1, &former);
        shop.run(&["lake", "vacuum"]).refused(1, &former);
        shop.run(&["rollback"]).good();
        assert_eq!(paths(&lake).await, after);
    }
}

#[test]
fn a_lake_without_an_owner_gets_one_from_its_next_run() {
    let shop = Shop::published(SMALL);
    let owner = shop.data("gold/owner.json");
    let first = std::fs::read(&owner).unwrap();
    // As an earlier version leaves it; the store still has its identity.
    std::fs::remove_file(&owner).unwrap();
    for command in [&["lake", "ls"][..], &["lake", "verify"], &["lake", "vacuum", "--dry-run"]] {
        shop.run(command).good();
        assert!(!owner.exists(), "{command:?} only reads");
    }
    shop.run(&["refresh"]).good();
    assert_eq!(std::fs::read(&owner).unwrap(), first);
    // The store of an earlier version has no identity either.
    std::fs::remove_file(&owner).unwrap();
    shop.sqlite().execute_batch("DROP TABLE goldsmith_identity").unwrap();
    let ran = shop.run(&["refresh"]).good();
    assert_eq!(ran.out, "nothing changed: generation 1 is up to date\n");
    assert!(owner.exists());
    shop.run(&["lake", "verify"]).good();
    // One that was damaged is an error with a way out.
    std::fs::write(&owner, "{").unwrap();
    shop.run(&["refresh"]).refused(1, &["owner.json does not name a serving store", "lake adopt"]);
    shop.run(&["lake", "adopt"]).good();
    shop.run(&["refresh"]).good();
}

/// Another serving store with the sources and the lake of a shop.
fn beside(shop: &Shop, lake: &Lake) -> Shop {
    let sources = shop.data("sources").display().to_string();
    let [bronze, silver, gold] = Layer::WRITTEN.map(|layer| lake.place(layer));
    Shop::empty().with_settings(&shared().variables()).with_settings(&[
        ("LAKE_SOURCES_URL", &sources),
        ("LAKE_BRONZE_URL", &bronze),
        ("LAKE_SILVER_URL", &silver),
        ("LAKE_GOLD_URL", &gold),
    ])
}

/// Every object that runs write, by layer.
async fn paths(lake: &Lake) -> Vec<String> {
    let mut paths = Vec::new();
    for layer in Layer::WRITTEN {
        let listed = lake.list(layer, "").await.unwrap();
        paths.extend(listed.into_iter().map(|object| format!("{layer:?} {}", object.path)));
    }
    paths.retain(|path| !path.ends_with(".refresh.lock"));
    paths
}
