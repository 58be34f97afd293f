//! Amounts of a column, in every form that shop exports have.
//!
//! A cell like `1.250` reads two ways. The column decides: cells that can be read one way only show
//! which sign stands before the decimals. Where they show neither or both, it stays ambiguous.

use std::borrow::Cow;

use super::currency;
use crate::domain::reading::DecimalSign;

/// What one cell says by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    /// A number, whatever the column says.
    Number(f64),
    /// The same, from a cell that can only be read with these decimals.
    Proof(f64, DecimalSign),
    /// A number with decimals, or a thousand times as much, if this sign separates them or not.
    Either { decimal: f64, grouped: f64, sign: DecimalSign },
    /// No form reads it.
    Unreadable,
}

/// How the cells of a column were read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct AmountForm {
    /// The first row that proves decimal points, and the number of such rows.
    pub(crate) point: Option<(usize, u64)>,
    /// The first row that proves decimal commas, and the number of such rows.
    pub(crate) comma: Option<(usize, u64)>,
}

/// The amounts of a column, one entry per row.
#[derive(Debug, Default)]
pub(crate) struct Amounts {
    /// `None` where a cell is empty, unreadable or ambiguous.
    pub(crate) values: Vec<Option<f64>>,
    /// The rows that can be read two ways, ascending, with the greater reading.
    pub(crate) ambiguous: Vec<(usize, f64)>,
    /// The currency that a row's cell names, by its code; rows without one are not listed.
    pub(crate) currencies: Vec<(usize, &'static str)>,
    pub(crate) form: AmountForm,
}

/// A column under construction: one [`AmountColumn::push`] per row.
#[derive(Debug, Default)]
pub(crate) struct AmountColumn {
    amounts: Amounts,
    either: Vec<(usize, f64, f64, DecimalSign)>,
}

impl AmountColumn {
    /// Adds the cell of the next row; `None` for an empty one.
    pub(crate) fn push(&mut self, cell: Option<&str>) {
        let row = self.amounts.values.len();
        let Some(cell) = cell else { return self.amounts.values.push(None) };
        let (cell, currency) = read(cell);
        if let Some(currency) = currency {
            self.amounts.currencies.push((row, currency));
        }
        let value = match cell {
            Cell::Number(number) => Some(number),
            Cell::Proof(number, sign) => {
                let form = &mut self.amounts.form;
                let proof = match sign {
                    DecimalSign::Point => &mut form.point,
                    DecimalSign::Comma => &mut form.comma,
                };
                proof.get_or_insert((row, 0)).1 += 1;
                Some(number)
            }
            Cell::Either { decimal, grouped, sign } => {
                self.either.push((row, decimal, grouped, sign));
                None
            }
            Cell::Unreadable => None,
        };
        self.amounts.values.push(value);
    }

    /// Decides the cells that can be read two ways. `fallback` counts where cells prove neither sign or both.
    pub(crate) fn finish(mut self, fallback: Option<DecimalSign>) -> Amounts {
        let decimals = match (&self.amounts.form.point, &self.amounts.form.comma) {
            (Some(_), None) => Some(DecimalSign::Point),
            (None, Some(_)) => Some(DecimalSign::Comma),
            _ => fallback,
        };
        for (row, decimal, grouped, sign) in self.either {
            match decimals {
                Some(decimals) => {
                    let value = if decimals == sign { decimal } else { grouped };
                    self.amounts.values[row] = Some(value);
                }
                None => self.amounts.ambiguous.push((row, grouped)),
            }
        }
        self.amounts
    }
}

/// The code of the currency that an amount names.
pub(crate) fn currency_of(text: &str) -> Option<&'static str> {
    read(text).1
}

