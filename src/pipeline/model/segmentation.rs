//! RFM segments: K-Means on recency, frequency and spend, and names that stay.
//!
//! Names follow from where a cluster's centre lies, not from the number K-Means gave it, so that
//! other rows, other orders and other seeds keep them.

use linfa::DatasetBase;
use linfa::traits::{Fit, Transformer};
use linfa_clustering::{KMeans, KMeansInit};
use linfa_preprocessing::linear_scaling::LinearScaler;
use ndarray::Array2;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::evaluation::silhouette;

/// The libraries that fit, with their version.
pub const LIBRARY: &str = "linfa-clustering 0.8, linfa-preprocessing 0.8";

/// Clusters, and their names from the best centre to the worst.
pub const NAMES: [&str; 4] = ["Champions", "Loyal", "At Risk", "Lost"];
/// Who has never bought.
pub const PROSPECT: &str = "Prospect";
/// Starts, the best of which is kept.
const STARTS: u64 = 10;
/// A start ends when its centres move less than this, standardised.
const TOLERANCE: f64 = 1e-4;
const ITERATIONS: u64 = 300;
/// Customers that the starts are tried on; the best is then carried on with all of them.
const TRIED_ON: usize = 20_000;
/// Customers up to which the silhouette is exact: the contract's.
const SILHOUETTE_ROWS: usize = 10_000;

/// A point: ln(1 + frequency), ln(1 + spend), recency, before or after standardising.
pub type Point = [f64; 3];

/// What a customer is told apart by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rfm {
    /// Days between the last purchase and the instant.
    pub recency: f64,
    /// Number of purchases.
    pub frequency: f64,
    /// Spend to date, EUR.
    pub monetary: f64,
}

impl Rfm {
    fn point(self) -> Point {
        [self.frequency.ln_1p(), self.monetary.ln_1p(), self.recency]
    }
}

/// How customers are told apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segmentation {
    /// Subtracted from a point's coordinates.
    pub offsets: Point,
    /// What they are multiplied with then.
    pub scales: Point,
    /// How a standardised point finds its segment.
    pub rule: Rule,
}

/// How a standardised point finds its segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// The nearest centre; in the order of [`NAMES`].
    Nearest(Vec<Point>),
    /// The score above three thresholds, descending, between the [`NAMES`].
    Score([f64; 3]),
}

/// A point's frequency and spend, less its recency, all standardised.
fn score(point: &Point) -> f64 {
    point[0] + point[1] - point[2]
}

fn squared_distance(a: &Point, b: &Point) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

impl Segmentation {
    fn standardised(&self, rfm: Rfm) -> Point {
        let point = rfm.point();
        [0, 1, 2].map(|axis| (point[axis] - self.offsets[axis]) * self.scales[axis])
    }

    /// The segment of a customer, as a position in [`NAMES`].
    #[must_use]
    pub fn assign(&self, rfm: Rfm) -> usize {
        let point = self.standardised(rfm);
        match &self.rule {
            Rule::Nearest(centres) => nearest(centres, &point),
            Rule::Score(thresholds) => {
                thresholds.iter().take_while(|least| score(&point) < **least).count()
            }
        }
    }
}

/// The position of the nearest centre; of equally near ones the first.
fn nearest(centres: &[Point], point: &Point) -> usize {
    let mut best = (0, f64::INFINITY);
    for (index, centre) in centres.iter().enumerate() {
        let distance = squared_distance(centre, point);
        if distance < best.1 {
            best = (index, distance);
        }
    }
    best.0
}

/// A segmentation and how good it is.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The segmentation.
    pub model: Segmentation,
    /// Each customer's position in [`NAMES`].
    pub assigned: Vec<usize>,
    /// Mean silhouette; `None` with fewer than two segments.
    pub silhouette: Option<f64>,
    /// Sum of squared distances to the centres, standardised; `None` without centres.
    pub inertia: Option<f64>,
    /// How the starts went, in words.
    pub note: String,
}

