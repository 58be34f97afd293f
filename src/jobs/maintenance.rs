//! Looking after the lake: what is there, whether it still is what was written, and removing what no
//! manifest within retention refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::data_set::DataSet;
use crate::domain::manifest::{Manifest, SilverFiles, TableFile};
use crate::domain::time::Timestamp;
use crate::jobs::refresh::RefreshError;
use crate::lake::{Lake, LakeError, Layer, ObjectMeta, keys};
use crate::runs::{RunEnd, RunSpec, RunTrigger};
use crate::store::{GoldStore, Publisher, StoreError, end_run, failed};

/// Why the lake was not looked after.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The serving store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It took too long.
    #[error(
        "the vacuum did not end within {0} s (refresh.step_secs); what is left is for the next one"
    )]
    TooLong(u64),
    /// A manifest cannot be read: what it refers to is not known.
    #[error(transparent)]
    Manifest(RefreshError),
}

type Result<T> = std::result::Result<T, MaintenanceError>;

/// Objects of a layer that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeListing {
    /// The layer.
    pub layer: Layer,
    /// The generation they belong to; `None` in sources and bronze.
    pub generation: Option<u64>,
    /// How many there are.
    pub objects: usize,
    /// Bytes of them all.
    pub bytes: u64,
    /// What they are, in words.
    pub state: String,
}

/// What is known of the generations: those the store keeps, and those the lake has a manifest of.
struct Known {
    served: Option<u64>,
    /// By the store, whatever the lake has.
    stored: BTreeMap<u64, Manifest>,
    /// By the lake.
    in_lake: BTreeMap<u64, Manifest>,
    /// Those that have a folder in silver or gold.
    folders: BTreeSet<u64>,
}

impl Known {
    async fn of(lake: &Lake, store: &dyn GoldStore) -> Result<Self> {
        let served = store.active().await?.map(|active| active.manifest.generation);
        let stored = store.generations().await?;
        let stored: BTreeMap<u64, Manifest> =
            stored.into_iter().map(|kept| (kept.manifest.generation, kept.manifest)).collect();
        let mut in_lake = BTreeMap::new();
        let in_gold = generations(lake, Layer::Gold).await?;
        let in_silver = generations(lake, Layer::Silver).await?;
        // A listing may be late: what only one of them shows is asked for as well.
        let folders: BTreeSet<u64> = in_gold.iter().chain(&in_silver).copied().collect();
        for number in folders.iter().chain(stored.keys()) {
            if let Some(manifest) = manifest(lake, *number).await? {
                in_lake.insert(*number, manifest);
            }
        }
        Ok(Self { served, stored, in_lake, folders })
    }

    /// The generations that are kept: the store's, and as many of the newest in the lake.
    fn kept(&self, keep: usize) -> BTreeSet<u64> {
        let newest = self.in_lake.keys().rev().take(keep);
        self.stored.keys().chain(newest).copied().collect()
    }

    /// What the store and the lake have of a generation; usually the same.
    fn manifests(&self, number: u64) -> impl Iterator<Item = &Manifest> {
        self.stored.get(&number).into_iter().chain(self.in_lake.get(&number))
    }
}

/// The manifest of a generation in the lake; `None` when it is not committed.
async fn manifest(lake: &Lake, generation: u64) -> Result<Option<Manifest>> {
    let path = keys::manifest(generation);
    let Some(bytes) = lake.get(Layer::Gold, &path).await? else { return Ok(None) };
    let read = serde_json::from_slice(&bytes).map_err(|source| {
        MaintenanceError::Manifest(RefreshError::Manifest {
            path: lake.locate(Layer::Gold, &path),
            source,
        })
    });
    read.map(Some)
}

/// The numbers of the generations that have a folder in a layer.
async fn generations(lake: &Lake, layer: Layer) -> Result<Vec<u64>> {
    let folders = lake.folders(layer).await?;
    Ok(folders.iter().filter_map(|folder| keys::generation_number(folder)).collect())
}

