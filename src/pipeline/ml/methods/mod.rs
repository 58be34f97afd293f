//! The methods: what learns and predicts, whatever the task.

pub mod bg_nbd;
pub mod boosted;
pub mod decision_stump;
pub mod forest;
pub mod gamma_gamma;
pub mod likelihood;
pub mod trees;
