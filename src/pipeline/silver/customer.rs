//! A customer of silver: as a value, as a row of a frame, and as purchases look customers up.

use polars::prelude::*;

use super::values::contacts::name_keys;
use crate::pipeline::Result;

/// What `date_inscription_source` says of a day from the customers' file.
pub(super) const FROM_FILE: &str = "file";

/// One customer, as rows of frames.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Customer {
    pub(super) id: i64,
    pub(super) ref_client: String,
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    /// Days since 1970-01-01.
    pub(super) signup: Option<i32>,
    pub(super) signup_source: Option<&'static str>,
    pub(super) country: Option<String>,
}

/// Customers as a frame of silver.
pub(super) fn frame_of(customers: &[Customer]) -> Result<DataFrame> {
    let texts = |name: &str, value: &dyn Fn(&Customer) -> Option<String>| {
        let values: StringChunked = customers.iter().map(value).collect();
        values.with_name(name.into()).into_column()
    };
    let ids: Vec<i64> = customers.iter().map(|customer| customer.id).collect();
    let days: Int32Chunked = customers.iter().map(|customer| customer.signup).collect();
    let days = days.with_name("date_inscription".into()).into_column();
    Ok(DataFrame::new_infer_height(vec![
        Column::new("id_client".into(), ids),
        texts("nom", &|customer| customer.name.clone()),
        texts("email", &|customer| customer.email.clone()),
        days.cast(&DataType::Date)?,
        texts("pays", &|customer| customer.country.clone()),
        texts("ref_client", &|customer| Some(customer.ref_client.clone())),
        texts("date_inscription_source", &|customer| customer.signup_source.map(str::to_owned)),
    ])?)
}

/// The listed customers, as purchases look them up.
#[derive(Default)]
pub(super) struct Listed {
    /// Each with whether a field is missing.
    ids: PlHashMap<i64, bool>,
    /// The numbers that their identifiers would be without leading zeros.
    padded: PlHashSet<i64>,
    emails: PlHashMap<String, i64>,
    phones: PlHashMap<String, i64>,
    /// By whole name and by initial; 0 where several have it.
    names: PlHashMap<String, i64>,
}

impl Listed {
    /// Of a frame of silver's customers and their telephone numbers.
    pub(super) fn of(
        customers: &DataFrame,
        phones: &PlHashMap<String, i64>,
        by_name: bool,
    ) -> Result<Self> {
        if customers.width() == 0 {
            return Ok(Self::default());
        }
        let ids = customers.column("id_client")?.i64()?.clone();
        let emails = customers.column("email")?.str()?.clone();
        let fields = ["nom", "email", "pays", "date_inscription"];
        let nulls: Vec<BooleanChunked> = fields
            .iter()
            .map(|field| Ok(customers.column(field)?.is_null()))
            .collect::<Result<_>>()?;
        let is_incomplete = |row: usize| nulls.iter().any(|nulls| nulls.get(row) == Some(true));
        let mut listed = Self { phones: phones.clone(), ..Self::default() };
        listed.ids.reserve(ids.len());
        let refs = customers.column("ref_client")?.str()?.clone();
        listed.padded = refs.iter().flatten().filter_map(padded_number).collect();
        let names = customers.column("nom")?.str()?.clone();
        for (row, id) in ids.iter().enumerate() {
            let id = id.unwrap_or(0);
            listed.ids.insert(id, is_incomplete(row));
            if let Some(email) = emails.get(row) {
                listed.emails.entry(email.to_owned()).or_insert(id);
            }
            if let Some(name) = names.get(row).filter(|_| by_name) {
                let [whole, initial] = name_keys(name);
                let keys = if whole == initial { vec![whole] } else { vec![whole, initial] };
                for key in keys {
                    listed.names.entry(key).and_modify(|other| *other = 0).or_insert(id);
                }
            }
        }
        Ok(listed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether a customer is listed, and if so whether a field is missing.
    pub(super) fn is_incomplete(&self, id: i64) -> Option<bool> {
        self.ids.get(&id).copied()
    }

    /// Whether a customer who is not listed would be one without leading zeros.
    pub(super) fn matches_without_zeros(&self, text: &str) -> bool {
        let number = padded_number(text).or_else(|| text.parse().ok());
        number.is_some_and(|number| self.padded.contains(&number) || self.ids.contains_key(&number))
    }

    /// The listed customer with this telephone number.
    pub(super) fn by_phone(&self, phone: &str) -> Option<i64> {
        self.phones.get(phone).copied()
    }

    /// The only listed customer with this name.
    pub(super) fn by_name(&self, name: &str) -> Option<i64> {
        let [whole, _] = name_keys(name);
        self.names.get(&whole).copied().filter(|id| *id > 0)
    }

    /// The first listed customer with this address.
    pub(super) fn by_email(&self, email: &str) -> Option<i64> {
        self.emails.get(email).copied()
    }
}

/// The number that digits after leading zeros are; `None` for a text without leading zeros.
fn padded_number(text: &str) -> Option<i64> {
    let is_padded = text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_padded)
}

/// The rows of a frame of silver's customers.
pub(super) fn customers_of(frame: &DataFrame) -> Result<Vec<Customer>> {
    let ids = frame.column("id_client")?.i64()?.clone();
    let texts = |name: &str| Ok::<StringChunked, PolarsError>(frame.column(name)?.str()?.clone());
    let (names, emails, countries) = (texts("nom")?, texts("email")?, texts("pays")?);
    let (refs, sources) = (texts("ref_client")?, texts("date_inscription_source")?);
    let days = frame.column("date_inscription")?.to_physical_repr();
    let days = days.i32()?.clone();
    let customer = |(row, id): (usize, Option<i64>)| Customer {
        id: id.unwrap_or(0),
        ref_client: refs.get(row).unwrap_or_default().to_owned(),
        name: names.get(row).map(str::to_owned),
        email: emails.get(row).map(str::to_owned),
        signup: days.get(row),
        signup_source: sources.get(row).map(|_| FROM_FILE),
        country: countries.get(row).map(str::to_owned),
    };
    Ok(ids.iter().enumerate().map(customer).collect())
}
