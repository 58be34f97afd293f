//! The data sets that sources bring: names, key and layout in silver.
//!
//! Everything that holds something per data set is a [`PerDataSet`], so that files, reports, lake
//! paths and run records follow from [`DataSet`]. Adding one takes six edits: a variant and its
//! [`Definition`] here; in `pipeline/silver` a file with its columns and rules, its `mod` line, and
//! its line in `rules_of`; in `sources/profile.rs` its headers.

use std::fmt;
use std::ops::{Index, IndexMut};

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strum::VariantArray;

/// A data set. Later ones may refer to rows of earlier ones.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, VariantArray,
)]
pub enum DataSet {
    /// One row per customer.
    #[serde(rename = "clients")]
    Customers,
    /// One row per purchase.
    #[serde(rename = "achats")]
    Purchases,
}

/// What distinguishes one data set from another.
struct Definition {
    /// The name in paths, reports and persisted documents. It never changes.
    name: &'static str,
    /// What its rows are, in messages.
    noun: &'static str,
    /// The column that identifies a row.
    key: &'static str,
    layout: Layout,
    /// Whether a shop without it cannot be refreshed. An optional one may also be missing from
    /// documents.
    is_required: bool,
}

/// How silver stores the rows of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One file.
    SingleFile,
    /// One file per month of this timestamp column.
    MonthlyBy(&'static str),
}

const CUSTOMERS: Definition = Definition {
    name: "clients",
    noun: "customers",
    key: "id_client",
    layout: Layout::SingleFile,
    is_required: false,
};

const PURCHASES: Definition = Definition {
    name: "achats",
    noun: "purchases",
    key: "id_achat",
    layout: Layout::MonthlyBy("date_achat"),
    is_required: true,
};

impl DataSet {
    /// Every data set, in the order they are cleaned and listed.
    pub const ALL: &[Self] = Self::VARIANTS;

    const fn definition(self) -> &'static Definition {
        match self {
            Self::Customers => &CUSTOMERS,
            Self::Purchases => &PURCHASES,
        }
    }

    /// The name in paths, reports and persisted documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.definition().name
    }

    /// What its rows are, for messages: `customers`.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        self.definition().noun
    }

    /// The column that identifies a row.
    #[must_use]
    pub const fn key(self) -> &'static str {
        self.definition().key
    }

    /// How silver stores its rows.
    #[must_use]
    pub const fn layout(self) -> Layout {
        self.definition().layout
    }

    /// Whether a shop without it cannot be refreshed.
    #[must_use]
    pub const fn is_required(self) -> bool {
        self.definition().is_required
    }

    fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|set| set.name() == name)
    }
}

impl fmt::Display for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const COUNT: usize = DataSet::ALL.len();

/// The names of [`DataSet::ALL`].
const NAMES: [&str; COUNT] = {
    let mut names = [""; COUNT];
    let mut i = 0;
    while i < COUNT {
        names[i] = DataSet::ALL[i].name();
        i += 1;
    }
    names
};

/// One value per data set; persisted as a map by [`DataSet::name`], which `#[serde(flatten)]` may
/// merge into the document around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerDataSet<T>([T; COUNT]);

impl<T> PerDataSet<T> {
    /// Computes the value of each data set.
    pub fn from_fn(mut value: impl FnMut(DataSet) -> T) -> Self {
        Self(std::array::from_fn(|index| value(DataSet::ALL[index])))
    }

    /// Computes the value of each data set, in order, until one fails.
    ///
    /// # Errors
    /// The first error of `value`.
    pub fn try_from_fn<E>(mut value: impl FnMut(DataSet) -> Result<T, E>) -> Result<Self, E> {
        let mut values = Vec::with_capacity(COUNT);
        for set in DataSet::ALL {
            values.push(value(*set)?);
        }
        match <[T; COUNT]>::try_from(values) {
            Ok(values) => Ok(Self(values)),
            Err(_) => unreachable!("one value per data set"),
        }
    }

    /// The values with their data sets, in order.
    pub fn iter(&self) -> impl Iterator<Item = (DataSet, &T)> {
        DataSet::ALL.iter().copied().zip(&self.0)
    }

    /// The values, in order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// Converts every value.
    pub fn map<U>(self, mut convert: impl FnMut(DataSet, T) -> U) -> PerDataSet<U> {
        let mut index = 0;
        PerDataSet(self.0.map(|value| {
            let set = DataSet::ALL[index];
            index += 1;
            convert(set, value)
        }))
    }
}

impl<T> Index<DataSet> for PerDataSet<T> {
    type Output = T;

    fn index(&self, set: DataSet) -> &T {
        &self.0[set as usize]
    }
}

impl<T> IndexMut<DataSet> for PerDataSet<T> {
    fn index_mut(&mut self, set: DataSet) -> &mut T {
        &mut self.0[set as usize]
    }
}

impl<T> IntoIterator for PerDataSet<T> {
    type Item = (DataSet, T);
    type IntoIter = std::iter::Zip<
        std::iter::Copied<std::slice::Iter<'static, DataSet>>,
        std::array::IntoIter<T, COUNT>,
    >;

    fn into_iter(self) -> Self::IntoIter {
        DataSet::ALL.iter().copied().zip(self.0)
    }
}

impl<T: Serialize> Serialize for PerDataSet<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(COUNT))?;
        for (set, value) in self.iter() {
            map.serialize_entry(set.name(), value)?;
        }
        map.end()
    }
}

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for PerDataSet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);

        impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = PerDataSet<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map by data set")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = PerDataSet::from_fn(|_| None);
                while let Some(name) = map.next_key::<String>()? {
                    match DataSet::by_name(&name) {
                        Some(set) => found[set] = Some(map.next_value()?),
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                complete(found)
            }
        }

        deserializer.deserialize_struct("PerDataSet", &NAMES, Entries(std::marker::PhantomData))
    }
}

/// The values of a document; an optional data set that it does not mention has the default.
fn complete<T: Default, E: serde::de::Error>(
    mut found: PerDataSet<Option<T>>,
) -> Result<PerDataSet<T>, E> {
    PerDataSet::try_from_fn(|set| match found[set].take() {
        Some(value) => Ok(value),
        None if set.is_required() => Err(E::missing_field(set.name())),
        None => Ok(T::default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_consistent() {
        for set in DataSet::ALL {
            assert_eq!(serde_json::to_value(set).unwrap(), set.name(), "{set:?}");
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Document {
        before: u32,
        #[serde(flatten)]
        rows: PerDataSet<u64>,
        after: Option<u32>,
    }

    #[test]
    fn values_are_persisted_by_name_within_the_document_around_them() {
        let document = Document {
            before: 1,
            rows: PerDataSet::from_fn(|set| set.name().len() as u64),
            after: None,
        };
        let json = r#"{"before":1,"clients":7,"achats":6,"after":null}"#;
        assert_eq!(serde_json::to_string(&document).unwrap(), json);
        assert_eq!(serde_json::from_str::<Document>(json).unwrap(), document);
        let unknown = r#"{"clients":7,"achats":6,"before":1,"later":{"x":[1]}}"#;
        assert_eq!(serde_json::from_str::<Document>(unknown).unwrap(), document);
    }

    #[test]
    fn a_document_without_a_required_data_set_is_rejected_by_name() {
        let error = serde_json::from_str::<Document>(r#"{"before":1,"clients":7}"#).unwrap_err();
        assert!(error.to_string().contains("missing field `achats`"), "{error}");
    }
}
