//! Customers: the list, one of them, their purchases.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::{HttpRequest, web};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::Schema;
use utoipa_actix_web::OpenApiFactory;

use super::envelope::Answer;
use super::error::ApiError;
use super::extract::Reader;
use super::openapi::{self, RouteDoc};
use super::parameters::{self, ListOptions};
use super::table::{TableRoute, refuse_parameters, register};
use crate::catalogue;
use crate::domain::query::Query;
use crate::domain::rows::{Value, parse_whole};
use crate::domain::schema::{Column, ColumnType, View};

const CUSTOMERS: View = View::of(&catalogue::CUSTOMERS);
const PURCHASES: View = View::of(&catalogue::FACT_ACHATS);
/// What narrows either table to one customer.
static ID: Column = Column::new("id_client", ColumnType::Int, "customer");

/// `/customers`: filters, ranges and search over the wide table.
#[must_use]
pub fn list() -> TableRoute {
    TableRoute::list(
        "/customers",
        "customers",
        "Customers with all that is known of them",
        CUSTOMERS,
    )
    .with(ListOptions { ranges: true, search: &["nom", "email"] })
}

/// `/customers/{id}`: one customer.
#[derive(Debug, Clone, Copy)]
pub struct CustomerRoute;

/// `/customers/{id}/purchases`: what one customer bought.
#[derive(Debug, Clone, Copy)]
pub struct PurchasesRoute;

/// A customer's number from the path.
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

async fn customer(
    reader: Reader,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<Answer, ApiError> {
    refuse_parameters(&request)?;
    let id = parse_id(&path)?;
    reader.one(&by_id(id)).await?.ok_or_else(|| unknown(id))
}

async fn purchases(
    reader: Reader,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<Answer, ApiError> {
    let id = parse_id(&path)?;
    let asked = parameters::parse(PURCHASES, ListOptions::default(), request.query_string())?;
    let answer = reader.list(&asked.with(&ID, Value::Int(id))).await?;
    if answer.total() == 0 && reader.one(&by_id(id)).await?.is_none() {
        return Err(unknown(id));
    }
    Ok(answer)
}

impl HttpServiceFactory for CustomerRoute {
    fn register(self, config: &mut AppService) {
        register("/customers/{id}", customer, config);
    }
}

impl HttpServiceFactory for PurchasesRoute {
    fn register(self, config: &mut AppService) {
        register("/customers/{id}/purchases", purchases, config);
    }
}

impl OpenApiFactory for CustomerRoute {
    fn paths(&self) -> Paths {
        let mut documented =
            RouteDoc::new("/customers/{id}", "customers", "One customer", CUSTOMERS);
        documented.parameters = vec![openapi::id_parameter()];
        documented.paths()
    }

    fn schemas(&self, schemas: &mut Vec<(String, RefOr<Schema>)>) {
        openapi::add_schemas(CUSTOMERS, schemas);
    }
}

impl OpenApiFactory for PurchasesRoute {
    fn paths(&self) -> Paths {
        let summary = "What one customer bought";
        let mut documented =
            RouteDoc::new("/customers/{id}/purchases", "customers", summary, PURCHASES);
        documented.is_list = true;
        documented.parameters = vec![openapi::id_parameter()];
        documented.parameters.extend(openapi::list_parameters(PURCHASES, ListOptions::default()));
        documented.paths()
    }

    fn schemas(&self, schemas: &mut Vec<(String, RefOr<Schema>)>) {
        openapi::add_schemas(PURCHASES, schemas);
    }
}
