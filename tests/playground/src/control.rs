//! How a second process talks to the running playground: a socket in the run's folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::scene::{Order, Outcome};

/// The socket's name.
pub(crate) const SOCKET: &str = "control.sock";

/// What folders of runs are called; what makes them adds letters.
const RUN: &str = "heliograph-playground-";

/// What can be asked of a running playground.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Something is to be done to a source.
    Do(Order),
    /// What is seen.
    Status,
}

/// A request, and where its outcome is awaited.
pub(crate) type Asked = (Request, oneshot::Sender<Outcome>);

/// Requests are short, and come at once.
const MAX_REQUEST: u64 = 4096;
const PATIENCE: Duration = Duration::from_secs(5);

/// A real API server takes some seconds to start.
const OUTCOME: Duration = Duration::from_secs(90);

/// Nobody plays with so many hands.
const MAX_CONNECTIONS: usize = 32;

/// Listens in a run's folder.
pub(crate) fn listen(socket: &Path) -> anyhow::Result<UnixListener> {
    UnixListener::bind(socket).with_context(|| {
        format!(
            "cannot make the socket {}; if its path is too long, set TMPDIR to a shorter one",
            socket.display()
        )
    })
}

/// Serves requests until nobody answers them any more.
pub(crate) async fn serve(
    listener: UnixListener,
    asked: mpsc::Sender<Asked>,
) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while connections.try_join_next().is_some() {}
        if connections.len() < MAX_CONNECTIONS {
            connections.spawn(answer(stream, asked.clone()));
        }
    }
}

async fn answer(mut stream: UnixStream, asked: mpsc::Sender<Asked>) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(MAX_REQUEST));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let outcome: Outcome = match serde_json::from_str(&line) {
        Ok(request) => {
            let (sender, outcome) = oneshot::channel();
            asked.send((request, sender)).await?;
            outcome.await?
        }
        Err(error) => Err(format!("this playground is of another version: {error}")),
    };
    writer.write_all(&serde_json::to_vec(&outcome)?).await?;
    Ok(())
}

/// Asks the playground that runs; what it says is the answer.
pub(crate) async fn ask(request: &Request) -> anyhow::Result<String> {
    let stream = connect(&std::env::temp_dir()).await?;
    match tokio::time::timeout(OUTCOME, exchange(stream, request)).await {
        Ok(outcome) => match outcome.context("the playground has ended")? {
            Ok(text) => Ok(text),
            Err(why) => bail!(why),
        },
        Err(_) => bail!("the playground does not answer within {OUTCOME:?}"),
    }
}

async fn exchange(mut stream: UnixStream, request: &Request) -> anyhow::Result<Outcome> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(serde_json::from_slice(&answer)?)
}

/// Connects to the only playground that runs.
async fn connect(temporary: &Path) -> anyhow::Result<UnixStream> {
    let mut running = Vec::new();
    for socket in sockets(temporary) {
        // What a killed run left behind refuses.
        if let Ok(stream) = UnixStream::connect(&socket).await {
            running.push((socket, stream));
        }
    }
    match running.len() {
        0 => bail!(
            "no playground is running; start one in another terminal: {}",
            crate::advice::call("playground")
        ),
        1 => Ok(running.remove(0).1),
        n => bail!(
            "{n} playgrounds are running, and this could mean any of them; end all but one, or \
             run each with a TMPDIR of its own"
        ),
    }
}

fn sockets(temporary: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(temporary).into_iter().flatten().flatten();
    let runs = folders.filter(|it| it.file_name().to_string_lossy().starts_with(RUN));
    let runs = runs.filter(|it| it.metadata().is_ok_and(|it| is_own(&it)));
    runs.map(|it| it.path().join(SOCKET)).collect()
}

/// Returns whether the user of this process owns a folder. Where that cannot be said, it counts.
fn is_own(folder: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let this = std::fs::metadata("/proc/self").map(|it| it.uid());
    this.is_ok_and(|it| it == folder.uid()) || !Path::new("/proc/self").exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Fault;

    fn run_in(temporary: &Path, name: &str) -> UnixListener {
        let folder = temporary.join(format!("{RUN}{name}"));
        std::fs::create_dir(&folder).unwrap();
        listen(&folder.join(SOCKET)).unwrap()
    }

    #[tokio::test]
    async fn the_one_that_runs_is_found_beside_what_others_left() {
        let temporary = tempfile::tempdir().unwrap();
        let none = connect(temporary.path()).await.unwrap_err().to_string();
        assert!(
            none.contains("no playground is running; start one"),
            "{none}"
        );

        drop(run_in(temporary.path(), "killed"));
        let one = run_in(temporary.path(), "one");
        connect(temporary.path()).await.unwrap();

        let _another = run_in(temporary.path(), "another");
        let two = connect(temporary.path()).await.unwrap_err().to_string();
        assert!(two.starts_with("2 playgrounds are running"), "{two}");
        drop(one);
    }

    #[tokio::test]
    async fn a_request_gets_its_outcome() {
        let temporary = tempfile::tempdir().unwrap();
        let listener = run_in(temporary.path(), "one");
        let (sender, mut asked) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, sender));
        tasks.spawn(async move {
            while let Some((request, answer)) = asked.recv().await {
                let _ = answer.send(Err(format!("{request:?}")));
            }
            Ok(())
        });
        let request = Request::Do(Order::Break("east".to_owned(), Fault::Hang));
        let stream = connect(temporary.path()).await.unwrap();
        let outcome = exchange(stream, &request).await.unwrap();
        assert_eq!(outcome, Err(r#"Do(Break("east", Hang))"#.to_owned()));

        let mut stream = connect(temporary.path()).await.unwrap();
        stream.write_all(b"hello\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("of another version"), "{answer}");
    }
}
