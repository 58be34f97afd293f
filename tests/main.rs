//! The integration tests: one binary. Helpers in `support` only speak HTTP and run the binary.
#![allow(clippy::unwrap_used)] // helpers outside #[test] functions unwrap as those do
#![allow(clippy::float_cmp)] // golden values are compared as they are written

mod support;

mod api {
    mod admin;
    mod customers;
    mod health;
    mod models;
    mod refusals;
    mod revenue;
    mod token;
}
/// Tests that take minutes. Tests start in the order of their names, and these are among the first,
/// so that the others run beside them.
mod campaigns {
    mod hundred_publishes;
}
mod contract {
    mod clocks;
    mod containers;
    mod currencies;
    mod data_sets;
    mod doubts;
    mod file_order;
    mod golden;
    mod lines;
    mod money;
    mod profiles;
    mod reference;
    mod sample;
    mod sample_exports;
    mod silver;
    mod sources;
    mod unusual_shops;
}
mod mongo {
    mod answers;
    mod documents;
    mod failover;
    mod faults;
    mod security;
}
mod architecture;
mod cli;
mod documents;
mod inspect;
mod jobs;
mod kill;
mod lake;
mod language;
mod models;
mod publishing;
mod quality;
mod refresh;
mod rejects;
mod store;
mod upgrade;
