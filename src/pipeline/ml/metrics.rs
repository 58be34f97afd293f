//! Metrics of predictions against what was observed, and of segments.
//!
//! Written here rather than taken from linfa or smartcore, which treat ties between equal
//! predictions less well and return a number where a metric is not defined. A metric that is not
//! defined (one class only, no variance) is `None` here.

use rayon::prelude::*;

/// Bins of a calibration table, from the contract.
pub(crate) const BINS: usize = 10;
/// Share of customers that a campaign can reach, from the contract.
const TOP_SHARE: f64 = 0.1;
/// A probability from here on is classified as positive.
pub(crate) const DECISION_THRESHOLD: f64 = 0.5;
/// Keeps the logarithm of a probability finite.
const MIN_PROBABILITY: f64 = 1e-15;

/// Metrics of predicted probabilities and classes.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassificationMetrics {
    /// Share of customers in the positive class.
    pub base_rate: f64,
    /// Share of customers classified correctly.
    pub accuracy: f64,
    /// Share of true positives among those classified as positive; `None` without one of those.
    pub precision: Option<f64>,
    /// Share of true positives among the positives; `None` without a positive.
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall.
    pub f1_score: Option<f64>,
    /// Probability that a positive has a higher predicted probability than a negative.
    pub roc_auc: Option<f64>,
    /// Mean squared difference between predicted probability and outcome (0 or 1).
    pub brier: f64,
    /// Mean negative logarithm of the probability of the outcome.
    pub log_loss: f64,
    /// Rate among the tenth with the highest probabilities, over the base rate.
    pub lift_10pct: Option<f64>,
}

/// Compares predicted probabilities and classes with what was observed. All slices have one entry
/// per customer, at least one.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn classification_metrics(
    actual: &[bool],
    predicted: &[f64],
    classified: &[bool],
) -> ClassificationMetrics {
    let count = actual.len() as f64;
    let pairs = || actual.iter().copied().zip(predicted.iter().copied());
    let classes = || actual.iter().copied().zip(classified.iter().copied());
    let number = |rows: usize| rows as f64;
    let ratio = |part: usize, of: usize| (of > 0).then(|| number(part) / number(of));
    let true_positives = classes().filter(|(label, class)| *label && *class).count();
    let classified_positive = classified.iter().filter(|class| **class).count();
    let positives = actual.iter().filter(|label| **label).count();
    let correct = classes().filter(|(label, class)| label == class).count();
    let of_label = |label: bool, p: f64| if label { p } else { 1.0 - p };
    ClassificationMetrics {
        base_rate: number(positives) / count,
        accuracy: number(correct) / count,
        precision: ratio(true_positives, classified_positive),
        recall: ratio(true_positives, positives),
        f1_score: ratio(2 * true_positives, classified_positive + positives),
        roc_auc: auc(actual, predicted),
        brier: pairs().map(|(label, p)| (1.0 - of_label(label, p)).powi(2)).sum::<f64>() / count,
        log_loss: -pairs()
            .map(|(label, p)| of_label(label, p).clamp(MIN_PROBABILITY, 1.0).ln())
            .sum::<f64>()
            / count,
        lift_10pct: lift(actual, predicted, TOP_SHARE),
    }
}

/// Area under the ROC curve by the ranks of the scores, ties counting half (Mann & Whitney 1947);
/// `None` with one class only.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn auc(actual: &[bool], scores: &[f64]) -> Option<f64> {
    let positives = actual.iter().filter(|label| **label).count();
    let negatives = actual.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let ranks = ranks(scores);
    let of_positives: f64 =
        actual.iter().zip(&ranks).filter(|(label, _)| **label).map(|(_, rank)| rank).sum();
    let (positives, negatives) = (positives as f64, negatives as f64);
    Some((of_positives - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

/// Ranks from 1; equal values share the mean of their ranks.
#[allow(clippy::cast_precision_loss)]
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]).then(a.cmp(b)));
    let mut ranks = vec![0.0; values.len()];
    let mut place = 0.0;
    for equal in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
        let shared = place + f64::midpoint(1.0, equal.len() as f64);
        for index in equal {
            ranks[*index] = shared;
        }
        place += equal.len() as f64;
    }
    ranks
}

