//! Recency, frequency and monetary value of a customer: what segments are made of.

/// A customer's recency, frequency and monetary value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rfm {
    /// Days from the last purchase to the reference instant.
    pub recency: f64,
    /// Number of orders.
    pub frequency: f64,
    /// Spend to date less refunds, at least 0, EUR.
    pub monetary: f64,
}

/// ln(1 + frequency), ln(1 + monetary), recency; before or after standardising.
pub(crate) type Point = [f64; 3];

impl Rfm {
    pub(crate) fn point(self) -> Point {
        [self.frequency.ln_1p(), self.monetary.ln_1p(), self.recency]
    }
}
