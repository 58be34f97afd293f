//! Which header fills which canonical column.

use super::describe::{could_be, found, missing};
use super::headers::fold;
use super::options::FileMapping;
use super::own_names::with_own_names;
use super::profile::{AMOUNT, Known, PRICED, known};
use crate::domain::data_set::DataSet;
use crate::domain::verdict::FileColumn;

/// The columns of a file with this header.
///
/// # Errors
/// Everything that cannot be mapped, in a sentence without the file's name.
pub(super) fn resolve(
    set: DataSet,
    file_name: &str,
    header: &[String],
    mapping: Option<&FileMapping>,
) -> Result<Vec<FileColumn>, String> {
    let folded: Vec<String> = header.iter().map(|cell| fold(cell)).collect();
    let mut canonical: Vec<Option<&'static str>> = vec![None; header.len()];
    let mut absent = Vec::new();
    for column in known(set) {
        let filled = |index: &usize| canonical[*index].is_some();
        let mapped = mapping.and_then(|mapping| {
            let (_, wanted) = mapping.columns.iter().find(|(name, _)| name == column.name)?;
            Some((wanted, mapping))
        });
        let index = match mapped {
            Some((wanted, mapping)) => {
                Some(mapped_index(column, wanted, mapping, header, &folded)?)
            }
            None => usual_index(column, &folded)?.filter(|index| !filled(index)),
        };
        match index {
            Some(index) => canonical[index] = Some(column.name),
            None if column.is_required => absent.push(column),
            None => {}
        }
    }
    let is_free = |index: &usize| canonical[*index].is_none();
    let free: Vec<&String> =
        (0..header.len()).filter(is_free).map(|index| &header[index]).collect();
    let is_priced = PRICED.iter().all(|name| canonical.contains(&Some(name)));
    // A header that may be that of amounts is not passed over.
    absent.retain(|column| column.name != AMOUNT || !is_priced || could_be(column, &free));
    if !absent.is_empty() {
        return Err(missing(set, file_name, header, &canonical, &absent, &free));
    }
    Ok(with_own_names(set, header, &canonical, &[]))
}

/// The cell of the header that the settings name for a column.
fn mapped_index(
    column: &Known,
    wanted: &str,
    mapping: &FileMapping,
    header: &[String],
    folded: &[String],
) -> Result<usize, String> {
    // The exact text first: it distinguishes headers that are equal in comparisons.
    let exact: Vec<usize> = positions(header, |cell| cell == wanted.trim());
    let equal: Vec<usize> = positions(folded, |cell| *cell == fold(wanted));
    match (&exact[..], &equal[..]) {
        ([index], _) | ([], [index]) => Ok(*index),
        ([], []) => Err(format!(
            "{}.columns.{}: there is no header {wanted:?} ({})",
            mapping.key,
            column.name,
            found(header)
        )),
        _ => Err(format!(
            "{}.columns.{}: the header {wanted:?} is there twice",
            mapping.key, column.name
        )),
    }
}

/// The cell of the header with the first of a column's usual headers.
fn usual_index(column: &Known, folded: &[String]) -> Result<Option<usize>, String> {
    for header in column.headers {
        let header = fold(header);
        match positions(folded, |cell| *cell == header)[..] {
            [] => {}
            [index] => return Ok(Some(index)),
            [first, second, ..] => {
                return Err(format!(
                    "the column {} is there twice (columns {} and {}); rename the one that does not count",
                    column.name,
                    first + 1,
                    second + 1
                ));
            }
        }
    }
    Ok(None)
}

fn positions(cells: &[String], is_wanted: impl Fn(&String) -> bool) -> Vec<usize> {
    (0..cells.len()).filter(|index| is_wanted(&cells[*index])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    fn names(text: &str) -> Result<Vec<String>, String> {
        let columns = resolve(DataSet::Purchases, "f.csv", &header(text), None)?;
        Ok(columns.into_iter().map(|column| column.column).collect())
    }

    #[test]
    fn other_columns_keep_their_own_names_each_once() {
        let found =
            names("Order ID,client-id,DATE,Total,note,Note,,reason,~x,line_number").unwrap();
        assert_eq!(
            found,
            ["id_achat", "id_client", "date_achat", "montant", "note", "note_2", "column_7"]
                .into_iter()
                .chain(["extra_reason", "extra_~x", "extra_line_number"])
                .collect::<Vec<_>>()
        );
        let preferred = names("id_client,customer_id,date,total").unwrap();
        assert_eq!(preferred[1], "customer_id");
    }

    #[test]
    fn equal_headers_matter_where_one_of_them_is_used() {
        let error = names("id_client,date,montant,Montant").unwrap_err();
        assert!(
            error.starts_with("the column montant is there twice (columns 3 and 4)"),
            "{error}"
        );
        assert!(names("id_client,date,montant,x,X").is_ok());
    }

    #[test]
    fn all_that_is_missing_is_reported_at_once_with_a_mapping_to_paste() {
        let error = names("N° client,Le,Total TTC,produit").unwrap_err();
        for part in [
            "the required columns id_client, date_achat, montant are missing",
            "montant may be \"Total TTC\"",
            "found: N° client, Le, Total TTC, produit",
            "[[sources.files]]\nname = \"f.csv\"\nkind = \"purchases\"\ncolumns = { ",
            "montant = \"Total TTC\"",
        ] {
            assert!(error.contains(part), "{part:?} is not in {error}");
        }
    }

    #[test]
    fn the_settings_map_headers_by_their_exact_text_first() {
        let mapping = FileMapping {
            key: "sources.files[1]".to_owned(),
            pattern: glob::Pattern::new("*").unwrap(),
            data_set: DataSet::Purchases,
            columns: [("id_client", "N° client"), ("montant", "Total"), ("date_achat", "le")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .to_vec(),
        };
        let resolve = |text: &str| {
            resolve(DataSet::Purchases, "f.csv", &header(text), Some(&mapping)).map(|columns| {
                columns.into_iter().map(|column| column.column).collect::<Vec<_>>().join(",")
            })
        };
        assert_eq!(
            resolve("n° CLIENT,TOTAL,Total,Le,id_client,produit").unwrap(),
            "id_client,total,montant,date_achat,extra_id_client,produit"
        );
        let error = resolve("N° client,Total,Date").unwrap_err();
        assert!(
            error.starts_with("sources.files[1].columns.date_achat: there is no header \"le\""),
            "{error}"
        );
    }
}
