//! The document of a run: the record of [`crate::runs`] with BSON dates, `_id` and flat steps.
//!
//! Serde checks these mirrors against the records they stand for, field by field. Fields that came
//! later have defaults, so that older documents are read. The field `token`, beside those of the
//! record, is the lease's (`runs`).

use mongodb::bson::{self, Bson, Document};
use mongodb::error::Error;
use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;
use crate::runs::record::has_begun_by_default;
use crate::runs::{
    Flow, RefreshRequest, RunKind, RunNotes, RunQuality, RunRecord, RunState, RunStep, RunTrigger,
    StartAt, Step,
};
use crate::store::{Result, StoreError};

#[derive(Serialize, Deserialize)]
#[serde(remote = "RunRecord")]
struct RunDocument {
    #[serde(rename = "_id")]
    run: u64,
    kind: RunKind,
    #[serde(default)]
    trigger: RunTrigger,
    #[serde(default, with = "RequestDocument")]
    request: RefreshRequest,
    #[serde(default, rename = "occurrence", with = "optional_date")]
    scheduled_for: Option<Timestamp>,
    state: RunState,
    #[serde(default = "has_begun_by_default")]
    has_begun: bool,
    #[serde(default, rename = "is_cancel_asked")]
    cancel_requested: bool,
    #[serde(rename = "holder")]
    owner: String,
    #[serde(with = "date")]
    started_at: Timestamp,
    #[serde(default, with = "optional_date")]
    ended_at: Option<Timestamp>,
    generation: Option<u64>,
    error: Option<String>,
    #[serde(default)]
    causes: Vec<String>,
    #[serde(default, with = "steps")]
    steps: Vec<RunStep>,
    before: Option<u64>,
    quality: Option<RunQuality>,
}

#[derive(Serialize)]
#[serde(remote = "RunNotes")]
struct NotesDocument {
    #[serde(with = "steps")]
    steps: Vec<RunStep>,
    before: Option<u64>,
    quality: Option<RunQuality>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RefreshRequest")]
struct RequestDocument {
    /// To the microsecond, unlike a BSON date: the end of a day is its last microsecond.
    #[serde(default, rename = "as_of_micros", with = "optional_micros")]
    as_of: Option<Timestamp>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    start_at: StartAt,
    inputs_of: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RunStep")]
struct StepDocument {
    step: Step,
    #[serde(with = "date")]
    started_at: Timestamp,
    #[serde(default, with = "optional_date")]
    ended_at: Option<Timestamp>,
    summary: String,
    #[serde(flatten)]
    flow: Flow,
}

/// An instant as a BSON date, which has milliseconds.
mod date {
    use mongodb::bson::DateTime;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::domain::time::Timestamp;
    use crate::store::mongo::documents::{instant_from_bson, instant_to_bson};

    #[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
    pub fn serialize<S: Serializer>(instant: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        instant_to_bson(*instant).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        DateTime::deserialize(from).map(instant_from_bson)
    }
}

/// An instant as a BSON date, or null.
mod optional_date {
    use mongodb::bson::DateTime;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::domain::time::Timestamp;
    use crate::store::mongo::documents::{instant_from_bson, instant_to_bson};

    #[allow(clippy::ref_option)] // as serde calls it
    pub fn serialize<S: Serializer>(instant: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        instant.map(instant_to_bson).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<DateTime>::deserialize(from)?.map(instant_from_bson))
    }
}

/// An instant as microseconds since 1970, or null.
mod optional_micros {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::domain::time::Timestamp;

    #[allow(clippy::ref_option)] // as serde calls it
    pub fn serialize<S: Serializer>(instant: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        instant.map(|instant| instant.0).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(Timestamp))
    }
}

/// Steps, each as [`StepDocument`].
mod steps {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::runs::RunStep;
    use crate::store::mongo::run_document::StepDocument;

