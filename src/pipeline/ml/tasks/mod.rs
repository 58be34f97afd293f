//! The tasks: what is predicted of a customer.

pub mod churn;
pub mod clv;
pub mod segmentation;