/// The rate among the `share` of customers with the highest scores (at least one customer), over
/// the rate of all. Of customers with equal scores at the border an equal part is counted. `None`
/// without a positive.
#[allow(clippy::cast_precision_loss)]
fn lift(actual: &[bool], scores: &[f64], share: f64) -> Option<f64> {
    let positives = actual.iter().filter(|label| **label).count() as f64;
    if positives == 0.0 {
        return None;
    }
    let reached = (actual.len() as f64 * share).max(1.0);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let (mut counted, mut found) = (0.0, 0.0);
    for equal in order.chunk_by(|a, b| scores[*a].total_cmp(&scores[*b]).is_eq()) {
        let here = equal.iter().filter(|index| actual[**index]).count() as f64;
        let part = ((reached - counted) / equal.len() as f64).min(1.0);
        found += here * part;
        counted += equal.len() as f64 * part;
        if part < 1.0 {
            break;
        }
    }
    Some((found / reached) / (positives / actual.len() as f64))
}

/// One bin of a calibration table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Customers whose probability lies in the bin.
    pub count: usize,
    /// The mean of their probabilities; `None` without a customer.
    pub mean_predicted: Option<f64>,
    /// The share of them in the positive class; `None` without a customer.
    pub observed_rate: Option<f64>,
}

/// [`BINS`] bins of equal width over `[0, 1]`, each closed on the left, the last one on both sides.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn calibration(actual: &[bool], predicted: &[f64]) -> Vec<Bin> {
    let mut sums = [(0_usize, 0.0, 0_usize); BINS];
    for (label, p) in actual.iter().zip(predicted) {
        let bin = ((p * BINS as f64) as usize).min(BINS - 1);
        sums[bin].0 += 1;
        sums[bin].1 += p;
        sums[bin].2 += usize::from(*label);
    }
    let mean = |sum: f64, count: usize| (count > 0).then(|| sum / count as f64);
    sums.iter()
        .map(|(count, predicted, positives)| Bin {
            count: *count,
            mean_predicted: mean(*predicted, *count),
            observed_rate: mean(*positives as f64, *count),
        })
        .collect()
}

/// Metrics of predicted amounts.
#[derive(Debug, Clone, PartialEq)]
pub struct RegressionMetrics {
    /// Mean absolute error.
    pub mae: f64,
    /// Root of the mean squared error.
    pub rmse: f64,
    /// 1 - squared error over that of the mean; `None` when all amounts are equal.
    pub r2: Option<f64>,
    /// Correlation of the ranks; `None` when either side has one value only.
    pub spearman: Option<f64>,
    /// Sum of the predictions over the sum of the amounts; `None` when that is 0.
    pub total_ratio: Option<f64>,
}

/// Compares predicted with actual amounts. Both slices have one entry per customer, at least one.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn regression_metrics(actual: &[f64], predicted: &[f64]) -> RegressionMetrics {
    let count = actual.len() as f64;
    let errors = || actual.iter().zip(predicted).map(|(y, p)| p - y);
    let squared: f64 = errors().map(|error| error * error).sum();
    let total: f64 = actual.iter().sum();
    let spread: f64 = actual.iter().map(|y| (y - total / count).powi(2)).sum();
    let varies = actual.windows(2).any(|pair| pair[0].total_cmp(&pair[1]).is_ne());
    RegressionMetrics {
        mae: errors().map(f64::abs).sum::<f64>() / count,
        rmse: (squared / count).sqrt(),
        r2: (varies && spread > 0.0).then(|| 1.0 - squared / spread),
        spearman: correlation(&ranks(actual), &ranks(predicted)),
        total_ratio: (total > 0.0).then(|| predicted.iter().sum::<f64>() / total),
    }
}

/// Pearson's correlation; `None` when either side does not vary.
#[allow(clippy::cast_precision_loss)]
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let count = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / count, b.iter().sum::<f64>() / count);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - mean_a, y - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

