//! The policy for names, by Gatekeeper and by the API server itself, gives the verdicts
//! of one table, which the planner's own tests of names read too; and a policy binds the
//! reflector to its own objects.

mod gator;
mod native;
pub(crate) mod own;
mod table;

use std::sync::Arc;

use anyhow::Context;
use control_plane::Scene;

use table::Table;

pub(crate) async fn gator_and_admission_policy_agree_on_every_case(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let table = Table::read()?;
    let (by_gator, by_server) = tokio::join!(gator::ask(&table), native::ask(&scene, &table));
    by_gator.context("gator")?;
    by_server.context("the API server")
}
