//! The methods: what learns and predicts. A file each; the lists of methods are in `tasks/`.

pub mod bg_nbd;
pub mod boosted;
pub(crate) mod decision_stump;
pub mod forest;
pub mod gamma_gamma;
pub mod k_means;
pub(crate) mod last_period;
pub mod likelihood;
pub(crate) mod mean_return;
pub mod purchase_churn;
pub(crate) mod purchase_value;
pub mod trees;
pub(crate) mod two_stage;
