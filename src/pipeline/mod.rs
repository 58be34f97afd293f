//! The pipeline: frames in, frames out. Synchronous and free of I/O; collecting a frame blocks, so
//! all of it runs on blocking threads.
//!
//! ```text
//! source files ─ silver::clean ─▶ Silver { valid, rejected, report }
//!                                     │ silver::quality::check_gate
//!                                     ▼
//!             gold::aggregate ─▶ fact_achats ─┬▶ sales, cohorts
//!                                             ├▶ customers ▶ scores ▶ segment_summary
//!                                             └▶ ml::train ▶ segments, churn, lifetime value
//!                                     │ gold::complete ▶ customers, kpis, proof
//!                                     ▼
//!             one frame per entry of catalogue::ALL
//! ```

pub mod compare;
pub mod error;
pub mod gold;
pub mod ml;
pub(crate) mod orders;
pub mod rows;
pub mod silver;
pub(crate) mod types;

pub use error::{PipelineError, Result};
