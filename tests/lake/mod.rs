//! The contract of the lake, the same in memory, in directories and on a real S3 server.

mod ceph;
mod command;
mod documents;
mod faults;
mod refresh;
mod s3;

use std::io::{Read, Write};

use bytes::Bytes;
use futures::future::join_all;
use goldsmith::lake::reading::{Fetched, PART};
use goldsmith::lake::{Lake, LakeError, Layer};

use crate::support::report_left_out;
use crate::support::s3::{is_seaweedfs, shared, unique};

/// A lake of each kind; the directories exist for as long as this does.
struct Kinds {
    lakes: Vec<(&'static str, Lake)>,
    _dir: tempfile::TempDir,
}

async fn every_kind() -> Kinds {
    let dir = tempfile::tempdir().unwrap();
    let template = dir.path().join("{layer}").display().to_string();
    let (buckets, prefix) = (unique(), unique());
    let lakes = vec![
        ("memory", Lake::in_memory()),
        ("disk", Lake::in_directory(&template).unwrap()),
        ("four buckets", shared().lake(&format!("s3://{buckets}-{{layer}}"))),
        ("prefixes of one", shared().lake(&format!("s3://{prefix}/analytics/{{layer}}"))),
    ];
    for (_, lake) in &lakes {
        lake.prepare().await.unwrap();
    }
    Kinds { lakes, _dir: dir }
}

/// Whether a kind of lake is in the buckets of the default server of these tests.
fn is_on_seaweedfs(kind: &str) -> bool {
    ["four buckets", "prefixes of one"].contains(&kind) && is_seaweedfs()
}

/// Bytes that differ from their neighbours, so that misplaced parts show.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from((index * 31 + index / 257) % 251).unwrap()).collect()
}

async fn write(lake: &Lake, path: &str, content: Vec<u8>) -> goldsmith::domain::files::TableFile {
    lake.write(Layer::Gold, path, move |to| to.write_all(&content)).await.unwrap()
}

#[tokio::test]
async fn small_objects_are_complete_or_missing() {
    for (kind, lake) in every_kind().await.lakes {
        assert_eq!(lake.get(Layer::Gold, "a/b.json").await.unwrap(), None, "{kind}");
        assert_eq!(lake.head(Layer::Gold, "a/b.json").await.unwrap(), None, "{kind}");
        assert_eq!(lake.digest(Layer::Gold, "a/b.json").await.unwrap(), None, "{kind}");
        for content in ["", "one", "another"] {
            lake.put(Layer::Gold, "a/b.json", content.into()).await.unwrap();
            let found = lake.get(Layer::Gold, "a/b.json").await.unwrap();
            assert_eq!(found.as_deref(), Some(content.as_bytes()), "{kind}");
            let meta = lake.head(Layer::Gold, "a/b.json").await.unwrap().unwrap();
            assert_eq!(meta.size_bytes, content.len() as u64, "{kind}");
            assert!(meta.written_at > 1_700_000_000_000_000, "{kind}");
        }
        // It is in no other layer.
        assert_eq!(lake.get(Layer::Silver, "a/b.json").await.unwrap(), None, "{kind}");
        lake.delete(Layer::Gold, "a/b.json").await.unwrap();
        lake.delete(Layer::Gold, "a/b.json").await.unwrap();
        assert_eq!(lake.get(Layer::Gold, "a/b.json").await.unwrap(), None, "{kind}");
    }
}

#[tokio::test]
async fn objects_of_any_number_of_parts_are_read_as_written() {
    for (kind, lake) in every_kind().await.lakes {
        for length in [0, 1, PART - 1, PART, PART + 1, 5 * PART + 17] {
            let content = pattern(length);
            let file = write(&lake, "gen-000001/run-000001/t.parquet", content.clone()).await;
            assert_eq!(file.size_bytes, length as u64, "{kind} {length}");
            let digest = lake.digest(Layer::Gold, &file.path).await.unwrap();
            assert_eq!(digest, Some((file.size_bytes, file.sha256.clone())), "{kind} {length}");
            let whole = lake.get_file(Layer::Gold, &file).await.unwrap();
            assert!(whole == content, "{kind} {length}");
            let fetched = match lake.fetch(Layer::Gold, &file).await.unwrap() {
                Fetched::Memory(bytes) => bytes.to_vec(),
                Fetched::File(mut file) => {
                    let mut bytes = Vec::new();
                    file.read_to_end(&mut bytes).unwrap();
                    bytes
                }
            };
            assert!(fetched == content, "{kind} {length}");
        }
    }
}