/// The hyper-parameters, for the metrics.
#[must_use]
pub fn hyper_parameters() -> String {
    format!(
        "clusters={}, starts={STARTS} (k-means++), tolerance={TOLERANCE}, max_iterations={ITERATIONS}",
        NAMES.len()
    )
}

/// Fits K-Means to the customers with a purchase, in the order of their ids.
///
/// # Errors
/// Why there can be no four clusters, or what linfa says.
pub fn fit(customers: &[Rfm], seed: u64) -> Result<Fitted, String> {
    let raw = to_array(&customers.iter().map(|rfm| rfm.point()).collect::<Vec<_>>())?;
    let scaler = LinearScaler::standard()
        .fit(&DatasetBase::from(raw.view()))
        .map_err(|error| error.to_string())?;
    let offsets = [0, 1, 2].map(|axis| scaler.offsets()[axis]);
    let factors = [0, 1, 2].map(|axis| scaler.scales()[axis]);
    let points = scaler.transform(raw);
    let rows = to_points(&points);
    let mut distinct = rows.clone();
    distinct.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    distinct.dedup();
    if distinct.len() < NAMES.len() {
        return Err(format!(
            "only {} different customers for {} clusters",
            distinct.len(),
            NAMES.len()
        ));
    }

    let chosen = Chance::new(seed, "k-means").sample(rows.len(), TRIED_ON);
    let tried = to_array(&chosen.iter().map(|row| rows[*row]).collect::<Vec<_>>())?;
    let best = (0..STARTS)
        .into_par_iter()
        .map(|start| run(&tried, KMeansInit::KMeansPlusPlus, seed.wrapping_add(start)))
        .collect::<Result<Vec<_>, String>>()?
        .into_iter()
        .min_by(|a, b| a.inertia().total_cmp(&b.inertia()))
        .ok_or("no start came to an end")?;
    let mut note = String::new();
    let best = if chosen.len() < rows.len() {
        note = format!(
            "the {STARTS} starts were tried on {} customers, the best one was carried on with all",
            chosen.len()
        );
        run(&points, KMeansInit::Precomputed(best.centroids().clone()), seed)?
    } else {
        best
    };
    let mut centres = to_points(best.centroids());
    centres.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let model = Segmentation { offsets, scales: factors, rule: Rule::Nearest(centres.clone()) };
    let assigned: Vec<usize> = rows.par_iter().map(|point| nearest(&centres, point)).collect();
    let inertia = rows
        .iter()
        .zip(&assigned)
        .map(|(point, own)| squared_distance(point, &centres[*own]))
        .sum();
    let silhouette = silhouette_of(&rows, &assigned, seed);
    Ok(Fitted { model, assigned, silhouette, inertia: Some(inertia), note })
}

/// The exact silhouette of few customers, of a sample of many.
fn silhouette_of(points: &[Point], assigned: &[usize], seed: u64) -> Option<f64> {
    let chosen = Chance::new(seed, "silhouette").sample(points.len(), SILHOUETTE_ROWS);
    let points: Vec<Point> = chosen.iter().map(|row| points[*row]).collect();
    let assigned: Vec<usize> = chosen.iter().map(|row| assigned[*row]).collect();
    silhouette(&points, &assigned)
}

type Clusters = KMeans<f64, linfa_nn::distance::L2Dist>;

fn run(points: &Array2<f64>, start: KMeansInit<f64>, seed: u64) -> Result<Clusters, String> {
    KMeans::params_with_rng(NAMES.len(), Xoshiro256Plus::seed_from_u64(seed))
        .n_runs(1)
        .tolerance(TOLERANCE)
        .max_n_iterations(ITERATIONS)
        .init_method(start)
        .fit(&DatasetBase::from(points.view()))
        .map_err(|error| error.to_string())
}

