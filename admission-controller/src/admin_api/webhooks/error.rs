//! Why a webhook is not added or changed, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{error::CommonError, problem_types};

/// Why a request about a webhook was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("there is no such webhook")]
    WebhookNotFound,
    #[error("there are {most} webhooks already")]
    TooManyWebhooks { most: i64 },
    #[error(transparent)]
    Common(CommonError),
}

impl<E: Into<CommonError>> From<E> for WebhookError {
    fn from(error: E) -> Self {
        Self::Common(error.into())
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::WebhookNotFound => Self::new(&problem_types::WEBHOOK_NOT_FOUND)
                .detail("Check the id; `GET /api/admin/webhooks` lists the webhooks."),
            WebhookError::TooManyWebhooks { most } => Self::new(&problem_types::TOO_MANY_WEBHOOKS)
                .detail(format!("There are already {most}, which is the maximum. Delete a webhook that is not used.")),
            WebhookError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use fairline_snapshots::{NamedProblem, every_variant, problems};

    use super::*;

    pub(crate) fn examples() -> Vec<NamedProblem> {
        problems(every_variant!(WebhookError {
            WebhookNotFound,
            TooManyWebhooks { most: 20 },
            Common(CommonError::InvalidField { field: "url", must: "be an http:// or https:// address" }),
        }))
    }
}