/// Mean silhouette of points in `D` dimensions (Rousseeuw 1987): how much nearer a point is to its
/// own cluster than to the next one. A point alone in its cluster counts 0; `None` with fewer than
/// two clusters. Quadratic in the number of points.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn silhouette<const D: usize>(points: &[[f64; D]], clusters: &[usize]) -> Option<f64> {
    let cluster_count = clusters.iter().max()? + 1;
    let mut sizes = vec![0_usize; cluster_count];
    for cluster in clusters {
        sizes[*cluster] += 1;
    }
    if sizes.iter().filter(|size| **size > 0).count() < 2 {
        return None;
    }
    let of_point = |point: usize| {
        let mut sums = vec![0.0; cluster_count];
        for (other, cluster) in points.iter().zip(clusters) {
            let squared: f64 = other.iter().zip(&points[point]).map(|(a, b)| (a - b).powi(2)).sum();
            sums[*cluster] += squared.sqrt();
        }
        let own = clusters[point];
        if sizes[own] < 2 {
            return 0.0;
        }
        let within = sums[own] / (sizes[own] - 1) as f64;
        let next = (0..cluster_count)
            .filter(|cluster| *cluster != own && sizes[*cluster] > 0)
            .map(|cluster| sums[cluster] / sizes[cluster] as f64)
            .fold(f64::INFINITY, f64::min);
        let greater = within.max(next);
        if greater > 0.0 { (next - within) / greater } else { 0.0 }
    };
    let each: Vec<f64> = (0..points.len()).into_par_iter().map(of_point).collect();
    Some(each.iter().sum::<f64>() / points.len() as f64)
}

