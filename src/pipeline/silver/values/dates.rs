//! Dates of a column, in every form that shop exports have.
//!
//! A cell like `03/04/2026` reads two ways. The column decides: one cell whose second part is above
//! 12 proves that the month comes first, one whose first part is above 12 that the day does.
//! Nothing is guessed cell by cell.

pub(crate) use super::date_forms::DateStyle;
use super::date_forms::{Cell, read_cell};
use crate::domain::reading::DateOrder;

/// How the cells of a column were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DateForm {
    /// The order of day and month and the row that proves it; `None` when no cell depends on it.
    pub(crate) order: Option<(DateOrder, Option<usize>)>,
    /// Whether the column holds a spreadsheet's serial numbers.
    pub(crate) is_serial: bool,
}

/// Why a column cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateProblem {
    /// Both orders are proved, by these rows.
    Contradiction { day_first: usize, month_first: usize },
    /// Nothing decides how this row is to be read.
    Undecided { row: usize },
}

/// A column under construction: one [`DateColumn::push`] per row.
#[derive(Debug, Default)]
pub(crate) struct DateColumn {
    style: DateStyle,
    values: Vec<Option<i64>>,
    either: Vec<(usize, i64, i64)>,
    serials: Vec<(usize, i64)>,
    filled: usize,
    day_first: Option<usize>,
    month_first: Option<usize>,
}

impl DateColumn {
    /// No rows yet.
    pub(crate) fn new(style: DateStyle) -> Self {
        Self { style, ..Self::default() }
    }

    /// The order of day and month that cells prove, with the first row that does; `None` where none does, and
    /// where both are proved.
    pub(crate) fn proof(&self) -> Option<(DateOrder, usize)> {
        match (self.day_first, self.month_first) {
            (Some(row), None) => Some((DateOrder::DayFirst, row)),
            (None, Some(row)) => Some((DateOrder::MonthFirst, row)),
            _ => None,
        }
    }

    /// Adds the cell of the next row; `None` for an empty one.
    pub(crate) fn push(&mut self, cell: Option<&str>) {
        let row = self.values.len();
        let Some(cell) = cell else { return self.values.push(None) };
        self.filled += 1;
        let value = match read_cell(cell, &self.style) {
            Cell::Instant(instant) => Some(instant),
            Cell::Proof(instant, order) => {
                let proof = match order {
                    DateOrder::DayFirst => &mut self.day_first,
                    DateOrder::MonthFirst => &mut self.month_first,
                };
                proof.get_or_insert(row);
                Some(instant)
            }
            Cell::Either { day_first, month_first } => {
                self.either.push((row, day_first, month_first));
                None
            }
            Cell::Serial(instant) => {
                self.serials.push((row, instant));
                None
            }
            Cell::Unreadable => None,
        };
        self.values.push(value);
    }

