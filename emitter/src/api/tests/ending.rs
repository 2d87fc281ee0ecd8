//! How watches end that could have gone on.

use proto_types::Revision;
use runtime::follow::Event;

use super::Lab;

#[tokio::test]
async fn shutdown_ends_watches_cleanly() {
    let lab = Lab::with(&["a"]);
    let mut watch = lab.watch("resourceVersion=100").await;
    lab.shutdown.cancel();
    assert_eq!(watch.line().await, None);
}

#[tokio::test]
async fn shutdown_leaves_a_bookmark_to_resume_from_where_that_is_allowed() {
    let lab = Lab::with(&["a"]);
    let mut watch = lab.watch("resourceVersion=100&allowWatchBookmarks=1").await;
    lab.tell(Event::Progress(Revision::new(150)));
    lab.shutdown.cancel();
    assert_eq!(watch.events().await, ["BOOKMARK @150"]);
    assert_eq!(watch.line().await, None);
}
