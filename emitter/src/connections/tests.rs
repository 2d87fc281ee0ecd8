//! Who is admitted, and when a connection is idle.

use super::*;

fn connections(all: usize, each: usize) -> Arc<Connections> {
    let mut limits = ConnectionLimits::standard();
    limits.max_connections = all.try_into().unwrap();
    limits.max_connections_per_address = each.try_into().unwrap();
    Connections::new(limits, Arc::new(Metrics::default()))
}

fn from(connections: &Arc<Connections>, address: &str) -> AcceptDecision {
    connections.admit(format!("{address}:1000").parse().unwrap())
}

#[test]
fn one_address_cannot_keep_out_another() {
    let connections = connections(10, 4);
    let mut kept = Vec::new();
    for _ in 0..4 {
        match from(&connections, "10.0.0.1") {
            AcceptDecision::Serve(place) => kept.push(place),
            other => unreachable!("{other:?}"),
        }
    }
    let told = from(&connections, "10.0.0.1");
    assert!(matches!(told, AcceptDecision::Refuse(_)), "{told:?}");
    assert!(matches!(
        from(&connections, "10.0.0.1"),
        AcceptDecision::Close
    ));
    assert!(matches!(
        from(&connections, "10.0.0.2"),
        AcceptDecision::Serve(_)
    ));
    drop((kept, told));
    assert!(connections.is_empty());
    assert!(connections.open.lock().addresses.is_empty());
}

#[test]
fn all_addresses_together_have_a_limit() {
    let connections = connections(2, 2);
    let _a = from(&connections, "10.0.0.1");
    let _b = from(&connections, "10.0.0.2");
    assert!(matches!(
        from(&connections, "10.0.0.3"),
        AcceptDecision::Refuse(_)
    ));
}

#[test]
fn a_net_of_ipv6_is_one_address() {
    let connections = connections(10, 1);
    let _one = from(&connections, "[2001:db8::1]");
    let other = from(&connections, "[2001:db8::2]");
    assert!(matches!(other, AcceptDecision::Refuse(_)), "{other:?}");
    let elsewhere = from(&connections, "[2001:db8:0:1::1]");
    assert!(
        matches!(elsewhere, AcceptDecision::Serve(_)),
        "{elsewhere:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_request_is_noticed_by_all_who_wait_for_it() {
    let connections = connections(10, 10);
    let AcceptDecision::Serve(place) = from(&connections, "10.0.0.1") else {
        unreachable!("there is room");
    };
    let patience = Duration::from_secs(60);
    let first = tokio::time::timeout(patience, place.connection.first_request());
    let idle = tokio::time::timeout(patience, place.connection.idle(2 * patience));
    let ask = async {
        tokio::task::yield_now().await;
        let request = place.connection.request();
        tokio::time::sleep(2 * patience).await;
        drop(request);
    };
    let (first, idle, ()) = tokio::join!(first, idle, ask);
    assert!(first.is_ok() && idle.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_when_its_last_answer_has_ended_long_ago() {
    let connections = connections(10, 10);
    let AcceptDecision::Serve(place) = from(&connections, "10.0.0.1") else {
        unreachable!("there is room");
    };
    let request = place.connection.request();
    place.connection.first_request().await;
    let patience = Duration::from_secs(60);
    let idle = place.connection.idle(Duration::from_secs(10));
    tokio::pin!(idle);
    assert!(tokio::time::timeout(patience, &mut idle).await.is_err());
    drop(request);
    assert!(tokio::time::timeout(patience, idle).await.is_ok());
}
