//! A profile's fields on the header of one file: which column fills what.

use std::collections::BTreeMap;

use super::profile::{
    Countries, FileKind, Ids, Match, Names, Origin, PURCHASE_FIELDS, ProfileFile,
};
use crate::domain::data_set::DataSet;
use crate::domain::reading::{
    FillDown, How, Join, LookupTable, MadeColumn, Reading, StatusColumn, TextColumn,
};
use crate::domain::verdict::FileColumn;

use crate::sources::headers::fold;
use crate::sources::own_names::with_own_names;

/// The columns of a file and how its values are meant.
#[derive(Debug)]
pub(in crate::sources) struct Resolved {
    pub columns: Vec<FileColumn>,
    pub reading: Reading,
}

/// Resolves a profile's file on a header; a file without one has an empty header.
///
/// # Errors
/// What the header lacks, in a sentence without the file's name.
pub(in crate::sources) fn resolve(found: Match<'_>, header: &[String]) -> Result<Resolved, String> {
    let file = found.file;
    if !file.positions.is_empty() {
        return Ok(by_position(file));
    }
    let folded: Vec<String> = header.iter().map(|cell| fold(cell)).collect();
    let resolver = Resolver { file, folded: &folded };
    let direct = resolver.direct();
    let mut canonical: Vec<Option<&str>> = vec![None; header.len()];
    for (field, index) in &direct {
        canonical[*index] = Some(field);
    }
    let columns = with_own_names(file.data_set(), header, &canonical, &PURCHASE_FIELDS);
    let mut made = Vec::new();
    for (field, origin) in &file.columns {
        if !direct.contains_key(field.as_str())
            && let Some(column) = resolver.made(field, origin, &columns)
        {
            made.push(column);
        }
    }
    if file.kind != FileKind::Lookup {
        let has = |field: &str| {
            direct.contains_key(field) || made.iter().any(|made| made.column == field)
        };
        check_complete(file, &found.profile.name, &has)?;
    }
    let reading = resolver.reading(&columns, &direct, made);
    Ok(Resolved { columns, reading })
}

/// Whether a file has what its data set needs.
fn check_complete(
    file: &ProfileFile,
    profile: &str,
    has: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    const AMOUNTS: [&str; 5] =
        ["montant", "montant_commande", "sous_total", "sous_total_brut", "total"];
    let mut absent = Vec::new();
    match file.data_set() {
        DataSet::Customers => absent.extend((!has("id_client")).then_some("id_client")),
        DataSet::Purchases => {
            absent.extend((!has("date_achat")).then_some("date_achat"));
            let is_priced = has("prix") && has("quantite");
            let has_amount = is_priced || AMOUNTS.iter().any(|field| has(field));
            absent.extend((!has_amount).then_some("montant"));
        }
    }
    if absent.is_empty() {
        return Ok(());
    }
    let expected = absent.iter().map(|field| {
        let origin = file.columns.get(*field);
        let headers: Vec<&str> = origin.iter().flat_map(|origin| origin.names()).collect();
        format!("{field} (accepted headers: {})", headers.join(", "))
    });
    Err(format!(
        "its header is that of the profile {profile}, but it lacks {}; export all columns",
        expected.collect::<Vec<_>>().join(", ")
    ))
}

impl Origin {
    fn names(&self) -> Vec<&str> {
        let lists: Vec<&Names> = match self {
            Self::Names(names) | Self::LastPart { last_of: names } => vec![names],
            Self::Join { join } => join.iter().collect(),
            Self::Always { .. } => Vec::new(),
        };
        lists.into_iter().flat_map(Names::all).map(String::as_str).collect()
    }
}

fn by_position(file: &ProfileFile) -> Resolved {
    let named = file.positions.iter().enumerate().map(|(index, field)| {
        let header = format!("column {}", index + 1);
        let column = if field.is_empty() { format!("column_{}", index + 1) } else { field.clone() };
        FileColumn { header, column }
    });
    let columns: Vec<FileColumn> = named.collect();
    let resolver = Resolver { file, folded: &[] };
    let reading = resolver.reading(&columns, &BTreeMap::new(), Vec::new());
    Resolved { columns, reading }
}

struct Resolver<'a> {
    file: &'a ProfileFile,
    folded: &'a [String],
}

