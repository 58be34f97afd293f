//! The integration tests: one binary. Helpers in `support` only speak HTTP and run the binary.
#![allow(clippy::float_cmp, clippy::missing_panics_doc, missing_docs)]

mod support;

mod api {
    mod customers;
    mod health;
    mod refusals;
    mod revenue;
    mod token;
}
mod contract {
    mod golden;
    mod reference;
    mod sample;
    mod silver;
}
mod architecture;
mod cli;
mod documents;
mod kill;
mod publishing;
mod refresh;
mod store;
