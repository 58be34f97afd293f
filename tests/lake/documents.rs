//! The programs in `docs/LAKE.md` run, and read what the API answers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::s3::shop_on;
use crate::support::s3::shared;
use crate::support::{SMALL, Shop, TestApp, orders_and_rows};

/// A Python that has the readers.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install-readers.sh");
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers");
        let installed = Command::new(script).arg(&place).output().unwrap();
        let stderr = String::from_utf8_lossy(&installed.stderr);
        assert!(installed.status.success(), "this test needs readers of Parquet: {stderr}");
        place.join("bin/python")
    })
}

/// The programs of the page, those that read S3 or the others, as one.
fn programs(of_s3: bool) -> String {
    let page = include_str!("../../docs/LAKE.md");
    let blocks = page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let chosen: Vec<&str> =
        blocks.filter(|block| block.contains("AWS_ENDPOINT_URL") == of_s3).collect();
    assert_eq!(chosen.len(), if of_s3 { 1 } else { 4 });
    chosen.concat()
}

/// Prints what the programs found.
const PRINT: &str = r#"
print("FOUND", json.dumps({
    "customers": len(customers),
    "country": by_country.fetchall()[0],
    "at_risk": at_risk["len"].sum(),
}))
"#;

fn run(program: &str, shop: &Shop, variables: &[(&str, &str)]) -> serde_json::Value {
    let mut command = Command::new(python());
    command.args(["-c", program]).current_dir(shop.path()).envs(variables.iter().copied());
    let ran = command.output().unwrap();
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{out}{}", String::from_utf8_lossy(&ran.stderr));
    let line = out.lines().find_map(|line| line.strip_prefix("FOUND ")).unwrap();
    serde_json::from_str(line).unwrap()
}

/// Asserts that the API answers the same.
fn assert_same(found: &serde_json::Value, app: &TestApp) {
    let kpis = app.data("/kpis");
    assert_eq!(found["customers"], kpis["total_customers"]);
    let countries = app.data("/revenue/country");
    assert_eq!(found["country"][0], countries[0]["pays"]);
    assert_eq!(found["country"][1], countries[0]["total_revenue"]);
    let high = app.get("/customers?churn_risk_level=High&limit=1").json();
    assert_eq!(found["at_risk"], high["meta"]["total"], "{high}");
}

#[test]
fn the_programs_that_read_a_directory_find_what_the_api_answers() {
    let shop = Shop::published(SMALL);
    let (orders, _) = orders_and_rows(SMALL);
    let months = format!(
        "\nbought = sum(row[1] for row in by_month.fetchall())\nassert bought == {orders}, bought\n"
    );
    let found = run(&[&programs(false), &months, PRINT].concat(), &shop, &[]);
    assert_same(&found, &TestApp::spawn(&shop));
}

#[test]
fn the_program_that_reads_s3_finds_what_the_api_answers() {
    let server = shared();
    let (shop, template) = shop_on(&server, Shop::sample(SMALL));
    shop.run(&["refresh"]).good();
    let bucket = template.strip_prefix("s3://").unwrap().replace("{layer}", "gold");
    let mut variables = server.variables();
    variables.push(("GOLD_BUCKET", &bucket));
    let found = run(&[&programs(true), PRINT].concat(), &shop, &variables);
    assert_same(&found, &TestApp::spawn(&shop));
}