impl<'a> Resolver<'a> {
    /// The fields that are one column of the file, which no other field uses.
    fn direct(&self) -> BTreeMap<&'a str, usize> {
        let mut uses: BTreeMap<usize, usize> = BTreeMap::new();
        let mut single = BTreeMap::new();
        for (field, origin) in &self.file.columns {
            let there = self.there(origin);
            for index in &there {
                *uses.entry(*index).or_default() += 1;
            }
            if let (Origin::Names(_), [index]) = (origin, &there[..]) {
                single.insert(field.as_str(), *index);
            }
        }
        single.retain(|_, index| uses[index] == 1);
        single
    }

    /// The columns of the file that an origin names.
    fn there(&self, origin: &Origin) -> Vec<usize> {
        if let Origin::Join { join } = origin {
            return join.iter().filter_map(|names| names.position(self.folded)).collect();
        }
        let mut there = Vec::new();
        for name in origin.names() {
            let name = fold(name);
            let found = self.folded.iter().position(|cell| *cell == name);
            there.extend(found.filter(|index| !there.contains(index)));
        }
        there
    }

    /// A field that is made of several columns, or of those of joined tables.
    fn made(&self, field: &str, origin: &Origin, columns: &[FileColumn]) -> Option<MadeColumn> {
        let how = match origin {
            Origin::Names(_) => How::First,
            Origin::Join { .. } => How::Join,
            Origin::LastPart { .. } => How::LastPart,
            Origin::Always { always } => {
                let how = How::Always(always.clone());
                return Some(MadeColumn { column: field.to_owned(), from: Vec::new(), how });
            }
        };
        let mut from: Vec<String> =
            self.there(origin).into_iter().map(|index| columns[index].column.clone()).collect();
        if from.is_empty() && !self.file.join.is_empty() {
            from = origin.names().into_iter().map(str::to_lowercase).collect();
        }
        (!from.is_empty()).then(|| MadeColumn { column: field.to_owned(), from, how })
    }

    /// The column of the raw frame that a profile calls by a field or by headers.
    fn column(&self, names: &Names, columns: &[FileColumn]) -> Option<String> {
        let first = &names.all()[0];
        if self.file.columns.contains_key(first) {
            return Some(first.clone());
        }
        match names.position(self.folded) {
            Some(index) => Some(columns[index].column.clone()),
            None if !self.file.join.is_empty() => Some(first.to_lowercase()),
            None => None,
        }
    }

    /// A join with the column of the raw frame that has its key.
    fn join(&self, join: &Join, columns: &[FileColumn]) -> Join {
        let folded = fold(&join.by);
        let own = self.folded.iter().position(|cell| *cell == folded);
        let by = own.map_or_else(|| join.by.to_lowercase(), |index| columns[index].column.clone());
        Join { table: join.table.clone(), by }
    }

    fn reading(
        &self,
        columns: &[FileColumn],
        direct: &BTreeMap<&str, usize>,
        made: Vec<MadeColumn>,
    ) -> Reading {
        let file = self.file;
        let fill_down = file.fill_down.as_ref().and_then(|entry| {
            let by = self.column(&entry.by, columns)?;
            let resolve = |name: &String| self.column(&Names::One(name.clone()), columns);
            let mut filled: Vec<String> = entry.columns.iter().filter_map(resolve).collect();
            // A field is made after its parts were filled.
            let of_made = made.iter().filter(|made| filled.contains(&made.column));
            let parts: Vec<String> = of_made.flat_map(|made| made.from.clone()).collect();
            filled.extend(parts);
            let is_made = |column: &String| made.iter().any(|made| made.column == *column);
            filled.retain(|column| *column != by && !is_made(column));
            filled.sort();
            filled.dedup();
            Some(FillDown { by, columns: filled })
        });
        let statuses = file.statuses.iter().filter_map(|entry| {
            let column = self.column(&entry.column, columns)?;
            let values = entry.values.iter().map(|(text, status)| (fold(text), *status)).collect();
            Some(StatusColumn { column, values, filled: entry.filled })
        });
        let not_goods = file.not_goods.iter().filter_map(|entry| {
            let column = self.column(&entry.column, columns)?;
            Some(TextColumn {
                column,
                values: entry.values.iter().map(|text| fold(text)).collect(),
            })
        });
        let goods = ["montant", "sous_total", "sous_total_brut"];
        let has = |field: &str| {
            direct.contains_key(field) || made.iter().any(|made| made.column == field)
        };
        Reading {
            date_order: file.date_order,
            two_digit_years: file.two_digit_years,
            utc: Vec::new(),
            row_key: false,
            integer_ids: file.ids == Some(Ids::Integer),
            currency: file.currency.clone(),
            iso_countries: file.countries == Some(Countries::Iso),
            refund_prefix: file.refund_prefix.clone(),
            order_totals: file.order_totals && !goods.iter().any(|field| has(field)),
            guests: file.guests.clone(),
            fill_down,
            statuses: statuses.collect(),
            not_goods: not_goods.collect(),
            split: file.split.as_ref().and_then(|entry| self.column(&entry.column, columns)),
            joins: file.join.iter().map(|join| self.join(join, columns)).collect(),
            table: file.table.clone().map(|name| LookupTable {
                name,
                key: file.key.as_deref().map(str::to_lowercase).unwrap_or_default(),
            }),
            made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::find;
    use super::*;

    fn resolved(header: &str) -> Resolved {
        let header: Vec<String> = header.split(',').map(str::to_owned).collect();
        let folded: Vec<String> = header.iter().map(|cell| fold(cell)).collect();
        resolve(find(&[], &folded).unwrap(), &header).unwrap()
    }

    #[test]
    fn one_header_may_fill_several_fields() {
        let shopify = resolved(
            "Name,Email,Financial Status,Currency,Subtotal,Total,Created at,Lineitem quantity,Lineitem name,Lineitem price,Id",
        );
        let column = |name: &str| shopify.columns.iter().any(|column| column.column == name);
        assert!(column("date_achat") && column("produit") && column("total"));
        let made = |name: &str| shopify.reading.made.iter().find(|made| made.column == name);
        assert_eq!(made("ref_commande").unwrap().from, ["name"]);
        assert_eq!(made("id_achat").unwrap().from, ["id", "name"]);
        let fill_down = shopify.reading.fill_down.unwrap();
        assert_eq!(fill_down.by, "name");
        assert!(fill_down.columns.contains(&"id".to_owned()));
        assert!(!fill_down.columns.contains(&"name".to_owned()));
    }

    #[test]
    fn what_a_known_header_lacks_is_said() {
        let header = ["Name", "Financial Status", "Lineitem name", "Lineitem price"];
        let header: Vec<String> = header.map(str::to_owned).to_vec();
        let folded: Vec<String> = header.iter().map(|cell| fold(cell)).collect();
        if let Some(found) = find(&[], &folded) {
            let problem = resolve(found, &header).unwrap_err();
            assert!(problem.contains("date_achat"), "{problem}");
        }
    }
}
