//! Place of a node in the network, as programs know it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use http::Request;
use kube::Client;
use runtime::Access;
use runtime::network::Virtual;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use super::{Net, Node};

/// A node's place in the network.
struct Attached {
    net: Arc<Net>,
    node: Node,
}

impl Net {
    /// Returns the network as a node sees it.
    pub(crate) fn of(self: &Arc<Self>, node: &Node) -> runtime::Network {
        runtime::Network::Virtual(Arc::new(Attached {
            net: Arc::clone(self),
            node: Arc::clone(node),
        }))
    }
}

impl Net {
    /// Returns a client of a node, which sends its requests to a host; to the API server of its own
    /// cluster, if there is no host.
    pub(crate) fn client(
        self: &Arc<Self>,
        node: &Node,
        host: Option<String>,
        user_agent: &str,
    ) -> Client {
        let (net, node) = (Arc::clone(self), Arc::clone(node));
        let agent = http::HeaderValue::from_str(user_agent).ok();
        let service = service_fn(move |mut request: Request<kube::client::Body>| {
            if let Some(agent) = &agent {
                let headers = request.headers_mut();
                headers.insert(http::header::USER_AGENT, agent.clone());
            }
            Arc::clone(&net).exchange(Arc::clone(&node), host.clone(), request)
        });
        Client::new(service, "heliograph")
    }
}

impl Virtual for Attached {
    fn client(&self, access: &Access, user_agent: &str) -> Client {
        let host = match access {
            Access::InCluster
            | Access::Kubeconfig { .. }
            | Access::InlineKubeconfig { .. }
            | Access::Provided { .. } => None,
            Access::Url { url, .. } => url.host().map(str::to_owned),
        };
        self.net.client(&self.node, host, user_agent)
    }

    fn serve(&self, address: SocketAddr, router: Router, _: CancellationToken) {
        self.net.listen(&self.node, address.port(), router);
    }
}
