//! The refresh as an operator sees it: what stops it, what it leaves, when it does nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use goldsmith::catalogue::ALL;
use goldsmith::lake::Lake;
use goldsmith::sample::Spec;
use serde_json::Value;

use crate::support::{Ran, SMALL, Shop, TINY, TestApp, orders_and_rows};

/// Everything that is served, as text.
fn served(shop: &Shop) -> BTreeMap<String, String> {
    let store = shop.sqlite();
    let names: Vec<String> = store
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(names.len() >= 29, "{names:?}");
    let dump = |name: &String| {
        let mut statement = store.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
        let width = statement.column_count();
        let rows = statement
            .query_map([], |row| {
                let cells = (0..width).map(|place| format!("{:?}", row.get_ref(place).unwrap()));
                Ok(cells.collect::<Vec<_>>().join("|"))
            })
            .unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join("\n")
    };
    names.iter().map(|name| (name.clone(), dump(name))).collect()
}

/// The tables that describe the run or the one before it, and so differ between two runs.
const OF_THE_RUN: [&str; 2] = ["ml_model_metrics.parquet", "segment_migration.parquet"];

fn gold_bytes(shop: &Shop, generation: u64) -> BTreeMap<String, Vec<u8>> {
    let folder = shop.made("gold", generation);
    shop.names(&folder)
        .into_iter()
        .filter(|name| name.ends_with(".parquet") && !OF_THE_RUN.contains(&name.as_str()))
        .map(|name| (name.clone(), std::fs::read(shop.data(&format!("{folder}/{name}"))).unwrap()))
        .collect()
}

#[test]
fn every_layer_holds_what_it_should() {
    let shop = Shop::sample(Spec { dirty: 0.1, ..SMALL });
    let ran = shop.run(&["refresh"]).good();
    for part in [
        "customers",
        "purchases",
        "rejected purchases: invalid_amount",
        "publish",
        "total",
        "published generation 1",
    ] {
        assert!(ran.out.contains(part), "{part:?} is not in {}", ran.out);
    }
    // Plain lines, one per step, where there is no terminal.
    let steps: Vec<&str> =
        ran.err.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(
        steps,
        ["sources", "bronze", "silver", "gold", "models", "proof", "publish", "sweep"]
    );

    let manifest = shop.json("gold/gen-000001/manifest.json");
    for source in manifest["sources"].as_array().unwrap() {
        let original =
            std::fs::read(shop.data("sources").join(source["name"].as_str().unwrap())).unwrap();
        let copy =
            std::fs::read(shop.data("bronze").join(source["bronze"].as_str().unwrap())).unwrap();
        assert!(original == copy, "{source}");
        assert_eq!(source["size_bytes"], original.len());
    }
    let silver = shop.made("silver", 1);
    assert_eq!(
        shop.names(&silver),
        ["achats", "clients.parquet", "quality_report.json", "rejects"]
    );
    // The rejected rows of each data set, and as CSV those of each source file.
    let csv = |source: &Value| {
        format!(
            "{}-{}.csv",
            source["kind"].as_str().unwrap(),
            &source["sha256"].as_str().unwrap()[..16]
        )
    };
    let sources = manifest["sources"].as_array().unwrap();
    let [clients, achats] = [csv(&sources[0]), csv(&sources[1])];
    let expected = [achats.as_str(), "achats.parquet", clients.as_str(), "clients.parquet"];
    assert_eq!(shop.names(&format!("{silver}/rejects")), expected);
    let months = shop.names(&format!("{silver}/achats"));
    assert!(
        months.len() > 30 && months.iter().all(|month| month.starts_with("mois=20")),
        "{months:?}"
    );
    assert_eq!(gold_bytes(&shop, 1).len() + OF_THE_RUN.len(), ALL.len());
    let quality = &manifest["quality"]["achats"];
    let sum = |rows: &str| -> u64 {
        quality[rows].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
    };
    assert_eq!(
        quality["rows_read"].as_u64().unwrap(),
        quality["rows_valid"].as_u64().unwrap() + sum("rejected") + sum("set_aside")
    );
    assert!(manifest["proof"].as_array().unwrap().iter().all(|check| check["holds"] == true));
    shop.run(&["check"]).good();
}

#[test]
fn the_same_inputs_do_nothing_the_second_time_and_give_the_same_bytes_when_forced() {
    let shop = Shop::published(SMALL);
    let again = shop.run(&["refresh"]).good();
    assert_eq!(again.out, "nothing changed: generation 1 is up to date\n");
    assert_eq!(shop.names("gold"), ["gen-000001", "owner.json"]);

    let forced = shop.run(&["refresh", "--force"]).good();
    wrote_again(&forced, 2);
    assert!(gold_bytes(&shop, 1) == gold_bytes(&shop, 2));
    let models = |generation| shop.json(&format!("{}/models.json", shop.made("gold", generation)));
    assert_eq!(models(1), models(2));
}

