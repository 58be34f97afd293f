//! Models of purchase frequency with dropout: NBD, BG/NBD and MBG/NBD.
//!
//! While active, a customer buys as a Poisson process whose rate is Gamma(r, alpha) over customers.
//! The models differ in when a customer may drop out, with a probability that is Beta(a, b) over
//! customers. BG/NBD: Fader, Hardie & Lee 2005, "Counting Your Customers the Easy Way". MBG/NBD:
//! Batislam, Denizel & Filiztekin 2007. A transaction is a day with a purchase; time is in days.

use serde::{Deserialize, Serialize};

use crate::pipeline::ml::history::{Purchases, day};
use crate::pipeline::ml::methods::likelihood::{LogLikelihood, MleFit, maximise, sums};

/// The names of the methods in columns and URLs.
pub(crate) const BG_NBD: &str = "bg_nbd";
pub(crate) const MBG_NBD: &str = "mbg_nbd";
pub(crate) const NBD: &str = "nbd";

/// When customers may drop out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dropout {
    /// Never: NBD, a negative binomial distribution of purchases that knows frequency only.
    Never,
    /// After a repeat purchase: BG/NBD.
    AfterRepeat,
    /// After any purchase, the first one included: MBG/NBD.
    AfterAny,
}

impl Dropout {
    /// The method's name in columns and URLs.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Never => NBD,
            Self::AfterRepeat => BG_NBD,
            Self::AfterAny => MBG_NBD,
        }
    }

    /// The model's name in the literature.
    pub(crate) fn model_name(self) -> &'static str {
        match self {
            Self::Never => "NBD",
            Self::AfterRepeat => "BG/NBD",
            Self::AfterAny => "MBG/NBD",
        }
    }
}

/// A customer's purchase pattern: all that these models use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pattern {
    /// Transactions after the first one.
    pub repeats: u32,
    /// Time from the first transaction to the last.
    pub recency: f64,
    /// Time from the first transaction to now.
    pub age: f64,
}

impl Pattern {
    /// The pattern at an instant; a day with several purchases counts once.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn of(purchases: Purchases<'_>, now: i64) -> Self {
        let (first, last) = purchases.span();
        Self {
            repeats: purchases.transactions() - 1,
            recency: (last - first) as f64,
            age: (day(now) - first) as f64,
        }
    }
}

/// A fitted model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PurchaseModel {
    /// When customers may drop out.
    pub dropout: Dropout,
    /// Shape of the rates.
    pub r: f64,
    /// Rate parameter of the rates: the mean rate is r / alpha purchases a day.
    pub alpha: f64,
    /// First shape of the dropout probability; meaningless without dropout.
    pub a: f64,
    /// Second shape of the dropout probability.
    pub b: f64,
}

/// A fitted model and how well the data determine it.
#[derive(Debug, Clone, PartialEq)]
pub struct PurchaseFit {
    /// The model.
    pub model: PurchaseModel,
    /// The estimates of r, alpha, a, b: as many as the model has.
    pub mle: MleFit,
}

/// Distinct patterns with their counts: the likelihood is computed once for each.
struct PatternCounts {
    dropout: Dropout,
    patterns: Vec<(Pattern, f64)>,
    max_repeats: usize,
}

impl PatternCounts {
    #[allow(clippy::cast_precision_loss)]
    fn new(dropout: Dropout, patterns: &[Pattern]) -> Self {
        let mut sorted = patterns.to_vec();
        let order = |a: &Pattern, b: &Pattern| {
            let times = a.recency.total_cmp(&b.recency).then(a.age.total_cmp(&b.age));
            a.repeats.cmp(&b.repeats).then(times)
        };
        sorted.sort_unstable_by(order);
        let max_repeats = sorted.last().map_or(0, |last| last.repeats as usize);
        let patterns =
            sorted.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len() as f64)).collect();
        Self { dropout, patterns, max_repeats }
    }
}

/// Sums of logarithms and of reciprocals of start, start + 1, …: ln Γ(start + n) - ln Γ(start) and
/// its derivative, for n from 0.
struct Rising {
    logs: Vec<f64>,
    reciprocals: Vec<f64>,
}

