//! What is bought: a long-tailed catalogue, units and prices.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::weighted::WeightedIndex;
use rand_distr::{Distribution, LogNormal};

use super::Row;
use super::population::Shop;
use crate::domain::time::Timestamp;

/// The columns of `achats.csv`.
pub const HEADER: [&str; 7] =
    ["id_achat", "id_client", "date_achat", "montant", "produit", "quantite", "prix"];

const KINDS: [&str; 24] = [
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
const LINES: [&str; 8] =
    ["Classique", "Inox", "Bois", "Céramique", "Pro", "Compact", "Nuit", "Édition limitée"];

/// How steeply sales fall along the catalogue (Zipf).
const TAIL: f64 = 1.05;
/// Products a purchase hesitates between before it takes the one nearest in price.
const CONSIDERED: usize = 3;
/// Most units of one purchase.
const MOST_UNITS: u32 = 4;

/// One row per purchase, numbered from 1 in the order of time.
pub fn rows(shop: &Shop, rng: &mut ChaCha8Rng) -> Vec<Row> {
    let names: Vec<String> = KINDS
        .iter()
        .flat_map(|kind| LINES.iter().map(move |line| format!("{kind} {line}")))
        .collect();
    #[allow(clippy::cast_precision_loss)]
    let shares = (1..=names.len()).map(|rank| (rank as f64).powf(-TAIL));
    let (Ok(by_rank), Ok(prices)) = (WeightedIndex::new(shares), LogNormal::new(3.6, 0.7)) else {
        return Vec::new();
    };
    // Rank and name are unrelated: the best seller may be any product.
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
            for _ in 1..CONSIDERED {
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

/// Mostly one unit, seldom more.
fn units(rng: &mut ChaCha8Rng) -> u32 {
    let mut units = 1;
    while units < MOST_UNITS && rng.random::<f64>() < 0.25 {
        units += 1;
    }
    units
}

fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}