/// Reads a cell, and the currency that it names.
fn read(text: &str) -> (Cell, Option<&'static str>) {
    // What most exports write: digits, a point and one or two digits more.
    if let Some(cell) = plain(text) {
        return (cell, None);
    }
    let Some((number, is_negative, currency)) = strip(text) else {
        return (Cell::Unreadable, None);
    };
    let signed = |value: f64| if is_negative { -value } else { value };
    let cell = match number_of(&number) {
        Cell::Number(value) => Cell::Number(signed(value)),
        Cell::Proof(value, sign) => Cell::Proof(signed(value), sign),
        // A currency without decimals has groups only.
        Cell::Either { grouped, .. } if currency.is_some_and(currency::has_no_decimals) => {
            Cell::Number(signed(grouped))
        }
        Cell::Either { decimal, grouped, sign } => {
            Cell::Either { decimal: signed(decimal), grouped: signed(grouped), sign }
        }
        Cell::Unreadable => return (Cell::Unreadable, None),
    };
    (cell, currency)
}

/// A number of digits with at most a point and one or two decimals; `None` for anything else.
fn plain(text: &str) -> Option<Cell> {
    let bytes = text.as_bytes();
    let point = bytes.iter().position(|byte| !byte.is_ascii_digit());
    let Some(point) = point else {
        return text.parse().ok().map(Cell::Number);
    };
    let decimals = &bytes[point + 1..];
    let is_plain = point > 0
        && bytes[point] == b'.'
        && (1..=2).contains(&decimals.len())
        && decimals.iter().all(u8::is_ascii_digit);
    is_plain.then(|| text.parse().ok().map(|value| Cell::Proof(value, DecimalSign::Point)))?
}

/// The digits, points and commas of an amount, whether it is negative, and its currency; `None` for
/// a text that has anything else.
fn strip(text: &str) -> Option<(String, bool, Option<&'static str>)> {
    let text = text.replace("&euro;", "€").replace("&pound;", "£").replace("&nbsp;", " ");
    // A spreadsheet's mark that a cell is a text.
    let text = text.strip_prefix('\'').unwrap_or(&text);
    let mut rest = text.replace('\u{2212}', "-");
    let mut is_negative = false;
    if let Some(inner) = rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        is_negative = true;
        rest = inner.to_owned();
    }
    let (rest, currency) = currency::strip(&rest);
    let rest = with_zeros(rest.trim());
    // A sign stands before or behind the number, on either side of the currency.
    let mut rest = rest.as_ref();
    if let Some(inner) = rest.strip_prefix('-').or_else(|| rest.strip_suffix('-')) {
        if is_negative {
            return None;
        }
        is_negative = true;
        rest = inner.trim();
    } else if let Some(inner) = rest.strip_prefix('+') {
        rest = inner.trim_start();
    }
    let number = without_grouping(rest)?;
    Some((number, is_negative, currency))
}

/// `49,00` for `49,-`, as prices without cents are written; other texts as they are.
fn with_zeros(text: &str) -> Cow<'_, str> {
    let whole = text.trim_end_matches(['-', '\u{2013}', '\u{2014}']);
    let digits = whole.strip_suffix([',', '.']).filter(|_| whole.len() < text.len());
    match digits {
        Some(digits) if digits.ends_with(|c: char| c.is_ascii_digit()) => {
            format!("{whole}00").into()
        }
        _ => text.into(),
    }
}

/// Drops blanks and apostrophes that group digits by three; `None` where they do not, or where
/// anything is left that does not belong to a number.
fn without_grouping(text: &str) -> Option<String> {
    let is_group_sign = |c: char| c.is_whitespace() || matches!(c, '\'' | '\u{2019}' | '_');
    if !text.contains(is_group_sign) {
        return Some(text.to_owned());
    }
    let mut groups = text.split(is_group_sign);
    let first = groups.next()?;
    let mut number = first.to_owned();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(first) && first.len() <= 3).then_some(())?;
    let rest: Vec<&str> = groups.collect();
    for (index, group) in rest.iter().enumerate() {
        let whole = group.split(['.', ',']).next()?;
        let is_last = index + 1 == rest.len();
        (whole.len() == 3 && is_number(whole) && (is_last || whole.len() == group.len()))
            .then_some(())?;
        number.push_str(group);
    }
    Some(number)
}