impl Rising {
    fn new(start: f64, steps: usize) -> Self {
        let (mut log, mut reciprocal, mut at) = (0.0, 0.0, start);
        let mut rising = Self { logs: vec![0.0], reciprocals: vec![0.0] };
        for _ in 0..steps {
            log += at.ln();
            reciprocal += 1.0 / at;
            at += 1.0;
            rising.logs.push(log);
            rising.reciprocals.push(reciprocal);
        }
        rising
    }
}

/// The running sums at the parameters of one evaluation of the likelihood.
struct Evaluation {
    dropout: Dropout,
    r: f64,
    alpha: f64,
    a: f64,
    b: f64,
    of_rate: Rising,
    of_b: Rising,
    of_sum: Rising,
}

impl Evaluation {
    fn new(dropout: Dropout, parameters: &[f64], max_repeats: usize) -> Self {
        let (r, alpha) = (parameters[0], parameters[1]);
        let (a, b) = match dropout {
            Dropout::Never => (0.0, 1.0),
            _ => (parameters[2], parameters[3]),
        };
        Self {
            dropout,
            r,
            alpha,
            a,
            b,
            of_rate: Rising::new(r, max_repeats),
            of_b: Rising::new(b, max_repeats),
            of_sum: Rising::new(a + b, max_repeats + 1),
        }
    }

    /// The log-likelihood of one pattern and its derivatives by r, alpha, a and b.
    fn of_pattern(&self, pattern: &Pattern) -> [f64; 5] {
        let Self { r, alpha, a, b, of_rate, of_b, of_sum, .. } = self;
        let x = pattern.repeats as usize;
        let purchases = r + f64::from(pattern.repeats);
        let (to_now, to_last) = ((alpha + pattern.age).ln(), (alpha + pattern.recency).ln());
        let rate = of_rate.logs[x] + r * alpha.ln();
        // The beta part for the dropout opportunities that were survived, and the factor of being
        // active; the factor of having dropped out is a.
        let (survived, summed, active) = match self.dropout {
            Dropout::Never => (0, 0, 1.0),
            Dropout::AfterRepeat if x == 0 => (0, 0, 1.0),
            Dropout::AfterRepeat => (x - 1, x, b + f64::from(pattern.repeats) - 1.0),
            Dropout::AfterAny => (x, x + 1, b + f64::from(pattern.repeats)),
        };
        let can_have_dropped_out = summed > 0;
        let beta = of_b.logs[survived] - of_sum.logs[summed];
        let when_active = active.ln() - purchases * to_now;
        let (log, share) = if can_have_dropped_out {
            let when_dropped_out = a.ln() - purchases * to_last;
            let greater = when_active.max(when_dropped_out);
            let log =
                greater + ((when_active - greater).exp() + (when_dropped_out - greater).exp()).ln();
            (log, (when_active - log).exp())
        } else {
            (when_active, 1.0)
        };
        let by_r = of_rate.reciprocals[x] + alpha.ln() - share * to_now - (1.0 - share) * to_last;
        let by_alpha = r / alpha
            - purchases
                * (share / (alpha + pattern.age) + (1.0 - share) / (alpha + pattern.recency));
        let (by_a, by_b) = if can_have_dropped_out {
            (
                (1.0 - share) / a - of_sum.reciprocals[summed],
                share / active + of_b.reciprocals[survived] - of_sum.reciprocals[summed],
            )
        } else {
            (0.0, 0.0)
        };
        [rate + beta + log, by_r, by_alpha, by_a, by_b]
    }
}

impl LogLikelihood for PatternCounts {
    fn value_and_gradient(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        let evaluation = Evaluation::new(self.dropout, parameters, self.max_repeats);
        let sum = sums(&self.patterns, |(pattern, count)| {
            evaluation.of_pattern(pattern).map(|value| count * value)
        });
        (sum[0], sum[1..=parameters.len()].to_vec())
    }
}

/// Starting points: r, a, b; alpha follows from the data's mean rate. First: customers who differ
/// little, of whom one in four drops out. Second: few frequent buyers, and many who drop out early.
const STARTS: [[f64; 3]; 2] = [[1.0, 1.0, 3.0], [0.2, 1.0, 1.0]];

