//! The store contract: every check on every store, each as a test of its own on an empty store. A
//! new store adds one module to `conformance!`.

mod fixtures;
mod generations;
mod mongodb;
mod queue;
mod runs;
mod sqlite;
mod tables;

use goldsmith::catalogue::CATALOGUE;
use goldsmith::store::mongo::MongoStore;
use goldsmith::store::sqlite::SqliteStore;

use crate::support::mongo::{TestDb, shared_standalone_uri};

/// A store, and the directory or database that is removed after it.
type Opened<S, P> = (S, P);

fn open_sqlite() -> Opened<SqliteStore, tempfile::TempDir> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/serving.db");
    (SqliteStore::open(&path, &CATALOGUE).unwrap(), dir)
}

fn open_on(db: TestDb) -> Opened<MongoStore, TestDb> {
    (MongoStore::open(db.options(), &CATALOGUE).unwrap(), db)
}

async fn new_db(uri: fn() -> String) -> TestDb {
    // Starts the shared server at the first call, which blocks.
    TestDb::at(tokio::task::spawn_blocking(uri).await.unwrap())
}

macro_rules! conformance {
    ($($module:ident::$check:ident,)*) => {
        conformance!(@on sqlite_store, super::open_sqlite(); $($module::$check,)*);
        conformance!(
            @on mongodb_replica_set, super::open_on(super::new_db(crate::support::mongo::shared_uri).await);
            $($module::$check,)*
        );
        conformance!(
            @on mongodb_standalone, super::open_on(super::new_db(super::shared_standalone_uri).await);
            $($module::$check,)*
        );
    };
    (@on $store:ident, $open:expr; $($module:ident::$check:ident,)*) => {
        mod $store {
            $(
                #[tokio::test]
                async fn $check() {
                    let (store, place) = $open;
                    super::$module::$check(&store).await;
                    drop(store);
                    drop(place);
                }
            )*
        }
    };
}

conformance! {
    tables::the_first_use_creates_one_identity,
    tables::an_empty_store_answers_and_has_no_generation,
    tables::a_table_is_written_once_and_verified,
    tables::a_table_that_deviates_from_its_entry_is_undone,
    tables::a_table_without_rows_is_stored,
    tables::queries_are_ordered_filtered_searched_and_paged,
    tables::an_audit_finds_what_is_stored,
    generations::tables_of_no_generation_are_swept_and_written_again,
    generations::a_published_generation_is_the_active_one,
    generations::earlier_generations_are_served_again_and_swept,
    runs::one_process_publishes_at_a_time,
    runs::progress_is_recorded_and_kept_after_the_end,
    runs::every_run_is_recorded_with_its_outcome,
    runs::a_cancel_request_reaches_its_run,
    runs::a_run_whose_process_is_gone_is_marked,
    runs::old_runs_are_deleted_but_the_last_that_published,
    queue::one_run_is_queued_at_most_and_starts_once_or_is_cancelled,
    queue::each_instant_of_the_schedule_has_one_run,
    queue::idempotency_keys_are_claimed_once,
}
