//! Models of buying until one stops: NBD, BG/NBD and MBG/NBD.
//!
//! While alive a customer buys as a Poisson process whose rate is Gamma(r, alpha) over customers;
//! what differs is when they may stop for good, with a probability that is Beta(a, b) over them.
//! BG/NBD: Fader, Hardie & Lee 2005, "Counting Your Customers the Easy Way". MBG/NBD: Batislam,
//! Denizel & Filiztekin 2007. A transaction is a day with a purchase; time is in days.

use serde::{Deserialize, Serialize};

use crate::pipeline::ml::history::{Purchases, day};
use crate::pipeline::ml::methods::likelihood::{LogLikelihood, MleFit, maximise, sums};

/// When customers may stop for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dropout {
    /// Never: a negative binomial distribution of purchases, and nothing but frequency to learn.
    Never,
    /// After a repeat purchase: BG/NBD.
    AfterRepeat,
    /// After any purchase, the first one too: MBG/NBD.
    AfterAny,
}

/// What these models know of a customer.
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
    /// Of a customer's purchases up to an instant, a day with several counting once.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn of(purchases: Purchases<'_>, now: i64) -> Self {
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
    /// When customers may stop.
    pub dropout: Dropout,
    /// Shape of the rates.
    pub r: f64,
    /// Rate parameter of the rates: the mean rate is r / alpha purchases a day.
    pub alpha: f64,
    /// First shape of the probability to stop; without meaning where nobody stops.
    pub a: f64,
    /// Second shape of it.
    pub b: f64,
}

/// A fitted model and how well the data determine it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The model.
    pub model: PurchaseModel,
    /// r, alpha, a, b: as many as the model has.
    pub maximum: MleFit,
}

/// Equal patterns, counted: the likelihood needs each only once.
struct Counted {
    dropout: Dropout,
    patterns: Vec<(Pattern, f64)>,
    most_repeats: usize,
}

impl Counted {
    #[allow(clippy::cast_precision_loss)]
    fn new(dropout: Dropout, patterns: &[Pattern]) -> Self {
        let mut sorted = patterns.to_vec();
        let order = |a: &Pattern, b: &Pattern| {
            let times = a.recency.total_cmp(&b.recency).then(a.age.total_cmp(&b.age));
            a.repeats.cmp(&b.repeats).then(times)
        };
        sorted.sort_unstable_by(order);
        let most_repeats = sorted.last().map_or(0, |last| last.repeats as usize);
        let patterns =
            sorted.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len() as f64)).collect();
        Self { dropout, patterns, most_repeats }
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

impl LogLikelihood for Counted {
    fn value_and_slope(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        let (r, alpha) = (parameters[0], parameters[1]);
        let (a, b) = match self.dropout {
            Dropout::Never => (0.0, 1.0),
            _ => (parameters[2], parameters[3]),
        };
        let of_rate = Rising::new(r, self.most_repeats);
        let of_b = Rising::new(b, self.most_repeats);
        let of_sum = Rising::new(a + b, self.most_repeats + 1);
        let of_pattern = |pattern: &Pattern| -> [f64; 5] {
            let x = pattern.repeats as usize;
            let purchases = r + f64::from(pattern.repeats);
            let (to_now, to_last) = ((alpha + pattern.age).ln(), (alpha + pattern.recency).ln());
            let rate = of_rate.logs[x] + r * alpha.ln();
            // The beta part for the chances to stop or not that were passed by, and the factor
            // of being alive; the factor of having stopped is a.
            let (passed, summed, alive) = match self.dropout {
                Dropout::Never => (0, 0, 1.0),
                Dropout::AfterRepeat if x == 0 => (0, 0, 1.0),
                Dropout::AfterRepeat => (x - 1, x, b + f64::from(pattern.repeats) - 1.0),
                Dropout::AfterAny => (x, x + 1, b + f64::from(pattern.repeats)),
            };
            let can_have_stopped = summed > 0;
            let beta = of_b.logs[passed] - of_sum.logs[summed];
            let when_alive = alive.ln() - purchases * to_now;
            let (log, share) = if can_have_stopped {
                let when_stopped = a.ln() - purchases * to_last;
                let greater = when_alive.max(when_stopped);
                let log =
                    greater + ((when_alive - greater).exp() + (when_stopped - greater).exp()).ln();
                (log, (when_alive - log).exp())
            } else {
                (when_alive, 1.0)
            };
            let by_r =
                of_rate.reciprocals[x] + alpha.ln() - share * to_now - (1.0 - share) * to_last;
            let by_alpha = r / alpha
                - purchases
                    * (share / (alpha + pattern.age) + (1.0 - share) / (alpha + pattern.recency));
            let (by_a, by_b) = if can_have_stopped {
                (
                    (1.0 - share) / a - of_sum.reciprocals[summed],
                    share / alive + of_b.reciprocals[passed] - of_sum.reciprocals[summed],
                )
            } else {
                (0.0, 0.0)
            };
            [rate + beta + log, by_r, by_alpha, by_a, by_b]
        };
        let sum =
            sums(&self.patterns, |(pattern, count)| of_pattern(pattern).map(|value| count * value));
        (sum[0], sum[1..=parameters.len()].to_vec())
    }
}

