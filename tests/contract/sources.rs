//! Files as shops really have them: encodings, separators, titles, line ends, quotes, names, mappings.

use std::io::Write as _;

use serde_json::json;

use crate::support::{Ran, Shop};

const CUSTOMERS: u32 = 10;
const PURCHASES: u32 = 20;

/// Ten customers.
fn customers() -> String {
    let row = |id| format!("{id},Zoé {id},c{id}@example.org,2025-01-02,Österreich\n");
    let rows: String = (1..=CUSTOMERS).map(row).collect();
    format!("id_client,nom,email,date_inscription,pays\n{rows}")
}

/// Twenty purchases of 10.00.
fn purchases() -> String {
    let row = |id| {
        let (client, day) = (id % CUSTOMERS + 1, id % 28 + 1);
        format!("{id},{client},2026-01-{day:02} 10:00:00,10.00,Théière\n")
    };
    let rows: String = (1..=PURCHASES).map(row).collect();
    format!("id_achat,id_client,date_achat,montant,produit\n{rows}")
}

fn refreshed(files: &[(&str, &[u8])]) -> (Shop, Ran) {
    let shop = Shop::empty();
    for (name, bytes) in files {
        shop.put(name, bytes);
    }
    let ran = shop.run(&["refresh"]).good();
    (shop, ran)
}

/// Asserts the totals of the shop above, with so much more revenue and so many more purchases.
#[track_caller]
fn assert_totals(shop: &Shop, more_revenue: f64, more_purchases: i64) {
    let totals = shop.sqlite().query_row(
        "SELECT total_revenue, total_purchases, total_customers FROM kpis",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    );
    let expected: (f64, i64, i64) = (200.0 + more_revenue, 20 + more_purchases, 10);
    assert_eq!(totals.unwrap(), expected);
}

#[track_caller]
fn assert_prints(ran: &Ran, parts: &[&str]) {
    for part in parts {
        assert!(ran.out.contains(part), "{part:?} is not in {}", ran.out);
    }
}

fn texts(shop: &Shop, sql: &str) -> Vec<String> {
    let sqlite = shop.sqlite();
    let mut statement = sqlite.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(to_bytes).collect()
}

/// Windows-1252 for letters that are in Latin-1 too.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect()
}

#[test]
fn encodings_of_spreadsheets_are_read_and_windows_1252_is_reported() {
    let customers = customers();
    let purchases = purchases().replace(',', ";");
    for (customers, purchases, notes) in [
        (
            latin(&customers),
            latin(&purchases),
            &[
                "clients.csv: read as Windows-1252: line 2 is not UTF-8",
                "achats.csv: read as Windows-1252: line 2 is not UTF-8",
                "achats.csv: cells are separated by semicolons",
            ][..],
        ),
        (utf16(&customers, u16::to_le_bytes), utf16(&purchases, u16::to_be_bytes), &[]),
    ] {
        let (shop, ran) = refreshed(&[("clients.csv", &customers), ("achats.csv", &purchases)]);
        assert_totals(&shop, 0.0, 0);
        assert_prints(&ran, notes);
        assert_eq!(texts(&shop, "SELECT produit FROM revenue_by_product"), ["Théière"]);
        assert_eq!(texts(&shop, "SELECT pays FROM revenue_by_country"), ["Österreich"]);
    }
}