/// What is where: a line for each layer and generation, in the order data take.
///
/// # Errors
/// [`MaintenanceError`].
pub async fn list(lake: &Lake, store: &dyn GoldStore) -> Result<Vec<LakeListing>> {
    let known = Known::of(lake, store).await?;
    let mut holdings = Vec::new();
    let mut sources = Vec::new();
    for name in lake.names(Layer::Sources).await? {
        sources.extend(lake.stamp(Layer::Sources, &name).await?);
    }
    holdings.push(holding(Layer::Sources, None, &sources, String::new()));
    let bronze = bronze(lake).await?;
    let used = bronze_of(known.stored.values().chain(known.in_lake.values()));
    let unused = bronze.iter().filter(|object| !used.contains(&object.path)).count();
    let state = if unused == 0 { String::new() } else { format!("{unused} of no generation") };
    holdings.push(holding(Layer::Bronze, None, &bronze, state));
    for layer in [Layer::Silver, Layer::Gold] {
        for number in generations(lake, layer).await? {
            let objects = lake.list(layer, &keys::generation(number)).await?;
            let mut words = vec![match known.in_lake.get(&number) {
                Some(manifest) => format!("as of {}", manifest.as_of),
                None => "not committed".to_owned(),
            }];
            if known.served == Some(number) {
                words.push("served".to_owned());
            } else if known.stored.contains_key(&number) {
                words.push("kept".to_owned());
            } else if known.in_lake.contains_key(&number) {
                words.push("not published".to_owned());
            }
            holdings.push(holding(layer, Some(number), &objects, words.join(", ")));
        }
    }
    Ok(holdings)
}

fn holding(
    layer: Layer,
    generation: Option<u64>,
    objects: &[ObjectMeta],
    state: String,
) -> LakeListing {
    let bytes = objects.iter().map(|object| object.size_bytes).sum();
    LakeListing { layer, generation, objects: objects.len(), bytes, state }
}

/// The source files that are kept in bronze.
async fn bronze(lake: &Lake) -> Result<Vec<ObjectMeta>> {
    let mut objects = Vec::new();
    for set in DataSet::ALL {
        objects.extend(lake.list(Layer::Bronze, set.name()).await?);
    }
    objects.retain(|object| keys::is_bronze(&object.path));
    Ok(objects)
}

