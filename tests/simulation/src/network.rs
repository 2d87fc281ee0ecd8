//! Network between the nodes of a fleet, in memory.
//!
//! A request travels a *link* from a client to a server, waits there as long as a fault
//! demands, is answered by the server's router, and travels back; a watch's body travels
//! frame by frame. Requests of one client have no order among each other, frames of one
//! body keep theirs. Bytes, TLS and HTTP framing are left out: scenarios test them.

mod attached;
mod body;
mod mangle;
mod meter;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, header};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;
use tower::ServiceExt;

pub use self::mangle::{Mangle, Mangled};
pub(crate) use self::meter::{Meter, Traffic};
use crate::oracle::Oracle;
use crate::sabotage::{self, About, Defect, Sabotage};
use crate::trace::Trace;

/// Name of a node.
pub type Node = Arc<str>;

/// Port of emitters and API servers; others are for probes.
pub const PORT: u16 = 80;

/// Time after which a client gives up a connection that is not accepted.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Error of a request that brought no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Broken(&'static str);

/// Condition of a link.
#[derive(Debug, Clone, Copy, Default)]
struct Condition {
    /// Number of faults that stop requests.
    blocked_there: u32,
    /// Number of faults that stop answers.
    blocked_back: u32,
    /// Further delay of everything, in milliseconds.
    delay: (u64, u64),
    /// Share of requests that fail, in percent.
    loss: u8,
    /// Number of times that all connections ended.
    n_resets: u64,
    /// Number of times that all connections fell silent.
    n_freezes: u64,
    /// Change of answers.
    mangled: Option<Mangled>,
}

/// Direction of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Requests are lost.
    There,
    /// Answers are lost.
    Back,
    /// Both are lost.
    Both,
}

struct Inner {
    random: fastrand::Rng,
    homes: BTreeMap<Node, Node>,
    hosts: BTreeMap<String, Vec<Node>>,
    servers: BTreeMap<(Node, u16), Router>,
    is_down: BTreeMap<Node, bool>,
    links: BTreeMap<(Node, Node), watch::Sender<Condition>>,
}

/// Network of one fleet.
pub struct Net {
    inner: Mutex<Inner>,
    trace: Arc<Trace>,
    oracle: Arc<Oracle>,
    sabotage: Sabotage,
    /// For requests that no defect concerns.
    sound: Sabotage,
    meter: Meter,
}

/// A link, as one connection sees it.
struct Line {
    condition: watch::Receiver<Condition>,
    opened: Condition,
}

