//! The refinery: frames in, frames out. Synchronous, pure, free of I/O.
//!
//! ```text
//! source bytes ─ silver::refine ─▶ Silver { clients, achats, rejects, report }
//!                                     │ silver::quality::check_gate
//!                                     ▼
//!                gold::refine ─▶ fact_achats ─┬▶ sales   (revenue_*, distribution, statistics)
//!                                            ├▶ cohorts (first purchase, retention)
//!                                            ├▶ customers ▶ scores ▶ segment_summary
//!                                            └▶ model::train ▶ segments, churn, lifetime value
//!                                     │ gold::complete ▶ customers, kpis, gold::proof
//!                                     ▼
//!                one frame per entry of catalogue::ALL
//! ```
//!
//! Collecting a frame blocks, so all of this runs on blocking threads only.

pub mod compare;
pub mod error;
pub mod gold;
pub mod ml;
pub mod rows;
pub mod silver;
pub(crate) mod types;

pub use error::{PipelineError, Result};
