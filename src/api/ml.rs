//! Models: segments, churn, lifetime value, and how good they are.

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::{HttpRequest, web};
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::{AllOfBuilder, Array, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa_actix_web::OpenApiFactory;

use super::envelope::Answer;
use super::error::ApiError;
use super::extract::Reader;
use super::openapi::{self, RouteDoc};
use super::parameters::ListOptions;
use super::table::{Preset, TableRoute, refuse_parameters, register};
use crate::catalogue::models::{
    CHURN_PREDICTIONS, CLV_PREDICTIONS, CUSTOMER_SEGMENTS, ML_CALIBRATION, ML_MODEL_METRICS,
};
use crate::domain::query::Query;
use crate::domain::rows::Value;
use crate::domain::schema::{Column, ColumnType, Direction, View};

const TAG: &str = "models";
const METRICS: View = View::of(&ML_MODEL_METRICS);
const CALIBRATION: View = View::of(&ML_CALIBRATION);
/// The field under which a model's metrics carry its calibration table.
const CALIBRATION_FIELD: &str = "calibration";
/// Name of the schema of the two together.
const METRICS_WITH_CALIBRATION: &str = "ml_model_metrics_with_calibration";
/// What narrows either table to one model.
static MODEL: Column = Column::new("model", ColumnType::Text, "model");
/// Who to talk to before they leave, the most likely first.
const HIGH_RISK: Preset = Preset {
    column: "churn_risk_level",
    value: "High",
    sort: ("churn_probability", Direction::Descending),
};
/// Lists of customers are narrowed by ranges too.
pub const RANGES: ListOptions = ListOptions { ranges: true, search: &[] };

fn list(path: &'static str, summary: &'static str, view: View) -> TableRoute {
    TableRoute::list(path, TAG, summary, view).with(RANGES)
}

/// `/ml/segments`: who is in which segment.
#[must_use]
pub fn segments() -> TableRoute {
    list("/ml/segments", "RFM segment of every customer", View::of(&CUSTOMER_SEGMENTS))
}

/// `/ml/churn`: who will not buy again soon.
#[must_use]
pub fn churn() -> TableRoute {
    list(
        "/ml/churn",
        "Churn probability of every customer who bought",
        View::of(&CHURN_PREDICTIONS),
    )
}

/// `/ml/churn/high-risk`: the same, of those at high risk only.
#[must_use]
pub fn high_risk() -> TableRoute {
    let summary = "Customers at high risk, the most likely to leave first";
    list("/ml/churn/high-risk", summary, View::of(&CHURN_PREDICTIONS)).only(HIGH_RISK)
}

/// `/ml/clv`: who will be worth what.
#[must_use]
pub fn clv() -> TableRoute {
    list("/ml/clv", "Lifetime value of every customer who bought", View::of(&CLV_PREDICTIONS))
}

/// `/ml/model-metrics/{model}`: all that is said of one model, with its calibration table.
#[derive(Debug, Clone, Copy)]
pub struct MetricsRoute;

async fn metrics(
    reader: Reader,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<Answer, ApiError> {
    refuse_parameters(&request)?;
    let model = path.into_inner();
    let of_model = |view, limit| Query::first(view, limit).with(&MODEL, Value::Text(model.clone()));
    let bins = of_model(CALIBRATION, super::parameters::MAX_LIMIT);
    let found = reader.one_with(&of_model(METRICS, 1), CALIBRATION_FIELD, &bins).await?;
    found.ok_or_else(|| {
        ApiError::NotFound(format!("there is no model {model:?}; /ml/model-metrics lists them"))
    })
}

impl HttpServiceFactory for MetricsRoute {
    fn register(self, config: &mut AppService) {
        register("/ml/model-metrics/{model}", metrics, config);
    }
}

impl OpenApiFactory for MetricsRoute {
    fn paths(&self) -> Paths {
        let summary = "One model with its calibration table";
        let mut documented = RouteDoc::new("/ml/model-metrics/{model}", TAG, summary, METRICS);
        documented.schema = METRICS_WITH_CALIBRATION;
        documented.parameters = vec![openapi::path_parameter(
            "model",
            "segmentation, churn, clv or buying for what serves; task_method for a method tried",
            ColumnType::Text,
        )];
        documented.paths()
    }

    fn schemas(&self, schemas: &mut Vec<(String, RefOr<Schema>)>) {
        openapi::add_schemas(METRICS, schemas);
        openapi::add_schemas(CALIBRATION, schemas);
        let bins = Array::new(Ref::from_schema_name(CALIBRATION.name));
        let calibration =
            ObjectBuilder::new().property(CALIBRATION_FIELD, bins).required(CALIBRATION_FIELD);
        let both =
            AllOfBuilder::new().item(Ref::from_schema_name(METRICS.name)).item(calibration).build();
        schemas.push((METRICS_WITH_CALIBRATION.to_owned(), Schema::AllOf(both).into()));
    }
}
