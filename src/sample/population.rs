//! Simulates who buys when and for how much: a BG/NBD population with Gamma-Gamma spend.
//!
//! Purchase rates are Gamma(r, alpha) over customers; after each repeat purchase a customer drops
//! out with a probability that is Beta(a, b) over customers (Fader, Hardie & Lee 2005,
//! "Counting Your Customers the Easy Way"). Amounts are Gamma(p, nu) with nu ~ Gamma(q, gamma)
//! (Fader & Hardie 2013). Time runs faster in busy seasons and weekdays, on average at one day a day.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution, Exp1, Gamma};
use serde_json::json;

use super::spec::{SampleError, Spec};
use crate::domain::time::DAY_MICROS;

/// 2023-01-01T00:00:00.
pub(super) const START_MICROS: i64 = 19_358 * DAY_MICROS;
/// 2026-01-01T00:00:00: three years.
pub(super) const END_MICROS: i64 = START_MICROS + 1_096 * DAY_MICROS;
const DAYS: usize = 1_096;

/// Shape of the rates: well below 1, so that few customers buy often and many rarely.
const R: f64 = 0.6;
/// First shape of the dropout probability.
const A: f64 = 0.8;
/// Second shape of the dropout probability for customers who buy little on average.
const B: f64 = 2.5;
/// Spend: shape of the amounts, shape and rate of the customers' levels; mean P * GAMMA / (Q - 1).
const P: f64 = 6.0;
const Q: f64 = 4.0;
const GAMMA: f64 = 30.0;
/// Bounds of an order's amount.
const MIN_AMOUNT: f64 = 0.5;
const MAX_AMOUNT: f64 = 9_000.0;
/// Share of customers who register and never buy.
const NEVER_BUY: f64 = 0.06;
/// Relative intensity of the weekdays, Monday first.
const WEEK: [f64; 7] = [0.90, 0.90, 0.95, 1.00, 1.15, 1.30, 0.80];
/// Relative intensity of the hours of a day.
const HOURS: [f64; 24] = [
    0.3, 0.2, 0.1, 0.1, 0.1, 0.2, 0.4, 0.7, 1.0, 1.2, 1.3, 1.4, 1.6, 1.4, 1.2, 1.2, 1.3, 1.5, 1.7,
    1.9, 2.0, 1.7, 1.2, 0.6,
];

/// One purchase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purchase {
    /// Index into [`Population::signups`].
    pub(super) customer: usize,
    /// Instant, microseconds.
    pub(super) at: i64,
    /// Amount, EUR.
    pub(super) amount: f64,
}

/// A simulated population and its purchases.
#[derive(Debug)]
pub(super) struct Population {
    /// Day of registration of each customer, microseconds, ascending.
    pub(super) signups: Vec<i64>,
    /// Purchases in chronological order.
    pub(super) purchases: Vec<Purchase>,
    /// The true parameters.
    pub(super) truth: serde_json::Value,
}

