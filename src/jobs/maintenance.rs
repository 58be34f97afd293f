//! Maintenance of the lake by hand: listing it, verifying it against its manifests, removing what no
//! manifest within retention refers to, and handing it over to another serving store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::data_set::DataSet;
use crate::domain::manifest::Manifest;
use crate::domain::time::Timestamp;
use crate::jobs::owner::owner_of;
use crate::jobs::retention::retained;
use crate::lake::generations::files_of;
use crate::lake::owner::Owner;
use crate::lake::{Lake, LakeError, Layer, ObjectMeta, keys};
use crate::runs::{RunEnd, RunSpec, RunTrigger};
use crate::store::{GoldStore, Publisher, StoreError, end_run, failed};

/// Why a maintenance command failed.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The serving store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vacuum took too long.
    #[error(
        "the vacuum did not end within {0} s (refresh.step_secs); run it again to remove the rest"
    )]
    TooLong(u64),
}

type Result<T> = std::result::Result<T, MaintenanceError>;

/// The objects of a generation in a layer, or of a whole layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeListing {
    /// The layer.
    pub layer: Layer,
    /// The generation; `None` in sources and bronze.
    pub generation: Option<u64>,
    /// Number of objects.
    pub objects: usize,
    /// Their length in bytes.
    pub bytes: u64,
    /// What is known of them, for people.
    pub state: String,
}

/// The generations of the store and of the lake.
struct GenerationIndex {
    active: Option<u64>,
    /// Those that the store keeps, whether they are in the lake or not.
    stored: BTreeMap<u64, Manifest>,
    /// Those that have a manifest in the lake.
    in_lake: BTreeMap<u64, Manifest>,
    /// Those that have a folder in silver or gold.
    folders: BTreeSet<u64>,
}

impl GenerationIndex {
    /// Fails on the lake of another store: its generations are not those of this one.
    async fn read(lake: &Lake, store: &dyn GoldStore) -> Result<Self> {
        let active = store.active().await?.map(|active| active.manifest.generation);
        let stored = store.generations().await?;
        let stored: BTreeMap<u64, Manifest> =
            stored.into_iter().map(|p| (p.manifest.generation, p.manifest)).collect();
        let mut in_lake = BTreeMap::new();
        // A listing may lag: a generation that only one listing shows is looked up by name.
        let mut folders = lake.generation_numbers(Layer::Gold).await?;
        folders.extend(lake.generation_numbers(Layer::Silver).await?);
        lake.check_owner(&owner_of(store).await?).await?;
        for number in folders.iter().chain(stored.keys()) {
            if let Some(manifest) = lake.manifest(*number).await? {
                in_lake.insert(*number, manifest);
            }
        }
        Ok(Self { active, stored, in_lake, folders })
    }

    /// The generations within retention: the store's, and the newest `keep` in the lake.
    fn retained(&self, keep: usize) -> BTreeSet<u64> {
        retained(self.stored.keys().copied(), self.in_lake.keys().copied(), keep)
    }

    /// The manifests of a generation in the store and in the lake; usually the same.
    fn manifests(&self, number: u64) -> impl Iterator<Item = &Manifest> {
        self.stored.get(&number).into_iter().chain(self.in_lake.get(&number))
    }
}

/// Lists the lake: an entry for each layer and generation, in the order of the data flow.
///
/// # Errors
/// [`MaintenanceError`].
pub async fn list(lake: &Lake, store: &dyn GoldStore) -> Result<Vec<LakeListing>> {
    let index = GenerationIndex::read(lake, store).await?;
    let mut listings = Vec::new();
    let mut sources = Vec::new();
    for name in lake.names(Layer::Sources).await? {
        sources.extend(lake.head(Layer::Sources, &name).await?);
    }
    listings.push(listing(Layer::Sources, None, &sources, String::new()));
    let bronze = bronze(lake).await?;
    let used = bronze_of(index.stored.values().chain(index.in_lake.values()));
    let unused = bronze.iter().filter(|object| !used.contains(&object.path)).count();
    let state = if unused == 0 { String::new() } else { format!("{unused} of no generation") };
    listings.push(listing(Layer::Bronze, None, &bronze, state));
    for layer in [Layer::Silver, Layer::Gold] {
        for number in lake.generation_numbers(layer).await? {
            let objects = lake.list(layer, &keys::generation(number)).await?;
            // Some stores list a folder after its last object is deleted.
            if objects.is_empty() {
                continue;
            }
            let mut state = vec![match index.in_lake.get(&number) {
                Some(manifest) => format!("as of {}", manifest.as_of),
                None => "not committed".to_owned(),
            }];
            if index.active == Some(number) {
                state.push("served".to_owned());
            } else if index.stored.contains_key(&number) {
                state.push("kept".to_owned());
            } else if index.in_lake.contains_key(&number) {
                state.push("not published".to_owned());
            }
            listings.push(listing(layer, Some(number), &objects, state.join(", ")));
        }
    }
    Ok(listings)
}

