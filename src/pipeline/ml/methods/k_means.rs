//! K-Means by linfa, on standardised points.

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::{KMeans, KMeansInit};
use linfa_preprocessing::linear_scaling::LinearScaler;
use ndarray::Array2;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;
use rayon::prelude::*;

use crate::domain::text::counted;
use crate::pipeline::ml::rfm::Point;
use crate::pipeline::ml::sampling::SeededSampler;

/// The method's name in columns and URLs.
pub const NAME: &str = "kmeans";
pub(crate) const LIBRARY: &str = "linfa-clustering 0.8, linfa-preprocessing 0.8";

/// Runs with different starting centres, the best of which is taken.
const STARTS: u64 = 10;
/// A run ends when its centres move less than this, standardised.
const TOLERANCE: f64 = 1e-4;
const MAX_ITERATIONS: u64 = 300;
/// A scale from here on means a standard deviation that is rounding error.
const MAX_SCALE: f64 = 1e9;
/// Most customers that the starts are tried on; the best one continues on all.
const MAX_START_ROWS: usize = 20_000;

/// The hyper-parameters, as a text for the metrics.
pub(crate) fn hyper_parameters(clusters: usize) -> String {
    format!(
        "clusters={clusters}, starts={STARTS} (k-means++), tolerance={TOLERANCE}, max_iterations={MAX_ITERATIONS}"
    )
}

/// Offsets and scales that give each axis mean 0 and variance 1.
pub(crate) fn standardise(points: &[Point]) -> Result<(Point, Point), String> {
    let points = to_array(points)?;
    let fitted = LinearScaler::standard()
        .fit(&DatasetBase::from(points.view()))
        .map_err(|error| error.to_string())?;
    let offsets = [0, 1, 2].map(|axis| fitted.offsets()[axis]);
    let scales = [0, 1, 2].map(|axis| fitted.scales()[axis]);
    // Values that are equal but for rounding do not count.
    let scales = scales.map(|scale| if scale < MAX_SCALE { scale } else { 0.0 });
    Ok((offsets, scales))
}

/// The centres of this number of clusters, and notes on what was sampled.
///
/// # Errors
/// With fewer different points than clusters, and the errors of linfa.
pub(crate) fn centres(
    points: &[Point],
    clusters: usize,
    seed: u64,
) -> Result<(Vec<Point>, Vec<String>), String> {
    let all = to_array(points)?;
    let mut distinct = points.to_vec();
    distinct.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    distinct.dedup();
    if distinct.len() < clusters {
        return Err(format!(
            "only {} for {clusters} clusters",
            counted(distinct.len(), "different customer")
        ));
    }

    let chosen = SeededSampler::new(seed, "k-means").sample(points.len(), MAX_START_ROWS);
    let sample = to_array(&chosen.iter().map(|row| points[*row]).collect::<Vec<_>>())?;
    let run = |points: &Array2<f64>, start: KMeansInit<f64>, seed: u64| {
        KMeans::params_with_rng(clusters, Xoshiro256Plus::seed_from_u64(seed))
            .n_runs(1)
            .tolerance(TOLERANCE)
            .max_n_iterations(MAX_ITERATIONS)
            .init_method(start)
            .fit(&DatasetBase::from(points.view()))
            .map_err(|error| error.to_string())
    };
    let best = (0..STARTS)
        .into_par_iter()
        .map(|start| run(&sample, KMeansInit::KMeansPlusPlus, seed.wrapping_add(start)))
        .collect::<Result<Vec<_>, String>>()?
        .into_iter()
        .min_by(|a, b| a.inertia().total_cmp(&b.inertia()))
        .ok_or("no start came to an end")?;
    if chosen.len() == points.len() {
        return Ok((to_points(best.centroids()), Vec::new()));
    }
    let note = format!(
        "the {STARTS} starts were tried on {} customers, the best one was carried on with all",
        chosen.len()
    );
    let best = run(&all, KMeansInit::Precomputed(best.centroids().clone()), seed)?;
    Ok((to_points(best.centroids()), vec![note]))
}

fn to_array(points: &[Point]) -> Result<Array2<f64>, String> {
    Array2::from_shape_vec((points.len(), 3), points.concat()).map_err(|error| error.to_string())
}

fn to_points(array: &Array2<f64>) -> Vec<Point> {
    array.rows().into_iter().map(|row| [row[0], row[1], row[2]]).collect()
}