/// A number with a total order, for the heap.
#[derive(Debug, PartialEq)]
struct Threshold(f64);
impl Eq for Threshold {}
impl PartialOrd for Threshold {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Threshold {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// A customer while the shop is being simulated.
struct Buyer {
    /// First purchase, in busy-time days since the start.
    first: f64,
    /// Purchase rate before scaling.
    rate: f64,
    /// Probability of dropping out after a repeat purchase.
    dropout: f64,
    /// Repeat purchases, each as the unit-rate time since the first.
    repeats: Vec<f64>,
}

/// Simulates the population.
///
/// Repeat purchases happen at unit-rate times. Each falls within the three years once the common
/// scale of the rates exceeds a threshold. Taking the smallest thresholds until there are as many
/// purchases as requested finds the scale that gives exactly that number.
pub(super) fn simulate(spec: Spec, rng: &mut ChaCha8Rng) -> Result<Population, SampleError> {
    let customers = spec.customers as usize;
    let purchases = spec.purchases as usize;
    let clock = BusyTime::new();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let buyers = ((customers as f64 * (1.0 - NEVER_BUY)).ceil() as usize).clamp(1, purchases);
    #[allow(clippy::cast_precision_loss)]
    let per_buyer = purchases as f64 / buyers as f64;
    let b = B * (per_buyer / 6.0).max(1.0);

    let mut all = draw_buyers(buyers, b, &clock, rng)?;
    let scale = add_repeats(&mut all, purchases, &clock, rng).map_err(|at_most| {
        SampleError::Impossible(format!(
            "{customers} customers make at most {at_most} purchases in this population; request fewer \
             purchases or more customers"
        ))
    })?;
    let registered = register(&all, customers, &clock, rng);
    let made = date_and_price(&registered, scale, &clock, rng)?;
    let truth = json!({
        "model": "BG/NBD with Gamma-Gamma spend",
        "time_unit": "day",
        "r": R, "alpha": 1.0 / scale, "a": A, "b": b,
        "p": P, "q": Q, "gamma": GAMMA,
        "buyers": buyers,
        "weekday_intensity": WEEK,
    });
    let signups = registered.into_iter().map(|(day, _)| day).collect();
    Ok(Population { signups, purchases: made, truth })
}

/// Draws the customers who buy at least once; `b` is the second shape of the dropout probability.
fn draw_buyers(
    number: usize,
    b: f64,
    clock: &BusyTime,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Buyer>, SampleError> {
    /// Below 1, more customers arrive on later days: the shop grows.
    const GROWTH_EXPONENT: f64 = 0.85;
    let rates = gamma(R, 1.0)?;
    let dropouts = Beta::new(A, b).map_err(|error| SampleError::Impossible(error.to_string()))?;
    let buyer = |_| {
        let share: f64 = rng.random::<f64>().powf(GROWTH_EXPONENT);
        Buyer {
            first: share * (clock.total() - 1.0),
            rate: rates.sample(rng).max(1e-9),
            dropout: dropouts.sample(rng),
            repeats: Vec::new(),
        }
    };
    Ok((0..number).map(buyer).collect())
}

/// Adds repeat purchases until there are `purchases` of all and returns the common scale of the
/// rates; the error is the number of purchases after which every buyer had dropped out.
fn add_repeats(
    all: &mut [Buyer],
    purchases: usize,
    clock: &BusyTime,
    rng: &mut ChaCha8Rng,
) -> Result<f64, usize> {
    let threshold =
        |buyer: &Buyer, time: f64| Threshold(time / (buyer.rate * (clock.total() - buyer.first)));
    let mut next: BinaryHeap<Reverse<(Threshold, usize)>> = BinaryHeap::new();
    let mut pending: Vec<f64> = Vec::with_capacity(all.len());
    for (index, buyer) in all.iter().enumerate() {
        let time: f64 = Exp1.sample(rng);
        pending.push(time);
        next.push(Reverse((threshold(buyer, time), index)));
    }
    let mut scale: f64 = 1.0;
    for made in all.len()..purchases {
        let Some(Reverse((reached, index))) = next.pop() else { return Err(made) };
        scale = reached.0;
        let buyer = &mut all[index];
        buyer.repeats.push(pending[index]);
        if rng.random::<f64>() >= buyer.dropout {
            let gap: f64 = Exp1.sample(rng);
            pending[index] += gap;
            let reached = threshold(buyer, pending[index]);
            next.push(Reverse((reached, index)));
        }
    }
    Ok(scale)
}

/// Days of registration, ascending, which is the order of customer numbers: buyers register on the
/// day of their first purchase or a few days before, the others on any day.
fn register<'a>(
    buyers: &'a [Buyer],
    customers: usize,
    clock: &BusyTime,
    rng: &mut ChaCha8Rng,
) -> Vec<(i64, Option<&'a Buyer>)> {
    /// Mean time from registration to first purchase.
    const MEAN_DAYS_AHEAD: f64 = 4.0;
    let mut registered: Vec<(i64, Option<&Buyer>)> = Vec::with_capacity(customers);
    for buyer in buyers {
        let ahead: f64 = Exp1.sample(rng);
        let first_day =
            START_MICROS + clock.to_micros(buyer.first).div_euclid(DAY_MICROS) * DAY_MICROS;
        #[allow(clippy::cast_possible_truncation)]
        let days_ahead = (ahead * MEAN_DAYS_AHEAD) as i64;
        registered.push((first_day - days_ahead * DAY_MICROS, Some(buyer)));
    }
    for _ in buyers.len()..customers {
        let day = i64::from(rng.random_range(0..u32::try_from(DAYS).unwrap_or(1)));
        registered.push((START_MICROS + day * DAY_MICROS, None));
    }
    registered.sort_by_key(|(day, _)| *day);
    registered
}

/// Every purchase with its instant and amount, in chronological order.
fn date_and_price(
    registered: &[(i64, Option<&Buyer>)],
    scale: f64,
    clock: &BusyTime,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Purchase>, SampleError> {
    let levels = gamma(Q, 1.0 / GAMMA)?;
    let shapes = gamma(P, 1.0)?;
    let mut made = Vec::new();
    for (customer, (_, buyer)) in registered.iter().enumerate() {
        let Some(buyer) = buyer else { continue };
        let level = levels.sample(rng).max(1e-6);
        for time in std::iter::once(0.0).chain(buyer.repeats.iter().copied()) {
            let busy = buyer.first + time / (buyer.rate * scale);
            let amount: f64 = shapes.sample(rng) / level;
            made.push(Purchase {
                customer,
                at: START_MICROS + clock.to_micros(busy.min(clock.total())),
                amount: amount.clamp(MIN_AMOUNT, MAX_AMOUNT),
            });
        }
    }
    made.sort_by_key(|purchase| (purchase.at, purchase.customer));
    Ok(made)
}

/// The instants and amounts of purchases by guests, in chronological order: each of another person, who
/// spends as customers do.
pub(super) fn guests(number: usize, rng: &mut ChaCha8Rng) -> Result<Vec<(i64, f64)>, SampleError> {
    let clock = BusyTime::new();
    let levels = gamma(Q, 1.0 / GAMMA)?;
    let shapes = gamma(P, 1.0)?;
    let mut made: Vec<(i64, f64)> = (0..number)
        .map(|_| {
            let busy = rng.random::<f64>() * clock.total();
            let amount = shapes.sample(rng) / levels.sample(rng).max(1e-6);
            (START_MICROS + clock.to_micros(busy), amount.clamp(MIN_AMOUNT, MAX_AMOUNT))
        })
        .collect();
    made.sort_by_key(|(at, _)| *at);
    Ok(made)
}

fn gamma(shape: f64, scale: f64) -> Result<Gamma<f64>, SampleError> {
    Gamma::new(shape, scale).map_err(|error| SampleError::Impossible(error.to_string()))
}

/// Busy time: the clock that purchases follow, on which a busy day is longer than a quiet one.
struct BusyTime {
    /// Busy-time days elapsed at the start of each calendar day, and at the end.
    elapsed: Vec<f64>,
    /// Share of a day's purchases before each hour, and at its end.
    hours: Vec<f64>,
}

impl BusyTime {
    fn new() -> Self {
        let intensity: Vec<f64> = (0..DAYS)
            .map(|day| {
                // 2023-01-01 was a Sunday.
                let weekday = WEEK[(day + 6) % 7];
                #[allow(clippy::cast_precision_loss)]
                let day_of_year = (day % 365) as f64;
                let winter =
                    1.0 + 0.15 * (std::f64::consts::TAU * (day_of_year - 350.0) / 365.0).cos();
                let holidays = 1.0 + 0.35 * (-((day_of_year - 340.0) / 14.0).powi(2)).exp();
                weekday * winter * holidays
            })
            .collect();
        #[allow(clippy::cast_precision_loss)]
        let to_days = DAYS as f64 / intensity.iter().sum::<f64>();
        let busy_days: Vec<f64> = intensity.iter().map(|day| day * to_days).collect();
        let all_hours: f64 = HOURS.iter().sum();
        let hour_shares: Vec<f64> = HOURS.iter().map(|hour| hour / all_hours).collect();
        Self { elapsed: running_total(&busy_days), hours: running_total(&hour_shares) }
    }

    /// Busy-time days in the three years: as many as calendar days.
    fn total(&self) -> f64 {
        self.elapsed[DAYS]
    }

    /// The calendar time of a busy time, in microseconds (whole seconds) since the start.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn to_micros(&self, busy: f64) -> i64 {
        let (day, within_day) = locate(&self.elapsed, busy);
        let (hour, within_hour) = locate(&self.hours, within_day);
        let seconds = (hour as f64 + within_hour) * 3_600.0;
        // Never beyond the day itself.
        i64::try_from(day).unwrap_or(0) * DAY_MICROS + (seconds as i64).min(86_399) * 1_000_000
    }
}

/// 0, then the sum up to and including each part.
fn running_total(parts: &[f64]) -> Vec<f64> {
    let mut total = 0.0;
    let sums = parts.iter().map(|part| {
        total += part;
        total
    });
    std::iter::once(0.0).chain(sums).collect()
}

/// The interval a value falls in and how far into it, as a fraction.
fn locate(bounds: &[f64], value: f64) -> (usize, f64) {
    let last = bounds.len() - 2;
    let index = bounds.partition_point(|bound| *bound <= value).saturating_sub(1).min(last);
    let width = bounds[index + 1] - bounds[index];
    (index, ((value - bounds[index]) / width).clamp(0.0, 1.0))
}