    /// The instants in microseconds, `None` where a cell is empty or unreadable. `fallback` counts
    /// where no cell proves the order.
    ///
    /// # Errors
    /// Two cells that contradict each other, or cells whose order nothing decides.
    pub(crate) fn finish(
        mut self,
        fallback: Option<DateOrder>,
    ) -> Result<(Vec<Option<i64>>, DateForm), DateProblem> {
        let mut form = DateForm::default();
        // One reading for a whole column: a number among dates is not a date.
        if self.filled > 0 && self.serials.len() == self.filled {
            for (row, instant) in &self.serials {
                self.values[*row] = Some(*instant);
            }
            form.is_serial = true;
        }
        form.order = match (self.day_first, self.month_first) {
            (Some(day_first), Some(month_first)) => {
                return Err(DateProblem::Contradiction { day_first, month_first });
            }
            (Some(row), None) => Some((DateOrder::DayFirst, Some(row))),
            (None, Some(row)) => Some((DateOrder::MonthFirst, Some(row))),
            (None, None) => match (self.either.first(), fallback) {
                (None, _) => None,
                (Some(_), Some(order)) => Some((order, None)),
                (Some((row, ..)), None) => return Err(DateProblem::Undecided { row: *row }),
            },
        };
        let is_month_first = matches!(form.order, Some((DateOrder::MonthFirst, _)));
        for (row, day_first, month_first) in &self.either {
            self.values[*row] = Some(if is_month_first { *month_first } else { *day_first });
        }
        Ok((self.values, form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn column(cells: &[&str]) -> DateColumn {
        let mut column = DateColumn::default();
        for cell in cells {
            column.push(Some(cell));
        }
        column
    }

    fn texts(values: &[Option<i64>]) -> Vec<String> {
        values
            .iter()
            .map(|value| value.map_or(String::new(), |at| Timestamp(at).to_string()))
            .collect()
    }

    /// The one reading of a cell, in a column that proves nothing.
    fn reading(cell: &str) -> Option<String> {
        let (values, _) = column(&[cell]).finish(Some(DateOrder::DayFirst)).unwrap();
        values[0].map(|at| Timestamp(at).to_string())
    }

    #[test]
    fn forms_of_shop_exports_are_read() {
        for (cell, expected) in [
            ("2026-03-06", "2026-03-06T00:00:00"),
            ("2026-03-06 7:05", "2026-03-06T07:05:00"),
            ("2026-03-06T08:00", "2026-03-06T08:00:00"),
            ("2026-03-06 08:00:00 AM", "2026-03-06T08:00:00"),
            ("2026-03-06 12:15 AM", "2026-03-06T00:15:00"),
            ("3/6/2026 12:15 PM", "2026-06-03T12:15:00"),
            ("2026-03-06 21:06:21 +0200", "2026-03-06T19:06:21"),
            ("2026-03-06 21:06:21 +02:00", "2026-03-06T19:06:21"),
            ("2026-03-06 21:06:21+02", "2026-03-06T19:06:21"),
            ("2026-03-06 21:06:21 UTC", "2026-03-06T21:06:21"),
            ("2026-03-06T21:06:21.123456789Z", "2026-03-06T21:06:21.123456"),
            ("2026/03/06", "2026-03-06T00:00:00"),
            ("2026/3/6 9:30", "2026-03-06T09:30:00"),
            ("6.3.2026", "2026-03-06T00:00:00"),
            ("06.03.2026 10:00", "2026-03-06T10:00:00"),
            ("06-Mar-2026", "2026-03-06T00:00:00"),
            ("6 March 2026", "2026-03-06T00:00:00"),
            ("Mar 6, 2026", "2026-03-06T00:00:00"),
            ("March 6th, 2026, 10:00 PM", "2026-03-06T22:00:00"),
            ("Fri, 06 Mar 2026 10:00:00 +0100", "2026-03-06T09:00:00"),
            ("20260306", "2026-03-06T00:00:00"),
            ("18-01-2026", "2026-01-18T00:00:00"),
        ] {
            assert_eq!(reading(cell).as_deref(), Some(expected), "{cell}");
        }
    }

    #[test]
    fn other_texts_are_no_dates() {
        for cell in [
            "soon",
            "12/31/25",
            "01/05/26",
            "1769000000",
            "24 janv. 2026",
            "2026-02-30",
            "31/02/2026",
            "13/13/2026",
            "0/5/2026",
            "2026-01-01T25:00",
            "2026-01-01 13:00 PM",
            "2026-01-01 10:61",
            "6.13.2026",
            "2026-01-01 10:00 +25:00",
            "2026-01-01T10:00:00+24:00",
            "2026-13-01",
            "20261301",
            "2026-01-01 x",
            "٢٠٢٤-01-01",
            "1/2",
            "Mar 2026",
            "2024-01-01T00:00:00[Europe/Paris]",
        ] {
            let mut column = column(&["2026-01-01"]);
            column.push(Some(cell));
            let (values, _) = column.finish(Some(DateOrder::DayFirst)).unwrap();
            assert_eq!(values[1], None, "{cell}");
        }
    }

    #[test]
    fn one_cell_proves_the_order_of_the_whole_column() {
        let (values, form) = column(&["01/04/2025", "05/05/2025", "03/25/2025"])
            .finish(Some(DateOrder::DayFirst))
            .unwrap();
        assert_eq!(
            texts(&values),
            ["2025-01-04T00:00:00", "2025-05-05T00:00:00", "2025-03-25T00:00:00"]
        );
        assert_eq!(form.order, Some((DateOrder::MonthFirst, Some(2))));
        let (values, form) = column(&["1/2/2026", "23-01-2026 8:05"]).finish(None).unwrap();
        assert_eq!(texts(&values), ["2026-02-01T00:00:00", "2026-01-23T08:05:00"]);
        assert_eq!(form.order, Some((DateOrder::DayFirst, Some(1))));
    }

    #[test]
    fn what_no_form_reads_has_no_vote() {
        let (_, form) = column(&["31/02/2026", "02/31/2026", "12/31/25", "1/2/2026"])
            .finish(Some(DateOrder::DayFirst))
            .unwrap();
        assert_eq!(form.order, Some((DateOrder::DayFirst, None)));
    }

    #[test]
    fn contradictions_and_open_questions_are_errors() {
        let contradiction =
            column(&["1/1/2026", "25/12/2025", "12/25/2025"]).finish(None).unwrap_err();
        assert_eq!(contradiction, DateProblem::Contradiction { day_first: 1, month_first: 2 });
        let undecided = column(&["2026-01-01", "1/2/2026"]).finish(None).unwrap_err();
        assert_eq!(undecided, DateProblem::Undecided { row: 1 });
    }

    #[test]
    fn only_a_whole_column_of_numbers_is_a_spreadsheets() {
        let (values, form) = column(&["46023.04789", "46030"]).finish(None).unwrap();
        assert!(form.is_serial);
        assert_eq!(texts(&values), ["2026-01-01T01:08:57.696", "2026-01-08T00:00:00"]);
        let (values, form) = column(&["46023.04789", "2026-01-01"]).finish(None).unwrap();
        assert!(!form.is_serial && values[0].is_none());
    }
}
