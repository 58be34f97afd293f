//! The command line: output and exit code of each command.

use std::process::Stdio;

use crate::support::{Ran, Running, SMALL, Shop};

#[test]
fn invalid_requests_exit_with_2_and_name_the_problem() {
    let shop = Shop::empty();
    for arguments in [
        vec!["fly"],
        vec!["refresh", "--as-of", "tomorrow"],
        vec!["generate"],
        vec!["rollback", "x"],
        vec!["refresh", "--what"],
    ] {
        let ran = shop.run(&arguments);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains("error:"), "{ran:?}");
    }
    shop.run_with(&["settings"], &[("QUALITY__MAX_REJECT_RATO", "1")])
        .refused(2, &["quality.max_reject_rato", "max_reject_ratio"]);
    shop.run_with(&["serve"], &[("RUST_LOG", "loud==yes")]).refused(2, &["log.filter"]);
    shop.run_with(&["serve"], &[("MONGODB_URI", "mongodb://u:secret")])
        .refused(2, &["MONGODB_URI"]);
    shop.run(&["--config", "none.toml", "settings"]).refused(2, &["none.toml"]);
    shop.run(&["check"]).refused(2, &["nothing is published"]);
    shop.run(&["rollback"]).refused(2, &["nothing has been published"]);
}

#[test]
fn settings_are_printed_with_origins_and_without_secrets() {
    let shop = Shop::empty();
    std::fs::write(
        shop.path().join("goldsmith.toml"),
        "[quality]\nmax_amount = 500\n[sample]\nseed = 9\n",
    )
    .unwrap();
    std::fs::write(shop.path().join(".env"), "READ_TOKEN=from-dot-env\nSAMPLE__SEED=10\n").unwrap();
    let ran =
        shop.run_with(&["settings"], &[("ADMIN_TOKEN", "hush"), ("LOG_FORMAT", "json")]).good();
    let line = |key: &str| {
        ran.out
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_else(|| panic!("{key}: {}", ran.out))
    };
    assert!(
        line("quality.max_amount").contains("500")
            && line("quality.max_amount").contains("goldsmith.toml")
    );
    assert!(
        line("sample.seed").contains("10") && line("sample.seed").contains(".env SAMPLE__SEED")
    );
    assert!(
        line("auth.admin_token").contains("****")
            && line("auth.admin_token").contains("environment ADMIN_TOKEN")
    );
    assert!(line("log.format").contains("json"));
    assert!(line("lake.url").contains("./data/{layer}") && line("lake.url").contains("default"));
    assert!(line("mongodb.uri").contains("(not set)"));
    assert!(!ran.out.contains("hush") && !ran.out.contains("from-dot-env"));

    std::fs::write(shop.path().join("goldsmith.toml"), "[quality]\nmax_amout = 500\n").unwrap();
    shop.run(&["settings"]).refused(2, &["quality.max_amout", "goldsmith.toml", "max_amount"]);
}

#[test]
fn generate_writes_the_same_bytes_for_a_seed_and_never_overwrites_a_shops_files() {
    let shop = Shop::empty();
    let generate = |out: &str, seed: &str| {
        shop.run(&[
            "generate",
            "--customers",
            "50",
            "--purchases",
            "400",
            "--seed",
            seed,
            "--dirty",
            "0.1",
            "--out",
            out,
        ])
    };
    generate("one", "1").good();
    generate("two", "1").good();
    generate("three", "2").good();
    let read = |path: &str| std::fs::read(shop.path().join(path)).unwrap();
    for name in ["clients.csv", "achats.csv", "ground_truth.json"] {
        assert_eq!(read(&format!("one/{name}")), read(&format!("two/{name}")));
        assert_ne!(read(&format!("one/{name}")), read(&format!("three/{name}")));
    }
    generate("one", "3").good();
    shop.put("clients.csv", b"precious");
    generate("data/sources", "1").refused(2, &["clients.csv", "not the sample"]);
    assert_eq!(read("data/sources/clients.csv"), b"precious");
    // Not even where a sample was written before.
    std::fs::write(shop.path().join("two/achats.csv"), "precious").unwrap();
    generate("two", "1").refused(2, &["achats.csv", "not the sample"]);
    assert_eq!(read("two/achats.csv"), b"precious");
    shop.run(&["generate", "--customers", "5", "--purchases", "400", "--dirty", "2", "--out", "x"])
        .refused(2, &["--dirty"]);
}

