//! Sentences about purchases that are not served as they stand in the sources.

use polars::prelude::PlHashSet;

use super::conversion;
use super::customer::Listed;
use super::layer::CleaningOptions;
use super::money::Accounting;
use super::purchase_rows::{PurchaseRows, UNKNOWN_CURRENCY};
use super::raw::IdCell;
use crate::domain::account::{Account, Entry, shown};
use crate::domain::reasons::{NOT_A_SALE, NOT_GOODS, REFUND_LEFT_OUT, TOTAL_ROW, hint};
use crate::domain::text::counted;

/// The share of revenue from which on something is said in a sentence.
const TELLING_SHARE: f64 = 0.005;
/// Amounts above so many times the median are named.
const LARGE: i64 = 1_000;

/// A sentence for everything that is worth one.
pub(super) fn findings(
    accounting: &Accounting<'_>,
    accounts: &[Account],
    buyers: &[Option<i64>],
    options: &CleaningOptions,
) -> Vec<String> {
    let micros = served(accounting.rows).map(|row| accounting.rows.micros[row]);
    let (sales, refunds) = micros.fold((0, 0), |(sales, refunds), micros| {
        if micros < 0 { (sales, refunds - micros) } else { (sales + micros, refunds) }
    });
    let share = |sum: i64| {
        #[allow(clippy::cast_precision_loss)]
        let share = if sales == 0 { 1.0 } else { sum.unsigned_abs() as f64 / sales as f64 };
        share
    };
    let percent = |sum: i64| format!("{:.1} %", 100.0 * share(sum));
    let mut found = Vec::new();
    for account in accounts {
        let entries = account.left_out.iter().map(|entry| (entry, true));
        for ((reason, entry), is_left_out) in
            entries.chain(account.set_aside.iter().map(|entry| (entry, false)))
        {
            if is_left_out || reason == TOTAL_ROW || share(entry.sum) >= TELLING_SHARE {
                found.push(sentence(account, reason, entry, is_left_out));
            }
        }
    }
    for (file, sum) in &accounting.resolved.at_stake {
        found.push(format!(
            "{file}: lines of one order repeat its amount, and nothing shows whether it is the order's or each line's; it was counted once per order, {} less than if it is each line's; set sources.repeated_id = \"line\", \"order_total\" or \"replace\"",
            shown(*sum)
        ));
    }
    found.extend(reused_numbers(accounting));
    found.extend(padded_numbers(accounting));
    if refunds > 0 && share(refunds) >= TELLING_SHARE {
        let rows = &accounting.rows;
        let count = served(rows).filter(|row| rows.micros[*row] < 0).count();
        found.push(format!(
            "{} of {} in all ({} of gross revenue)",
            counted(count, "refund"),
            shown(refunds),
            percent(refunds)
        ));
    }
    found.extend(guests(accounting, buyers, options, &percent, &share));
    found.extend(order_amounts(accounting, &share));
    found.extend(conversion::sentences(accounts, accounting.rows.currency.as_deref()));
    found.extend(unnamed_currencies(accounting));
    found.extend(large_amounts(accounting, options));
    found
}

/// Orders that a later file replaces though they look like other ones.
fn reused_numbers(accounting: &Accounting<'_>) -> Option<String> {
    let Accounting { raw, read, resolved, .. } = accounting;
    let first = *resolved.doubtful.first()?;
    Some(format!(
        "{} not counted, {} in all, as a later file has another order with their number, of another customer on another day; for example {} line {}; if the shop's numbers begin anew, put the year before them in one of the files",
        counted(resolved.doubtful.len(), "row"),
        shown(resolved.doubtful.iter().map(|row| read[*row]).sum()),
        raw.files[raw.file_of(first)].name,
        raw.line(first)
    ))
}

