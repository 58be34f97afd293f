//! The Polars data type of every declared column type.

use polars::prelude::{DataType, TimeUnit};

use crate::domain::schema::ColumnType;

/// The data type of every timestamp.
pub(crate) const INSTANT: DataType = DataType::Datetime(TimeUnit::Microseconds, None);

/// The data type of a declared column type.
pub(crate) fn data_type(ty: ColumnType) -> DataType {
    match ty {
        ColumnType::Int => DataType::Int64,
        ColumnType::Float | ColumnType::Money => DataType::Float64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Text => DataType::String,
        ColumnType::TextList => DataType::List(Box::new(DataType::String)),
        ColumnType::Date => DataType::Date,
        ColumnType::Timestamp => INSTANT,
    }
}
