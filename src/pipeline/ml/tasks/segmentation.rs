//! RFM segments: K-Means on recency, frequency and spend, with names that stay.
//!
//! A cluster is named after the position of its centre, not after the number K-Means gave it, so
//! that the names do not depend on the order of rows, on the seed or on a few more customers.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::domain::text::counted;
use crate::pipeline::ml::methods::k_means;
use crate::pipeline::ml::metrics::{adjusted_rand_index, silhouette};
use crate::pipeline::ml::options::TrainingOptions;
use crate::pipeline::ml::report::{BASELINE, Candidate, SegmentationMetrics, Task};
use crate::pipeline::ml::report_text;
use crate::pipeline::ml::rfm::{Point, Rfm};
use crate::pipeline::ml::sampling::SeededSampler;
use crate::pipeline::ml::snapshot::CustomerSnapshot;

/// The segments, from the best centre to the worst.
pub(crate) const NAMES: [&str; 4] = ["Champions", "Loyal", "At Risk", "Lost"];
/// The segment of customers without a purchase.
pub const PROSPECT: &str = "Prospect";
/// Most customers of which the silhouette is exact, from the contract.
const MAX_SILHOUETTE_ROWS: usize = 10_000;

/// Segments of the last published run, by customer; [`PROSPECT`] without a purchase.
pub type LastSegments = BTreeMap<i64, String>;

/// How a customer finds their segment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Segmentation {
    /// Subtracted from a point's coordinates.
    pub(crate) offsets: Point,
    /// Multiplies the coordinates after that.
    pub(crate) scales: Point,
    /// How a standardised point finds its segment.
    rule: Assignment,
}

/// How a standardised point finds its segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Assignment {
    /// By the nearest centre; in the order of [`NAMES`].
    Nearest(Vec<Point>),
    /// By the score, with descending thresholds between the [`NAMES`].
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

impl Segmentation {
    /// Standardises by these customers; assigns to no segment yet.
    fn standardised_by(customers: &[Rfm]) -> Result<Self, String> {
        let points: Vec<Point> = customers.iter().map(|rfm| rfm.point()).collect();
        let (offsets, scales) = k_means::standardise(&points)?;
        Ok(Self { offsets, scales, rule: Assignment::default() })
    }

    fn standardise(&self, rfm: Rfm) -> Point {
        let point = rfm.point();
        [0, 1, 2].map(|axis| (point[axis] - self.offsets[axis]) * self.scales[axis])
    }

    /// The segment of a customer, as a position in [`NAMES`].
    pub(crate) fn assign(&self, rfm: Rfm) -> usize {
        let point = self.standardise(rfm);
        match &self.rule {
            Assignment::Nearest(centres) => nearest(centres, &point),
            Assignment::Score(thresholds) => {
                thresholds.iter().take_while(|least| score(&point) < **least).count()
            }
        }
    }
}

/// A segmentation and how well it separates customers.
#[derive(Debug, Clone)]
pub struct SegmentationFit {
    /// The segmentation.
    pub model: Segmentation,
    /// Each customer's position in [`NAMES`].
    pub assigned: Vec<usize>,
    /// Mean silhouette; `None` with fewer than two segments.
    pub silhouette: Option<f64>,
    /// Sum of squared distances to the centres, standardised; `None` without centres.
    pub inertia: Option<f64>,
    /// What was sampled, as clauses of a note.
    pub notes: Vec<String>,
}

/// Trains segments of all customers of a snapshot.
pub(crate) fn train(
    snapshot: &CustomerSnapshot<'_>,
    options: &TrainingOptions,
    last: &LastSegments,
) -> (Segmentation, Candidate) {
    let customers: Vec<Rfm> =
        (0..snapshot.len()).into_par_iter().map(|row| snapshot.rfm(row)).collect();
    let (fit, mut candidate) = fit_or_baseline(&customers, options);
    candidate.serves = true;
    candidate.customers = customers.len();
    candidate.fitted = customers.len();
    candidate.features = vec!["recency", "frequency", "monetary"];
    // Prospects were in no segment of a model.
    let pairs: Vec<(&str, &str)> = snapshot
        .ids
        .iter()
        .zip(&fit.assigned)
        .filter_map(|(id, segment)| Some((last.get(id)?.as_str(), NAMES[*segment])))
        .filter(|(before, _)| *before != PROSPECT)
        .collect();
    let sizes = NAMES.iter().enumerate().map(|(segment, name)| {
        let members = fit.assigned.iter().filter(|assigned| **assigned == segment).count();
        ((*name).to_owned(), members as u64)
    });
    candidate.segments = Some(SegmentationMetrics {
        silhouette: fit.silhouette,
        inertia: fit.inertia,
        adjusted_rand_index: adjusted_rand_index(&pairs),
        sizes: sizes.collect(),
    });
    (fit.model, candidate)
}

