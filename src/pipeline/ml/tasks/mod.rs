//! The tasks: what is predicted of a customer, and the list of methods that are tried for it.

pub mod churn;
pub(crate) mod clv;
pub mod segmentation;
