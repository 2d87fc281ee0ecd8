//! What is followed now: the local cluster, and sources that come and go while the others
//! go on.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use proto_types::LabelSelector;
use proto_types::name::DnsLabel;
use reflector_planner::{SourceName, World};
use runtime::{Limits, Reader, Scope};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::authority::Authority;
use crate::config::{GlobalConfig, SourceConfig, our_selector};
use crate::feed::{Feed, News, Way};
use crate::identity::Identity;

/// What is followed now, each by tasks of its own.
pub(crate) struct Following {
    client: kube::Client,
    global: Option<GlobalConfig>,
    local: CancellationToken,
    sources: BTreeMap<SourceName, Followed>,
    /// Whether it is known which cluster each source is to be.
    is_settled: bool,
    tasks: JoinSet<()>,
}

struct Followed {
    identity: Arc<Identity>,
    stop: CancellationToken,
}

/// A source, and the way to it.
pub(crate) struct Opened {
    /// The source.
    pub(crate) source: SourceConfig,
    way: Way,
    authority: Option<Authority>,
}

/// What feeds hear.
pub(crate) type Heard = Vec<BoxStream<'static, News>>;

impl Opened {
    /// Opens the way to a source. A credential plugin may take its time.
    pub(crate) async fn new(source: SourceConfig) -> anyhow::Result<Self> {
        let Some(url) = source.ca_url.clone() else {
            let client = runtime::connect(&source.access, crate::USER_AGENT).await?;
            let way = Way::Open(client);
            return Ok(Self {
                source,
                way,
                authority: None,
            });
        };
        let (authority, progress) = Authority::new(url)?;
        let access = source.access_by(authority.file());
        Ok(Self {
            source,
            way: Way::Waiting { access, progress },
            authority: Some(authority),
        })
    }
}

impl Following {
    /// Nothing yet, and then what that client leads to, with members of global
    /// Services where there are some.
    pub(crate) fn new(client: kube::Client, global: Option<GlobalConfig>) -> Self {
        Self {
            client,
            global,
            local: CancellationToken::new(),
            sources: BTreeMap::new(),
            is_settled: false,
            tasks: JoinSet::new(),
        }
    }

    /// Follows our objects here, in one namespace or in all, instead of as before.
    pub(crate) fn follow_local(&mut self, namespace: Option<&DnsLabel>) -> Heard {
        self.local.cancel();
        self.local = CancellationToken::new();
        let stop = self.local.clone();
        let feeds = [Feed::LocalServices, Feed::LocalSlices].map(|feed| {
            let scope = Scope {
                resource: feed.resource(),
                namespace: namespace.map(ToString::to_string),
                selector: our_selector(feed.resource(), self.global.as_ref()),
            };
            self.follow_here(feed, scope, &stop)
        });
        feeds.into()
    }

    /// Follows the members of global Services that are here.
    pub(crate) fn follow_local_members(&mut self) -> Heard {
        let Some(global) = self.global.clone() else {
            return Heard::new();
        };
        let feeds = [
            Feed::MemberServices(global.cluster.clone()),
            Feed::MemberSlices(global.cluster.clone()),
        ];
        let feeds = feeds.map(|feed| {
            let scope = Scope {
                resource: feed.resource(),
                namespace: None,
                selector: global.full_selector(),
            };
            self.follow_here(feed, scope, &CancellationToken::new())
        });
        feeds.into()
    }

    fn follow_here(
        &mut self,
        feed: Feed,
        scope: Scope,
        stop: &CancellationToken,
    ) -> BoxStream<'static, News> {
        let (sender, news) = Feed::channel();
        let reader = Reader::new(self.client.clone(), scope, Limits::default());
        self.tasks.spawn(feed.follow(reader, sender, None));
        until(stop, news)
    }

    /// Follows a source, instead of the one of its name.
    pub(crate) fn follow(&mut self, opened: Opened, world: &World) -> Heard {
        let Opened {
            source,
            way,
            authority,
        } = opened;
        self.stop(&source.name);
        let stop = CancellationToken::new();
        if let Some(authority) = authority {
            self.tasks.spawn(authority.run(stop.clone()));
        }
        let identity = Arc::new(Identity::new(&source));
        let feeds = self.feeds(&source).into_iter();
        let heard = feeds.map(|(feed, selector)| {
            let scope = Scope {
                resource: feed.resource(),
                namespace: source.namespace.as_ref().map(ToString::to_string),
                selector,
            };
            let (sender, news) = Feed::channel();
            let follow = follow(feed, way.clone(), scope, sender, Arc::clone(&identity));
            self.tasks.spawn(follow);
            until(&stop, news)
        });
        let heard = heard.collect();
        if self.is_settled {
            settle(&source.name, &identity, world);
        }
        self.sources
            .insert(source.name.clone(), Followed { identity, stop });
        heard
    }

    /// What is followed of a source. An EndpointSlice carries its Service's labels, so
    /// that one selector fits both.
    fn feeds(&self, source: &SourceConfig) -> Vec<(Feed, LabelSelector)> {
        let name = &source.name;
        let mut feeds = Vec::new();
        if source.mirrors {
            let selector = source.full_selector();
            feeds.push((Feed::Services(name.clone()), selector.clone()));
            feeds.push((Feed::Slices(name.clone()), selector));
        }
        if let (true, Some(global)) = (source.joins, &self.global) {
            let selector = global.full_selector();
            feeds.push((Feed::MemberServices(name.clone()), selector.clone()));
            feeds.push((Feed::MemberSlices(name.clone()), selector));
        }
        feeds
    }

    /// Hears nothing more from a source, not even what it has already said.
    pub(crate) fn stop(&mut self, name: &SourceName) {
        if let Some(followed) = self.sources.remove(name) {
            followed.stop.cancel();
        }
    }

    /// What is here says which cluster each source is to be.
    pub(crate) fn settle(&mut self, world: &World) {
        if self.is_settled || !world.local().is_listed() {
            return;
        }
        self.is_settled = true;
        for (name, Followed { identity, .. }) in &self.sources {
            settle(name, identity, world);
        }
    }

    /// Which cluster each source is.
    pub(crate) fn identities(&self) -> impl Iterator<Item = (&SourceName, &Identity)> {
        let sources = self.sources.iter();
        sources.map(|(name, it)| (name, &*it.identity))
    }

    /// A task that panicked, which none should. A dropped call loses nothing.
    pub(crate) async fn failure(&mut self) -> JoinError {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                return error;
            }
        }
        pending().await
    }
}

fn settle(name: &SourceName, identity: &Identity, world: &World) {
    identity.expect(world.clusters_of(name).map(Into::into).collect());
}

fn until(stop: &CancellationToken, news: mpsc::Receiver<News>) -> BoxStream<'static, News> {
    let next = async |mut news: mpsc::Receiver<News>| Some((news.recv().await?, news));
    let news = stream::unfold(news, next);
    news.take_until(stop.clone().cancelled_owned()).boxed()
}

async fn follow(
    feed: Feed,
    way: Way,
    scope: Scope,
    sender: mpsc::Sender<News>,
    identity: Arc<Identity>,
) {
    tokio::select! {
        () = identity.settled() => {}
        () = sender.closed() => return,
    }
    if let Some(client) = way.open(&feed, &sender).await {
        let reader = Reader::new(client, scope, Limits::default()).guarded(identity.guard());
        feed.follow(reader, sender, Some(identity)).await;
    }
}