#[tokio::test]
async fn a_producer_that_fails_leaves_nothing_behind() {
    for (kind, lake) in every_kind().await.lakes {
        for parts in [0, 3] {
            let fails = move |to: &mut goldsmith::lake::writing::PartWriter| {
                to.write_all(&pattern(parts * PART + 5))?;
                Err(std::io::Error::other("the encoder gave up"))
            };
            let error = lake.write(Layer::Gold, "x/y.parquet", fails).await.unwrap_err();
            assert!(matches!(error, LakeError::Produce { .. }), "{kind}: {error}");
            assert!(!error.is_transient(), "{kind}");
            assert_eq!(lake.head(Layer::Gold, "x/y.parquet").await.unwrap(), None, "{kind}");
            let left = lake.remove_incomplete(Layer::Gold, |_| true, true).await.unwrap();
            assert_eq!(left, 0, "{kind}");
        }
    }
}

#[tokio::test]
async fn damage_is_an_error_that_names_the_object() {
    for (kind, lake) in every_kind().await.lakes {
        let mut content = pattern(2 * PART);
        let file = write(&lake, "g/t.parquet", content.clone()).await;
        content[PART + 5] ^= 1;
        write(&lake, "g/t.parquet", content).await;
        let place = lake.locate(Layer::Gold, "g/t.parquet");
        for error in [
            lake.verify(Layer::Gold, &file.path, &file.sha256).await.unwrap_err(),
            lake.fetch(Layer::Gold, &file).await.map(|_| ()).unwrap_err(),
            lake.get_file(Layer::Gold, &file).await.map(|_| ()).unwrap_err(),
        ] {
            let expected =
                format!("{place} is damaged: its SHA-256 is not the one in its manifest");
            assert_eq!(error.to_string(), expected, "{kind}");
            assert!(!error.is_transient());
        }
        lake.delete(Layer::Gold, &file.path).await.unwrap();
        let error = lake.get_file(Layer::Gold, &file).await.map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), format!("{place} is damaged: it is missing"), "{kind}");
    }
}

#[tokio::test]
async fn an_object_that_is_replaced_while_it_is_read_is_never_read_as_a_mixture() {
    /// More than are fetched ahead.
    const PARTS: usize = 12;
    for (kind, lake) in every_kind().await.lakes {
        write(&lake, "g/t.csv", vec![b'a'; PARTS * PART]).await;
        let mut reader = lake.reader(Layer::Gold, "g/t.csv", None);
        let (mut reader, first) = tokio::task::spawn_blocking(move || {
            let mut first = vec![0; PART];
            reader.read_exact(&mut first).unwrap();
            (reader, first)
        })
        .await
        .unwrap();
        assert!(first.iter().all(|byte| *byte == b'a'), "{kind}");
        write(&lake, "g/t.csv", vec![b'b'; PARTS * PART]).await;
        let rest = tokio::task::spawn_blocking(move || {
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).map(|_| rest)
        });
        match rest.await.unwrap() {
            Ok(rest) => assert!(rest.iter().all(|byte| *byte == b'a'), "{kind}: a mixture"),
            Err(error) => {
                let error = error.downcast::<LakeError>().unwrap();
                assert!(matches!(error, LakeError::Changed(_)), "{kind}: {error}");
                assert!(error.is_transient());
            }
        }
    }
}