/// Fits a model by maximum likelihood.
///
/// # Errors
/// When there is no pattern with a repeat purchase, or no maximum of the likelihood.
#[allow(clippy::cast_precision_loss)]
pub fn fit(dropout: Dropout, patterns: &[Pattern]) -> Result<PurchaseFit, String> {
    if patterns.is_empty() {
        return Err("there is no customer to learn from".to_owned());
    }
    let repeats: f64 = patterns.iter().map(|pattern| f64::from(pattern.repeats)).sum();
    let age: f64 = patterns.iter().map(|pattern| pattern.age).sum();
    if repeats == 0.0 || age == 0.0 {
        return Err("no customer has bought on two days".to_owned());
    }
    let gap = age / repeats;
    let count = if dropout == Dropout::Never { 2 } else { 4 };
    let starts: Vec<Vec<f64>> =
        STARTS.iter().map(|[r, a, b]| [*r, r * gap, *a, *b][..count].to_vec()).collect();
    let mle = maximise(&PatternCounts::new(dropout, patterns), &starts)?;
    let at = |index: usize| mle.parameters.get(index).copied().unwrap_or(1.0);
    let model = PurchaseModel { dropout, r: at(0), alpha: at(1), a: at(2), b: at(3) };
    Ok(PurchaseFit { model, mle })
}

impl PurchaseModel {
    /// The names of the parameters that the model has.
    pub(crate) fn parameter_names(&self) -> &'static [&'static str] {
        if self.dropout == Dropout::Never { &["r", "alpha"] } else { &["r", "alpha", "a", "b"] }
    }

    /// The probability that a customer has not dropped out.
    pub(crate) fn p_alive(&self, pattern: Pattern) -> f64 {
        let x = f64::from(pattern.repeats);
        let active = match self.dropout {
            Dropout::Never => return 1.0,
            Dropout::AfterRepeat if pattern.repeats == 0 => return 1.0,
            Dropout::AfterRepeat => self.b + x - 1.0,
            Dropout::AfterAny => self.b + x,
        };
        let silence = ((self.alpha + pattern.age) / (self.alpha + pattern.recency)).ln();
        1.0 / (1.0 + self.a / active * ((self.r + x) * silence).exp())
    }

    /// The probability of no transaction in the next `horizon`: having dropped out, or being active
    /// without buying. An active customer's rate is Gamma(r + repeats, alpha + age).
    pub(crate) fn p_no_purchase(&self, pattern: Pattern, horizon: f64) -> f64 {
        let now = self.alpha + pattern.age;
        let buys = 1.0 - (now / (now + horizon)).powf(self.r + f64::from(pattern.repeats));
        (1.0 - self.p_alive(pattern) * buys).clamp(0.0, 1.0)
    }

    /// The expected number of transactions in the next `horizon` (Fader, Hardie & Lee 2005,
    /// equation 10, and its counterpart for MBG/NBD), with Euler's transformation of the
    /// hypergeometric function.
    pub(crate) fn expected_transactions(&self, pattern: Pattern, horizon: f64) -> f64 {
        let x = f64::from(pattern.repeats);
        let now = self.alpha + pattern.age;
        let rate = self.r + x;
        if self.dropout == Dropout::Never {
            return rate / now * horizon;
        }
        // Dropout opportunities that an active customer survived.
        let survived = if self.dropout == Dropout::AfterRepeat { x } else { x + 1.0 };
        // At exactly 1 the formula divides 0 by 0; a value next to it is close enough to the limit.
        let a = if (self.a - 1.0).abs() < 1e-5 { 1.0 + 1e-5 } else { self.a };
        let z = horizon / (now + horizon);
        let c = a + self.b + survived - 1.0;
        let silent = if c < rate {
            // Not transformed: the terms have one sign here, transformed they would cancel.
            (1.0 - z).powf(rate) * hypergeometric(rate, self.b + survived, c, z)
        } else {
            (1.0 - z).powf(a - 1.0) * hypergeometric(c - rate, a - 1.0, c, z)
        };
        let mut sum = c / (a - 1.0) * (1.0 - silent);
        if !sum.is_finite() || silent == 0.0 {
            // Shapes too large for the series: every customer has the same dropout probability.
            let dropout = a / (a + self.b + survived);
            sum = (1.0 - (now / (now + dropout * horizon)).powf(rate)) / dropout;
        }
        // Whatever the rounding: not below 0 and not above the rate without dropout.
        (sum * self.p_alive(pattern)).clamp(0.0, rate / now * horizon)
    }
}

