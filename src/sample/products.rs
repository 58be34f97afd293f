//! The products: a long-tailed catalogue, units and prices.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::weighted::WeightedIndex;
use rand_distr::{Distribution, LogNormal};

use super::population::Shop;
use super::spec::Row;
use crate::domain::time::Timestamp;

/// The columns of `achats.csv`.
pub(super) const HEADER: [&str; 7] =
    ["id_achat", "id_client", "date_achat", "montant", "produit", "quantite", "prix"];

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
/// Products drawn per purchase; the one nearest in price is bought.
const CANDIDATES: usize = 3;
const MAX_UNITS: u32 = 4;

/// One row per purchase, numbered from 1 in chronological order.
pub(super) fn rows(shop: &Shop, rng: &mut ChaCha8Rng) -> Vec<Row> {
    let names: Vec<String> = ARTICLES
        .iter()
        .flat_map(|article| VARIANTS.iter().map(move |variant| format!("{article} {variant}")))
        .collect();
    #[allow(clippy::cast_precision_loss)]
    let shares = (1..=names.len()).map(|rank| (rank as f64).powf(-ZIPF_EXPONENT));
    let (Ok(by_rank), Ok(prices)) = (WeightedIndex::new(shares), LogNormal::new(3.6, 0.7)) else {
        return Vec::new();
    };
    // The rank is independent of the name: any product can be the best seller.
    let mut ranked: Vec<usize> = (0..names.len()).collect();
    for last in (1..ranked.len()).rev() {
        ranked.swap(last, rng.random_range(0..=last));
    }
    let list_prices: Vec<f64> = names.iter().map(|_| prices.sample(rng)).collect();

    shop.purchases
        .iter()
        .enumerate()
        .map(|(index, purchase)| {
            let units = units(rng);
            let unit_price = cents(purchase.amount / f64::from(units)).max(0.01);
            let distance = |product: &usize| (list_prices[*product] - unit_price).abs();
            let mut chosen = ranked[by_rank.sample(rng)];
            for _ in 1..CANDIDATES {
                let other = ranked[by_rank.sample(rng)];
                if distance(&other) < distance(&chosen) {
                    chosen = other;
                }
            }
            let at = Timestamp(purchase.at).to_string().replace('T', " ");
            vec![
                (index + 1).to_string(),
                (purchase.customer + 1).to_string(),
                at,
                format!("{:.2}", cents(unit_price * f64::from(units))),
                names[chosen].clone(),
                units.to_string(),
                format!("{unit_price:.2}"),
            ]
        })
        .collect()
}

/// Mostly one unit, rarely more.
fn units(rng: &mut ChaCha8Rng) -> u32 {
    let mut units = 1;
    while units < MAX_UNITS && rng.random::<f64>() < 0.25 {
        units += 1;
    }
    units
}

fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}
