//! What a sample is asked to be, and why one cannot be generated.

/// The size and seed of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Number of customers, with or without purchases.
    pub customers: u32,
    /// Number of orders of customers; those of guests come on top.
    pub purchases: u32,
    /// Seed of all random draws.
    pub seed: u64,
    /// Share of invalid rows, `[0, 0.5]`; they are added to the valid rows.
    pub dirty: f64,
}

/// A system whose export a sample is written as.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Format {
    /// `clients.csv` and `achats.csv`, as the older systems have them.
    Goldsmith,
    /// Orders and customers of Shopify.
    Shopify,
    /// Analytics of WooCommerce: orders and customers.
    Woocommerce,
    /// Orders and customers of PrestaShop, in French.
    Prestashop,
    /// The order grid of Magento 2.
    Magento,
    /// Payments and customers of Stripe.
    Stripe,
    /// Items of Square.
    Square,
    /// Sold order items of Etsy.
    Etsy,
    /// All orders of Amazon.
    Amazon,
    /// Orders of BigCommerce.
    Bigcommerce,
    /// The public data set of Olist.
    Olist,
    /// The public data set UCI Online Retail II.
    OnlineRetail,
    /// The public data set of CDNOW.
    Cdnow,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;
    /// The name of every format.
    pub const NAMES: &'static [&'static str] = <Self as strum::VariantNames>::VARIANTS;

    /// Its name, that of the profile that reads it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The files of a sample, by name, `ground_truth.json` first.
pub type Files = Vec<(&'static str, Vec<u8>)>;

/// Why a sample cannot be generated.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// No shop has such numbers.
    #[error("{0}")]
    Impossible(String),
    /// A row cannot be written as CSV.
    #[error("the sample cannot be written as CSV")]
    Csv(#[from] csv::Error),
    /// The true parameters cannot be written as JSON.
    #[error("the true parameters cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// A row of a CSV file.
pub(super) type Row = Vec<String>;
