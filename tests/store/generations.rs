//! Checks of generations: publishing, rolling back, sweeping, and what another process sees.

use goldsmith::domain::query::Query;
use goldsmith::domain::schema::View;
use goldsmith::runs::RunTrigger;
use goldsmith::store::rollback::rollback;
use goldsmith::store::{GoldStore, StoreError};

use super::fixtures::{
    COUNTRIES, FIRST_ROWS, activate, countries, entry, first, has_table, publish_country,
    publish_four_more, publish_one, record, source, sweep, texts, write,
};

pub async fn tables_of_no_generation_are_swept_and_written_again(store: &dyn GoldStore) {
    write(store, COUNTRIES, &first(), source(countries(&FIRST_ROWS))).await.unwrap();
    write(store, COUNTRIES, &entry(COUNTRIES, "e", 0, 0.0, 0), source(countries(&[])))
        .await
        .unwrap();
    assert_eq!(sweep(store, 1).await, 2, "tables of no generation are dropped");
    assert!(write(store, COUNTRIES, &first(), source(countries(&FIRST_ROWS))).await.unwrap());
}

pub async fn a_published_generation_is_the_active_one(store: &dyn GoldStore) {
    let one = publish_one(store).await;
    assert_eq!(*store.active().await.unwrap().unwrap(), one);
}

/// Publishing again, rolling back, sweeping: never the active one.
pub async fn earlier_generations_are_served_again_and_swept(store: &dyn GoldStore) {
    let one = &publish_one(store).await;
    let [first, months] = [&one.manifest.tables[0], &one.manifest.tables[1]];
    let all = Query::first(View::of(COUNTRIES), 10);
    let last = publish_four_more(store, one).await;
    assert_eq!(texts(&store.find(&last, &all).await.unwrap()), ["Italy"]);
    assert_eq!(
        texts(&store.find(one, &all).await.unwrap()).len(),
        3,
        "an older generation is still whole"
    );
    for (requested, from_to) in [(None, (5, 4)), (Some(1), (4, 1))] {
        let rolled_back = rollback(store, RunTrigger::Cli, requested).await.unwrap();
        assert_eq!((rolled_back.from, rolled_back.to), from_to);
        let run = record(store, rolled_back.run).await.unwrap();
        assert_eq!((run.before, run.generation), (Some(from_to.0), Some(from_to.1)));
    }
    assert!(matches!(
        rollback(store, RunTrigger::Cli, Some(9)).await.unwrap_err(),
        StoreError::NoGeneration(_)
    ));
    assert_eq!(sweep(store, 2).await, 2);
    let numbers: Vec<u64> =
        store.generations().await.unwrap().iter().map(|p| p.manifest.generation).collect();
    assert_eq!(numbers, [1, 4, 5]);
    assert_eq!(store.active().await.unwrap().unwrap().manifest.generation, 1);
    assert!(has_table(store, first).await && has_table(store, months).await);
    activate(store, &last).await;
    assert_eq!(sweep(store, 1).await, 2);
    assert!(!has_table(store, first).await);
}

/// What one process publishes, another one on the same store serves.
pub async fn another_process_sees_a_publish(writer: &dyn GoldStore, reader: &dyn GoldStore) {
    for generation in 1..=3 {
        publish_country(writer, generation, &format!("{generation}"), "Italy").await;
        // The writer sees it at once, the reader at its next read of the pointer.
        assert_eq!(writer.active().await.unwrap().unwrap().manifest.generation, generation);
        while reader
            .active()
            .await
            .unwrap()
            .is_none_or(|seen| seen.manifest.generation < generation)
        {
            tokio::task::yield_now().await;
        }
    }
}