#[test]
fn generate_writes_the_export_of_a_system_and_never_two_into_one_directory() {
    let shop = Shop::empty();
    let generate = |format: &str, more: &[&str]| {
        let sizes = ["--customers", "50", "--purchases", "400", "--out", "data/sources"];
        shop.run(&[&["generate", "--format", format], &sizes[..], more].concat())
    };
    generate("shopify", &[]).good();
    assert_eq!(
        shop.names("sources"),
        ["customers_export.csv", "ground_truth.json", "orders_export.csv"]
    );
    generate("shopify", &["--seed", "7"]).good();
    generate("stripe", &[]).refused(2, &["customers_export.csv", "another format"]);
    let truth = shop.json("sources/ground_truth.json");
    let served = shop.run(&["refresh"]).good();
    assert!(served.out.contains("published generation 1"), "{served:#?}");
    let kpis = shop.sqlite();
    let revenue: f64 =
        kpis.query_row("SELECT total_revenue FROM kpis", [], |row| row.get(0)).unwrap();
    let expected: f64 = truth["totals"]["total_revenue"].as_str().unwrap().parse().unwrap();
    assert!((revenue - expected).abs() < 1e-6, "{revenue} {expected}");
    generate("shopify", &["--dirty", "0.1"]).refused(2, &["--dirty", "goldsmith"]);
    assert_eq!(generate("oscommerce", &[]).code, Some(2));
}

#[test]
fn output_that_cannot_be_written_does_not_stop_a_refresh() {
    let shop = Shop::sample(SMALL);
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = shop.command(arguments, &[]);
        Ran::of(command.stdout(full()).stderr(Stdio::piped()).output().unwrap())
    };
    assert_eq!(run(&["refresh"]).code, Some(0));
    shop.run(&["check"]).good();
    // A command that exists to print fails when it cannot.
    run(&["openapi"]).refused(1, &["standard output"]);
    let mut command = shop.command(&["refresh", "--force"], &[]);
    assert!(command.stdout(full()).stderr(full()).status().unwrap().success());
}

#[test]
fn invalid_settings_are_rejected_without_printing_secrets() {
    use std::os::unix::ffi::OsStrExt;
    let shop = Shop::empty();
    let mut command = shop.command(&["settings"], &[]);
    command.env("READ_TOKEN", std::ffi::OsStr::from_bytes(b"tok\xe9n"));
    Ran::of(command.output().unwrap()).refused(2, &["READ_TOKEN", "UTF-8"]);
    for (file, content) in
        [(".env", "READ_TOKEN=hush hush\n"), ("goldsmith.toml", "[auth]\nread_token = \"hush\n")]
    {
        std::fs::write(shop.path().join(file), content).unwrap();
        let ran = shop.run(&["settings"]).refused(2, &["cannot be read"]);
        assert!(!ran.err.contains("hush"), "{}", ran.err);
        std::fs::remove_file(shop.path().join(file)).unwrap();
    }
}

#[test]
fn check_finds_what_was_tampered_with() {
    let shop = Shop::published(SMALL);
    let ran = shop.run(&["check"]).good();
    assert!(ran.out.contains("customers") && ran.out.contains("as declared"), "{}", ran.out);
    let physical = |name: &str| -> String {
        let like = format!("{name}\\_%\\_revision");
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE ?1 ESCAPE '\\' AND length(name) = ?2";
        let length = name.len() + 1 + 16 + "_revision".len();
        shop.sqlite()
            .query_row(sql, rusqlite::params![like, i64::try_from(length).unwrap()], |row| {
                row.get(0)
            })
            .unwrap()
    };
    let tamper = |sql: &str| shop.sqlite().execute_batch(sql).unwrap();
    let found = |problem: &str| {
        let ran = shop.run(&["check"]).refused(1, &["deviates"]);
        assert!(ran.out.contains(problem), "{problem:?} is not in {}", ran.out);
    };
    tamper("DROP VIEW gold_daily");
    found("the name gold_daily is missing");
    tamper(&format!(
        "UPDATE \"{}\" SET day = 'hello' WHERE day = (SELECT max(day) FROM \"{0}\")",
        physical("daily_revenue")
    ));
    found("day is missing, mistyped or out of range in 1 rows");
    tamper(&format!(
        "UPDATE \"{}\" SET date_achat = 'hello' WHERE id_achat = 5",
        physical("fact_achats")
    ));
    found("date_achat is missing, mistyped or out of range in 1 rows");
    tamper(&format!("UPDATE \"{}\" SET total_revenue = 2 * total_revenue", physical("kpis")));
    found("totals are");
    tamper(&format!(
        "UPDATE \"{}\" SET prob_reachat_12m = 1.5 WHERE id_client = 3",
        physical("customer_scores")
    ));
    found("prob_reachat_12m is missing, mistyped or out of range in 1 rows");
    tamper(&format!("DELETE FROM \"{}\" WHERE bucket_index = 4", physical("basket_distribution")));
    found("11 rows instead of 12");
    tamper(&format!(
        "UPDATE \"{}\" SET total_revenue = total_revenue + 1 WHERE day = (SELECT min(day) FROM \"{0}\")",
        physical("daily_revenue")
    ));
    found("totals are");
    tamper(&format!(
        "ALTER TABLE \"{}\" RENAME COLUMN ca TO chiffre",
        physical("cohort_retention")
    ));
    found("columns are first_purchase_month");
    tamper(&format!(
        "ALTER TABLE \"{}\" RENAME COLUMN id_client TO client",
        physical("customer_features")
    ));
    found("rows have no key of their own");
    tamper(&format!("DROP VIEW kpis; DROP TABLE \"{}\"", physical("kpis")));
    found("missing from the store");
}