/// 2F1(a, b; c; z) for 0 <= z < 1 by its series (Gauss).
#[allow(clippy::many_single_char_names)] // the usual names of its arguments
fn hypergeometric(a: f64, b: f64, c: f64, z: f64) -> f64 {
    const TERMS: u32 = 10_000;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 0..TERMS {
        let n = f64::from(n);
        term *= (a + n) * (b + n) / ((c + n) * (n + 1.0)) * z;
        sum += term;
        if term.abs() <= 1e-13 * f64::abs(sum) {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERN: Pattern = Pattern { repeats: 2, recency: 30.43, age: 38.86 };
    /// Fader, Hardie & Lee 2005, table 2: the CDNOW sample in weeks.
    const CDNOW: PurchaseModel =
        PurchaseModel { dropout: Dropout::AfterRepeat, r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };

    #[test]
    fn expected_purchases_of_the_worked_example() {
        // Fader & Hardie's note on BG/NBD in Excel: customer 0001 (x = 2, t_x = 30.43, T = 38.86)
        // is expected to make 1.226 purchases in the next 39 weeks.
        assert!((CDNOW.expected_transactions(PATTERN, 39.0) - 1.226).abs() < 5e-4);
    }

    #[test]
    fn likelihood_and_p_alive_are_those_of_an_integral_over_all_customers() {
        // By scipy 1.17 (nested quad over the rate, Gamma(r, alpha), and the dropout probability,
        // Beta(a, b)): of rate^x exp(-rate t_x) (1-p)^survived [p + (1-p) exp(-rate (T - t_x))],
        // where survived is x for MBG, x - 1 for BG; BG's p has no part in x = 0.
        let once = Pattern { repeats: 0, recency: 0.0, age: 30.0 };
        for (dropout, pattern, log_likelihood, p_alive) in [
            (Dropout::AfterRepeat, PATTERN, -9.458_606_153_8, 0.726_578_562_1),
            (Dropout::AfterAny, PATTERN, -9.687_182_423_7, 0.774_419_067_5),
            (Dropout::AfterRepeat, once, -0.499_044_762_6, 1.0),
            (Dropout::AfterAny, once, -0.351_120_951_3, 0.650_020_906_2),
        ] {
            let PurchaseModel { r, alpha, a, b, .. } = CDNOW;
            let likelihood = PatternCounts::new(dropout, &[pattern]);
            let (found, _) = likelihood.value_and_gradient(&[r, alpha, a, b]);
            assert!((found - log_likelihood).abs() < 1e-6, "{dropout:?} {pattern:?}: {found}");
            let found = PurchaseModel { dropout, ..CDNOW }.p_alive(pattern);
            assert!((found - p_alive).abs() < 1e-6, "{dropout:?} {pattern:?}: {found}");
        }
    }

    #[test]
    fn not_buying_is_not_the_same_as_having_dropped_out() {
        let silent = |horizon: f64| CDNOW.p_no_purchase(PATTERN, horizon);
        let dropped_out = 1.0 - CDNOW.p_alive(PATTERN);
        assert!((silent(0.0) - 1.0).abs() < 1e-12);
        assert!(1.0 > silent(1.0) && silent(1.0) > silent(10.0) && silent(10.0) > dropped_out);
        assert!((silent(1e12) - dropped_out).abs() < 1e-9);
    }

    #[test]
    fn a_customer_with_one_purchase_is_surely_active_under_bg_and_not_under_mbg() {
        let once = Pattern { repeats: 0, recency: 0.0, age: 30.0 };
        assert!((CDNOW.p_alive(once) - 1.0).abs() < 1e-12);
        let modified = PurchaseModel { dropout: Dropout::AfterAny, ..CDNOW };
        assert!(modified.p_alive(once) < 0.95);
    }

    #[test]
    fn expectation_agrees_with_a_numerical_integral() {
        // E = P(alive) * ∫ Beta(p; a, b + survived) / p * (1 - (now / (now + p t))^(r + x)) dp.
        for dropout in [Dropout::AfterRepeat, Dropout::AfterAny] {
            for a in [0.4, 1.0, 1.7] {
                let model = PurchaseModel { dropout, a, ..CDNOW };
                let survived = if dropout == Dropout::AfterRepeat { 2.0 } else { 3.0 };
                let (now, rate) = (model.alpha + PATTERN.age, model.r + 2.0);
                let (mut weight, mut sum) = (0.0, 0.0);
                for step in 0..200_000 {
                    // p = u^4 spreads the points where the density is steep.
                    let u = (f64::from(step) + 0.5) / 200_000.0;
                    let p = u.powi(4);
                    let density =
                        p.powf(a - 1.0) * (1.0 - p).powf(model.b + survived - 1.0) * u.powi(3);
                    weight += density;
                    sum += density / p * (1.0 - (now / (now + p * 39.0)).powf(rate));
                }
                let expected = model.p_alive(PATTERN) * sum / weight;
                let found = model.expected_transactions(PATTERN, 39.0);
                assert!(
                    (found / expected - 1.0).abs() < 1e-4,
                    "{dropout:?} {a}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn a_customer_who_buys_like_clockwork_is_expected_to_continue() {
        // The more alike the rates, the nearer to a Poisson process with dropout; the
        // integral of the test above with the rate's spread gone: (1 - exp(-rate p t)) / p.
        for gap in [1.0, 3.0, 7.0] {
            let model = PurchaseModel {
                dropout: Dropout::AfterAny,
                r: 1e6,
                alpha: 1e6 * gap,
                a: 0.3,
                b: 1.5,
            };
            let pattern = Pattern { repeats: 3, recency: 3.0 * gap, age: 3.0 * gap };
            let (mut weight, mut sum) = (0.0, 0.0);
            for step in 0..200_000 {
                let u = (f64::from(step) + 0.5) / 200_000.0;
                let p = u.powi(8);
                let density = p.powf(0.3 - 1.0) * (1.0 - p).powf(1.5 + 4.0 - 1.0) * u.powi(7);
                weight += density;
                sum += density / p * (1.0 - (-p * 365.0 / gap).exp());
            }
            let expected = model.p_alive(pattern) * sum / weight;
            let found = model.expected_transactions(pattern, 365.0);
            assert!((found / expected - 1.0).abs() < 1e-3, "{gap}: {found} {expected}");
        }
    }

    #[test]
    fn results_are_finite_for_any_parameters() {
        let shapes = [1e-6, 0.3, 1.0, 40.0, 1e6];
        let patterns = [
            PATTERN,
            Pattern { repeats: 0, recency: 0.0, age: 0.0 },
            Pattern { repeats: 900, recency: 1_000.0, age: 1_000.0 },
            Pattern { repeats: 1, recency: 1.0, age: 4_000.0 },
        ];
        for dropout in [Dropout::Never, Dropout::AfterRepeat, Dropout::AfterAny] {
            for index in 0..shapes.len().pow(4) {
                let shape = |place: u32| shapes[index / shapes.len().pow(place) % shapes.len()];
                let model = PurchaseModel {
                    dropout,
                    r: shape(0),
                    alpha: shape(1),
                    a: shape(2),
                    b: shape(3),
                };
                for pattern in patterns {
                    let expected = model.expected_transactions(pattern, 365.0);
                    assert!(expected.is_finite() && expected >= 0.0, "{model:?} {pattern:?}");
                    for p in [model.p_alive(pattern), model.p_no_purchase(pattern, 60.0)] {
                        assert!((0.0..=1.0).contains(&p), "{model:?} {pattern:?}: {p}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_value() {
        let patterns = [
            PATTERN,
            Pattern { repeats: 0, recency: 0.0, age: 20.0 },
            Pattern { repeats: 9, recency: 33.0, age: 33.0 },
        ];
        for dropout in [Dropout::Never, Dropout::AfterRepeat, Dropout::AfterAny] {
            let likelihood = PatternCounts::new(dropout, &patterns);
            let at: &[f64] =
                if dropout == Dropout::Never { &[0.3, 4.0] } else { &[0.3, 4.0, 0.8, 2.5] };
            let (_, gradient) = likelihood.value_and_gradient(at);
            for index in 0..at.len() {
                let moved = |step: f64| {
                    let mut at = at.to_vec();
                    at[index] += step;
                    likelihood.value_and_gradient(&at).0
                };
                let numerical = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((numerical - gradient[index]).abs() < 1e-6, "{dropout:?} {index}");
            }
        }
    }
}