fn listing(
    layer: Layer,
    generation: Option<u64>,
    objects: &[ObjectMeta],
    state: String,
) -> LakeListing {
    let bytes = objects.iter().map(|object| object.size_bytes).sum();
    LakeListing { layer, generation, objects: objects.len(), bytes, state }
}

/// The source files in bronze.
async fn bronze(lake: &Lake) -> Result<Vec<ObjectMeta>> {
    let mut objects = Vec::new();
    for set in DataSet::ALL {
        objects.extend(lake.list(Layer::Bronze, set.name()).await?);
    }
    objects.retain(|object| keys::is_bronze(&object.path));
    Ok(objects)
}

/// The paths in bronze that manifests refer to.
fn bronze_of<'m>(manifests: impl Iterator<Item = &'m Manifest>) -> BTreeSet<String> {
    let paths = manifests.flat_map(|manifest| {
        let corrections = manifest.corrections.iter().map(|file| &file.bronze);
        manifest.sources.iter().map(|file| &file.bronze).chain(corrections)
    });
    paths.cloned().collect()
}

/// The result of [`verify`].
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Number of intact objects.
    pub objects: usize,
    /// Their length in bytes.
    pub bytes: u64,
    /// What is missing or damaged, one sentence each.
    pub problems: Vec<String>,
}

