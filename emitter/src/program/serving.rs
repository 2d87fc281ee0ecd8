//! Servers of the API.

use std::sync::Arc;

use axum::Router;
use runtime::network::Virtual;
use runtime::{Network, listen};
use tracing::info;

use super::Program;
use crate::serve::{self, Transport};
use crate::tls::Certificates;

impl Program {
    /// Starts the servers. When they have ended, so has the program.
    pub(super) async fn serve(
        &mut self,
        router: &Router,
        certificates: Option<Arc<Certificates>>,
    ) -> anyhow::Result<()> {
        let mut servers = Vec::new();
        if let Network::Virtual(network) = &self.network {
            self.serve_within(&Arc::clone(network), router);
            return Ok(());
        }
        if let Some(address) = self.config.serving.http {
            let listener = listen::bind(address, "--insecure-port")?;
            info!(%address, "serving HTTP");
            servers.push((listener, Transport::Plain));
        }
        if let (Some((address, _)), Some(certificates)) = (&self.config.serving.https, certificates)
        {
            let listener = listen::bind(*address, "--secure-port")?;
            info!(%address, "serving HTTPS");
            servers.push((listener, Transport::Tls(certificates)));
        }
        let servers = servers.into_iter().map(|(listener, transport)| {
            let (router, connections) = (router.clone(), Arc::clone(&self.connections));
            serve::serve(listener, transport, router, connections, self.end.clone())
        });
        let servers = futures::future::join_all(servers);
        let stopped = self.tasks.shutdown().clone();
        self.tasks.spawn("serving", async move {
            let outcome: std::io::Result<Vec<()>> = servers.await.into_iter().collect();
            stopped.cancel();
            outcome.map(|_| ())
        });
        Ok(())
    }

    /// Serves requests of this process, without sockets.
    fn serve_within(&mut self, network: &Arc<dyn Virtual>, router: &Router) {
        let address = self.config.serving.http;
        let address = address.or_else(|| Some(self.config.serving.https.as_ref()?.0));
        if let Some(address) = address {
            network.serve(address, router.clone(), self.end.closing.clone());
        }
        let (ended, stopped) = (self.end.ended.clone(), self.tasks.shutdown().clone());
        self.tasks.spawn("serving", async move {
            ended.cancelled().await;
            stopped.cancel();
            anyhow::Ok(())
        });
    }
}
