//! Currencies as amounts and currency columns name them.

/// Signs and the code that each is read as. A sign that several currencies have is read as the one
/// that most exports with it mean; one that shops of several countries write alike has no code. Longer signs come
/// first.
const SIGNS: [(&str, &str); 41] = [
    ("US$", "USD"),
    ("HK$", "HKD"),
    ("MX$", "MXN"),
    ("NT$", "TWD"),
    ("NZ$", "NZD"),
    ("SG$", "SGD"),
    ("CA$", "CAD"),
    ("AU$", "AUD"),
    ("A$", "AUD"),
    ("C$", "CAD"),
    ("S$", "SGD"),
    ("R$", "BRL"),
    ("S/.", "PEN"),
    ("S/", "PEN"),
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
    ("₪", "ILS"),
    ("฿", "THB"),
    ("₫", "VND"),
    ("₴", "UAH"),
    ("₱", "PHP"),
    ("₦", "NGN"),
    ("лв.", "BGN"),
    ("лв", "BGN"),
    ("lei", "RON"),
    ("Ft", "HUF"),
    ("Dhs", "AED"),
    ("DH", "MAD"),
    ("DT", "TND"),
    ("kr.", ""),
    ("kr", ""),
    ("R", "ZAR"),
];

/// Currencies that are counted in whole units.
const WITHOUT_DECIMALS: [&str; 9] = ["JPY", "KRW", "VND", "CLP", "PYG", "XOF", "XAF", "ISK", "UGX"];

/// The codes that amounts may carry as letters.
const CODES: [&str; 57] = [
    "EUR", "USD", "GBP", "CHF", "CAD", "AUD", "NZD", "JPY", "CNY", "INR", "BRL", "MXN", "PLN",
    "CZK", "HUF", "RON", "BGN", "SEK", "NOK", "DKK", "ISK", "TRY", "RUB", "UAH", "ILS", "AED",
    "SAR", "ZAR", "SGD", "HKD", "KRW", "THB", "XOF", "MAD", "TWD", "MYR", "IDR", "PHP", "VND",
    "EGP", "TND", "DZD", "COP", "CLP", "ARS", "PEN", "UYU", "PYG", "RSD", "QAR", "KWD", "NGN",
    "KES", "GHS", "XAF", "PKR", "UGX",
];

/// Whether amounts in a currency have no decimals.
pub(super) fn has_no_decimals(code: &str) -> bool {
    WITHOUT_DECIMALS.contains(&code)
}

/// Whether an amount's sign, by the code that it is read as, may mean this currency: shops of several countries
/// write dollars, yen and pounds alike.
pub(crate) fn may_be(code: &str, currency: &str) -> bool {
    const ALIKE: [(&str, &[&str]); 3] = [
        (
            "USD",
            &[
                "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP", "UYU", "BRL",
                "JMD", "BBD", "TTD", "NAD", "FJD",
            ],
        ),
        ("JPY", &["CNY"]),
        ("GBP", &["EGP", "LBP", "SYP", "GIP", "FKP", "SHP"]),
    ];
    code == currency
        || ALIKE.iter().any(|(sign, others)| *sign == code && others.contains(&currency))
}

/// The text without the sign or code at its start or end, and the currency's code.
pub(super) fn strip(text: &str) -> (String, Option<&'static str>) {
    let text = text.trim();
    let (sign, bare) = match text.strip_prefix(['-', '+']) {
        Some(bare) => (&text[..1], bare.trim_start()),
        None => ("", text),
    };
    // Codes first: KRW is not kr.
    let letters = CODES.iter().map(|code| (*code, *code)).chain(SIGNS);
    for (name, code) in letters {
        if let Some(inner) = strip_start(bare, name).or_else(|| strip_end(bare, name)) {
            let code = Some(code).filter(|code| !code.is_empty());
            return (format!("{sign}{}", inner.trim()), code);
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
        return Some((*code).to_owned()).filter(|code| !code.is_empty());
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