    #[derive(Serialize, Deserialize)]
    struct Step(#[serde(with = "StepDocument")] RunStep);

    pub fn serialize<S: Serializer>(steps: &[RunStep], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(steps.iter().cloned().map(Step))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RunStep>, D::Error> {
        Ok(Vec::<Step>::deserialize(from)?.into_iter().map(|step| step.0).collect())
    }
}

/// A record as it is stored.
pub fn write_run(record: &RunRecord) -> std::result::Result<Document, Error> {
    document(RunDocument::serialize(record, bson::Serializer::new()))
}

/// What a run notes, as fields of its document.
pub fn write_notes(notes: &RunNotes) -> std::result::Result<Document, Error> {
    document(NotesDocument::serialize(notes, bson::Serializer::new()))
}

fn document(
    written: std::result::Result<Bson, bson::error::Error>,
) -> std::result::Result<Document, Error> {
    match written? {
        Bson::Document(document) => Ok(document),
        other => Err(Error::custom(format!("{other} is not a document"))),
    }
}

/// Reads a stored record; `collection` is what an error calls the place.
pub fn read_run(stored: &Document, collection: &str) -> Result<RunRecord> {
    let mut track = serde_path_to_error::Track::new();
    let from = bson::Deserializer::new(Bson::Document(stored.clone()));
    RunDocument::deserialize(serde_path_to_error::Deserializer::new(from, &mut track)).map_err(
        |_| StoreError::Decode {
            table: collection.to_owned(),
            column: track.path().to_string(),
            ty: "a run's record",
            key: stored.get("_id").map(ToString::to_string).unwrap_or_default(),
        },
    )
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{DateTime, doc};

    use super::*;
    use crate::domain::data_set::DataSet;
    use crate::runs::RowCounts;

    fn date(text: &str) -> DateTime {
        DateTime::parse_rfc3339_str(text).unwrap()
    }

    /// As version 5153dbb wrote it.
    fn stored() -> Document {
        doc! {
            "_id": 12_i64,
            "kind": "refresh",
            "trigger": "schedule",
            "request": {
                "as_of_micros": 1_767_225_599_999_999_i64,
                "force": true,
                "start_at": "bronze",
                "inputs_of": 7_i64,
            },
            "occurrence": date("2026-01-21T03:00:00Z"),
            "state": "failed",
            "has_begun": true,
            "is_cancel_asked": false,
            "holder": "shop:4711",
            "started_at": date("2026-01-21T03:00:00.123Z"),
            "ended_at": date("2026-01-21T03:00:05Z"),
            "generation": null,
            "error": "it failed: because",
            "causes": ["because"],
            "steps": [
                {
                    "step": "sources",
                    "started_at": date("2026-01-21T03:00:00.200Z"),
                    "ended_at": date("2026-01-21T03:00:01Z"),
                    "summary": "2 files",
                    "rows_in": null,
                    "rows_out": null,
                    "bytes": 1_874_309_i64,
                },
                {
                    "step": "silver",
                    "started_at": date("2026-01-21T03:00:01Z"),
                    "ended_at": null,
                    "summary": "",
                    "rows_in": null,
                    "rows_out": null,
                    "bytes": null,
                },
            ],
            "before": 6_i64,
            "quality": {
                "clients": { "read": 5_012_i64, "valid": 5_000_i64, "rejected": 12_i64 },
                "achats": { "read": 60_000_i64, "valid": 60_000_i64, "rejected": 0_i64 },
                "rejected": { "missing_id": 12_i64 },
                "warnings": { "future_date": 1_i64 },
            },
        }
    }

    #[test]
    fn a_stored_document_is_read_and_written_as_it_was() {
        let mut document = stored();
        let record = read_run(&document, "ops.runs").unwrap();
        assert_eq!(
            (record.run, record.kind, record.state),
            (12, RunKind::Refresh, RunState::Failed)
        );
        assert_eq!(record.request.as_of, RefreshRequest::parse_as_of("2025-12-31"));
        assert_eq!(record.scheduled_for, Timestamp::parse("2026-01-21T03:00:00"));
        assert_eq!(record.started_at, Timestamp::parse("2026-01-21T03:00:00.123").unwrap());
        assert_eq!(record.steps[0].flow.bytes, Some(1_874_309));
        assert_eq!((record.steps[1].step, record.steps[1].ended_at), (Step::Silver, None));
        let rows = RowCounts { read: 5_012, valid: 5_000, rejected: 12 };
        assert_eq!(record.quality.as_ref().unwrap().data_sets[DataSet::Customers], rows);
        assert_eq!(write_run(&record).unwrap(), document);
        // The lease's token stands beside the record.
        document.insert("token", 9_i64);
        assert_eq!(read_run(&document, "ops.runs").unwrap(), record);
    }

    #[test]
    fn a_document_of_an_earlier_version_is_read() {
        let document = doc! {
            "_id": 3, "kind": "refresh", "state": "running", "holder": "shop:1",
            "started_at": date("2026-01-21T03:00:00Z"), "ended_at": null,
            "steps": [{
                "step": "gold", "started_at": date("2026-01-21T03:00:00Z"), "ended_at": null,
                "summary": "",
            }],
        };
        let record = read_run(&document, "ops.runs").unwrap();
        assert_eq!((record.trigger, record.request), (RunTrigger::Cli, RefreshRequest::default()));
        assert!(record.has_begun && record.quality.is_none() && record.generation.is_none());
        assert_eq!(record.steps[0].flow, Flow::default());
    }

    #[test]
    fn a_document_that_cannot_be_read_is_named_with_its_field() {
        let mut document = stored();
        document.insert("started_at", "yesterday");
        let error = read_run(&document, "ops.runs").unwrap_err().to_string();
        assert!(error.contains("ops.runs.started_at") && error.contains("12"), "{error}");
    }

    #[test]
    fn notes_are_written_as_fields_of_the_document() {
        let RunRecord { steps, before, quality, .. } = read_run(&stored(), "ops.runs").unwrap();
        let notes = write_notes(&RunNotes { steps, before, quality }).unwrap();
        for (field, value) in &notes {
            assert_eq!(stored().get(field), Some(value), "{field}");
        }
        assert_eq!(notes.len(), 3);
    }
}
