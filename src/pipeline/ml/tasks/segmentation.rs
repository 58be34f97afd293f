//! RFM segments: K-Means on recency, frequency and spend, and names that stay.
//!
//! Names follow from where a cluster's centre lies, not from the number K-Means gave it, so that
//! other rows, other orders and other seeds keep them.

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::{KMeans, KMeansInit};
use linfa_preprocessing::linear_scaling::LinearScaler;
use ndarray::Array2;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::domain::text::counted;
use crate::pipeline::ml::metrics::silhouette;
use crate::pipeline::ml::sampling::SeededSampler;

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
/// A standard deviation below its reciprocal is rounding.
const MOST_SCALE: f64 = 1e9;
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Segmentation {
    /// Subtracted from a point's coordinates.
    pub offsets: Point,
    /// What they are multiplied with then.
    pub scales: Point,
    /// How a standardised point finds its segment.
    pub rule: Assignment,
}

/// How a standardised point finds its segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Assignment {
    /// The nearest centre; in the order of [`NAMES`].
    Nearest(Vec<Point>),
    /// The score above three thresholds, descending, between the [`NAMES`].
    Score([f64; 3]),
}

impl Default for Assignment {
    fn default() -> Self {
        Self::Score([0.0; 3])
    }
}

/// A point's frequency and spend, less its recency, all standardised.
fn score(point: &Point) -> f64 {
    point[0] + point[1] - point[2]
}

fn squared_distance(a: &Point, b: &Point) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

impl Segmentation {
    /// Offsets and scales that give each axis mean 0 and variance 1 over customers; no rule yet.
    fn scaled(customers: &[Rfm]) -> Result<Self, String> {
        let raw = to_array(&customers.iter().map(|rfm| rfm.point()).collect::<Vec<_>>())?;
        let fitted = LinearScaler::standard()
            .fit(&DatasetBase::from(raw.view()))
            .map_err(|error| error.to_string())?;
        let offsets = [0, 1, 2].map(|axis| fitted.offsets()[axis]);
        // Equal values are not told apart, whatever rounding left of their spread.
        let scales = [0, 1, 2].map(|axis| fitted.scales()[axis]);
        let scales = scales.map(|scale| if scale < MOST_SCALE { scale } else { 0.0 });
        Ok(Self { offsets, scales, rule: Assignment::default() })
    }

    fn standardised(&self, rfm: Rfm) -> Point {
        let point = rfm.point();
        [0, 1, 2].map(|axis| (point[axis] - self.offsets[axis]) * self.scales[axis])
    }

    /// The segment of a customer, as a position in [`NAMES`].
    #[must_use]
    pub fn assign(&self, rfm: Rfm) -> usize {
        let point = self.standardised(rfm);
        match &self.rule {
            Assignment::Nearest(centres) => nearest(centres, &point),
            Assignment::Score(thresholds) => {
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
    /// What was sampled, in sentences.
    pub notes: Vec<String>,
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
    let mut model = Segmentation::scaled(customers)?;
    let rows: Vec<Point> = customers.iter().map(|rfm| model.standardised(*rfm)).collect();
    let points = to_array(&rows)?;
    let mut distinct = rows.clone();
    distinct.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    distinct.dedup();
    if distinct.len() < NAMES.len() {
        return Err(format!(
            "only {} for {} clusters",
            counted(distinct.len(), "different customer"),
            NAMES.len()
        ));
    }

    let chosen = SeededSampler::new(seed, "k-means").sample(rows.len(), TRIED_ON);
    let tried = to_array(&chosen.iter().map(|row| rows[*row]).collect::<Vec<_>>())?;
    let best = (0..STARTS)
        .into_par_iter()
        .map(|start| run(&tried, KMeansInit::KMeansPlusPlus, seed.wrapping_add(start)))
        .collect::<Result<Vec<_>, String>>()?
        .into_iter()
        .min_by(|a, b| a.inertia().total_cmp(&b.inertia()))
        .ok_or("no start came to an end")?;
    let mut notes = Vec::new();
    let best = if chosen.len() < rows.len() {
        notes.push(format!(
            "the {STARTS} starts were tried on {} customers, the best one was carried on with all",
            chosen.len()
        ));
        run(&points, KMeansInit::Precomputed(best.centroids().clone()), seed)?
    } else {
        best
    };
    let mut centres = to_points(best.centroids());
    centres.sort_by(|a, b| score(b).total_cmp(&score(a)));
    model.rule = Assignment::Nearest(centres.clone());
    let assigned: Vec<usize> = rows.par_iter().map(|point| nearest(&centres, point)).collect();
    let inertia = rows
        .iter()
        .zip(&assigned)
        .map(|(point, own)| squared_distance(point, &centres[*own]))
        .sum();
    let silhouette = silhouette_of(&rows, &assigned, seed);
    if rows.len() > SILHOUETTE_ROWS {
        notes.push(format!("the silhouette is that of {SILHOUETTE_ROWS} customers"));
    }
    Ok(Fitted { model, assigned, silhouette, inertia: Some(inertia), notes })
}

/// The exact silhouette of few customers, of a sample of many.
fn silhouette_of(points: &[Point], assigned: &[usize], seed: u64) -> Option<f64> {
    let chosen = SeededSampler::new(seed, "silhouette").sample(points.len(), SILHOUETTE_ROWS);
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
    let mut model = Segmentation::scaled(customers).unwrap_or_default();
    let standardised: Vec<Point> = customers.iter().map(|rfm| model.standardised(*rfm)).collect();
    let mut scores: Vec<f64> = standardised.iter().map(score).collect();
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    if !scores.is_empty() {
        model.rule = Assignment::Score([1, 2, 3].map(|quarter| {
            let last_of_quarter = (scores.len() * quarter).div_ceil(4).max(1) - 1;
            scores[last_of_quarter]
        }));
    }
    let assigned: Vec<usize> = customers.iter().map(|rfm| model.assign(*rfm)).collect();
    let silhouette = silhouette_of(&standardised, &assigned, seed);
    Fitted { model, assigned, silhouette, inertia: None, notes: Vec::new() }
}

fn to_array(points: &[Point]) -> Result<Array2<f64>, String> {
    Array2::from_shape_vec((points.len(), 3), points.concat()).map_err(|error| error.to_string())
}

fn to_points(array: &Array2<f64>) -> Vec<Point> {
    array.rows().into_iter().map(|row| [row[0], row[1], row[2]]).collect()
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // what rounding left is the matter
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
    fn totals_that_differ_by_rounding_only_are_the_same() {
        // The same four amounts in another order: their sums differ in the last bit.
        let amounts = [819.22, 884.59, 730.14, 812.44];
        let customers: Vec<Rfm> = (0..200_u32)
            .map(|index| {
                let order = (0..4).map(|place| amounts[(place + index as usize) % 4]);
                rfm(f64::from(index % 50), 4.0, order.sum())
            })
            .collect();
        assert!(customers.iter().any(|other| other.monetary != customers[0].monetary));
        let fitted = fit(&customers, 42).unwrap();
        assert_eq!(fitted.model.scales[1], 0.0);
        // Recency alone decides.
        for (one, other) in customers.iter().zip(&customers[50..]) {
            assert_eq!(fitted.model.assign(*one), fitted.model.assign(*other));
        }
        assert!(
            fitted.model.assign(rfm(0.0, 4.0, 9_000.0))
                < fitted.model.assign(rfm(49.0, 4.0, 9_000.0))
        );
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