#[tokio::test]
async fn a_listing_shows_more_than_a_page_holds() {
    const OBJECTS: usize = 1_100;
    for (kind, lake) in every_kind().await.lakes {
        let put = |index: usize| {
            let lake = lake.clone();
            async move {
                let path = format!("gen-000007/achats/mois={index:05}/part-0.parquet");
                lake.put(Layer::Silver, &path, Bytes::from_static(b"x")).await.unwrap();
                lake.put(Layer::Sources, &format!("f{index:05}.csv"), Bytes::new()).await.unwrap();
            }
        };
        for some in (0..OBJECTS).collect::<Vec<_>>().chunks(50) {
            join_all(some.iter().map(|index| put(*index))).await;
        }
        let listed = lake.list(Layer::Silver, "gen-000007").await.unwrap();
        assert_eq!(listed.len(), OBJECTS, "{kind}");
        assert!(listed.is_sorted_by(|a, b| a.path < b.path), "{kind}");
        assert_eq!(listed[1_099].path, "gen-000007/achats/mois=01099/part-0.parquet", "{kind}");
        assert_eq!(lake.list(Layer::Silver, "gen-00000").await.unwrap(), [], "{kind}");
        assert_eq!(lake.folders(Layer::Silver).await.unwrap(), ["gen-000007"], "{kind}");
        let names = lake.names(Layer::Sources).await.unwrap();
        assert_eq!((names.len(), names[1_099].as_str()), (OBJECTS, "f01099.csv"), "{kind}");
        lake.delete_folder(Layer::Silver, "gen-000007").await.unwrap();
        assert_eq!(lake.list(Layer::Silver, "").await.unwrap(), [], "{kind}");
    }
}

#[tokio::test]
async fn files_are_found_and_read_whatever_they_are_called() {
    const NAMES: [&str; 12] = [
        "clients é 2024.csv",
        "clients%20.csv",
        "clients%C3%A9.csv",
        "clients+plus.csv",
        "clients&a=b;c.csv",
        "clients#1~{x}.csv",
        "clients?*|<>.csv",
        "clients ^\"`'.csv",
        "clients[1](2)!$,@.csv",
        "clients\\back.csv",
        "clients:colon.csv",
        "клиенты 顧客 🛒.csv",
    ];
    for (kind, lake) in every_kind().await.lakes {
        let mut names = NAMES.to_vec();
        if is_on_seaweedfs(kind) {
            report_left_out(
                "a name with a backslash in buckets, as SeaweedFS takes it for a slash",
            );
            names.retain(|name| !name.contains('\\'));
        }
        for name in &names {
            lake.put(Layer::Sources, name, Bytes::from(*name)).await.unwrap();
        }
        // Files in folders are ignored.
        lake.put(Layer::Sources, "older/clients.csv", Bytes::new()).await.unwrap();
        let mut expected = names.clone();
        expected.sort_unstable();
        assert_eq!(lake.names(Layer::Sources).await.unwrap(), expected, "{kind}");
        for name in names {
            let found = lake.get(Layer::Sources, name).await.unwrap();
            assert_eq!(found.as_deref(), Some(name.as_bytes()), "{kind}");
            let digest = lake.digest(Layer::Sources, name).await.unwrap().unwrap();
            assert_eq!(digest.0, name.len() as u64, "{kind}");
        }
    }
}

#[tokio::test]
async fn of_sixteen_concurrent_commits_one_wins_where_writes_are_conditional() {
    const WRITERS: usize = 16;
    for (kind, lake) in every_kind().await.lakes {
        // A directory's lock lets only one run get here.
        if kind == "disk" {
            let held = lake.lock().unwrap();
            assert!(matches!(lake.lock(), Err(LakeError::Locked(_))));
            drop(held);
            continue;
        }
        for round in 0..5 {
            let path = format!("gen-{round:06}/manifest.json");
            let commits = (0..WRITERS).map(|writer| {
                let (lake, path) = (lake.clone(), path.clone());
                tokio::spawn(async move {
                    lake.commit(Layer::Gold, &path, format!("by {writer}").into()).await
                })
            });
            let ended: Vec<_> = join_all(commits).await.into_iter().map(Result::unwrap).collect();
            let winners: Vec<usize> = (0..WRITERS).filter(|index| ended[*index].is_ok()).collect();
            assert_eq!(winners.len(), 1, "{kind}: {ended:?}");
            let taken = |result: &Result<(), LakeError>| {
                matches!(result, Err(LakeError::AlreadyCommitted(_)))
            };
            assert_eq!(ended.iter().filter(|ended| taken(ended)).count(), WRITERS - 1, "{kind}");
            let content = format!("by {}", winners[0]);
            let found = lake.get(Layer::Gold, &path).await.unwrap();
            assert_eq!(found.as_deref(), Some(content.as_bytes()), "{kind}");
            // A winner whose response was lost finds out by repeating the commit.
            lake.commit(Layer::Gold, &path, content.into()).await.unwrap();
        }
    }
}