/// What serves where K-Means cannot: quarters of the customers by their score, equal customers in
/// the better one.
#[must_use]
pub fn quarters(customers: &[Rfm], seed: u64) -> Fitted {
    let points: Vec<Point> = customers.iter().map(|rfm| rfm.point()).collect();
    let mut model =
        Segmentation { offsets: [0.0; 3], scales: [1.0; 3], rule: Rule::Score([0.0; 3]) };
    #[allow(clippy::cast_precision_loss)]
    let count = points.len().max(1) as f64;
    for axis in 0..3 {
        let mean = points.iter().map(|point| point[axis]).sum::<f64>() / count;
        let variance = points.iter().map(|point| (point[axis] - mean).powi(2)).sum::<f64>() / count;
        model.offsets[axis] = mean;
        // Equal values are not told apart, whatever rounding left of their spread.
        model.scales[axis] = if variance.sqrt() > 1e-9 { 1.0 / variance.sqrt() } else { 0.0 };
    }
    let standardised: Vec<Point> = customers.iter().map(|rfm| model.standardised(*rfm)).collect();
    let mut scores: Vec<f64> = standardised.iter().map(score).collect();
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    if !scores.is_empty() {
        model.rule = Rule::Score([1, 2, 3].map(|quarter| {
            let last_of_quarter = (scores.len() * quarter).div_ceil(4).max(1) - 1;
            scores[last_of_quarter]
        }));
    }
    let assigned: Vec<usize> = customers.iter().map(|rfm| model.assign(*rfm)).collect();
    let silhouette = silhouette_of(&standardised, &assigned, seed);
    Fitted { model, assigned, silhouette, inertia: None, note: String::new() }
}

fn to_array(points: &[Point]) -> Result<Array2<f64>, String> {
    Array2::from_shape_vec((points.len(), 3), points.concat()).map_err(|error| error.to_string())
}

fn to_points(array: &Array2<f64>) -> Vec<Point> {
    array.rows().into_iter().map(|row| [row[0], row[1], row[2]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfm(recency: f64, frequency: f64, monetary: f64) -> Rfm {
        Rfm { recency, frequency, monetary }
    }

    #[test]
    fn clusters_are_named_by_where_their_centre_lies() {
        let corners = [
            rfm(500.0, 1.0, 10.0),
            rfm(2.0, 90.0, 9e3),
            rfm(20.0, 30.0, 900.0),
            rfm(250.0, 8.0, 90.0),
        ];
        let customers: Vec<Rfm> = (0..80)
            .map(|index| {
                let corner = corners[index % 4];
                Rfm {
                    recency: corner.recency + f64::from(u8::try_from(index / 4).unwrap()) * 0.1,
                    ..corner
                }
            })
            .collect();
        let fitted = fit(&customers, 42).unwrap();
        let names: Vec<&str> = fitted.assigned[..4].iter().map(|own| NAMES[*own]).collect();
        assert_eq!(names, ["Lost", "Champions", "Loyal", "At Risk"]);
        assert!(fitted.silhouette.unwrap() > 0.9);
    }

    #[test]
    fn three_different_customers_make_no_four_clusters() {
        let customers: Vec<Rfm> =
            (0..60).map(|index| rfm(f64::from(index % 3), 1.0, 5.0)).collect();
        let refused = fit(&customers, 42).unwrap_err();
        assert_eq!(refused, "only 3 different customers for 4 clusters");
    }

    #[test]
    fn quarters_go_by_the_score_and_equal_customers_stay_together() {
        let customers: Vec<Rfm> =
            (0..8).map(|index| rfm(100.0, 1.0 + f64::from(index), 50.0)).collect();
        assert_eq!(quarters(&customers, 42).assigned, [3, 3, 2, 2, 1, 1, 0, 0]);
        assert_eq!(quarters(&[rfm(3.0, 1.0, 5.0); 5], 42).assigned, [0; 5]);
        assert_eq!(quarters(&[rfm(3.0, 1.0, 5.0)], 42).assigned, [0]);
        assert!(quarters(&[], 42).assigned.is_empty());
    }
}
