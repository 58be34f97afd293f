//! Collections and views by name: what exists, what goldsmith manages, what is foreign.

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::error::Error;

use super::commands::millis;
use super::connection::Connection;
use super::decode::whole;
use super::queries::NamedView;
use crate::domain::manifest::table_in_physical_name;
use crate::domain::schema::Catalogue;

/// The prefix of legacy views.
const LEGACY_PREFIX: &str = "gold_";
/// The prefix of a collection while it is written, before the lease's token and the physical name.
const STAGING: &str = "staging";

/// What exists under a name in the database.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Namespace {
    Collection,
    View(NamedView),
}

/// Every collection and view that matches the filter.
pub(super) async fn list_collections(
    connection: &Connection,
    filter: Document,
) -> Result<Vec<Document>, Error> {
    let limit = millis(connection.max_time);
    let command = doc! { "listCollections": 1, "filter": filter, "maxTimeMS": limit };
    connection.db.run_cursor_command(command).await?.try_collect().await
}

/// Every name in the database with what exists under it.
pub(super) async fn list_names(connection: &Connection) -> Result<Vec<(String, Namespace)>, Error> {
    let listed = list_collections(connection, doc! {}).await?;
    Ok(listed.iter().filter_map(read_namespace).collect())
}

/// The manifests of the stored generations, ascending. One that is newer than any switch was left
/// by a process that ended in between.
pub(super) async fn list_manifests(connection: &Connection) -> Result<Vec<Document>, Error> {
    let pointer = connection.read_pointer().await?;
    let newest = pointer.and_then(|pointer| whole(&pointer, "newest")).unwrap_or(0);
    let manifests = connection.manifests();
    let switched = manifests.find(doc! { "_id": { "$lte": newest } }).sort(doc! { "_id": 1 });
    switched.max_time(connection.max_time).await?.try_collect().await
}

fn read_namespace(listed: &Document) -> Option<(String, Namespace)> {
    let name = listed.get_str("name").ok()?.to_owned();
    if listed.get_str("type").unwrap_or_default() != "view" {
        return Some((name, Namespace::Collection));
    }
    let options = listed.get_document("options").ok()?;
    let stages = options.get_array("pipeline").ok()?.iter();
    let view = NamedView {
        name: name.clone(),
        on: options.get_str("viewOn").ok()?.to_owned(),
        pipeline: stages.filter_map(|stage| stage.as_document().cloned()).collect(),
    };
    Some((name, Namespace::View(view)))
}

/// Compares the views that exist with the expected ones. Returns each difference as a sentence.
pub(super) fn differences(expected: Vec<NamedView>, names: &[(String, Namespace)]) -> Vec<String> {
    let difference = |view: NamedView| match find(names, &view.name) {
        None => Some(format!("{} is missing", view.name)),
        Some(Namespace::Collection) => {
            Some(format!("{} is a collection that goldsmith did not create", view.name))
        }
        Some(Namespace::View(shown)) => {
            (*shown != view).then(|| format!("{} does not show the active generation", view.name))
        }
    };
    expected.into_iter().filter_map(difference).collect()
}

pub(super) fn find<'n>(names: &'n [(String, Namespace)], name: &str) -> Option<&'n Namespace> {
    names.iter().find(|(listed, _)| listed == name).map(|(_, namespace)| namespace)
}

pub(super) fn staging_name(token: i64, physical: &str) -> String {
    format!("{STAGING}_{token}_{physical}")
}

/// Whether a collection's name is the physical name of a table, or one under which it is written.
pub(super) fn is_managed(name: &str, catalogue: &Catalogue) -> bool {
    let staged = name.strip_prefix(STAGING).and_then(|rest| rest.strip_prefix('_'));
    let staged = staged.and_then(|rest| rest.split_once('_'));
    let physical = match staged {
        Some((token, physical)) if token.bytes().all(|byte| byte.is_ascii_digit()) => physical,
        _ => name,
    };
    table_in_physical_name(physical).is_some_and(|table| catalogue.has_table(table))
}

/// Whether a view is a stable name or legacy view of goldsmith's making.
pub(super) fn is_managed_view(name: &str, on: &str, catalogue: &Catalogue) -> bool {
    let is_name = catalogue.has_table(name) || name.starts_with(LEGACY_PREFIX);
    is_name && is_managed(on, catalogue)
}

/// The names of collections and views that goldsmith did not create.
pub(super) fn foreign<'n>(
    names: &'n [(String, Namespace)],
    catalogue: &'static Catalogue,
) -> impl Iterator<Item = &'n str> {
    let is_foreign = |(name, namespace): &&(String, Namespace)| match namespace {
        Namespace::Collection => !is_managed(name, catalogue),
        Namespace::View(view) => !is_managed(&view.on, catalogue),
    };
    names.iter().filter(is_foreign).map(|(name, _)| name.as_str())
}
