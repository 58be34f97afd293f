//! The lake on a second S3 implementation, Ceph's gateway, where that is installed.

use super::s3::shop_on;
use crate::support::s3::ceph;
use crate::support::{Shop, TINY, report_left_out};

#[test]
fn a_refresh_on_cephs_gateway_is_published_unchanged_the_second_time_and_verified() {
    let Some(server) = ceph() else {
        return report_left_out("Ceph's gateway is not installed (scripts/ceph-s3.sh says how)");
    };
    let (shop, _) = shop_on(&server, Shop::sample(TINY));
    let ran = shop.run(&["refresh"]).good();
    assert!(ran.out.contains("published generation 1"), "{}", ran.out);
    let again = shop.run(&["refresh"]).good();
    assert_eq!(again.out, "nothing changed: generation 1 is up to date\n");
    shop.run(&["refresh", "--force"]).good();
    shop.run(&["rollback"]).good();
    shop.run(&["check"]).good();
    shop.run(&["lake", "verify"]).good();
}