/// Where climbs start: r, a, b; alpha is such that the mean rate is the data's. Customers not much
/// alike of whom one in four stops; few who buy often and many who stop at once.
const STARTS: [[f64; 3]; 2] = [[1.0, 1.0, 3.0], [0.2, 1.0, 1.0]];

/// Fits a model by maximum likelihood.
///
/// # Errors
/// When there is no pattern, or no top of the likelihood.
#[allow(clippy::cast_precision_loss)]
pub fn fit(dropout: Dropout, patterns: &[Pattern]) -> Result<Fitted, String> {
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
    let maximum = maximise(&Counted::new(dropout, patterns), &starts)?;
    let at = |index: usize| maximum.parameters.get(index).copied().unwrap_or(1.0);
    let model = PurchaseModel { dropout, r: at(0), alpha: at(1), a: at(2), b: at(3) };
    Ok(Fitted { model, maximum })
}

impl PurchaseModel {
    /// The names of the parameters that have a meaning.
    #[must_use]
    pub fn parameter_names(&self) -> &'static [&'static str] {
        if self.dropout == Dropout::Never { &["r", "alpha"] } else { &["r", "alpha", "a", "b"] }
    }

    /// The probability that a customer has not stopped.
    #[must_use]
    pub fn p_alive(&self, pattern: Pattern) -> f64 {
        let x = f64::from(pattern.repeats);
        let alive = match self.dropout {
            Dropout::Never => return 1.0,
            Dropout::AfterRepeat if pattern.repeats == 0 => return 1.0,
            Dropout::AfterRepeat => self.b + x - 1.0,
            Dropout::AfterAny => self.b + x,
        };
        let silence = ((self.alpha + pattern.age) / (self.alpha + pattern.recency)).ln();
        1.0 / (1.0 + self.a / alive * ((self.r + x) * silence).exp())
    }

    /// The probability of no transaction in the next `horizon`: having stopped, or being alive and
    /// not buying. An alive customer's rate is Gamma(r + repeats, alpha + age).
    #[must_use]
    pub fn p_silent(&self, pattern: Pattern, horizon: f64) -> f64 {
        let now = self.alpha + pattern.age;
        let buys = 1.0 - (now / (now + horizon)).powf(self.r + f64::from(pattern.repeats));
        (1.0 - self.p_alive(pattern) * buys).clamp(0.0, 1.0)
    }

    /// Transactions to expect in the next `horizon` (Fader, Hardie & Lee 2005, equation 10, and
    /// its like for MBG/NBD), with Euler's transformation of the hypergeometric function.
    #[must_use]
    pub fn expected(&self, pattern: Pattern, horizon: f64) -> f64 {
        let x = f64::from(pattern.repeats);
        let now = self.alpha + pattern.age;
        let rate = self.r + x;
        if self.dropout == Dropout::Never {
            return rate / now * horizon;
        }
        // Chances to stop that an alive customer let pass.
        let passed = if self.dropout == Dropout::AfterRepeat { x } else { x + 1.0 };
        // At exactly 1 the formula divides 0 by 0; next to it the limit is met well enough.
        let a = if (self.a - 1.0).abs() < 1e-5 { 1.0 + 1e-5 } else { self.a };
        let z = horizon / (now + horizon);
        let c = a + self.b + passed - 1.0;
        let silent = if c < rate {
            // As it stands, with terms of one sign: transformed, they would alternate and cancel.
            (1.0 - z).powf(rate) * hypergeometric(rate, self.b + passed, c, z)
        } else {
            (1.0 - z).powf(a - 1.0) * hypergeometric(c - rate, a - 1.0, c, z)
        };
        let mut sum = c / (a - 1.0) * (1.0 - silent);
        if !sum.is_finite() || silent == 0.0 {
            // Shapes so large that numbers end: everybody stops with the same probability.
            let stops = a / (a + self.b + passed);
            sum = (1.0 - (now / (now + stops * horizon)).powf(rate)) / stops;
        }
        // However the rounding falls: nobody buys less than nothing or more than at their rate.
        (sum * self.p_alive(pattern)).clamp(0.0, rate / now * horizon)
    }
}

