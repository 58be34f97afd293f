//! Copies of what a MongoDB serving store holds: read from a server or from files, restored into
//! a test's own databases.

use std::io::Cursor;
use std::path::Path;

use mongodb::Database;
use mongodb::bson::{Document, doc};
use mongodb::error::Result;

use super::mongo::{TestDb, wait};

/// The database of tables and views, and the one of manifests and runs beside it.
#[derive(Debug, Clone)]
pub struct Dump {
    served: Vec<Collection>,
    ops: Vec<Collection>,
}

/// A collection, or a view when its options have `viewOn`.
#[derive(Debug, Clone)]
struct Collection {
    name: String,
    options: Document,
    indexes: Vec<Document>,
    documents: Vec<Document>,
}

impl Dump {
    /// Reads the files that `scripts/record-fixture.py` writes.
    pub fn read(dir: &Path) -> Self {
        Self { served: read_folder(&dir.join("served")), ops: read_folder(&dir.join("ops")) }
    }

    /// Copies a test's databases.
    pub fn of(db: &TestDb) -> Self {
        wait(async {
            let client = db.client().await;
            let served = copy(&client.database(&db.name)).await.unwrap();
            let ops = copy(&client.database(&format!("{}_ops", db.name))).await.unwrap();
            Self { served, ops }
        })
    }

    /// Writes everything into a test's databases, which must be empty.
    pub fn restore(&self, db: &TestDb) {
        wait(async {
            let client = db.client().await;
            restore(&client.database(&db.name), &self.served).await.unwrap();
            restore(&client.database(&format!("{}_ops", db.name)), &self.ops).await.unwrap();
        });
    }
}

fn read_folder(dir: &Path) -> Vec<Collection> {
    let collection = |listed: Document| {
        let name = listed.get_str("name").unwrap().to_owned();
        let indexes = listed.get_array("indexes").unwrap();
        Collection {
            options: listed.get_document("options").unwrap().clone(),
            indexes: indexes.iter().map(|index| index.as_document().unwrap().clone()).collect(),
            documents: read_documents(&dir.join(format!("{name}.bson"))),
            name,
        }
    };
    read_documents(&dir.join("collections.bson")).into_iter().map(collection).collect()
}

/// The documents of a file; none of a file that does not exist, as for views.
fn read_documents(path: &Path) -> Vec<Document> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let length = bytes.len() as u64;
    let mut bytes = Cursor::new(bytes);
    let mut documents = Vec::new();
    while bytes.position() < length {
        documents.push(Document::from_reader(&mut bytes).unwrap());
    }
    documents
}

async fn copy(db: &Database) -> Result<Vec<Collection>> {
    let command = doc! { "listCollections": 1, "cursor": { "batchSize": 10_000 } };
    let listed = db.run_command(command).await?;
    let mut collections = Vec::new();
    for listed in first_batch(&listed) {
        let name = listed.get_str("name").unwrap().to_owned();
        if name.starts_with("system.") {
            continue;
        }
        let options = listed.get_document("options").unwrap().clone();
        let (mut indexes, mut documents) = (Vec::new(), Vec::new());
        if !options.contains_key("viewOn") {
            let command = doc! { "listIndexes": &name, "cursor": { "batchSize": 1_000 } };
            indexes = first_batch(&db.run_command(command).await?);
            let mut found = db.collection::<Document>(&name).find(doc! {}).await?;
            while found.advance().await? {
                documents.push(found.deserialize_current()?);
            }
        }
        collections.push(Collection { name, options, indexes, documents });
    }
    Ok(collections)
}

fn first_batch(answer: &Document) -> Vec<Document> {
    let cursor = answer.get_document("cursor").unwrap();
    assert_eq!(cursor.get_i64("id").unwrap(), 0, "more than one batch");
    let batch = cursor.get_array("firstBatch").unwrap();
    batch.iter().map(|entry| entry.as_document().unwrap().clone()).collect()
}

async fn restore(db: &Database, collections: &[Collection]) -> Result<()> {
    for collection in collections {
        let mut create = doc! { "create": &collection.name };
        create.extend(collection.options.clone());
        db.run_command(create).await?;
        let indexes: Vec<Document> = collection
            .indexes
            .iter()
            .filter(|index| index.get_str("name").ok() != Some("_id_"))
            .cloned()
            .collect();
        if !indexes.is_empty() {
            db.run_command(doc! { "createIndexes": &collection.name, "indexes": indexes }).await?;
        }
        if !collection.documents.is_empty() {
            let target = db.collection::<Document>(&collection.name);
            target.insert_many(&collection.documents).await?;
        }
    }
    Ok(())
}
