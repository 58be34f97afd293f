//! One model with its calibration, and the preset of customers at high risk of churn. The other
//! `/ml` routes are plain table routes.

use actix_web::dev::HttpServiceFactory;
use actix_web::{HttpRequest, web};
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AllOfBuilder, Array, ObjectBuilder, Schema};
use utoipa_actix_web::OpenApiFactory;

use super::endpoint::get;
use super::envelope::Answer;
use super::error::ApiError;
use super::extract::Reader;
use super::parameters::{MAX_LIMIT, refuse_parameters};
use super::route_doc::RouteDoc;
use super::table::Preset;
use super::tags;
use crate::catalogue::{ML_CALIBRATION, ML_MODEL_METRICS};
use crate::domain::query::Query;
use crate::domain::rows::Value;
use crate::domain::schema::{Column, ColumnType, Direction, View};

const METRICS: View = View::of(&ML_MODEL_METRICS);
const CALIBRATION: View = View::of(&ML_CALIBRATION);
/// The field of a model's metrics that holds its calibration table.
const CALIBRATION_FIELD: &str = "calibration";
/// Name of the schema of the two together.
const METRICS_WITH_CALIBRATION: &str = "ml_model_metrics_with_calibration";
/// Restricts either table to one model.
static MODEL: Column = Column::new("model", ColumnType::Text, "model");

/// Customers at high risk of churn, highest probability first.
pub(crate) const HIGH_RISK: Preset = Preset {
    column: "churn_risk_level",
    value: "High",
    sort: ("churn_probability", Direction::Descending),
};

/// The metrics of one model, with its calibration table.
pub(crate) fn model_metrics(
    path: &'static str,
) -> impl HttpServiceFactory + OpenApiFactory + 'static {
    let summary = "Quality metrics and calibration of one model";
    let description = "segmentation, churn, clv or buying for the model that serves; task_method for any \
        candidate";
    let docs = RouteDoc::one(path, tags::MODELS, summary, METRICS)
        .with_path_parameter("model", description, ColumnType::Text)
        .with_row_schema(METRICS_WITH_CALIBRATION, metrics_with_calibration(), CALIBRATION);
    get(path, metrics_of_model, docs)
}

async fn metrics_of_model(
    reader: Reader,
    model: web::Path<String>,
    request: HttpRequest,
) -> Result<Answer, ApiError> {
    refuse_parameters(&request)?;
    let model = model.into_inner();
    let of_model = |view, limit| Query::first(view, limit).with(&MODEL, Value::Text(model.clone()));
    let (metrics, bins) = (of_model(METRICS, 1), of_model(CALIBRATION, MAX_LIMIT));
    let answer = reader.one_with(&metrics, CALIBRATION_FIELD, &bins).await?;
    answer.ok_or_else(|| {
        ApiError::NotFound(format!("there is no model {model:?}; /ml/model-metrics lists them"))
    })
}

fn metrics_with_calibration() -> Schema {
    let bins = Array::new(Ref::from_schema_name(CALIBRATION.name));
    let calibration =
        ObjectBuilder::new().property(CALIBRATION_FIELD, bins).required(CALIBRATION_FIELD);
    let metrics = Ref::from_schema_name(METRICS.name);
    Schema::AllOf(AllOfBuilder::new().item(metrics).item(calibration).build())
}