#[test]
fn separators_titles_empty_rows_and_compression_are_found() {
    let customers = format!("sep=|\r\n{}", customers().replace(',', "|").replace('\n', "\r\n"));
    let purchases = format!(
        "Orders of 2026, all of them\n\n;;;;\n{};;;;\n\n ; ;\n",
        purchases().replace(',', "\t").replace(";;", "")
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(purchases.replace(";;;;\n\n ; ;\n", "\t\t\t\t\n\n \t \t\n").as_bytes()).unwrap();
    let purchases = gzip.finish().unwrap();
    let files = [("clients.csv", customers.as_bytes()), ("achats.tsv.gz", &purchases[..])];
    let (shop, ran) = refreshed(&files);
    assert_totals(&shop, 0.0, 0);
    assert_prints(
        &ran,
        &[
            "clients.csv: cells are separated by '|', as its first line says",
            "achats.tsv.gz: cells are separated by tabs",
            "achats.tsv.gz: the header is on line 4; what stands above it is not read",
        ],
    );
    let inspected = shop.run(&["sources", "inspect", "clients.csv"]).good().out;
    for part in [
        "clients.csv: customers by goldsmith, UTF-8, cells separated by '|', header on line 2\n",
        "  columns: id_client from \"id_client\", nom from \"nom\"",
        "  line 3, customer: id_client=1 | nom=Zoé 1 | email=c1@example.org",
    ] {
        assert!(inspected.contains(part), "{part:?} is not in {inspected}");
    }
    let all = shop.run(&["sources", "inspect"]).good().out;
    assert!(all.contains(&inspected) && all.contains("achats.tsv.gz: purchases"), "{all}");
    // The verdict is stored with the generation, and a second run finds nothing new.
    let sources = shop.json("gold/gen-000001/manifest.json")["sources"].take();
    assert_eq!(sources[0]["verdict"]["header_line"], 2);
    assert_eq!(sources[1]["verdict"]["compression"], "gzip");
    assert_eq!(sources[1]["verdict"]["separator"], "\t");
    let unchanged = shop.run(&["refresh"]).good();
    assert!(unchanged.out.contains("nothing changed"), "{}", unchanged.out);
}

#[test]
fn line_ends_of_every_kind_and_escaped_quotes_are_read() {
    let customers = format!("\u{feff}\"id_client\"{}", &customers()["id_client".len()..]);
    let mixed = purchases().replacen('\n', "\r\n", 3).replacen("Théière\n", "Théière\r", 2)
        + "21,1,2026-01-01,10.00,\"Gift\r\nset\n\n3 pieces\"\r22,2,2026-01-01,10.00,Théière";
    let escaped = "id_achat,id_client,date_achat,montant,produit\n\
        31,1,2026-02-01,1.00,\"Poster 12\\\" wide\"\n32,2,2026-02-01,2.00,\"Poster \\\"Paris, spring\\\"\"\n\
        33,3,2026-02-01,3.00,Frame 7\" single\n34,3,2026-02-01,4.00,\"Frame 7\"\" single\"\n";
    let files = [
        ("clients.csv", customers.as_bytes()),
        ("achats.csv", mixed.as_bytes()),
        ("achats2.csv", escaped.as_bytes()),
    ];
    let (shop, ran) = refreshed(&files);
    assert_totals(&shop, 30.0, 6);
    assert_prints(
        &ran,
        &["achats2.csv: a quotation mark within a cell is written \\\"", "(line 3)"],
    );
    let products = texts(&shop, "SELECT produit FROM revenue_by_product ORDER BY produit");
    assert_eq!(
        products,
        [
            "Frame 7\" single",
            "Gift set 3 pieces",
            "Poster \"Paris, spring\"",
            "Poster 12\" wide",
            "Théière"
        ]
    );
}

#[test]
fn files_are_known_by_their_header_whatever_their_name_and_no_sample_is_written() {
    let files = [
        ("customers_export", customers().replace("id_client", "Customer-ID")),
        ("orders_export_1.csv", purchases().replace("date_achat", "Timestamp")),
        ("notes.txt", "Call the bank, and the printer.\n".to_owned()),
        ("orders.csv.bak", purchases()),
        ("ground_truth.json", "{}".to_owned()),
        (".hidden.csv", "x".to_owned()),
    ];
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let shop = Shop::empty();
    for (name, bytes) in &files {
        shop.put(name, bytes);
    }
    let before = shop.names("sources");
    let running = crate::support::Running::start(&shop, &[], &[]);
    assert_eq!(running.http.data("/kpis")["total_purchases"], 20);
    assert!(!running.stdout.contains("sample"), "{}", running.stdout);
    for line in [
        "not read: notes.txt: its header is that of no data set, nearest is purchases (found: Call the bank,",
        "not read: orders.csv.bak: its header is that of purchases",
    ] {
        assert!(running.stdout.contains(line), "{line:?} is not in {}", running.stdout);
    }
    running.stop();
    assert_eq!(shop.names("sources"), before);
    assert_totals(&shop, 0.0, 0);

    // An unknown file stops a run where the settings say so, and when nothing usable is left.
    let strict = [("SOURCES__UNKNOWN", "stop")];
    shop.run_with(&["refresh"], &strict).refused(1, &["sources.unknown = \"stop\""]);
    std::fs::remove_file(shop.data("sources/orders_export_1.csv")).unwrap();
    shop.run(&["refresh"]).refused(
        1,
        &[
            "there is no file with purchases in ./data/sources: notes.txt: its header is that of no data set",
            "; orders.csv.bak: its header is that of purchases",
        ],
    );
}

#[test]
fn headers_that_are_not_known_are_reported_at_once_and_mapped_by_the_settings() {
    let purchases = purchases().replace(
        "id_achat,id_client,date_achat,montant,produit",
        "no,N° client,Le,Total TTC,Article",
    );
    let shop = Shop::with(&[("clients.csv", &customers()), ("ventes-2026.csv", &purchases)]);
    let ran = shop.run(&["refresh"]).refused(1, &["there is no file with purchases"]);
    for part in [
        "nearest is purchases, where the required columns id_client, date_achat, montant are missing",
        "N° client, Le, Total TTC",
        "montant may be \"Total TTC\"",
        "\n[[sources.files]]\nname = \"ventes-2026.csv\"\nkind = \"purchases\"\ncolumns = { ",
    ] {
        assert!(ran.err.contains(part), "{}", ran.err);
    }
    let settings = "[[sources.files]]\nname = \"ventes-*.csv\"\nkind = \"purchases\"\n\
        columns = { id_achat = \"no\", id_client = \"N° client\", montant = \"Total TTC\", date_achat = \"Le\", produit = \"Article\" }\n";
    let write = |text: &str| std::fs::write(shop.path().join("goldsmith.toml"), text).unwrap();
    write(settings);
    let ran = shop.run(&["refresh"]).good();
    assert_totals(&shop, 0.0, 0);
    assert_prints(&ran, &["ventes-2026.csv: its columns are mapped by sources.files[1]"]);

    // The mapping is part of what a generation is made of.
    write(&settings.replace(", produit = \"Article\"", ""));
    let ran = shop.run(&["refresh", "--force"]);
    assert!(!ran.out.contains("nothing changed"), "{}", ran.out);
    for (from, to, problem) in [
        (
            "\"Le\"",
            "\"La\"",
            "ventes-2026.csv: sources.files[1].columns.date_achat: there is no header \"La\"",
        ),
        (
            "purchases",
            "orders",
            "sources.files[1].kind: \"orders\" is not one of customers, purchases",
        ),
        (
            "montant =",
            "amount =",
            "sources.files[1].columns: \"amount\" is not a column of purchases",
        ),
        ("ventes-*", "ventes-[", "sources.files[1].name: \"ventes-[.csv\" is not a pattern"),
        ("kind", "knd", "unknown field `knd`"),
    ] {
        write(&settings.replace(from, to));
        let ran = shop.run(&["refresh"]);
        assert!(ran.code != Some(0) && ran.err.contains(problem), "{problem}: {}", ran.err);
    }
}

#[test]
fn a_later_file_is_read_later_by_the_date_in_its_name() {
    let one = |amount: &str| {
        let row = format!("1,1,2026-01-01 10:00:00,{amount},Théière\n");
        purchases().lines().next().unwrap().to_owned() + "\n" + &row
    };
    let files = [
        ("clients.csv", customers()),
        ("b_2026-01.csv", purchases()),
        ("a_2026-03.csv", one("13.00")),
        ("c_2026-02.csv", one("12.00")),
    ];
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let (shop, _) = refreshed(&files);
    assert_totals(&shop, 3.0, 0);
    let manifest = shop.json("gold/gen-000001/manifest.json");
    let names: Vec<&str> = manifest["quality"]["achats"]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(names, ["b_2026-01.csv", "c_2026-02.csv", "a_2026-03.csv"]);
}

#[test]
fn the_manifest_holds_how_values_were_read_and_what_became_of_rows() {
    let mut text = "id_client;date;montant;produit\n7;31/12/2025;1.250,00;Tea\n".to_owned();
    text.extend((1..8).map(|day| format!("8;0{day}/02/2026;5,00;Mug\n")));
    text.push_str("8;01/02/2026;?;Mug\n");
    let (shop, _) = refreshed(&[("ventes.csv", text.as_bytes())]);
    let manifest = shop.json("gold/gen-000001/manifest.json");
    let expected = json!([{
        "file": "ventes.csv",
        "forms": [
            { "column": "date_achat", "form": "day_first", "proof": "as line 2 \"31/12/2025\" shows" },
            { "column": "montant", "form": "decimal_comma", "proof": "as line 2 \"1.250,00\" shows" },
        ],
        "served": 8,
        "left_out": { "invalid_amount": 1 },
    }]);
    assert_eq!(manifest["quality"]["file_rows"], expected);
}

#[test]
fn hostile_files_are_refused_in_a_sentence() {
    let shop = Shop::with(&[("clients.csv", &customers())]);
    let zeros = vec![b'0'; 8 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(purchases().as_bytes()).unwrap();
    for _ in 0..32 {
        gzip.write_all(&zeros).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    let long_row = [purchases().as_bytes(), &vec![b'7'; 5 << 20]].concat();
    let wide = vec!["montant"; 10_000].join(",");
    for (bytes, problem) in [
        (&vec![b'x'; 2 << 20][..], "achats.csv: no header row ends within the first 1 MiB"),
        (&long_row[..], "achats.csv: the row that starts on line 22 is longer than 4 MiB"),
        (wide.as_bytes(), "achats.csv: the header has 10000 columns; no more than 2000 are read"),
        (&bomb[..], "achats.csv: the row that starts on line 22 is longer than 4 MiB"),
        (&bomb[..40], "achats.csv: its gzip stream is cut or damaged"),
        (b"PK\x03\x04...", "achats.csv: its ZIP archive cannot be read"),
    ] {
        shop.put("achats.csv", bytes);
        shop.run(&["refresh"]).refused(1, &[problem]);
    }
}

#[test]
fn sales_of_two_systems_stop_the_run_until_the_settings_choose() {
    let payments = "id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Status,Customer ID,Customer Email\n\
        pi_1,2026-06-01 10:00:00,64.50,0.00,eur,true,Paid,cus_1,ann@example.org\n";
    let shop = Shop::empty();
    shop.put("achats.csv", purchases().as_bytes());
    shop.put("payments.csv", payments.as_bytes());
    shop.run(&["refresh"]).refused(
        1,
        &["goldsmith (achats.csv), stripe (payments.csv)", "sources.sales = \"goldsmith\""],
    );
    std::fs::write(shop.path().join("goldsmith.toml"), "[sources]\nsales = \"stripe\"\n").unwrap();
    let ran = shop.run(&["refresh"]).good();
    let text = ran.out + &ran.err;
    assert!(text.contains("achats.csv") && text.contains("it holds sales"), "{text}");
    let revenue: f64 =
        shop.sqlite().query_row("SELECT total_revenue FROM kpis", [], |row| row.get(0)).unwrap();
    assert!((revenue - 64.5).abs() < 1e-9, "{revenue}");
    let statuses = "[sources]\nsales = \"stripe\"\n[[sources.statuses]]\ntext = \"Paid\"\nmeans = \"not_a_sale\"\n";
    std::fs::write(shop.path().join("goldsmith.toml"), statuses).unwrap();
    shop.run(&["refresh"]).refused(1, &["no valid purchase is left"]);
    std::fs::write(shop.path().join("goldsmith.toml"), "[sources]\nsales = \"till\"\n").unwrap();
    shop.run(&["refresh"]).refused(2, &["sources.sales", "\"till\" is not one of the profiles"]);
}

#[test]
fn whatever_lies_beside_the_source_files_and_is_not_read_is_named() {
    use std::os::unix::ffi::OsStrExt as _;

    let shop = Shop::empty();
    shop.put("achats.csv", purchases().as_bytes());
    shop.put("orders.json", b"[]");
    shop.put("~$ventes.xlsx", b"lock");
    std::fs::create_dir(shop.data("sources/2025")).unwrap();
    std::os::unix::fs::symlink("/nowhere/orders.csv", shop.data("sources/nas.csv")).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"f\xe9vrier.csv");
    std::fs::write(shop.data("sources").join(name), purchases()).unwrap();
    let ran = shop.run(&["refresh"]).good();
    let text = ran.out + &ran.err;
    for sentence in [
        "not read: orders.json: its name does not end like that of a table",
        "not read: 2025: it is a folder; put its files beside it",
        "not read: nas.csv: it is a link to nothing",
        "vrier.csv: its name is not UTF-8; rename it",
    ] {
        assert!(text.contains(sentence), "{sentence:?} is not in {text}");
    }
    assert!(!text.contains("~$ventes"), "{text}");
}

#[test]
fn another_date_column_or_another_file_of_the_profile_shows_the_order_of_day_and_month() {
    let mapping = "[[sources.files]]\nname = \"*.csv\"\nkind = \"purchases\"\n\
        columns = { id_client = \"Who\", montant = \"Paid\", date_achat = \"On\" }\n";
    let undecided =
        "Who,Paid,On,Shipped\n1,10.00,03/04/2026,05/06/2026\n2,5.00,04/05/2026,06/07/2026\n";
    let shop = Shop::empty();
    let set = |text: &str| std::fs::write(shop.path().join("goldsmith.toml"), text).unwrap();
    set(mapping);
    shop.put("a.csv", undecided.as_bytes());
    shop.run(&["refresh"])
        .refused(1, &["nothing shows whether day or month comes first in date_achat"]);
    shop.put("a.csv", undecided.replace("06/07/2026", "06/27/2026").as_bytes());
    let ran = shop.run(&["refresh"]).good();
    let proof =
        "date_achat is read month first, as its column shipped, line 3 \"06/27/2026\", shows";
    assert_prints(&ran, &[proof]);
    assert_eq!(texts(&shop, "SELECT day FROM daily_revenue LIMIT 1"), ["2026-03-04"]);

    // A profile of the operator's own, and two files of it.
    let profile = "name = \"till\"\nsource = \"the manual of the till\"\n[[files]]\nkind = \"purchases\"\n\
        headers = [\"Who\", \"Paid\", \"On\"]\n[files.columns]\nid_client = \"Who\"\nmontant = \"Paid\"\n\
        date_achat = \"On\"\n";
    std::fs::write(shop.path().join("till.toml"), profile).unwrap();
    set("[sources]\nprofiles = [\"till.toml\"]\n");
    shop.put("a.csv", undecided.as_bytes());
    shop.put("b.csv", b"Who,Paid,On\n3,7.00,31/03/2026\n");
    let ran = shop.run(&["refresh"]).good();
    assert_prints(
        &ran,
        &["a.csv: date_achat is read day first, as b.csv, line 2 \"31/03/2026\", shows"],
    );
    assert_eq!(texts(&shop, "SELECT day FROM daily_revenue LIMIT 1"), ["2026-03-31"]);
}
