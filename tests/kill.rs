//! `kill -9` at every point of a refresh: the old generation stays served, the next run is clean.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use goldsmith::catalogue;
use goldsmith::sample::{Spec, generate};

use crate::support::{Shop, TINY, TestApp};

/// A shop with generation 1 published and other sources waiting.
fn about_to_change() -> Shop {
    let shop = Shop::published(TINY);
    for (name, bytes) in generate(Spec { seed: 77, ..TINY }).unwrap() {
        shop.put(name, &bytes);
    }
    shop
}

/// What must hold after a run that ended badly: one whole generation is served, and a further
/// run leaves exactly the generations that are kept, in lake and store.
fn assert_recovers(shop: &Shop, at: &str) {
    shop.run(&["check"]).good();
    let app = TestApp::spawn(shop);
    let served = app.get("/kpis").json()["meta"]["generation"].as_u64().unwrap();
    assert!(served == 1 || served == 2, "{at}: generation {served}");

    shop.run(&["refresh"]).good();
    assert_eq!(app.get("/kpis").json()["meta"]["generation"], 2, "{at}");
    assert_eq!(shop.names("gold"), ["gen-000001", "gen-000002", "owner.json"], "{at}");
    assert_eq!(shop.names("silver"), ["gen-000001", "gen-000002"], "{at}");
    for folder in ["bronze", "bronze/achats", "bronze/clients"] {
        assert!(shop.names(folder).iter().all(|name| !name.contains('#')), "{at}: {folder}");
    }
    let used = shop.physical_names(&[1, 2]);
    let store = shop.sqlite();
    let mut statement = store
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%_revision'")
        .unwrap();
    let stored: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(stored.len() >= catalogue::ALL.len());
    for name in stored {
        assert!(used.contains(&name), "{at}: {name} is debris");
    }
    shop.run(&["check"]).good();
}

#[test]
fn a_process_that_ends_at_any_named_point_leaves_a_whole_generation() {
    let publishing =
        catalogue::ALL.iter().map(|table| format!("publish:{}", table.name)).step_by(5);
    let points = ["bronze", "silver", "gold", "models", "proof", "manifest", "switch", "switched"]
        .map(str::to_owned);
    for point in points.into_iter().chain(publishing) {
        let shop = about_to_change();
        let ran = shop.run_with(&["refresh"], &[("TESTING__ABORT_AT", &point)]);
        assert_eq!(ran.code, None, "{point} was never reached: {ran:#?}");
        assert_recovers(&shop, &point);
    }
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_whole_generation() {
    /// From the first instructions to beyond the end of the run.
    const MOMENTS_MS: [u64; 10] = [1, 20, 40, 60, 90, 120, 160, 200, 260, 330];
    let mut killed = 0;
    for moment in MOMENTS_MS {
        let shop = about_to_change();
        let mut child = shop
            .command(&["refresh"], &[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        killed += usize::from(child.wait().unwrap().signal() == Some(9));
        assert_recovers(&shop, &format!("after {moment} ms"));
    }
    eprintln!("{killed} of {} runs were killed before their end", MOMENTS_MS.len());
    assert!(killed > 0);
}

#[test]
fn files_left_half_written_are_cleared_by_the_next_run() {
    let shop = about_to_change();
    let staged = [
        &format!("bronze/achats/{}.csv#1", "ab".repeat(32)),
        "silver/gen-000009/run-000009/clients.parquet#2",
        "gold/gen-000009/kpis.parquet#1",
    ];
    for path in staged {
        std::fs::create_dir_all(shop.data(path).parent().unwrap()).unwrap();
        std::fs::write(shop.data(path), "half").unwrap();
    }
    // A file that the shop put there stays.
    shop.put("notes.csv#1", b"mine");
    assert_recovers(&shop, "half-written files");
    for path in staged {
        assert!(!shop.data(path).exists(), "{path}");
    }
    assert!(shop.data("sources/notes.csv#1").exists());
}

#[test]
fn a_sample_whose_writing_was_interrupted_is_written_again() {
    let shop = Shop::sample(TINY);
    std::fs::remove_file(shop.data("sources/clients.csv")).unwrap();
    let lake = goldsmith::lake::Lake::in_directory(
        &shop.path().join("data/{layer}").display().to_string(),
    )
    .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let is_wanted = || runtime.block_on(goldsmith::jobs::sample_sources::is_wanted(&lake)).unwrap();
    assert!(is_wanted());
    // A shop's own file is never overwritten, whatever lies beside it.
    let achats = std::fs::read(shop.data("sources/achats.csv")).unwrap();
    shop.put("achats.csv", &[&achats[..], b"9,9,2024-01-01,1,Mine,,\n"].concat());
    assert!(!is_wanted());
    shop.put("achats.csv", &achats);
    assert!(is_wanted());
    std::fs::remove_file(shop.data("sources/ground_truth.json")).unwrap();
    assert!(!is_wanted());
}