impl Net {
    /// Creates a network without nodes.
    pub(crate) fn new(
        seed: u64,
        sabotage: Sabotage,
        oracle: Arc<Oracle>,
        trace: Arc<Trace>,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                random: fastrand::Rng::with_seed(seed),
                homes: BTreeMap::new(),
                hosts: BTreeMap::new(),
                servers: BTreeMap::new(),
                is_down: BTreeMap::new(),
                links: BTreeMap::new(),
            }),
            trace,
            oracle,
            sabotage,
            sound: Sabotage::default(),
            meter: Meter::default(),
        })
    }

    /// Returns the meter of the links.
    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Sets the API server of the cluster that a node runs in.
    pub(crate) fn home(&self, node: &Node, server: &Node) {
        let mut inner = self.inner.lock();
        inner.homes.insert(Arc::clone(node), Arc::clone(server));
    }

    /// Sets the servers behind a host name.
    pub(crate) fn host(&self, name: &str, servers: Vec<Node>) {
        self.inner.lock().hosts.insert(name.to_owned(), servers);
    }

    /// Lets a router answer what arrives at a node.
    pub(crate) fn listen(&self, node: &Node, port: u16, router: Router) {
        let mut inner = self.inner.lock();
        inner.servers.insert((Arc::clone(node), port), router);
    }

    /// Removes all that listens at a node, and ends its connections.
    pub(crate) fn unplug(&self, node: &Node) {
        self.inner.lock().servers.retain(|(it, _), _| it != node);
        self.reset(node);
    }

    /// Makes a node refuse connections, or accept them again.
    pub(crate) fn down(&self, node: &Node, is_down: bool) {
        self.inner.lock().is_down.insert(Arc::clone(node), is_down);
        if is_down {
            self.reset(node);
        }
    }

    /// Ends all connections to and from a node.
    pub(crate) fn reset(&self, node: &Node) {
        self.links_of(node, |it| it.n_resets += 1);
    }

    /// Ends all connections of a link.
    pub(crate) fn reset_link(&self, client: &Node, server: &Node) {
        self.change(client, server, |it| it.n_resets += 1);
    }

    /// Silences all connections of a link for good.
    pub(crate) fn freeze(&self, client: &Node, server: &Node) {
        self.change(client, server, |it| it.n_freezes += 1);
    }

    /// Begins or ends a partition of a link.
    pub(crate) fn block(&self, link: (&Node, &Node), direction: Direction, begins: bool) {
        let count = |n: &mut u32| *n = if begins { *n + 1 } else { n.saturating_sub(1) };
        self.change(link.0, link.1, |it| {
            if direction != Direction::Back {
                count(&mut it.blocked_there);
            }
            if direction != Direction::There {
                count(&mut it.blocked_back);
            }
        });
    }

    /// Delays everything on a link by so many milliseconds.
    pub(crate) fn delay(&self, link: (&Node, &Node), delay: (u64, u64)) {
        self.change(link.0, link.1, |it| it.delay = delay);
    }

    /// Loses that share of requests, in percent.
    pub(crate) fn lose(&self, link: (&Node, &Node), percent: u8) {
        self.change(link.0, link.1, |it| it.loss = percent);
    }

    /// Changes answers on a link.
    pub(crate) fn mangle(&self, link: (&Node, &Node), mangled: Option<Mangled>) {
        self.change(link.0, link.1, |it| it.mangled = mangled);
    }

    fn change(&self, client: &Node, server: &Node, change: impl FnOnce(&mut Condition)) {
        self.link(client, server).send_modify(change);
    }

    fn links_of(&self, node: &Node, change: impl Fn(&mut Condition)) {
        let inner = self.inner.lock();
        for ((client, server), link) in &inner.links {
            if client == node || server == node {
                link.send_modify(&change);
            }
        }
    }

    fn link(&self, client: &Node, server: &Node) -> watch::Sender<Condition> {
        let mut inner = self.inner.lock();
        let key = (Arc::clone(client), Arc::clone(server));
        inner.links.entry(key).or_default().clone()
    }

    /// Returns the defect that concerns a request.
    fn sabotage(&self, about: About) -> &Sabotage {
        match self.sabotage.concerns(about.is_consumer) {
            true => &self.sabotage,
            false => &self.sound,
        }
    }

    /// Draws a number below `n`.
    fn draw(&self, n: u64) -> u64 {
        self.inner.lock().random.u64(..n)
    }

    /// Chooses the server that a request goes to.
    fn resolve(&self, client: &Node, host: Option<&str>) -> Result<Node, Broken> {
        let mut inner = self.inner.lock();
        let Some(host) = host else {
            let home = inner.homes.get(client).cloned();
            return home.ok_or(Broken("no API server in this cluster"));
        };
        let servers = inner.hosts.get(host).cloned().unwrap_or_default();
        let is_up = |it: &Node| !inner.is_down.get(it).copied().unwrap_or_default();
        let up: Vec<_> = servers.into_iter().filter(is_up).collect();
        if up.is_empty() {
            return Err(Broken("connection refused"));
        }
        let chosen = inner.random.usize(..up.len());
        Ok(Arc::clone(&up[chosen]))
    }

    fn router(&self, server: &Node) -> Result<Router, Broken> {
        let inner = self.inner.lock();
        let is_down = inner.is_down.get(server).copied().unwrap_or_default();
        let router = inner.servers.get(&(Arc::clone(server), PORT));
        let router = router.filter(|_| !is_down).cloned();
        router.ok_or(Broken("connection refused"))
    }

    /// Sends a request, and returns its response or why there is none.
    pub(crate) async fn exchange(
        self: Arc<Self>,
        client: Node,
        host: Option<String>,
        mut request: Request<kube::client::Body>,
    ) -> Result<Response<Body>, Broken> {
        let server = self.resolve(&client, host.as_deref())?;
        let about = About::new(&request, &client, &server);
        if let Some(answer) = self.sabotage(about).request(&mut request, about).await {
            return Ok(answer);
        }
        let condition = self.link(&client, &server).subscribe();
        let opened = *condition.borrow();
        let mut line = Line { condition, opened };
        self.meter.requested((&client, &server));
        let what = format!("{} {}", request.method(), request.uri());
        let path = request.uri().path().to_owned();
        self.travel(&mut line, |it| it.blocked_there).await?;
        if self.draw(100) < u64::from(line.now().loss) {
            return Err(Broken("connection reset by peer"));
        }
        let router = self.router(&server)?;
        let mangled = line
            .now()
            .mangled
            .filter(|it| self.draw(100) < u64::from(it.percent));
        let mangle = mangled.map(|it| it.how);
        if self.sabotage.defect.is_some() || mangle.is_some_and(Mangle::edits) {
            // What is edited on its way must be text.
            request.headers_mut().remove(header::ACCEPT_ENCODING);
        }
        if let Some(mangle) = mangle
            && let Some(answer) = mangle::before(mangle, &path, about.is_write).await
        {
            self.trace
                .note(|| format!("{client}→{server} {what} = {mangle:?}"));
            return Ok(self.read(&path, about, answer).await);
        }
        let answered = router.oneshot(request.map(Body::new));
        let response = tokio::select! {
            biased;
            answer = answered => answer.unwrap_or_else(|never| match never {}),
            broken = line.broken() => return Err(broken),
        };
        self.trace
            .note(|| format!("{client}→{server} {what} = {}", response.status()));
        self.travel(&mut line, |it| it.blocked_back).await?;
        if about.is_write && about.is_local && response.status().is_success() {
            self.oracle.wrote(&client);
        }
        let breaks = matches!(mangle, Some(Mangle::Truncated { .. }));
        if self.sabotage(about).defect == Some(Defect::BrokenListIsEmpty) && breaks && about.is_list
        {
            return Ok(sabotage::empty(&path));
        }
        let response = match mangle {
            Some(mangle) => mangle::after(mangle, about.is_watch, response).await,
            None => response,
        };
        let response = self.read(&path, about, response).await;
        Ok(self.carried((client, server), line, about, response))
    }

    /// Returns an answer as a program reads it that may have a defect.
    async fn read(&self, path: &str, about: About, mut answer: Response<Body>) -> Response<Body> {
        let sabotage = self.sabotage(about);
        sabotage.head(answer.headers_mut());
        match about.is_watch {
            true => answer,
            false => sabotage.answer(path, about, answer).await,
        }
    }

    /// Waits as long as something takes on its way.
    async fn travel(&self, line: &mut Line, blocked: fn(&Condition) -> u32) -> Result<(), Broken> {
        self.take_time(line).await;
        if blocked(&line.now()) != 0 {
            let is_new = self.draw(2) == 0;
            let unblocked = line.until(|it| blocked(it) == 0);
            if is_new {
                let connected = tokio::time::timeout(CONNECT_TIMEOUT, unblocked).await;
                connected.map_err(|_| Broken("connect timed out"))??;
            } else {
                unblocked.await?;
            }
            if self.draw(3) == 0 {
                return Err(Broken("connection reset by peer"));
            }
        }
        line.check().await
    }

    async fn take_time(&self, line: &Line) {
        let (least, most) = line.now().delay;
        let base = 200 + self.draw(1800);
        let more = least * 1000 + self.draw((most.saturating_sub(least) * 1000).max(1));
        sleep(Duration::from_micros(base + more)).await;
    }
}

impl Line {
    fn now(&self) -> Condition {
        *self.condition.borrow()
    }

    /// Waits indefinitely where the connection fell silent; fails where it ended.
    async fn check(&self) -> Result<(), Broken> {
        let now = self.now();
        if now.n_resets != self.opened.n_resets {
            return Err(Broken("connection reset by peer"));
        }
        if now.n_freezes != self.opened.n_freezes {
            let () = std::future::pending().await;
        }
        Ok(())
    }

    /// Waits until the condition holds, or the connection ends.
    async fn until(&mut self, holds: impl Fn(&Condition) -> bool) -> Result<(), Broken> {
        loop {
            self.check().await?;
            if holds(&self.now()) {
                return Ok(());
            }
            if self.condition.changed().await.is_err() {
                return Err(Broken("the network is gone"));
            }
        }
    }

    /// Returns when the connection ends.
    async fn broken(&mut self) -> Broken {
        match self.until(|_| false).await {
            Ok(()) => Broken("connection reset by peer"),
            Err(broken) => broken,
        }
    }
}