/// Reads digits with points and commas.
fn number_of(text: &str) -> Cell {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) if exponent.parse::<i32>().is_ok() => (mantissa, Some(exponent)),
        Some(_) => return Cell::Unreadable,
        None => (text, None),
    };
    let parse = |digits: &str| {
        let text = exponent.map_or_else(|| digits.to_owned(), |power| format!("{digits}e{power}"));
        text.parse::<f64>().ok().filter(|value| value.is_finite())
    };
    let is_number = mantissa.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b','))
        && mantissa.bytes().any(|byte| byte.is_ascii_digit());
    if !is_number {
        return Cell::Unreadable;
    }
    let (points, commas) = (mantissa.matches('.').count(), mantissa.matches(',').count());
    let proof = |decimals: DecimalSign| {
        let (decimal, group) = match decimals {
            DecimalSign::Point => ('.', ','),
            DecimalSign::Comma => (',', '.'),
        };
        let (whole, fraction) = mantissa.rsplit_once(decimal).unwrap_or((mantissa, ""));
        let is_grouped = !whole.contains(group) || are_groups(whole, group);
        let digits = format!("{}.{fraction}", whole.replace(group, ""));
        let value = parse(&digits).filter(|_| is_grouped && !fraction.contains(group));
        value.map_or(Cell::Unreadable, |value| Cell::Proof(value, decimals))
    };
    match (points, commas) {
        (0, 0) => parse(mantissa).map_or(Cell::Unreadable, Cell::Number),
        (1, 0) => one_sign(mantissa, DecimalSign::Point, '.', parse, exponent.is_some()),
        (0, 1) => one_sign(mantissa, DecimalSign::Comma, ',', parse, exponent.is_some()),
        // A sign that is repeated groups digits; the other one would separate decimals.
        (_, 0) if are_groups(mantissa, '.') => proof(DecimalSign::Comma),
        (0, _) if are_groups(mantissa, ',') => proof(DecimalSign::Point),
        (1, _) if mantissa.rfind('.') > mantissa.rfind(',') => proof(DecimalSign::Point),
        (_, 1) if mantissa.rfind(',') > mantissa.rfind('.') => proof(DecimalSign::Comma),
        _ => Cell::Unreadable,
    }
}

/// Reads digits with one point or one comma.
fn one_sign(
    text: &str,
    sign: DecimalSign,
    character: char,
    parse: impl Fn(&str) -> Option<f64>,
    has_exponent: bool,
) -> Cell {
    let (whole, fraction) = text.split_once(character).unwrap_or((text, ""));
    let Some(decimal) = parse(&format!("{whole}.{fraction}")) else { return Cell::Unreadable };
    // Thousands are grouped as 1.250, never as 0.125, 1234.567 or .500.
    let may_group = fraction.len() == 3
        && (1..=3).contains(&whole.len())
        && !whole.starts_with('0')
        && !has_exponent;
    if !may_group {
        return Cell::Proof(decimal, sign);
    }
    match parse(&format!("{whole}{fraction}")) {
        Some(grouped) => Cell::Either { decimal, grouped, sign },
        None => Cell::Unreadable,
    }
}