/// 2F1(a, b; c; z) for 0 <= z < 1 by its series (Gauss).
#[allow(clippy::many_single_char_names)] // the function's usual ones
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
        assert!((CDNOW.expected(PATTERN, 39.0) - 1.226).abs() < 5e-4);
    }

    #[test]
    fn likelihood_and_p_alive_are_those_of_an_integral_over_all_customers() {
        // By scipy 1.17 (nested quad over the rate, Gamma(r, alpha), and the probability to stop,
        // Beta(a, b)): of rate^x exp(-rate t_x) (1-p)^passed [p + (1-p) exp(-rate (T - t_x))], where
        // passed is x for MBG, x - 1 for BG; BG's p has no part in x = 0.
        let once = Pattern { repeats: 0, recency: 0.0, age: 30.0 };
        for (dropout, pattern, log_likelihood, p_alive) in [
            (Dropout::AfterRepeat, PATTERN, -9.458_606_153_8, 0.726_578_562_1),
            (Dropout::AfterAny, PATTERN, -9.687_182_423_7, 0.774_419_067_5),
            (Dropout::AfterRepeat, once, -0.499_044_762_6, 1.0),
            (Dropout::AfterAny, once, -0.351_120_951_3, 0.650_020_906_2),
        ] {
            let PurchaseModel { r, alpha, a, b, .. } = CDNOW;
            let counted = Counted::new(dropout, &[pattern]);
            let (found, _) = counted.value_and_slope(&[r, alpha, a, b]);
            assert!((found - log_likelihood).abs() < 1e-6, "{dropout:?} {pattern:?}: {found}");
            let found = PurchaseModel { dropout, ..CDNOW }.p_alive(pattern);
            assert!((found - p_alive).abs() < 1e-6, "{dropout:?} {pattern:?}: {found}");
        }
    }

    #[test]
    fn being_silent_is_not_having_stopped() {
        let silent = |horizon: f64| CDNOW.p_silent(PATTERN, horizon);
        let stopped = 1.0 - CDNOW.p_alive(PATTERN);
        assert!((silent(0.0) - 1.0).abs() < 1e-12);
        assert!(1.0 > silent(1.0) && silent(1.0) > silent(10.0) && silent(10.0) > stopped);
        assert!((silent(1e12) - stopped).abs() < 1e-9);
    }

    #[test]
    fn who_bought_once_is_surely_alive_under_bg_and_not_under_mbg() {
        let once = Pattern { repeats: 0, recency: 0.0, age: 30.0 };
        assert!((CDNOW.p_alive(once) - 1.0).abs() < 1e-12);
        let modified = PurchaseModel { dropout: Dropout::AfterAny, ..CDNOW };
        assert!(modified.p_alive(once) < 0.95);
    }

    #[test]
    fn expectation_agrees_with_a_numerical_integral() {
        // E = P(alive) * ∫ Beta(p; a, b + passed) / p * (1 - (now / (now + p t))^(r + x)) dp.
        for dropout in [Dropout::AfterRepeat, Dropout::AfterAny] {
            for a in [0.4, 1.0, 1.7] {
                let model = PurchaseModel { dropout, a, ..CDNOW };
                let passed = if dropout == Dropout::AfterRepeat { 2.0 } else { 3.0 };
                let (now, rate) = (model.alpha + PATTERN.age, model.r + 2.0);
                let (mut weight, mut sum) = (0.0, 0.0);
                for step in 0..200_000 {
                    // p = u^4 spreads the points where the density is steep.
                    let u = (f64::from(step) + 0.5) / 200_000.0;
                    let p = u.powi(4);
                    let density =
                        p.powf(a - 1.0) * (1.0 - p).powf(model.b + passed - 1.0) * u.powi(3);
                    weight += density;
                    sum += density / p * (1.0 - (now / (now + p * 39.0)).powf(rate));
                }
                let expected = model.p_alive(PATTERN) * sum / weight;
                let found = model.expected(PATTERN, 39.0);
                assert!(
                    (found / expected - 1.0).abs() < 1e-4,
                    "{dropout:?} {a}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn who_buys_like_clockwork_is_expected_to_go_on() {
        // The more alike the rates, the nearer to a Poisson process with a chance to stop; the
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
            let found = model.expected(pattern, 365.0);
            assert!((found / expected - 1.0).abs() < 1e-3, "{gap}: {found} {expected}");
        }
    }

    #[test]
    fn whatever_the_parameters_there_is_a_finite_answer() {
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
                    let expected = model.expected(pattern, 365.0);
                    assert!(expected.is_finite() && expected >= 0.0, "{model:?} {pattern:?}");
                    for p in [model.p_alive(pattern), model.p_silent(pattern, 60.0)] {
                        assert!((0.0..=1.0).contains(&p), "{model:?} {pattern:?}: {p}");
                    }
                }
            }
        }
    }

    #[test]
    fn slopes_are_those_of_the_value() {
        let patterns = [
            PATTERN,
            Pattern { repeats: 0, recency: 0.0, age: 20.0 },
            Pattern { repeats: 9, recency: 33.0, age: 33.0 },
        ];
        for dropout in [Dropout::Never, Dropout::AfterRepeat, Dropout::AfterAny] {
            let counted = Counted::new(dropout, &patterns);
            let at: &[f64] =
                if dropout == Dropout::Never { &[0.3, 4.0] } else { &[0.3, 4.0, 0.8, 2.5] };
            let (_, slope) = counted.value_and_slope(at);
            for index in 0..at.len() {
                let moved = |step: f64| {
                    let mut at = at.to_vec();
                    at[index] += step;
                    counted.value_and_slope(&at).0
                };
                let numerical = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((numerical - slope[index]).abs() < 1e-6, "{dropout:?} {index}");
            }
        }
    }
}
