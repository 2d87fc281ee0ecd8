//! Reads without a prober, and without an answer.

use super::{CONFIRMATION, Duration, Read, ReadBarrier};

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_an_answer_for_a_limited_time() {
    let barrier = ReadBarrier::default();
    let within = Duration::from_secs(5);
    let read = barrier.wait(within).await;
    assert!(matches!(read, Ok(None)), "where nobody probes");
    let _prober = barrier.asked.subscribe();
    let read = barrier.wait(within).await;
    assert!(read.is_err(), "where nothing comes of it");
    let (asked, ()) = tokio::join!(barrier.wait(within), async {
        tokio::task::yield_now().await;
        barrier.answered.send_replace((2, Read::Confirmed));
    });
    assert!(matches!(asked, Ok(Some(Read::Confirmed))));
    barrier.on_demand();
    let read = barrier.wait(within).await;
    assert!(matches!(read, Ok(Some(Read::Cached))));
    let read = barrier.confirm(within).await;
    assert!(read.is_err(), "which is asked all the same");
    let began = tokio::time::Instant::now();
    let read = barrier.confirm(Duration::from_secs(60)).await;
    assert!(matches!(read, Ok(Some(Read::Cached))));
    assert_eq!(began.elapsed(), CONFIRMATION);
}