/// Adjusted Rand index of two partitions of the same customers (Hubert & Arabie 1985): 1 for the
/// same partition, about 0 for unrelated ones; `None` with fewer than two customers.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn adjusted_rand_index<T: Ord>(pairs: &[(T, T)]) -> Option<f64> {
    use std::collections::BTreeMap;
    if pairs.len() < 2 {
        return None;
    }
    let (mut both, mut left, mut right) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (a, b) in pairs {
        *both.entry((a, b)).or_insert(0_u64) += 1;
        *left.entry(a).or_insert(0_u64) += 1;
        *right.entry(b).or_insert(0_u64) += 1;
    }
    let in_pairs = |count: &u64| *count as f64 * (*count as f64 - 1.0) / 2.0;
    let together: f64 = both.values().map(in_pairs).sum();
    let (a, b): (f64, f64) =
        (left.values().map(in_pairs).sum(), right.values().map(in_pairs).sum());
    let all = in_pairs(&(pairs.len() as u64));
    let expected = a * b / all;
    let maximum = f64::midpoint(a, b);
    Some(if maximum > expected { (together - expected) / (maximum - expected) } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected values are computed by hand, from the definitions.
    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
    }

    const ACTUAL: [bool; 5] = [true, false, true, false, false];
    const PREDICTED: [f64; 5] = [0.9, 0.6, 0.4, 0.4, 0.1];

    #[test]
    fn classification_metrics_of_five_customers() {
        let metrics = classification_metrics(
            &ACTUAL,
            &PREDICTED,
            &PREDICTED.map(|p| p >= DECISION_THRESHOLD),
        );
        close(metrics.base_rate, 0.4);
        // Correct: 0.9 positive, 0.4 negative, 0.1 negative.
        close(metrics.accuracy, 0.6);
        close(metrics.precision.unwrap(), 0.5);
        close(metrics.recall.unwrap(), 0.5);
        close(metrics.f1_score.unwrap(), 0.5);
        // (0.01 + 0.36 + 0.36 + 0.16 + 0.01) / 5
        close(metrics.brier, 0.18);
        let logs = 0.9_f64.ln() + 0.4_f64.ln() + 0.4_f64.ln() + 0.6_f64.ln() + 0.9_f64.ln();
        close(metrics.log_loss, -logs / 5.0);
    }

    #[test]
    fn auc_counts_pairs_in_order_and_half_of_the_ties() {
        // Pairs (positive, negative): 0.9 beats all three; 0.4 loses, ties, wins: (3 + 1.5) / 6.
        close(auc(&ACTUAL, &PREDICTED).unwrap(), 0.75);
        assert_eq!(auc(&[true, true], &[0.1, 0.2]), None);
    }

    #[test]
    fn lift_is_the_rate_at_the_top_over_the_rate_of_all() {
        // A tenth of five customers is one: 0.9, a positive. 1 / 0.4.
        close(lift(&ACTUAL, &PREDICTED, 0.1).unwrap(), 2.5);
        // Of the upper four, two are positives: 0.5 / 0.4.
        close(lift(&ACTUAL, &PREDICTED, 0.8).unwrap(), 1.25);
        // Of the upper three the last place is shared by a positive and a negative: (1 + 0.5) / 3.
        close(lift(&ACTUAL, &PREDICTED, 0.6).unwrap(), 0.5 / 0.4);
        assert_eq!(lift(&[false], &[0.3], 0.1), None);
    }

    #[test]
    fn calibration_bins_are_closed_on_the_left_and_the_last_on_both_sides() {
        let bins = calibration(&[true, false, true, true], &[0.1, 0.19, 1.0, 0.95]);
        assert_eq!(bins.len(), 10);
        assert_eq!(bins[0], Bin { count: 0, mean_predicted: None, observed_rate: None });
        assert_eq!(bins[1].count, 2);
        close(bins[1].mean_predicted.unwrap(), 0.145);
        close(bins[1].observed_rate.unwrap(), 0.5);
        assert_eq!((bins[9].count, bins[9].observed_rate), (2, Some(1.0)));
    }

    #[test]
    fn regression_metrics_of_four_customers() {
        let metrics = regression_metrics(&[0.0, 10.0, 20.0, 30.0], &[5.0, 10.0, 30.0, 20.0]);
        close(metrics.mae, 6.25);
        close(metrics.rmse, (225.0_f64 / 4.0).sqrt());
        // Spread around 15: 225 + 25 + 25 + 225 = 500.
        close(metrics.r2.unwrap(), 1.0 - 225.0 / 500.0);
        // Ranks 1 2 3 4 against 1 2 4 3: 1 - 6 * 2 / (4 * 15).
        close(metrics.spearman.unwrap(), 0.8);
        close(metrics.total_ratio.unwrap(), 65.0 / 60.0);
        let constant = regression_metrics(&[3.0, 3.0], &[1.0, 2.0]);
        assert_eq!((constant.r2, constant.spearman), (None, None));
        // A sum of equal amounts, divided, need not be the amount again.
        let constant = regression_metrics(&[160.0 * 365.0 / 243.0; 25], &[1.0; 25]);
        assert_eq!(constant.r2, None);
    }

    #[test]
    fn silhouette_of_four_points_on_a_line() {
        let points = [[0.0], [1.0], [5.0], [6.0]];
        // (b - a) / max: outer points (5.5 - 1) / 5.5, inner points (4.5 - 1) / 4.5.
        let expected = f64::midpoint(4.5 / 5.5, 3.5 / 4.5);
        close(silhouette(&points, &[0, 0, 1, 1]).unwrap(), expected);
        assert_eq!(silhouette(&points, &[0, 0, 0, 0]), None);
        // Alone: 0. Its neighbours: within 0.5 and 1 (0 and 1, to 5), by hand.
        let with_singleton = silhouette(&[[0.0], [1.0], [5.0]], &[0, 0, 1]).unwrap();
        close(with_singleton, (4.0 / 5.0 + 3.0 / 4.0) / 3.0);
    }

    #[test]
    fn adjusted_rand_index_ignores_names_and_is_0_for_random_agreement() {
        close(adjusted_rand_index(&[(0, 1), (0, 1), (1, 0), (1, 0)]).unwrap(), 1.0);
        // Hubert & Arabie by hand: together 1, a 2, b 3, all 6 pairs: (1 - 1) / (2.5 - 1) = 0.
        close(adjusted_rand_index(&[(0, 0), (0, 0), (1, 0), (1, 1)]).unwrap(), 0.0);
        assert_eq!(adjusted_rand_index::<u8>(&[]), None);
        assert_eq!(adjusted_rand_index(&[(0, 0)]), None);
    }
}
