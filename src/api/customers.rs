//! One customer, and the purchases of one customer. The list of customers is a table route.

use actix_web::dev::HttpServiceFactory;
use actix_web::{HttpRequest, web};
use utoipa_actix_web::OpenApiFactory;

use super::endpoint::get;
use super::envelope::Answer;
use super::error::ApiError;
use super::extract::Reader;
use super::parameters::{self, ListOptions, refuse_parameters};
use super::route_doc::RouteDoc;
use super::tags;
use crate::catalogue;
use crate::domain::query::Query;
use crate::domain::rows::{Value, parse_whole};
use crate::domain::schema::{Column, ColumnType, View};

const CUSTOMERS: View = View::of(&catalogue::CUSTOMERS);
const PURCHASES: View = View::of(&catalogue::FACT_ACHATS);
/// Restricts either table to one customer.
static ID: Column = Column::new("id_client", ColumnType::Int, "customer");

/// One customer.
pub(crate) fn one(path: &'static str) -> impl HttpServiceFactory + OpenApiFactory + 'static {
    let docs = RouteDoc::one(path, tags::CUSTOMERS, "One customer", CUSTOMERS);
    get(path, customer, with_id(docs))
}

/// The purchases of one customer.
pub(crate) fn purchases(path: &'static str) -> impl HttpServiceFactory + OpenApiFactory + 'static {
    let summary = "Purchases of one customer";
    let options = ListOptions::default();
    let docs = RouteDoc::list(path, tags::CUSTOMERS, summary, PURCHASES, options);
    get(path, purchases_of_customer, with_id(docs))
}

fn with_id(docs: RouteDoc) -> RouteDoc {
    docs.with_path_parameter("id", "The customer's id_client", ColumnType::Int)
}

async fn customer(
    reader: Reader,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<Answer, ApiError> {
    refuse_parameters(&request)?;
    let id = parse_id(&id)?;
    reader.one(&by_id(id)).await?.ok_or_else(|| unknown(id))
}

async fn purchases_of_customer(
    reader: Reader,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<Answer, ApiError> {
    let id = parse_id(&id)?;
    let query = parameters::parse(PURCHASES, ListOptions::default(), request.query_string())?;
    let answer = reader.list(&query.with(&ID, Value::Int(id))).await?;
    // An empty list is a valid answer only for a customer who exists.
    if answer.total() == 0 && reader.one(&by_id(id)).await?.is_none() {
        return Err(unknown(id));
    }
    Ok(answer)
}

fn parse_id(text: &str) -> Result<i64, ApiError> {
    parse_whole(text).ok_or_else(|| ApiError::InvalidParameter {
        parameter: "id".to_owned(),
        detail: format!("{text:?} is not an integer"),
        valid: vec!["a customer's id_client".to_owned()],
    })
}

fn by_id(id: i64) -> Query {
    Query::first(CUSTOMERS, 1).with(&ID, Value::Int(id))
}

fn unknown(id: i64) -> ApiError {
    ApiError::NotFound(format!("there is no customer {id}"))
}
