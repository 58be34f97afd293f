//! The groups of routes in the OpenAPI document and on the home page.

pub(crate) const HEADLINE: &str = "headline";
pub(crate) const REVENUE: &str = "revenue";
pub(crate) const CUSTOMERS: &str = "customers";
pub(crate) const MODELS: &str = "models";
pub(crate) const HEALTH: &str = "health";
pub(crate) const LEGACY: &str = "legacy routes";
pub(crate) const ADMIN: &str = "admin";

/// Every group with its description, in the order of presentation.
pub(crate) const ALL: [(&str, &str); 7] = [
    (HEADLINE, "Headline figures and live events"),
    (REVENUE, "Revenue by country, product, period and cohort"),
    (CUSTOMERS, "Customers and their purchases"),
    (MODELS, "Segments, churn and lifetime value, with the quality of each model"),
    (HEALTH, "Status report, health probes and metrics"),
    (LEGACY, "Route and field names that existing dashboards use"),
    (ADMIN, "For operators: runs, generations, rollback"),
];
