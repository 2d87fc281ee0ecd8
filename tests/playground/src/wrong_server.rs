//! Something else that answers where an emitter was: a misdirected load balancer's page.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 52\r\n\
    connection: close\r\n\r\n<html>\n<body>It works, but not yours</body>\n</html>\n";

/// Nobody asks so much of a page.
const MAX_CONNECTIONS: usize = 100;

/// Answers until it is ended.
pub(crate) async fn run(port: u16) -> anyhow::Result<()> {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let listener = runtime::listen::bind(address, "PORT")?;
    let mut answers = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while answers.try_join_next().is_some() {}
        if answers.len() < MAX_CONNECTIONS {
            answers.spawn(tokio::time::timeout(Duration::from_secs(5), answer(stream)));
        }
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    if stream.read(&mut request).await? != 0 {
        stream.write_all(PAGE.as_bytes()).await?;
    }
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::PAGE;

    #[test]
    fn the_page_is_as_long_as_it_says() {
        let (head, body) = PAGE.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