#[test]
fn gold_is_the_same_bytes_on_any_number_of_threads_and_in_any_order_of_rows() {
    let shop = Shop::sample(SMALL);
    for threads in ["1", "2", "7"] {
        let limits = [("POLARS_MAX_THREADS", threads), ("RAYON_NUM_THREADS", threads)];
        shop.run_with(&["refresh", "--force"], &limits).good();
    }
    let achats = std::fs::read_to_string(shop.data("sources/achats.csv")).unwrap();
    let (header, rows) = achats.split_once('\n').unwrap();
    // Lines are numbered in the order of the file: those of one order stay in theirs.
    let order = |row: &str| row.split(',').next().unwrap().parse::<u64>().unwrap();
    let mut reversed: Vec<&str> = rows.lines().collect();
    reversed.sort_by_key(|row| Reverse(order(row)));
    let reversed = reversed.join("\n");
    shop.put("achats.csv", format!("{header}\n{reversed}\n").as_bytes());
    shop.run(&["refresh"]).good();
    let first = gold_bytes(&shop, 1);
    for other in [2, 3, 4] {
        assert!(first == gold_bytes(&shop, other), "{other} differs");
    }
}

#[test]
fn a_mean_of_equal_amounts_is_that_amount() {
    let clients = "id_client,nom,email,date_inscription,pays\n1,A,a@x.io,2024-01-01,F\n2,B,b@x.io,2024-01-01,F\n";
    let achats = "id_achat,id_client,date_achat,montant,produit\n\
        1,1,2024-01-01,138.46,T\n2,2,2024-01-01,65.43,T\n3,2,2024-01-02,65.42,T\n4,2,2024-01-02,65.44,T\n";
    let shop = Shop::with(&[("clients.csv", clients), ("achats.csv", achats)]);
    shop.run(&["refresh"]).good();
    let app = TestApp::spawn(&shop);
    assert_eq!(app.data("/customers/1")["avg_basket"], 138.46);
    assert_eq!(app.data("/customers/2")["avg_basket"], 65.43);
}

/// Asserts that a run wrote so many tables again, one of them the metrics: they hold the second at which models
/// were trained, and are equal for two runs within the same second.
#[track_caller]
fn wrote_again(ran: &Ran, tables: usize) {
    let expected = [tables, tables - 1]
        .map(|tables| format!("{tables} tables written, {} unchanged", ALL.len() - tables));
    assert!(expected.iter().any(|expected| ran.err.contains(expected)), "{}", ran.err);
}

#[test]
fn only_what_changed_is_written_again() {
    let shop = Shop::published(SMALL);
    // Another name for one customer touches the customers' tables and nothing of the sales.
    let clients = std::fs::read_to_string(shop.data("sources/clients.csv")).unwrap();
    let line = clients.lines().nth(1).unwrap();
    let name = line.split(',').nth(1).unwrap();
    shop.put("clients.csv", clients.replacen(name, "Another Name", 1).as_bytes());
    let ran = shop.run(&["refresh"]).good();
    wrote_again(&ran, 3);
}

#[test]
fn bad_sources_are_refused_in_one_sentence_and_what_was_published_stays() {
    let shop = Shop::sample(SMALL);
    // Not a sample any more, but a shop's own files.
    std::fs::remove_file(shop.data("sources/ground_truth.json")).unwrap();
    shop.run(&["refresh"]).good();
    let before = served(&shop);
    let achats = std::fs::read_to_string(shop.data("sources/achats.csv")).unwrap();
    let clients = std::fs::read_to_string(shop.data("sources/clients.csv")).unwrap();
    let no_amount = achats.replacen("montant", "mountain", 1);
    let header = format!("{}\n", achats.lines().next().unwrap());
    let no_amounts = format!("{header}1,1,2024-01-01,n/a,Tea,,\n");
    let shortened = |line: &str| format!("1.9E+18{}", &line[line.find(',').unwrap()..]);
    let spoil =
        |(n, line): (usize, &str)| if n % 2 == 1 { shortened(line) } else { line.to_owned() };
    let half_bad = achats.lines().enumerate().map(spoil).collect::<Vec<_>>().join("\n");
    let fell = format!("fell from {} to 299", orders_and_rows(SMALL).1);
    let few = achats.lines().take(300).collect::<Vec<_>>().join("\n");
    for (name, content, parts) in [
        ("achats.csv", no_amount.as_bytes(), vec!["achats.csv", "montant"]),
        ("achats.csv", b"", vec!["achats.csv", "empty"]),
        ("achats.csv", header.as_bytes(), vec!["achats.csv", "no rows"]),
        ("clients.csv", b"nom,email\nAnn,a@x.io\n", vec!["clients.csv", "id_client is missing"]),
        ("achats.csv", no_amounts.as_bytes(), vec!["no valid purchase", "invalid_amount: 1"]),
        (
            "achats.csv",
            half_bad.as_bytes(),
            vec![
                "quality gate",
                "purchases",
                "invalid_id",
                "./data/silver/gen-000002/run-",
                "/rejects",
            ],
        ),
        ("achats.csv", few.as_bytes(), vec!["quality gate", &fell]),
    ] {
        shop.put(name, content);
        shop.run(&["refresh"]).refused(1, &parts);
        assert!(served(&shop) == before, "{parts:?} changed what is served");
        shop.run(&["check"]).good();
        shop.put("achats.csv", achats.as_bytes());
        shop.put("clients.csv", clients.as_bytes());
    }
    // --force overrides the gate, but a shop without purchases is refused all the same.
    shop.put("achats.csv", few.as_bytes());
    shop.run(&["refresh", "--force"]).good();
    shop.put("achats.csv", no_amounts.as_bytes());
    shop.run(&["refresh", "--force"]).refused(1, &["no valid purchase"]);
    shop.run(&["check"]).good();
}