/// Orders that are perhaps one but for leading zeros, as a spreadsheet drops them.
fn padded_numbers(accounting: &Accounting<'_>) -> Option<String> {
    let Accounting { raw, rows, .. } = accounting;
    let padded = |row: usize| match &rows.orders[row] {
        IdCell::Text(text) if text.starts_with('0') => text.parse::<i64>().ok(),
        _ => None,
    };
    let numbers: PlHashSet<i64> = served(rows).filter_map(padded).collect();
    if numbers.is_empty() {
        return None;
    }
    let is_twin = |row: &usize| matches!(&rows.orders[*row], IdCell::Number(number) if numbers.contains(number));
    let twins: Vec<usize> = served(rows).filter(is_twin).collect();
    let first = *twins.first()?;
    Some(format!(
        "{} of orders whose number another row has with leading zeros, {} in all, for example {} {}: they count as orders of their own; if they are the same, set sources.ids = \"integer\"",
        counted(twins.len(), "row"),
        shown(twins.iter().map(|row| rows.micros[*row]).sum()),
        raw.files[raw.file_of(first)].name,
        raw.shown("id_achat", first)
    ))
}

fn served(rows: &PurchaseRows) -> impl Iterator<Item = usize> + '_ {
    (0..rows.reasons.len()).filter(|row| rows.reasons[*row].is_none())
}

fn sentence(account: &Account, reason: &str, entry: &Entry, is_left_out: bool) -> String {
    let currency = account.currency.as_deref().map(|code| format!(" {code}")).unwrap_or_default();
    let without = match entry.without_amount {
        0 => String::new(),
        rows => format!(", {rows} without a readable amount"),
    };
    let what = match reason {
        _ if is_left_out => "left out",
        NOT_A_SALE | NOT_GOODS => "not counted",
        REFUND_LEFT_OUT => "not taken off revenue",
        _ => "not counted again",
    };
    let advice = if is_left_out { format!("; {}", hint(reason)) } else { String::new() };
    format!(
        "{}: {} {what} as {reason}, {}{currency} in all{without}; for example line {} \"{}\"{advice}",
        account.file,
        counted(entry.rows, "row"),
        shown(entry.sum),
        entry.line,
        entry.value
    )
}

/// Amounts of whole orders: what is in them, and how much of it lines share.
fn order_amounts(accounting: &Accounting<'_>, share: &dyn Fn(i64) -> f64) -> Vec<String> {
    let Accounting { raw, rows, .. } = accounting;
    let mut found = Vec::new();
    for file in &raw.files {
        let sum_of = |is_counted: &dyn Fn(usize) -> bool| -> i64 {
            let of_file = served(rows).filter(|row| file.rows.contains(row));
            of_file.filter(|row| is_counted(*row)).map(|row| rows.micros[row].max(0)).sum()
        };
        let totals = if file.reading.order_totals { sum_of(&|_| true) } else { 0 };
        if totals > 0 {
            found.push(format!(
                "{}: {} are order totals with shipping and tax in them; the file has no other amounts",
                file.name,
                shown(totals)
            ));
        }
        let shared = sum_of(&|row| rows.shared.binary_search(&row).is_ok());
        if shared > 0 && share(shared) >= TELLING_SHARE {
            found.push(format!(
                "{}: {} of product revenue are known for whole orders only; their lines share them by price and quantity, else by quantity, else evenly",
                file.name,
                shown(shared)
            ));
        }
    }
    found
}

/// Rows that name no currency beside others that do.
fn unnamed_currencies(accounting: &Accounting<'_>) -> Option<String> {
    let Accounting { raw, rows, .. } = accounting;
    let currency = rows.currency.as_deref()?;
    if currency == UNKNOWN_CURRENCY {
        return Some(format!(
            "no file names a currency: amounts are served in the currency {currency:?}; set sources.currency, like \"EUR\""
        ));
    }
    let is_named = served(rows).any(|row| rows.currencies.get(row).is_some());
    let unnamed: Vec<usize> =
        served(rows).filter(|row| rows.currencies.get(*row).is_none()).collect();
    let first = unnamed.first().filter(|_| is_named)?;
    let sum = unnamed.iter().map(|row| rows.micros[*row]).sum();
    Some(format!(
        "{} without a currency, {} in all, counted as {currency} like the others; for example {} line {}",
        counted(unnamed.len(), "row"),
        shown(sum),
        raw.files[raw.file_of(*first)].name,
        raw.line(*first)
    ))
}