/// K-Means, or quarters of the customers where there are too few of them.
fn fit_or_baseline(customers: &[Rfm], options: &TrainingOptions) -> (SegmentationFit, Candidate) {
    let clusters = if customers.len() < options.min_customers {
        Err(format!(
            "{}, and fewer than {} are too few",
            counted(customers.len(), "customer"),
            options.min_customers
        ))
    } else {
        fit(customers, options.seed)
    };
    match clusters {
        Ok(fit) => {
            let algorithm =
                "K-Means on standardised ln(1 + frequency), ln(1 + monetary) and recency";
            let mut candidate =
                Candidate::new(Task::Segmentation, k_means::NAME, algorithm, k_means::LIBRARY);
            candidate.hyper_parameters = k_means::hyper_parameters(NAMES.len());
            fit.notes.iter().for_each(|note| candidate.add_note(note));
            (fit, candidate)
        }
        Err(reason) => {
            let algorithm = "quarters of the customers by z(frequency) + z(monetary) - z(recency)";
            let mut candidate =
                Candidate::new(Task::Segmentation, BASELINE, algorithm, report_text::GOLDSMITH);
            candidate.add_note(&format!("skipped: {reason}, so the baseline serves"));
            (quarters(customers, options.seed), candidate)
        }
    }
}

/// Fits K-Means to the customers with a purchase, in the order of their ids.
///
/// # Errors
/// With fewer than four different customers, and the errors of linfa.
pub fn fit(customers: &[Rfm], seed: u64) -> Result<SegmentationFit, String> {
    let mut model = Segmentation::standardised_by(customers)?;
    let points: Vec<Point> = customers.iter().map(|rfm| model.standardise(*rfm)).collect();
    let (mut centres, mut notes) = k_means::centres(&points, NAMES.len(), seed)?;
    centres.sort_by(|a, b| score(b).total_cmp(&score(a)));
    model.rule = Assignment::Nearest(centres.clone());
    let assigned: Vec<usize> = points.par_iter().map(|point| nearest(&centres, point)).collect();
    let inertia = points
        .iter()
        .zip(&assigned)
        .map(|(point, segment)| squared_distance(point, &centres[*segment]))
        .sum();
    let silhouette = sampled_silhouette(&points, &assigned, seed);
    if points.len() > MAX_SILHOUETTE_ROWS {
        notes.push(format!("the silhouette is that of {MAX_SILHOUETTE_ROWS} customers"));
    }
    Ok(SegmentationFit { model, assigned, silhouette, inertia: Some(inertia), notes })
}

/// The exact silhouette of few customers, that of a sample of many.
fn sampled_silhouette(points: &[Point], assigned: &[usize], seed: u64) -> Option<f64> {
    let chosen = SeededSampler::new(seed, "silhouette").sample(points.len(), MAX_SILHOUETTE_ROWS);
    let points: Vec<Point> = chosen.iter().map(|row| points[*row]).collect();
    let assigned: Vec<usize> = chosen.iter().map(|row| assigned[*row]).collect();
    silhouette(&points, &assigned)
}

/// The baseline: quarters of the customers by their score, equal customers in the better one.
fn quarters(customers: &[Rfm], seed: u64) -> SegmentationFit {
    let mut model = Segmentation::standardised_by(customers).unwrap_or_default();
    let points: Vec<Point> = customers.iter().map(|rfm| model.standardise(*rfm)).collect();
    let mut scores: Vec<f64> = points.iter().map(score).collect();
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    if !scores.is_empty() {
        model.rule = Assignment::Score([1, 2, 3].map(|quarter| {
            let last_of_quarter = (scores.len() * quarter).div_ceil(4).max(1) - 1;
            scores[last_of_quarter]
        }));
    }
    let assigned: Vec<usize> = customers.iter().map(|rfm| model.assign(*rfm)).collect();
    let silhouette = sampled_silhouette(&points, &assigned, seed);
    SegmentationFit { model, assigned, silhouette, inertia: None, notes: Vec::new() }
}

#[allow(clippy::float_cmp)] // exact zeros are expected
#[cfg(test)]
mod tests {
    use super::*;

    fn rfm(recency: f64, frequency: f64, monetary: f64) -> Rfm {
        Rfm { recency, frequency, monetary }
    }

    #[test]
    fn clusters_are_named_after_the_position_of_their_centre() {
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
    fn totals_that_differ_only_by_rounding_count_as_equal() {
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
    fn three_different_customers_cannot_make_four_clusters() {
        let customers: Vec<Rfm> =
            (0..60).map(|index| rfm(f64::from(index % 3), 1.0, 5.0)).collect();
        let error = fit(&customers, 42).unwrap_err();
        assert_eq!(error, "only 3 different customers for 4 clusters");
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
