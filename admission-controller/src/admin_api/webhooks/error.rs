//! Why a webhook is not added or changed, and the mapping to HTTP.

use fairline_server::Problem;

use crate::{error::CommonError, problem_types};

/// Why a request about a webhook was rejected or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("there is no such webhook")]
    UnknownWebhook,
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
            WebhookError::UnknownWebhook => Self::new(&problem_types::UNKNOWN_WEBHOOK)
                .detail("Check the id; `GET /api/admin/webhooks` lists the webhooks."),
            WebhookError::TooManyWebhooks { most } => Self::new(&problem_types::TOO_MANY_WEBHOOKS)
                .detail(format!("There are already {most}, which is the maximum. Delete a webhook that is not used.")),
            WebhookError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::tests::assert_problem;

    #[test]
    fn every_error_maps_to_its_problem() {
        assert_problem(WebhookError::UnknownWebhook, 404, "unknown-webhook");
        assert_problem(WebhookError::TooManyWebhooks { most: 20 }, 409, "too-many-webhooks");
    }
}
