//! The routes of the audit log.

use axum::{extract::State, response::Response};
use fairline_sale::SaleId;
use fairline_server::{Problem, Query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    service::{AuditLog, PAGE},
    store::AuditRow,
};
use crate::admin_api::{AdminState, csv::CsvTable};

/// Entries of one CSV file at most, the newest.
const TABLE_MAX: i64 = 100_000;

pub(in crate::admin_api) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(show_audit)).routes(routes!(audit_table))
}

/// Selects entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only entries before this one.
    before: Option<i64>,
    /// Only changes of this sale and of its rehearsals.
    sale: Option<SaleId>,
}

/// A change that an operator has made.
#[derive(Debug, Serialize, ToSchema)]
struct AuditEntry {
    id: i64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// The operator, or `admin token`.
    who: String,
    action: String,
    /// The changed object: the slug of a sale, the name of an operator …
    subject: String,
    #[schema(required)]
    sale: Option<SaleId>,
    /// The fields that differ, before the change.
    #[schema(required, value_type = Option<Object>)]
    before: Option<Value>,
    /// The fields that differ, after the change.
    #[schema(required, value_type = Option<Object>)]
    after: Option<Value>,
    #[schema(required)]
    reason: Option<String>,
}

/// A page of the audit log, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct AuditPage {
    entries: Vec<AuditEntry>,
    /// The value of `before` for the next page, if there is one.
    #[schema(required)]
    next: Option<i64>,
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        let AuditRow { id, at, who, action, subject, sale_id, before, after, reason } = row;
        Self { id, at, who, action, subject, sale: sale_id.map(SaleId), before, after, reason }
    }
}

/// Show the audit log, the newest entries first.
#[utoipa::path(get, path = "/api/admin/audit", params(AuditQuery), security(("admin" = [])), responses(
    (status = 200, description = "A page of at most 100 entries.", body = AuditPage),
))]
async fn show_audit(
    State(audit): State<AuditLog>,
    Query(reading): Query<AuditQuery>,
) -> Result<axum::Json<AuditPage>, Problem> {
    let (rows, next) = audit.page(reading.before, reading.sale).await?;
    Ok(axum::Json(AuditPage { entries: rows.into_iter().map(AuditEntry::from).collect(), next }))
}

/// Download the audit log as CSV: the newest 100,000 entries.
#[utoipa::path(get, path = "/api/admin/audit.csv", params(AuditQuery), security(("admin" = [])), responses(
    (status = 200, description = "The entries.", content_type = "text/csv", body = String),
))]
async fn audit_table(State(audit): State<AuditLog>, Query(reading): Query<AuditQuery>) -> Result<Response, Problem> {
    let mut before = reading.before;
    let mut table = CsvTable::default();
    table.row(["id", "at", "who", "action", "subject", "sale", "before", "after", "reason"]);
    for _ in 0..TABLE_MAX / PAGE {
        let (rows, next) = audit.page(before, reading.sale).await?;
        for row in rows {
            let json = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
            let (id, at) = (row.id.to_string(), row.at.format(&Rfc3339).unwrap_or_default());
            let sale = row.sale_id.map(|sale| sale.to_string()).unwrap_or_default();
            let (was, became) = (json(&row.before), json(&row.after));
            let reason = row.reason.unwrap_or_default();
            table.row(
                [&id, &at, &row.who, &row.action, &row.subject, &sale, &was, &became, &reason].map(String::as_str),
            );
        }
        if next.is_none() {
            break;
        }
        before = next;
    }
    Ok(table.download("audit.csv"))
}
