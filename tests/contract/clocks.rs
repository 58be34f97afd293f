//! Days end at the midnights of the shop: `sources.timezone`.

use goldsmith::domain::zone::Zone;
use goldsmith::pipeline::silver::{CleaningRules, Silver};
use goldsmith::sources::SourceOptions;

use super::profiles::cleaned;

fn in_zone(zone: &str, name: &str, text: &str) -> Silver {
    let rules = CleaningRules { timezone: Zone::find(zone).unwrap(), ..CleaningRules::default() };
    cleaned(&[(name, text.as_bytes())], &SourceOptions::default(), rules)
}

fn instants(silver: &Silver) -> Vec<String> {
    let instants = silver.purchases().column("date_achat").unwrap().to_physical_repr();
    let shown = |at: i64| goldsmith::domain::time::Timestamp(at).to_string();
    instants.i64().unwrap().iter().flatten().map(shown).collect()
}

#[test]
fn instants_with_an_offset_become_what_the_clocks_of_the_shop_showed_and_others_stay() {
    let sales = "id_achat,id_client,date_achat,montant\n\
                 1,1,2026-01-31T23:30:00Z,10.00\n\
                 2,1,2026-07-31 23:30:00 -0400,10.00\n\
                 3,1,31/01/2026 23:30,10.00\n\
                 4,1,2026-02-28,10.00\n\
                 5,1,2026-01-31T23:30:00,10.00\n";
    assert_eq!(
        instants(&in_zone("Europe/Paris", "achats.csv", sales)),
        [
            "2026-02-01T00:30:00",
            "2026-08-01T05:30:00",
            "2026-01-31T23:30:00",
            "2026-02-28T00:00:00",
            "2026-01-31T23:30:00"
        ]
    );
    assert_eq!(
        instants(&in_zone("UTC", "achats.csv", sales))[..2],
        ["2026-01-31T23:30:00", "2026-08-01T03:30:00"]
    );
}

#[test]
fn a_column_whose_header_says_utc_is_in_utc() {
    let payments = "id,Created date (UTC),Amount,Amount Refunded,Currency,Status,Customer ID,Refunded date (UTC)\n\
                    ch_1,2026-01-31 23:30:00,10.00,4.00,eur,Paid,cus_1,2026-03-31 23:30:00\n";
    assert_eq!(
        instants(&in_zone("Europe/Paris", "payments.csv", payments)),
        ["2026-02-01T00:30:00", "2026-04-01T01:30:00"]
    );
}

#[test]
fn registrations_are_days_of_the_shop() {
    let customers = "id_client,date_inscription\n1,2026-01-31T23:30:00Z\n";
    let silver = in_zone("Europe/Paris", "clients.csv", customers);
    let days = silver.customers().column("date_inscription").unwrap().to_physical_repr();
    let first = goldsmith::domain::time::Day(days.i32().unwrap().get(0).unwrap());
    assert_eq!(first.to_string(), "2026-02-01");
}
