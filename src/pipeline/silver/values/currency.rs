//! Currencies as amounts and currency columns name them.

/// Signs and the code that each is read as. A sign that several currencies have is read as the one
/// that most exports with it mean. Longer signs come first.
const SIGNS: [(&str, &str); 17] = [
    ("US$", "USD"),
    ("CA$", "CAD"),
    ("AU$", "AUD"),
    ("A$", "AUD"),
    ("C$", "CAD"),
    ("R$", "BRL"),
    ("€", "EUR"),
    ("£", "GBP"),
    ("$", "USD"),
    ("¥", "JPY"),
    ("₹", "INR"),
    ("₽", "RUB"),
    ("₺", "TRY"),
    ("zł", "PLN"),
    ("Kč", "CZK"),
    ("₩", "KRW"),
    ("Fr.", "CHF"),
];

/// The codes that amounts may carry as letters.
const CODES: [&str; 34] = [
    "EUR", "USD", "GBP", "CHF", "CAD", "AUD", "NZD", "JPY", "CNY", "INR", "BRL", "MXN", "PLN",
    "CZK", "HUF", "RON", "BGN", "SEK", "NOK", "DKK", "ISK", "TRY", "RUB", "UAH", "ILS", "AED",
    "SAR", "ZAR", "SGD", "HKD", "KRW", "THB", "XOF", "MAD",
];

/// The text without the sign or code at its start or end, and the currency's code.
pub(super) fn strip(text: &str) -> (String, Option<&'static str>) {
    let text = text.trim();
    let (sign, bare) = match text.strip_prefix(['-', '+']) {
        Some(bare) => (&text[..1], bare.trim_start()),
        None => ("", text),
    };
    let letters = SIGNS.iter().copied().chain(CODES.iter().map(|code| (*code, *code)));
    for (name, code) in letters {
        if let Some(inner) = strip_start(bare, name).or_else(|| strip_end(bare, name)) {
            return (format!("{sign}{}", inner.trim()), Some(code));
        }
    }
    (text.to_owned(), None)
}

fn strip_start<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.get(..name.len())?;
    start.eq_ignore_ascii_case(name).then(|| &text[name.len()..])
}

fn strip_end<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.len().checked_sub(name.len())?;
    text.get(start..)?.eq_ignore_ascii_case(name).then(|| &text[..start])
}

/// The code of a cell of a currency column: three letters, or a sign; `None` for anything else.
pub(crate) fn code(cell: &str) -> Option<String> {
    let cell = cell.trim();
    if let Some((_, code)) = SIGNS.iter().find(|(sign, _)| *sign == cell) {
        return Some((*code).to_owned());
    }
    let is_code = cell.len() == 3 && cell.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_code.then(|| cell.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currency_columns_hold_codes_or_signs() {
        assert_eq!(code(" eur "), Some("EUR".to_owned()));
        assert_eq!(code("€"), Some("EUR".to_owned()));
        assert_eq!(code("euro"), None);
        assert_eq!(code(""), None);
    }
}
