//! Generated documents are committed as they are generated.

use std::path::Path;

use crate::support::Shop;

fn committed(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[track_caller]
fn assert_committed_as_printed(command: &str, path: &str) {
    let printed = Shop::empty().run(&[command]).good().out;
    assert!(printed == committed(path), "run: cargo run -- {command} > {path}");
}

#[test]
fn the_committed_openapi_document_is_the_one_the_binary_prints() {
    assert_committed_as_printed("openapi", "openapi/openapi.json");
}

#[test]
fn the_committed_data_dictionary_is_the_one_the_binary_prints() {
    assert_committed_as_printed("dictionary", "docs/DATA_DICTIONARY.md");
}

#[test]
fn every_setting_is_in_the_example_environment_or_the_defaults() {
    let example = committed(".env.example");
    for name in [
        "HTTP_ADDR",
        "LAKE_URL",
        "SQLITE_PATH",
        "MONGODB_URI",
        "MONGODB_DB",
        "ADMIN_TOKEN",
        "READ_TOKEN",
        "LOG_FORMAT",
        "RUST_LOG",
    ] {
        assert!(example.contains(&format!("{name}=")), "{name} is not in .env.example");
        assert!(committed("README.md").contains(name), "{name} is not in README.md");
    }
    let defaults = committed("src/default.toml");
    let comments = defaults.lines().filter(|line| line.starts_with('#')).collect::<String>();
    let documented: Vec<&str> = comments.split([' ', ',', '[', ']', '#', ';', '.']).collect();
    for name in goldsmith::settings::short_names() {
        assert!(documented.contains(&name), "{name} is not in src/default.toml");
    }
    let pairs = example.lines().filter(|line| !line.starts_with('#'));
    let pairs: Vec<(String, String)> = pairs
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let known = |name: &str| {
        name.contains("__") || goldsmith::settings::short_names().any(|short| short == name)
    };
    for (name, _) in &pairs {
        assert!(known(name), "{name} in .env.example is not a setting");
    }
    goldsmith::settings::load_from(None, pairs, Vec::new()).unwrap();
}

#[test]
fn the_readme_names_every_command_and_every_route() {
    let readme = committed("README.md");
    let shop = Shop::empty();
    let help = shop.run(&["--help"]).good().out;
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    for command in commands
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
    {
        assert!(readme.contains(command), "{command} is not in README.md");
    }
    let document: serde_json::Value =
        serde_json::from_str(&committed("openapi/openapi.json")).unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(readme.contains(path.rsplit('/').next().unwrap()), "{path} is not in README.md");
    }
}