/// Reads every object that a manifest refers to and compares it with its SHA-256.
///
/// # Errors
/// [`MaintenanceError`]; a missing or damaged object is a finding, not an error.
pub async fn verify(lake: &Lake, store: &dyn GoldStore) -> Result<VerifyReport> {
    let index = GenerationIndex::read(lake, store).await?;
    let mut report = VerifyReport::default();
    let mut expected: BTreeMap<(&str, String), (Layer, u64, String)> = BTreeMap::new();
    for manifest in index.stored.values().chain(index.in_lake.values()) {
        for file in files_of(manifest) {
            let found = (file.layer, file.size_bytes, file.sha256.to_owned());
            expected.insert((file.layer.as_str(), file.path.to_owned()), found);
        }
    }
    for number in index.stored.keys().filter(|number| !index.in_lake.contains_key(number)) {
        let path = lake.locate(Layer::Gold, &keys::manifest(*number));
        report.problems.push(format!("{path} is missing"));
    }
    for ((_, path), (layer, size, sha256)) in expected {
        match lake.verify(layer, &path, &sha256).await {
            Ok(()) => {
                report.objects += 1;
                report.bytes += size;
            }
            Err(error @ LakeError::Damaged { .. }) => report.problems.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(report)
}

/// What a vacuum removes.
#[derive(Debug, Clone, Copy)]
pub struct VacuumOptions {
    /// Generations to keep in the lake, besides those that the store keeps.
    pub keep_generations: usize,
    /// Whether to report only.
    pub is_dry: bool,
    /// Minimum age of the source files in bronze that are removed if no generation within retention was
    /// made of them; `None` to leave bronze alone.
    pub bronze_older_than: Option<Duration>,
    /// Longest time it may take.
    pub timeout: Duration,
}

/// The result of [`vacuum`].
#[derive(Debug, Default)]
pub struct VacuumReport {
    /// Where the objects were, with their length in bytes.
    pub objects: Vec<(String, u64)>,
    /// Number of incomplete files and uploads.
    pub incomplete: usize,
}

/// Removes what no manifest within retention refers to and what interrupted runs have left. It considers
/// only objects that runs write. Unless it is dry, it excludes other runs.
///
/// # Errors
/// [`MaintenanceError`], also while another run is running.
pub async fn vacuum(
    lake: &Lake,
    store: &dyn GoldStore,
    options: VacuumOptions,
) -> Result<VacuumReport> {
    if options.is_dry {
        return sweep(lake, store, None, options).await;
    }
    let _lock = lake.lock()?;
    let publisher = store.publisher(&RunSpec::vacuum(RunTrigger::Cli)).await?;
    let swept = tokio::time::timeout(options.timeout, async {
        lake.claim(&owner_of(store).await?).await?;
        sweep(lake, store, Some(publisher.as_ref()), options).await
    });
    let swept = swept.await.unwrap_or(Err(MaintenanceError::TooLong(options.timeout.as_secs())));
    let end = swept.as_ref().map_or_else(|error| failed(error), |_| RunEnd::Succeeded);
    end_run(publisher, end).await;
    swept
}

async fn sweep(
    lake: &Lake,
    store: &dyn GoldStore,
    publisher: Option<&dyn Publisher>,
    options: VacuumOptions,
) -> Result<VacuumReport> {
    /// Objects that are removed between checks of the lease.
    const BATCH: usize = 20;
    let mut report = VacuumReport::default();
    for batch in find_unused(lake, store, options).await?.chunks(BATCH) {
        if let Some(publisher) = publisher {
            publisher.confirm_held().await?;
        }
        for (layer, object) in batch {
            if !options.is_dry {
                lake.delete(*layer, &object.path).await?;
            }
            report.objects.push((lake.locate(*layer, &object.path), object.size_bytes));
        }
    }
    for layer in Layer::WRITTEN {
        report.incomplete +=
            lake.remove_incomplete(layer, keys::is_managed, options.is_dry).await?;
    }
    Ok(report)
}

/// The objects that a vacuum removes, in the order of removal. Reads all manifests first.
async fn find_unused(
    lake: &Lake,
    store: &dyn GoldStore,
    options: VacuumOptions,
) -> Result<Vec<(Layer, ObjectMeta)>> {
    let index = GenerationIndex::read(lake, store).await?;
    let retained = index.retained(options.keep_generations);
    let mut found: Vec<(Layer, ObjectMeta)> = Vec::new();
    for layer in [Layer::Gold, Layer::Silver] {
        for number in index.folders.iter().copied() {
            let Some(used) = used_paths(&index, &retained, layer, number) else { continue };
            let objects = lake.list(layer, &keys::generation(number)).await?;
            let unused = objects.into_iter().filter(|object| !used.contains(&object.path));
            let mut unused: Vec<ObjectMeta> = unused.collect();
            // The manifest first: a generation that has one is complete.
            unused.sort_by_key(|object| object.path != keys::manifest(number));
            found.extend(unused.into_iter().map(|object| (layer, object)));
        }
    }
    for name in lake.names(Layer::Gold).await?.iter().filter(|name| keys::is_probe(name)) {
        found.extend(lake.head(Layer::Gold, name).await?.map(|object| (Layer::Gold, object)));
    }
    if let Some(age) = options.bronze_older_than {
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let until = Timestamp::now().0.saturating_sub(age);
        let used = bronze_of(retained.iter().flat_map(|number| index.manifests(*number)));
        let unused = bronze(lake)
            .await?
            .into_iter()
            .filter(|object| !used.contains(&object.path) && object.written_at < until);
        found.extend(unused.map(|object| (Layer::Bronze, object)));
    }
    Ok(found)
}

/// The paths in a generation's folder that a manifest within retention refers to; `None` where that is
/// not known, as a manifest may not list its silver.
fn used_paths(
    index: &GenerationIndex,
    retained: &BTreeSet<u64>,
    layer: Layer,
    number: u64,
) -> Option<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    if !retained.contains(&number) {
        return Some(used);
    }
    for manifest in index.manifests(number) {
        // Manifests of earlier versions do not list silver.
        if layer == Layer::Silver && manifest.silver.is_none() {
            return None;
        }
        let files = files_of(manifest).filter(|file| file.layer == layer);
        used.extend(files.map(|file| file.path.to_owned()));
    }
    used.insert(keys::manifest(number));
    Some(used)
}

/// Makes a store the owner of a lake that another store owned, for operators that replace a serving
/// store. Returns the new owner and the former one.
///
/// # Errors
/// [`MaintenanceError`], also while a run is running on a lake in directories.
pub async fn adopt(lake: &Lake, store: &dyn GoldStore) -> Result<(Owner, Option<Owner>)> {
    let _lock = lake.lock()?;
    lake.prepare().await?;
    let former = match lake.owner().await {
        // Replaced by one that can be read.
        Err(LakeError::Owner { .. }) => None,
        owner => owner?,
    };
    let owner = owner_of(store).await?;
    lake.adopt(&owner).await?;
    Ok((owner, former))
}
