//! Sentences about headers that are not known, with what they could be.

use super::headers::fold;
use super::profile::{Known, known};
use crate::domain::data_set::DataSet;

/// What headers of other systems hold, for guesses only: none of it is sure enough to be read without a
/// mapping.
const HINTS: [(&str, &[&str]); 7] = [
    ("id_client", &["customer", "client", "buyer", "user_id", "no_client"]),
    ("date_achat", &["order_date", "invoice_date", "created", "date_commande", "day", "jour"]),
    ("montant", &["revenue", "subtotal", "sales", "total_ttc", "montant_ttc", "paid"]),
    ("id_achat", &["commande", "no_commande", "order", "order_number", "invoice", "facture"]),
    ("produit", &["article", "designation", "description"]),
    ("quantite", &["qty", "qte", "units"]),
    ("prix", &["prix_unitaire", "price_each"]),
];

/// Columns that are not required and decide which rows are an order and what they are worth.
const WORTH_MAPPING: [&str; 4] = ["id_achat", "produit", "quantite", "prix"];

/// Headers that are less like a column's are unlike it.
const MIN_LIKENESS: f64 = 0.7;

/// Headers that a sentence lists.
const MAX_LISTED: usize = 30;

/// `found: a, b, c`.
pub(super) fn found(header: &[String]) -> String {
    let listed = header[..header.len().min(MAX_LISTED)].join(", ");
    let more = if header.len() > MAX_LISTED { ", …" } else { "" };
    format!("found: {listed}{more}")
}

/// What a header lacks, what that could be, and a mapping to paste into the settings.
pub(super) fn missing(
    set: DataSet,
    file_name: &str,
    header: &[String],
    canonical: &[Option<&'static str>],
    absent: &[&Known],
    free: &[&String],
) -> String {
    let names: Vec<&str> = absent.iter().map(|column| column.name).collect();
    let (noun, verb) = if names.len() == 1 { ("column", "is") } else { ("columns", "are") };
    let accepted: Vec<String> = absent
        .iter()
        .map(|column| format!("{} (accepted headers: {})", column.name, column.headers.join(", ")))
        .collect();
    let guesses: Vec<(&Known, &String)> =
        absent.iter().filter_map(|column| Some((*column, nearest(column, free)?))).collect();
    // What is not required and yet decides what a row is.
    let is_taken = |header: &&String| !guesses.iter().any(|(_, guess)| guess == header);
    let left: Vec<&String> = free.iter().copied().filter(is_taken).collect();
    let is_worth = |column: &&Known| {
        WORTH_MAPPING.contains(&column.name) && !canonical.contains(&Some(column.name))
    };
    let more = known(set).iter().filter(is_worth);
    let more: Vec<(&Known, &String)> =
        more.filter_map(|column| Some((column, nearest(column, &left)?))).collect();
    let guesses: Vec<(&Known, &String)> = guesses.into_iter().chain(more).collect();
    let may_be =
        |(column, header): &(&Known, &String)| format!("; {} may be {header:?}", column.name);
    let likely = guesses.iter().map(may_be).collect::<Vec<_>>().concat();
    let mapped = known(set).iter().filter_map(|column| {
        let index = canonical.iter().position(|name| *name == Some(column.name));
        let header = index.map(|index| &header[index]);
        let guess =
            guesses.iter().find(|(guess, _)| guess.name == column.name).map(|(_, text)| *text);
        let is_absent = absent.iter().any(|missing| missing.name == column.name);
        let text = header.or(guess).map_or("?", String::as_str);
        (is_absent || guess.is_some() || (header.is_some() && column.is_required))
            .then(|| format!("{} = {}", column.name, quoted(text)))
    });
    format!(
        "the required {noun} {} {verb} missing ({}; {}){likely}; rename the headers, or map them in the \
         settings file ([[sources.files]])\n\n[[sources.files]]\nname = {}\nkind = {}\ncolumns = {{ {} }}\n",
        names.join(", "),
        accepted.join(", "),
        found(header),
        quoted(&glob::Pattern::escape(file_name)),
        quoted(set.noun()),
        mapped.collect::<Vec<_>>().join(", ")
    )
}

/// Whether most of what a data set requires could be among these headers, so that a mapping is likely.
pub(super) fn is_like(set: DataSet, header: &[String]) -> bool {
    let cells: Vec<&String> = header.iter().collect();
    let required = || known(set).iter().filter(|column| column.is_required);
    let likely = required().filter(|column| nearest(column, &cells).is_some()).count();
    likely * 2 > required().count()
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|letter| match letter {
            '"' | '\\' => format!("\\{letter}"),
            letter if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
            letter => letter.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// The header that is most like one of a column's.
fn nearest<'a>(column: &Known, free: &[&'a String]) -> Option<&'a String> {
    nearest_above(MIN_LIKENESS, column, free)
}

/// Whether one of these headers could be one of a column's, misspelt.
pub(super) fn could_be(column: &Known, free: &[&String]) -> bool {
    /// Alike enough not to be passed over.
    const DOUBTFUL: f64 = 0.6;
    nearest_above(DOUBTFUL, column, free).is_some()
}

fn nearest_above<'a>(least: f64, column: &Known, free: &[&'a String]) -> Option<&'a String> {
    let likeness = |text: &str| {
        let text = fold(text);
        let of = |known: &&str| {
            let known = fold(known);
            let contains = text.contains(&known) || (text.len() > 2 && known.contains(&text));
            let likeness = strsim::normalized_damerau_levenshtein(&text, &known);
            if contains { likeness.max(MIN_LIKENESS) } else { likeness }
        };
        let hints = HINTS.iter().filter(|(name, _)| *name == column.name);
        let hints = hints.flat_map(|(_, hints)| *hints);
        column.headers.iter().chain(hints).map(of).fold(0.0, f64::max)
    };
    let rated = free.iter().map(|text| (likeness(text), *text));
    let likely = rated.filter(|(likeness, text)| *likeness >= least && !text.is_empty());
    likely.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, text)| text)
}
