//! Retry policies: after which delays, and how often, a transient failure is retried.
//!
//! All numbers stand here side by side. What counts as transient is decided where the error is made.
//! Every delay is lengthened by up to as much again at random, so that many clients that wait for the
//! same server do not return at once.

use std::time::Duration;

use backon::ExponentialBuilder;

/// Delays that grow by a factor up to a maximum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) first_delay: Duration,
    pub(crate) factor: f32,
    pub(crate) max_delay: Duration,
    /// `None`: until the caller's own time limit.
    pub(crate) max_retries: Option<usize>,
}

/// A step of a refresh: 2, 10 and 30 s.
pub(crate) const REFRESH_STEP: Policy = policy(2_000, 5.0, 30_000, Some(3));
/// A webhook, or Metabase: 2, 10 and 30 s.
pub(crate) const NOTIFICATION: Policy = policy(2_000, 5.0, 30_000, Some(3));
/// A request to S3: 0.1 s, doubling up to 5 s; the settings say how often (`s3.retries`).
pub(crate) const S3_REQUEST: Policy = policy(100, 2.0, 5_000, None);
/// A command to MongoDB: 0.1 s, doubling up to 2.5 s, for longer than an election or a restart takes.
pub(crate) const MONGODB_COMMAND: Policy = policy(100, 2.0, 2_500, None);
/// The last command of a run to MongoDB: a server that is away has been waited for before.
pub(crate) const MONGODB_LAST_COMMAND: Policy = policy(100, 2.0, 2_500, Some(2));

const fn policy(first_ms: u64, factor: f32, max_ms: u64, max_retries: Option<usize>) -> Policy {
    let (first_delay, max_delay) = (Duration::from_millis(first_ms), Duration::from_millis(max_ms));
    Policy { first_delay, factor, max_delay, max_retries }
}

impl Policy {
    /// The same with another number of retries.
    pub(crate) fn with_max_retries(self, max_retries: usize) -> Self {
        Self { max_retries: Some(max_retries), ..self }
    }

    /// The delays, for `backon`.
    pub(crate) fn backoff(self) -> ExponentialBuilder {
        let delays = ExponentialBuilder::new()
            .with_min_delay(self.first_delay)
            .with_factor(self.factor)
            .with_max_delay(self.max_delay)
            .with_jitter();
        match self.max_retries {
            Some(retries) => delays.with_max_times(retries),
            None => delays.without_max_times(),
        }
    }
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder as _;

    use super::*;

    #[test]
    fn the_delays_of_a_step_are_2_10_and_30_seconds_and_up_to_as_long_again() {
        let delays: Vec<u64> =
            REFRESH_STEP.backoff().build().map(|delay| delay.as_secs()).collect();
        assert_eq!(delays.len(), 3);
        for (delay, least) in delays.into_iter().zip([2, 10, 30]) {
            assert!((least..=2 * least).contains(&delay), "{delay} instead of {least}");
        }
    }

    #[test]
    fn without_a_number_of_retries_the_delays_end_with_the_callers_limit_only() {
        assert_eq!(MONGODB_COMMAND.backoff().build().take(1_000).count(), 1_000);
        assert_eq!(MONGODB_LAST_COMMAND.backoff().build().count(), 2);
        assert_eq!(S3_REQUEST.with_max_retries(7).backoff().build().count(), 7);
    }
}
