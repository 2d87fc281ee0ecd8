//! Reverse proxies in front of an emitter, which parse what it answers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use control_plane::{Keeper, Process};

use super::lacks;
use crate::lab::{Lab, eventually, free_port};

/// A kind of proxy.
#[derive(Debug, Clone, Copy)]
pub(super) enum Proxy {
    Nginx,
    HaProxy,
}

/// A running proxy.
pub(super) struct Running {
    pub(super) url: String,
    _process: Process,
    _keeper: Keeper,
}

impl Proxy {
    pub(super) const ALL: [Self; 2] = [Self::Nginx, Self::HaProxy];

    const fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
        }
    }

    /// Starts it in front of that address; `None` if it is not here.
    pub(super) async fn start(
        self,
        lab: &Lab,
        url: &str,
        ca: Option<&Path>,
    ) -> anyhow::Result<Option<Running>> {
        let program = self.program();
        let version = Command::new(program).arg("-v").output();
        if version.is_err() {
            lacks(program)?;
            return Ok(None);
        }
        let port = free_port()?;
        let keeper = Keeper::new(program)?;
        let directory = keeper.directory().to_owned();
        let config = match self {
            Self::Nginx => nginx(port, url, ca, &directory),
            Self::HaProxy => haproxy(port, url, ca),
        };
        let file = lab.file(&format!("{program}-{port}.conf"), &config)?;
        let mut command = Command::new(program);
        match self {
            Self::Nginx => command.arg("-p").arg(&directory).arg("-c").arg(file),
            Self::HaProxy => command.arg("-f").arg(file),
        };
        let running = Running {
            url: format!("http://127.0.0.1:{port}"),
            _process: keeper.spawn(program, &command)?,
            _keeper: keeper,
        };
        eventually("the proxy serves", async || {
            tokio::time::sleep(Duration::from_millis(50)).await;
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
            Ok(())
        })
        .await?;
        Ok(Some(running))
    }
}

fn nginx(port: u16, url: &str, ca: Option<&Path>, directory: &Path) -> String {
    let directory = directory.display();
    let verified = ca.map(|ca| {
        let ca = ca.display();
        format!(
            "proxy_ssl_trusted_certificate {ca}; proxy_ssl_verify on; proxy_ssl_name localhost; \
             proxy_ssl_server_name on;"
        )
    });
    let verified = verified.unwrap_or_default();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {directory}/{name};\n"))
        .collect();
    format!(
        "daemon off; master_process off; pid {directory}/pid; error_log stderr;
events {{}}
http {{
  access_log off;
  {paths}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {url}; proxy_http_version 1.1; proxy_set_header Connection \"\";
      proxy_buffering off; {verified}
    }}
  }}
}}
"
    )
}

fn haproxy(port: u16, url: &str, ca: Option<&Path>) -> String {
    let address = url.rsplit('/').next().unwrap_or_default();
    let verified = ca.map(|ca| {
        let ca = ca.display();
        format!("ssl verify required ca-file {ca} sni str(localhost) verifyhost localhost")
    });
    let verified = verified.unwrap_or_default();
    format!(
        "defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen emitter
  bind 127.0.0.1:{port}
  server emitter {address} {verified}
"
    )
}
