//! Adds and changes lanes, and creates invitations.

use super::{
    error::LaneError,
    store::{LaneStore, LockedLanes},
};
use crate::{
    admin_api::sales::{responses::AdminSale, service::Sales},
    controller::schedule::TickNow,
    db::Author,
    error::{CommonError, check_field},
};

/// Invitations that one request creates at most.
const INVITATIONS_MAX: u32 = 1000;

/// Dependencies of the lanes' routes.
#[derive(Clone)]
pub(crate) struct Lanes {
    pub(crate) store: LaneStore,
    pub(crate) sales: Sales,
    pub(crate) tick_now: TickNow,
}

fn check_share(share: f64) -> Result<(), CommonError> {
    check_field("share", (0.0..=1.0).contains(&share), "be between 0 and 1")
}

impl Lanes {
    async fn lock(&self, by: &Author, action: &str, sale: &str) -> Result<LockedLanes, CommonError> {
        let id = sale.parse().map_err(|_| CommonError::SaleNotFound)?;
        self.store.lock_lanes(by, action, id).await?.ok_or(CommonError::SaleNotFound)
    }

    /// Adds a lane with a name and a share.
    pub(super) async fn add(
        &self,
        by: &Author,
        sale: &str,
        (name, share): (&str, f64),
    ) -> Result<AdminSale, LaneError> {
        let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let ok = name.len() <= 32 && name.split('-').all(plain);
        check_field("name", ok, "be lower-case letters, digits and single hyphens, at most 32 of them")?;
        check_share(share)?;
        let lanes = self.lock(by, "add_lane", sale).await?;
        lanes.add(name, share, &rand::random()).await?.map_err(LaneError::Rejected)?;
        self.tick_now.all();
        Ok(self.sales.show(sale).await?)
    }

    /// Changes the share of the lane with this name.
    pub(super) async fn change(
        &self,
        by: &Author,
        sale: &str,
        (name, share): (&str, f64),
    ) -> Result<AdminSale, LaneError> {
        check_share(share)?;
        let lanes = self.lock(by, "change_lane", sale).await?;
        lanes.set_share(name, share).await?.map_err(LaneError::Rejected)?;
        self.tick_now.all();
        Ok(self.sales.show(sale).await?)
    }

    /// Creates invitations to the lane with this name. Returns their codes.
    pub(super) async fn invite(
        &self,
        by: &Author,
        sale: &str,
        (name, count): (&str, u32),
    ) -> Result<Vec<String>, LaneError> {
        check_field("count", (1..=INVITATIONS_MAX).contains(&count), "be between 1 and 1000")?;
        let counted = self.lock(by, "invite", sale).await?.count_invitations(name, count).await?;
        let (line, key) =
            counted.and_then(|line| line.invitation_key().map(|key| (line, key))).ok_or(CommonError::LaneNotFound)?;
        let first = u32::try_from(line.invitations).map_err(|_| CommonError::LaneNotFound)?;
        Ok((first..).take(count as usize).map(|number| key.invite(line.line(), number)).collect())
    }
}
