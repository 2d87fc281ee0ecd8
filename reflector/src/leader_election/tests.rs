use super::{Instant, Leadership};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_at_the_deadline() {
    let (sender, until) = watch::channel(Some(Instant::now() + 5 * SECOND));
    let (_, seen) = watch::channel(super::LeaseState::default());
    let leadership = Leadership { until, seen };
    advance(4 * SECOND).await;
    assert!(leadership.holds());
    sender.send_replace(Some(Instant::now() + 5 * SECOND));
    let before = Instant::now();
    leadership.clone().ended().await;
    assert_eq!(before.elapsed().as_secs(), 5);
    assert!(!leadership.holds());
}

#[tokio::test(start_paused = true)]
async fn a_single_replica_always_leads() {
    let leadership = Leadership::always();
    advance(1_000_000 * SECOND).await;
    assert!(leadership.holds());
}
