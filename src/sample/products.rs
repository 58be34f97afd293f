//! The products: a long-tailed catalogue, units and prices.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::weighted::WeightedIndex;
use rand_distr::{Distribution, LogNormal};

use super::spec::SampleError;

const ARTICLES: [&str; 24] = [
    "Cafetière",
    "Bouilloire",
    "Grille-pain",
    "Mixeur",
    "Poêle",
    "Cocotte",
    "Couteau",
    "Planche",
    "Lampe",
    "Bougie",
    "Coussin",
    "Plaid",
    "Vase",
    "Horloge",
    "Miroir",
    "Tapis",
    "Casque",
    "Enceinte",
    "Clavier",
    "Souris",
    "Sac à dos",
    "Gourde",
    "Parapluie",
    "Carnet",
];
const VARIANTS: [&str; 8] =
    ["Classique", "Inox", "Bois", "Céramique", "Pro", "Compact", "Nuit", "Édition limitée"];

/// Exponent of the Zipf distribution of sales over products.
const ZIPF_EXPONENT: f64 = 1.05;
/// Products drawn for an order; the one nearest in price is bought.
const CANDIDATES: usize = 3;
const MAX_UNITS: u32 = 4;

/// What the shop sells.
#[derive(Debug)]
pub(super) struct Products {
    pub(super) names: Vec<String>,
    list_prices: Vec<f64>,
    /// The products by sales, the best seller first.
    ranked: Vec<usize>,
    by_rank: WeightedIndex<f64>,
}

impl Products {
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Result<Self, SampleError> {
        let impossible = |error: String| SampleError::Impossible(error);
        let names: Vec<String> = ARTICLES
            .iter()
            .flat_map(|article| VARIANTS.iter().map(move |variant| format!("{article} {variant}")))
            .collect();
        #[allow(clippy::cast_precision_loss)]
        let shares = (1..=names.len()).map(|rank| (rank as f64).powf(-ZIPF_EXPONENT));
        let by_rank = WeightedIndex::new(shares).map_err(|error| impossible(error.to_string()))?;
        let prices = LogNormal::new(3.6, 0.7).map_err(|error| impossible(error.to_string()))?;
        // The rank is independent of the name: any product can be the best seller.
        let mut ranked: Vec<usize> = (0..names.len()).collect();
        for last in (1..ranked.len()).rev() {
            ranked.swap(last, rng.random_range(0..=last));
        }
        let list_prices = names.iter().map(|_| prices.sample(rng)).collect();
        Ok(Self { names, list_prices, ranked, by_rank })
    }

    /// The product with this rank by sales, the best seller with 0.
    pub(super) fn ranked(&self, rank: usize) -> usize {
        self.ranked[rank]
    }

    /// What one unit costs before an order's amount says so, EUR.
    pub(super) fn list_price(&self, product: usize) -> f64 {
        self.list_prices[product]
    }

    /// Any product, popular ones more often.
    pub(super) fn any(&self, rng: &mut ChaCha8Rng) -> usize {
        self.ranked[self.by_rank.sample(rng)]
    }

    /// Of some products the one that costs about this much.
    pub(super) fn near(&self, price: f64, rng: &mut ChaCha8Rng) -> usize {
        let distance = |product: usize| (self.list_prices[product] - price).abs();
        let mut chosen = self.any(rng);
        for _ in 1..CANDIDATES {
            let other = self.any(rng);
            if distance(other) < distance(chosen) {
                chosen = other;
            }
        }
        chosen
    }
}

/// Mostly one unit, rarely more.
pub(super) fn units(rng: &mut ChaCha8Rng) -> u32 {
    let mut units = 1;
    while units < MAX_UNITS && rng.random::<f64>() < 0.25 {
        units += 1;
    }
    units
}