/// Whether a sign groups all digits by three.
fn are_groups(text: &str, sign: char) -> bool {
    let mut groups = text.split(sign);
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str]) -> Amounts {
        let mut column = AmountColumn::default();
        for cell in cells {
            column.push(Some(cell));
        }
        column.finish(None)
    }

    #[test]
    fn forms_that_read_one_way_need_no_column() {
        for (cell, expected) in [
            ("10", 10.0),
            ("10.00", 10.0),
            ("10,5", 10.5),
            (".5", 0.5),
            ("0.125", 0.125),
            ("0,125", 0.125),
            ("1234.567", 1234.567),
            ("10.5000", 10.5),
            ("1.299,99", 1299.99),
            ("1,299.99", 1299.99),
            ("1.250.000", 1_250_000.0),
            ("1,250,000", 1_250_000.0),
            ("1 234,50", 1234.5),
            ("2\u{202f}000,00", 2000.0),
            ("1'299.00", 1299.0),
            ("1\u{2019}299.00", 1299.0),
            ("€ 10,00", 10.0),
            ("10,00 €", 10.0),
            ("&euro;64.50", 64.5),
            ("-$3.00", -3.0),
            ("$-3.00", -3.0),
            ("(3.00)", -3.0),
            ("($3.00)", -3.0),
            ("3.00-", -3.0),
            ("\u{2212}3.00", -3.0),
            ("+3.00", 3.0),
            ("EUR 10.00", 10.0),
            ("10.00USD", 10.0),
            ("1e3", 1000.0),
            ("1.5E+02", 150.0),
            ("1.299,-", 1299.0),
            ("49,-", 49.0),
            ("49.--", 49.0),
            ("€ 49,\u{2014}", 49.0),
            ("-49,- kr", -49.0),
            ("101,50 kr", 101.5),
            ("kr. 1 250,00", 1250.0),
            ("1 250,50 лв.", 1250.5),
            ("HK$1,250.00", 1250.0),
            ("¥1,299", 1299.0),
            ("₩12.990", 12990.0),
        ] {
            let amounts = column(&[cell]);
            assert_eq!(amounts.values, [Some(expected)], "{cell}");
            assert!(amounts.ambiguous.is_empty(), "{cell}");
        }
    }

    #[test]
    fn other_texts_are_no_amounts() {
        for cell in [
            "n/a",
            "inf",
            "nan",
            "1,2,3",
            "1.2.3",
            "1,299.99.00",
            "1 2",
            "12 34,50",
            "1 234 5",
            "--3",
            "(-3)",
            "10 %",
            "1e999",
            "abc 10",
            "10.00 XYZ!",
            ".",
            ",",
            "€",
            "1.25,000.0",
            "0x10",
            "12,34.56",
        ] {
            let amounts = column(&["10.00", cell]);
            assert_eq!(amounts.values, [Some(10.0), None], "{cell}");
            assert!(amounts.ambiguous.is_empty(), "{cell}");
        }
    }

    #[test]
    fn the_column_decides_what_three_digits_behind_a_sign_are() {
        assert_eq!(column(&["10,00", "1.250"]).values, [Some(10.0), Some(1250.0)]);
        assert_eq!(column(&["10.00", "1.250"]).values, [Some(10.0), Some(1.25)]);
        assert_eq!(column(&["10.00", "1,250"]).values, [Some(10.0), Some(1250.0)]);
        assert_eq!(column(&["1.250.000", "1.250"]).values[1], Some(1250.0));
        assert_eq!(column(&["-1,250", "10.00"]).values[0], Some(-1250.0));
    }

    #[test]
    fn without_a_proof_or_with_both_it_stays_ambiguous() {
        let none = column(&["10", "1.250"]);
        assert_eq!((none.values[1], &none.ambiguous[..]), (None, &[(1, 1250.0)][..]));
        let both = column(&["10.00", "10,00", "1,250"]);
        assert_eq!(both.ambiguous, [(2, 1250.0)]);
        assert_eq!((both.form.point, both.form.comma), (Some((0, 1)), Some((1, 1))));
    }

    #[test]
    fn what_the_column_leaves_open_the_settings_decide() {
        let decided = |cells: &[&str], sign| {
            let mut column = AmountColumn::default();
            for cell in cells {
                column.push(Some(cell));
            }
            column.finish(Some(sign)).values
        };
        assert_eq!(decided(&["1,250"], DecimalSign::Point), [Some(1250.0)]);
        assert_eq!(decided(&["1,250"], DecimalSign::Comma), [Some(1.25)]);
        assert_eq!(decided(&["1,250", "10.00"], DecimalSign::Comma)[0], Some(1250.0));
    }

    #[test]
    fn a_cell_names_its_currency() {
        let cells = ["10,00 €", "5", "$3.00", "CHF 1'299.00", "£2", "7 kr", "R 8", "R$ 9"];
        let amounts = column(&cells);
        assert_eq!(
            amounts.currencies,
            [(0, "EUR"), (2, "USD"), (3, "CHF"), (4, "GBP"), (6, "ZAR"), (7, "BRL")]
        );
    }
}