#[test]
fn a_shops_own_files_may_be_fewer_than_the_samples() {
    let shop = Shop::published(TINY);
    assert_eq!(shop.json("gold/gen-000001/manifest.json")["is_sample"], true);
    for (name, bytes) in
        goldsmith::sample::generate(Spec { customers: 20, purchases: 90, ..TINY }).unwrap()
    {
        // The sample's ground truth stays; it describes other files.
        if name != goldsmith::sample::GROUND_TRUTH {
            shop.put(name, &bytes);
        }
    }
    shop.run(&["refresh"]).good();
    assert_eq!(shop.json("gold/gen-000002/manifest.json")["is_sample"], false);
}

#[test]
fn missing_and_unreadable_sources_are_refused() {
    let shop = Shop::empty();
    shop.run(&["refresh"]).refused(1, &["no file with purchases in ./data/sources"]);
    shop.put(
        "clients.csv",
        b"id_client,nom,email,date_inscription,pays\n1,A,a@x.io,2024-01-01,F\n",
    );
    shop.run(&["refresh"]).refused(1, &["no file with purchases"]);

    let shop = Shop::empty();
    std::fs::create_dir_all(shop.data("")).unwrap();
    std::fs::write(shop.data("sources"), "a file where a directory should be").unwrap();
    shop.run(&["refresh"]).refused(1, &["./data/sources"]);
    shop.run_with(&["refresh"], &[("LAKE_URL", "./data")])
        .refused(2, &["setting lake.url: ./data:", "{layer}"]);
    shop.run_with(&["refresh"], &[("LAKE_URL", "ftp://x/{layer}")])
        .refused(2, &["setting lake.url: ftp://x/{layer}"]);
}

#[test]
fn files_with_any_name_are_read_and_what_is_not_a_file_is_left_alone() {
    use std::os::unix::ffi::OsStrExt;
    let shop = Shop::sample(TINY);
    let clients = std::fs::read(shop.data("sources/clients.csv")).unwrap();
    let achats = std::fs::read(shop.data("sources/achats.csv")).unwrap();
    for (one, other) in [
        ("clients é.csv", "achats_août 50%.csv"),
        ("clients[1].csv", "Purchases#2~{x}.CSV"),
        ("clients?*|<>.csv", "achats ^\"`.csv"),
    ] {
        shop.clear_sources();
        shop.put(one, &clients);
        shop.put(other, &achats);
        shop.put("achats9.csv.bak", b"");
        std::fs::create_dir(shop.data("sources/achats_dir.csv")).unwrap();
        let odd = std::ffi::OsStr::from_bytes(b"clients\xe9.csv");
        std::fs::write(shop.data("sources").join(odd), "").unwrap();
        let made =
            std::process::Command::new("mkfifo").arg(shop.data("sources/achats_pipe.csv")).status();
        assert!(made.unwrap().success());
        shop.run(&["refresh"]).good();
        shop.run(&["check"]).good();
    }
}

#[test]
fn a_row_from_the_future_is_read_again_once_its_instant_has_come() {
    let shop = Shop::sample(Spec { dirty: 0.1, ..TINY });
    shop.run(&["refresh"]).good();
    shop.run(&["refresh"]).good();
    assert_eq!(shop.names("gold"), ["gen-000001", "owner.json"]);
    // As if the run had been made when that instant was still ahead.
    let store = shop.sqlite();
    let text: String = store
        .query_row("SELECT published FROM goldsmith_generations", [], |row| row.get(0))
        .unwrap();
    let mut published: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(published["manifest"]["quality"]["earliest_future"], "2199-12-31T23:59:59");
    published["manifest"]["quality"]["earliest_future"] = "2020-01-01T00:00:00".into();
    store
        .execute("UPDATE goldsmith_generations SET published = ?1", [published.to_string()])
        .unwrap();
    shop.run(&["refresh"]).good();
    assert_eq!(shop.names("gold"), ["gen-000001", "gen-000002", "owner.json"]);
}