/// Orders without a customer.
fn guests(
    accounting: &Accounting<'_>,
    buyers: &[Option<i64>],
    options: &CleaningOptions,
    percent: &dyn Fn(i64) -> String,
    share: &dyn Fn(i64) -> f64,
) -> Option<String> {
    let rows = accounting.rows;
    let of_guests: Vec<usize> = served(rows).filter(|row| buyers[*row].is_none()).collect();
    let sum: i64 = of_guests.iter().map(|row| rows.micros[*row]).sum();
    let first = of_guests.first().filter(|_| share(sum) >= TELLING_SHARE)?;
    let mut orders: Vec<Option<String>> =
        of_guests.iter().map(|row| rows.orders[*row].text()).collect();
    let unnumbered = orders.iter().filter(|order| order.is_none()).count();
    orders.retain(Option::is_some);
    orders.sort();
    orders.dedup();
    let names = accounting.raw.cells_if_any("nom").ok().flatten();
    let name = names.and_then(|names| names.get(*first)).map(str::trim).unwrap_or_default();
    let name = if name.is_empty() { String::new() } else { format!(" {name:?}") };
    let advice = if name.is_empty() || options.rules.customers_by_name {
        ""
    } else {
        "; to make customers of names, set sources.customer_key = \"name\""
    };
    Some(format!(
        "{} of guests, {} in all ({} of revenue), for example {} line {}{name}: they are in revenue, not among the customers{advice}",
        counted(orders.len() + unnumbered, "order"),
        shown(sum),
        percent(sum),
        accounting.raw.files[accounting.raw.file_of(*first)].name,
        accounting.raw.line(*first)
    ))
}

/// Amounts that are far above all others.
fn large_amounts(accounting: &Accounting<'_>, options: &CleaningOptions) -> Option<String> {
    let rows = accounting.rows;
    let mut amounts: Vec<i64> =
        served(rows).map(|row| rows.micros[row]).filter(|sum| *sum > 0).collect();
    let middle = amounts.len() / 2;
    let median = (!amounts.is_empty()).then(|| *amounts.select_nth_unstable(middle).1)?;
    let is_large = |row: &usize| rows.micros[*row] > median.saturating_mul(LARGE);
    let large: Vec<usize> = served(rows).filter(is_large).collect();
    let greatest = large.iter().max_by_key(|row| rows.micros[**row]);
    let greatest = *greatest.filter(|_| options.rules.max_amount.is_none())?;
    let sum = large.iter().map(|row| rows.micros[*row]).sum();
    Some(format!(
        "{} above 1000 times the median ({}), {} in all; for example {} {}; set quality.max_amount to leave them out",
        counted(large.len(), "amount"),
        shown(median),
        shown(sum),
        accounting.raw.files[accounting.raw.file_of(greatest)].name,
        accounting.raw.shown("montant", greatest)
    ))
}

/// How much is of customers who are not listed, and whether only leading zeros are why.
pub(super) fn unlisted_sentences(
    accounting: &Accounting<'_>,
    unlisted: &[usize],
    listed: &Listed,
) -> Vec<String> {
    let Accounting { raw, rows, .. } = accounting;
    let sum = |of: &[usize]| shown(of.iter().map(|row| rows.micros[*row]).sum());
    let example = |row: usize| {
        format!("{} {}", raw.files[raw.file_of(row)].name, raw.shown("id_client", row))
    };
    let is_padded = |row: &usize| {
        rows.customers[*row].text().is_some_and(|text| listed.matches_without_zeros(&text))
    };
    let padded: Vec<usize> = unlisted.iter().copied().filter(is_padded).collect();
    let all = unlisted.first().map(|first| {
        format!(
            "{} of customers who are in no file of customers, {} in all, for example {}: each makes a customer; set sources.unlisted = \"reject\" to leave them out",
            counted(unlisted.len(), "row"),
            sum(unlisted),
            example(*first)
        )
    });
    let only_zeros = padded.first().map(|first| {
        format!(
            "{} of these, {} in all, for example {}, name a customer of the files of customers but for leading zeros; if they are the same, set sources.ids = \"integer\"",
            padded.len(),
            sum(&padded),
            example(*first)
        )
    });
    all.into_iter().chain(only_zeros).collect()
}
