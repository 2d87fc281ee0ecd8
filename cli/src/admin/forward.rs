//! Requests to a port of a pod, through the API server and the kubelet.

use std::fmt;

use anyhow::{Context, anyhow};
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

use super::answer::whole;
use crate::cluster::{Cluster, USER_AGENT};

/// A port of a pod.
pub(crate) struct Forward {
    pods: Api<Pod>,
    namespace: String,
    name: String,
    port: u16,
}

impl Forward {
    /// A port of a pod of a cluster.
    pub(super) fn new(cluster: &Cluster, namespace: &str, name: String, port: u16) -> Self {
        Self {
            pods: Api::namespaced(cluster.client().clone(), namespace),
            namespace: namespace.to_owned(),
            name,
            port,
        }
    }

    /// Sends one request, through a port-forward of its own.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let port = self.port;
        let forward = self.pods.portforward(&self.name, &[port]).await;
        let mut forward = forward.map_err(|error| self.rejected(error))?;
        let stream = forward.take_stream(port);
        let stream = stream.context("the port is not forwarded")?;
        let refused = forward.take_error(port);
        let refused = refused.context("the port is not forwarded")?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path)
            .header(http::header::HOST, "localhost")
            .header(http::header::USER_AGENT, USER_AGENT)
            .body(Empty::<hyper::body::Bytes>::new())?;
        let answer = async {
            let response = sender.send_request(request).await?;
            whole(response).await
        };
        let connection = async {
            // The error of the connection is reported by the request.
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        let refused = async {
            match refused.await {
                Some(why) => self.refused(&why),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            why = refused => Err(why),
            answer = answer => answer,
            () = connection => Err(anyhow!("the connection ended")),
        }
    }

    /// Returns the error of a port-forward that the API server rejects, with its remedy.
    fn rejected(&self, error: kube::Error) -> anyhow::Error {
        let kube::Error::Api(status) = error else {
            return error.into();
        };
        let namespace = &self.namespace;
        let remedy = match status.code {
            403 => format!(
                "grant get and create of pods/portforward in namespace {namespace}, or name an \
                 admin port with --server"
            ),
            404 => "the pod was deleted: run the command again".to_owned(),
            _ if status.message.contains("dialing backend") => format!(
                "the API server does not reach the kubelet of the pod: see kubectl get pod {} -n \
                 {namespace} -o wide and kubectl get nodes, or name an admin port with --server",
                self.name
            ),
            _ => "name an admin port with --server".to_owned(),
        };
        let message = status.message.trim_end_matches([':', ' ']);
        anyhow!("the API server rejected the port-forward: {message}; {remedy}")
    }

    /// Returns the error of a port that the kubelet cannot reach, with its remedy.
    fn refused(&self, why: &str) -> anyhow::Error {
        let (namespace, name) = (&self.namespace, &self.name);
        anyhow!(
            "the port-forward failed: {}; see kubectl describe pod {name} -n {namespace} and \
             kubectl logs {name} -n {namespace}, or wait until another replica is the leader",
            why.trim()
        )
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {}, port {}", self.name, self.port)
    }
}