/// What manifests refer to in bronze.
fn bronze_of<'m>(manifests: impl Iterator<Item = &'m Manifest>) -> BTreeSet<String> {
    manifests.flat_map(|manifest| &manifest.sources).map(|source| source.bronze.clone()).collect()
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Objects that were read.
    pub objects: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

/// Reads everything that manifests refer to and compares it with their hashes.
///
/// # Errors
/// [`MaintenanceError`]; an object that is missing or damaged is a finding, not an error.
pub async fn verify(lake: &Lake, store: &dyn GoldStore) -> Result<Verified> {
    let known = Known::of(lake, store).await?;
    let mut verified = Verified::default();
    let mut expected: BTreeMap<(&str, String), (Layer, u64, String)> = BTreeMap::new();
    let mut add = |layer: Layer, path: &str, size: u64, sha256: &str| {
        expected.insert((layer.as_str(), path.to_owned()), (layer, size, sha256.to_owned()));
    };
    for manifest in known.stored.values().chain(known.in_lake.values()) {
        for file in &manifest.sources {
            add(Layer::Bronze, &file.bronze, file.size_bytes, &file.sha256);
        }
        for file in manifest.gold_files() {
            add(Layer::Gold, &file.path, file.size_bytes, &file.sha256);
        }
        for file in manifest.silver.iter().flat_map(SilverFiles::all) {
            add(Layer::Silver, &file.path, file.size_bytes, &file.sha256);
        }
    }
    for number in known.stored.keys().filter(|number| !known.in_lake.contains_key(number)) {
        let path = lake.locate(Layer::Gold, &keys::manifest(*number));
        verified.problems.push(format!("{path} is missing"));
    }
    for ((_, path), (layer, size, sha256)) in expected {
        match lake.verify(layer, &path, &sha256).await {
            Ok(()) => {
                verified.objects += 1;
                verified.bytes += size;
            }
            Err(error @ LakeError::Damaged { .. }) => verified.problems.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(verified)
}

/// How a vacuum is to go.
#[derive(Debug, Clone, Copy)]
pub struct Vacuum {
    /// Generations to keep in the lake, besides those the store keeps.
    pub keep_generations: usize,
    /// Whether to only say what would be removed.
    pub is_dry: bool,
    /// How old source files in bronze have to be to go, if no kept generation was made of them; `None`:
    /// bronze is left alone.
    pub bronze_older_than: Option<Duration>,
    /// Longest time it may take.
    pub limit: Duration,
}

/// What a vacuum removed, or would.
#[derive(Debug, Default)]
pub struct VacuumReport {
    /// Where the objects lay, and their bytes.
    pub objects: Vec<(String, u64)>,
    /// Files and uploads that a run left half-written.
    pub half_written: usize,
}

/// Removes what no manifest within retention refers to and what a broken run left behind. Nothing but
/// what runs write is looked at. Unless it is dry, no run can go on meanwhile.
///
/// # Errors
/// [`MaintenanceError`], also while a run goes on.
pub async fn vacuum(lake: &Lake, store: &dyn GoldStore, order: Vacuum) -> Result<VacuumReport> {
    if order.is_dry {
        return sweep(lake, store, None, order).await;
    }
    let _hold = lake.lock()?;
    let publisher = store.publisher(&RunSpec::vacuum(RunTrigger::Cli)).await?;
    let sweep = sweep(lake, store, Some(publisher.as_ref()), order);
    let swept = tokio::time::timeout(order.limit, sweep).await;
    let swept = swept.unwrap_or(Err(MaintenanceError::TooLong(order.limit.as_secs())));
    let end = swept.as_ref().map_or_else(|error| failed(error), |_| RunEnd::Succeeded);
    end_run(publisher, end).await;
    swept
}

async fn sweep(
    lake: &Lake,
    store: &dyn GoldStore,
    publisher: Option<&dyn Publisher>,
    order: Vacuum,
) -> Result<VacuumReport> {
    /// Objects that are removed before the right to is looked after again.
    const AT_A_TIME: usize = 20;
    // Everything is known before anything goes.
    let known = Known::of(lake, store).await?;
    let kept = known.kept(order.keep_generations);
    let mut swept = VacuumReport::default();
    let mut doomed: Vec<(Layer, ObjectMeta)> = Vec::new();
    for layer in [Layer::Gold, Layer::Silver] {
        for number in known.folders.iter().copied() {
            let Some(used) = used(&known, &kept, layer, number) else { continue };
            let objects = lake.list(layer, &keys::generation(number)).await?;
            let unused = objects.into_iter().filter(|object| !used.contains(&object.path));
            let mut unused: Vec<ObjectMeta> = unused.collect();
            // Without its manifest there is no generation, with it there is all of it.
            unused.sort_by_key(|object| object.path != keys::manifest(number));
            doomed.extend(unused.into_iter().map(|object| (layer, object)));
        }
    }
    for name in lake.names(Layer::Gold).await?.iter().filter(|name| keys::is_probe(name)) {
        doomed.extend(lake.stamp(Layer::Gold, name).await?.map(|object| (Layer::Gold, object)));
    }
    if let Some(age) = order.bronze_older_than {
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let until = Timestamp::now().0.saturating_sub(age);
        let used = bronze_of(kept.iter().flat_map(|number| known.manifests(*number)));
        let unused = bronze(lake)
            .await?
            .into_iter()
            .filter(|object| !used.contains(&object.path) && object.written_at < until);
        doomed.extend(unused.map(|object| (Layer::Bronze, object)));
    }
    for some in doomed.chunks(AT_A_TIME) {
        if let Some(publisher) = publisher {
            publisher.confirm_held().await?;
        }
        for (layer, object) in some {
            if !order.is_dry {
                lake.delete(*layer, &object.path).await?;
            }
            swept.objects.push((lake.locate(*layer, &object.path), object.size_bytes));
        }
    }
    for layer in Layer::WRITTEN {
        swept.half_written += lake.sweep_half_written(layer, keys::is_ours, order.is_dry).await?;
    }
    Ok(swept)
}

/// The paths within a generation's folder that are referred to; `None` where that is not known.
fn used(
    known: &Known,
    kept: &BTreeSet<u64>,
    layer: Layer,
    number: u64,
) -> Option<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    if !kept.contains(&number) {
        return Some(used);
    }
    let mut add = |file: &TableFile| used.insert(file.path.clone());
    for manifest in known.manifests(number) {
        if layer == Layer::Gold {
            manifest.gold_files().for_each(|file| {
                add(file);
            });
        } else {
            manifest.silver.as_ref()?.all().for_each(|file| {
                add(file);
            });
        }
    }
    used.insert(keys::manifest(number));
    Some(used)
}