#[test]
fn a_signal_right_after_the_start_stops_the_server_cleanly() {
    let shop = Shop::published(SMALL);
    for _ in 0..10 {
        assert_eq!(Running::start(&shop, &["serve"], &[]).stop().0, Some(0));
    }
}

#[test]
fn a_signal_cancels_the_refresh_of_a_command() {
    let shop = Shop::sample(crate::jobs::LARGE);
    for command in ["refresh", "up"] {
        let child = shop.start(&[command]);
        let store = crate::jobs::until("the run to begin", || {
            let path = shop.data("serving.db");
            let store = rusqlite::Connection::open_with_flags(
                path,
                rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
            );
            let state = "SELECT record ->> 'state' FROM goldsmith_runs ORDER BY run DESC LIMIT 1";
            let store = store.ok()?;
            let found: String = store.query_row(state, [], |row| row.get(0)).ok()?;
            (found == "running").then_some(store)
        });
        let pid = child.id().to_string();
        assert!(std::process::Command::new("kill").arg(&pid).status().unwrap().success());
        Ran::at_end_of(child).refused(1, &["the run was cancelled"]);
        let state = "SELECT record ->> 'state' FROM goldsmith_runs ORDER BY run DESC LIMIT 1";
        let found: String = store.query_row(state, [], |row| row.get(0)).unwrap();
        assert_eq!(found, "cancelled", "{command}");
    }
}

#[test]
fn without_a_command_it_generates_a_sample_refreshes_serves_and_stops_cleanly() {
    let shop = Shop::empty();
    let small = [("SAMPLE__CUSTOMERS", "200"), ("SAMPLE__PURCHASES", "2000")];
    let running = Running::start(&shop, &[], &small);
    assert!(
        running.stdout.contains("wrote a sample of 200 customers and 2000 purchases"),
        "{}",
        running.stdout
    );
    assert!(running.stdout.contains("published generation 1"), "{}", running.stdout);
    for line in running.stdout.lines().filter_map(|line| line.trim().strip_prefix("curl '")) {
        let path = line.trim_end_matches('\'').strip_prefix(running.http.url()).unwrap();
        assert!(running.http.get(path).json()["meta"]["count"].as_u64().unwrap() > 0, "{path}");
    }
    assert_eq!(running.http.get("/kpis").json()["data"]["total_customers"], 200);
    assert_eq!(running.stop().0, Some(0));

    // The second time nothing changed: it only serves.
    let running = Running::start(&shop, &["up"], &small);
    assert!(running.stdout.contains("nothing changed"), "{}", running.stdout);
    assert_eq!(running.http.get("/kpis").json()["meta"]["generation"], 1);
    assert_eq!(running.stop().0, Some(0));

    // Unusable new files do not stop the published data from being served.
    shop.put("achats.csv", b"");
    let running = Running::start(&shop, &["up"], &small);
    assert_eq!(running.http.get("/kpis").json()["data"]["total_customers"], 200);
    let (code, err) = running.stop();
    assert_eq!(code, Some(0));
    assert!(
        err.contains(
            "warning: not refreshed, serving what is published: achats.csv: the file is empty"
        ),
        "{err}"
    );

    // Neither do missing files: no sample is generated over a published shop.
    shop.clear_sources();
    let running = Running::start(&shop, &["up"], &small);
    assert_eq!(running.http.get("/kpis").json()["data"]["total_customers"], 200);
    assert_eq!(running.stop().0, Some(0));
    assert!(shop.names("sources").is_empty());
}

#[test]
fn an_address_in_use_is_named_in_the_error() {
    let shop = Shop::published(SMALL);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let ran = Ran::of(shop.command(&["serve"], &[]).env("HTTP_ADDR", &addr).output().unwrap());
    ran.refused(1, &["cannot listen on", &addr]);
}

#[test]
fn logs_are_json_lines_if_set() {
    let shop = Shop::published(SMALL);
    let running =
        Running::start(&shop, &["serve"], &[("LOG_FORMAT", "json"), ("RUST_LOG", "info")]);
    assert_eq!(running.http.get("/nope").status, 404);
    let (_, err) = running.stop();
    let lines: Vec<serde_json::Value> =
        err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["path"] == "/nope" && line["status"] == 404), "{err}");
}
