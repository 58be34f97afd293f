//! Why rows of source files are not served, and what there is to do about it.

/// A row of totals under the data.
pub const TOTAL_ROW: &str = "total_row";
/// A row that says the same as another one that is served.
pub const REPEATED: &str = "repeated";
/// A row that a later version replaces.
pub const SUPERSEDED: &str = "superseded";
/// An order that failed, was voided, is not paid, or was a test.
pub const NOT_A_SALE: &str = "not_a_sale";
/// Shipping, tax, a gift card.
pub const NOT_GOODS: &str = "not_goods";
/// A refund where the settings leave those out.
pub const REFUND_LEFT_OUT: &str = "refund";
/// The refund of a status that something better tells: a row that is nowhere counted.
pub const NOTHING: &str = "~nothing";

/// Reasons that are no errors: rows with one weigh nothing in the quality gate.
pub const SET_ASIDE: [&str; 7] =
    [TOTAL_ROW, REPEATED, SUPERSEDED, NOT_A_SALE, NOT_GOODS, REFUND_LEFT_OUT, NOTHING];

/// A row in another currency than the one that is served.
pub const OTHER_CURRENCY: &str = "other_currency";
/// A purchase of a customer who is not listed, where the settings reject those.
pub const ORPHAN: &str = "orphan_client";

/// What there is to do about rows with a reason.
#[must_use]
pub fn hint(reason: &str) -> &'static str {
    match reason {
        "ambiguous_amount" => {
            "the column shows neither whether a point nor whether a comma separates decimals; set sources.decimal_sign, or write one amount with two decimals"
        }
        OTHER_CURRENCY => {
            "set sources.rates to convert it, or sources.currency to serve another currency"
        }
        "invalid_id" => "export identifiers as text; a spreadsheet may have shortened them",
        "amount_out_of_range" => "raise quality.max_amount to serve it",
        "invalid_date" => "correct the dates in the export",
        "date_out_of_range" => {
            "set quality.min_date for older ones; later ones than now are served once their day has come"
        }
        "orphan_client" => "list these customers, or set sources.unlisted = \"customer\"",
        "invalid_amount" => "write the amount, or the price and the quantity",
        "missing_value" => "write the date, and the amount or the price and the quantity",
        "malformed_row" => {
            "the row has more cells than the header; quote cells that hold the separator"
        }
        _ => "correct these rows in the export",
    }
}