#[test]
fn a_second_refresh_of_the_same_lake_or_store_is_refused() {
    let shop = Shop::published(TINY);
    let lake = Lake::in_directory(&shop.path().join("data/{layer}").display().to_string()).unwrap();
    let held = lake.lock().unwrap();
    shop.run(&["refresh", "--force"]).refused(1, &["another refresh is running"]);
    drop(held);
    shop.run(&["refresh", "--force"]).good();

    let held = goldsmith::lock::Lock::take(&shop.data("serving.db.lock")).unwrap();
    shop.run(&["refresh", "--force"]).refused(1, &["another refresh is publishing"]);
    shop.run(&["rollback"]).refused(1, &["another refresh is publishing"]);
    drop(held);
    shop.run(&["rollback"]).good();
}

#[test]
fn ten_refreshes_at_once_publish_once_and_refuse_the_rest() {
    let shop = Shop::sample(TINY);
    let children: Vec<_> = (0..10).map(|_| shop.start(&["refresh"])).collect();
    let mut published = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text =
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        published += usize::from(text.contains("published generation 1"));
        let is_known = output.status.success() || text.contains("another refresh is");
        assert!(is_known, "{text}");
    }
    assert_eq!(published, 1);
    assert_eq!(shop.names("gold"), ["gen-000001", "owner.json"]);
    shop.run(&["check"]).good();
}

#[test]
fn rolling_back_serves_the_older_figures_and_later_runs_respect_it() {
    let shop = Shop::published(TINY);
    let first = served(&shop);
    let other = goldsmith::sample::generate(Spec { seed: 99, ..TINY }).unwrap();
    for (name, bytes) in other {
        shop.put(name, &bytes);
    }
    shop.run(&["refresh"]).good();
    let second = served(&shop);
    assert!(first != second);
    let app = TestApp::spawn(&shop);
    let generation = || app.get("/kpis").json()["meta"]["generation"].as_u64().unwrap();
    assert_eq!(generation(), 2);

    assert_eq!(shop.run(&["rollback"]).good().out, "serving generation 1 again instead of 2\n");
    assert!(served(&shop) == first);
    assert_eq!(generation(), 1);
    shop.run(&["check"]).good();
    let ran = shop.run(&["refresh"]).good();
    assert!(ran.out.contains("since generation 2, which was rolled back to 1"), "{}", ran.out);
    shop.run(&["rollback"]).refused(2, &["no generation before 1", "kept are 1, 2"]);
    shop.run(&["rollback", "7"]).refused(2, &["no generation 7"]);
    shop.run(&["rollback", "2"]).good();
    assert!(served(&shop) == second);
    assert_eq!(generation(), 2);

    shop.run(&["refresh", "--force"]).good();
    assert_eq!(generation(), 3);
}

#[test]
fn the_last_generations_are_kept_and_older_ones_swept() {
    let shop = Shop::sample(TINY);
    let keep = [("PUBLISH__KEEP_GENERATIONS", "2")];
    for seed in 1..=4 {
        for (name, bytes) in goldsmith::sample::generate(Spec { seed, ..TINY }).unwrap() {
            shop.put(name, &bytes);
        }
        shop.run_with(&["refresh"], &keep).good();
    }
    assert_eq!(shop.names("gold"), ["gen-000003", "gen-000004", "owner.json"]);
    assert_eq!(shop.names("silver"), ["gen-000003", "gen-000004"]);
    // Bronze is never swept: four versions of both files.
    assert_eq!(shop.names("bronze/achats").len(), 4);
    let tables: i64 = shop
        .sqlite()
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE '%_revision'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert!((26..=50).contains(&tables), "{tables} physical tables for two generations");
    shop.run(&["rollback"]).good();
    shop.run(&["check"]).good();
}

#[test]
fn gold_in_the_lake_that_is_damaged_is_not_published() {
    let shop = Shop::sample(TINY);
    let point = [("TESTING__ABORT_AT", "manifest")];
    assert_eq!(shop.run_with(&["refresh"], &point).code, None);
    let path = shop.data(&format!("{}/customers.parquet", shop.made("gold", 1)));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    shop.run(&["refresh"]).refused(1, &["customers.parquet is damaged", "SHA-256"]);
    shop.run(&["refresh", "--force"]).good();
    shop.run(&["check"]).good();
}
