//! Questions without a prober, and without an answer.

use super::{CONFIRMATION, Duration, MAX_LIMIT, Questions, Read};

#[tokio::test(start_paused = true)]
async fn a_question_waits_for_an_answer_but_not_for_ever() {
    let questions = Questions::default();
    let within = Duration::from_secs(5);
    let read = questions.ask(within).await;
    assert!(matches!(read, Ok(None)), "where nobody probes");
    let _prober = questions.asked.subscribe();
    let read = questions.ask(within).await;
    assert!(read.is_err(), "where nothing comes of it");
    let (asked, ()) = tokio::join!(questions.ask(within), async {
        tokio::task::yield_now().await;
        questions.answered.send_replace((2, Read::Confirmed));
    });
    assert!(matches!(asked, Ok(Some(Read::Confirmed))));
    questions.on_demand();
    let read = questions.ask(within).await;
    assert!(matches!(read, Ok(Some(Read::Cached))));
    let read = questions.confirm(within).await;
    assert!(read.is_err(), "which is asked all the same");
    let began = tokio::time::Instant::now();
    let read = questions.confirm(MAX_LIMIT).await;
    assert!(matches!(read, Ok(Some(Read::Cached))));
    assert_eq!(began.elapsed(), CONFIRMATION);
}
