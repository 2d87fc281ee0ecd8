//! Lists and watches at one server.

mod query;

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use parking_lot::Mutex;
use proto_types::evidence::{Evidence, Read};
use proto_types::frame::List;
use proto_types::resource::ApiResource;
use proto_types::{RawObject, ResourceVersion};

use super::budget::{Amount, Budget, Share};
use super::formers::{DeltaRequest, Formers};
use super::identity::{Accepted, ServerHeaders, Verifier};
use super::origin::Origin;
use super::request::{Decoded, Records, RequestError, collect_within, decoded, send};
use super::watch::Watch;
use super::{FailureCause, Limits, Scope, view};
use crate::upstream::{self, CACHED, Connection, UpstreamStatus};

use query::Query;

/// The server, as one watcher sees it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) client: kube::Client,
    pub(super) scope: Arc<Scope>,
    pub(super) limits: Limits,
    pub(super) verifier: Verifier,
    /// Interval of lists where the server has no resource versions.
    pub(super) poll_every: Option<Duration>,
    pub(super) budget: Option<Arc<Budget>>,
    pub(super) formers: Arc<Mutex<Formers>>,
}

/// A page of a list, or all its pages together.
pub(super) struct Page {
    pub(super) objects: Vec<RawObject>,
    pub(super) revision: ResourceVersion,
    pub(super) origin: Origin,
    /// Share of the budget that the objects take.
    pub(super) share: Share,
}

impl Server {
    /// Lists everything as it is now. A kube-apiserver reads with a quorum for it, and an
    /// emitter compares with its upstream.
    pub(super) async fn list(self) -> Result<Page, RequestError> {
        self.pages_in_time(Query::of(&self.scope)).await
    }

    /// Lists everything as it is now by a new connection, unless the server is disconnected.
    pub(super) async fn list_by_new_connection(self) -> Result<Page, RequestError> {
        let limit = self.limits.response;
        let said = upstream::poll(&self.client, Connection::New);
        let said = tokio::time::timeout(limit, said).await;
        if let Ok(UpstreamStatus::Disconnected(it)) = said {
            return Err(FailureCause::Disconnected(it.why).into());
        }
        let mut query = Query::of(&self.scope);
        query.connection = Connection::New;
        self.pages_in_time(query).await
    }

    /// Lists the state at a resource version.
    pub(super) async fn list_at(self, revision: ResourceVersion) -> Result<Page, RequestError> {
        let mut query = Query::of(&self.scope);
        query.push("resourceVersion", &revision.to_string());
        query.push("resourceVersionMatch", "Exact");
        let mut page = self.pages_in_time(query).await?;
        // The history of a server does not change.
        page.origin.evidence.read = Read::Confirmed;
        Ok(page)
    }

    async fn pages_in_time(&self, query: Query) -> Result<Page, RequestError> {
        let limit = self.limits.list;
        tokio::time::timeout(limit, self.pages(query))
            .await
            .unwrap_or(Err(FailureCause::Slow(limit).into()))
    }

    async fn pages(&self, query: Query) -> Result<Page, RequestError> {
        let before = self.verifier.before().await;
        let connection = query.connection;
        let mut share = Share::of(self.budget.as_ref());
        let mut tokens = HashSet::new();
        let (mut list, headers) = self.page(query, &mut share).await?;
        let mut marks = ServerHeaders::of(&headers);
        let (mut upstream, mut read) = (
            UpstreamStatus::of(&headers),
            UpstreamStatus::of(&headers).read(&headers),
        );
        while !list.rest.is_empty() {
            let mut query = Query::of(&self.scope);
            query.push("continue", &list.rest);
            if self.limits.pages <= tokens.len() {
                let max = self.limits.pages;
                return Err(FailureCause::OverBudget(format!("{max} pages of a list")).into());
            }
            if !tokens.insert(std::mem::take(&mut list.rest)) {
                let why = "a page of a list leads back to an earlier one".to_owned();
                return Err(FailureCause::Garbage(why).into());
            }
            query.connection = connection;
            let (page, headers) = self.page(query, &mut share).await?;
            if ServerHeaders::of(&headers) != marks {
                let why = "pages of one list come from different servers".to_owned();
                return Err(FailureCause::Garbage(why).into());
            }
            marks = ServerHeaders::of(&headers);
            if let said @ UpstreamStatus::Disconnected(_) = UpstreamStatus::of(&headers) {
                upstream = said;
            }
            // A page is of the moment of the first one, unless its server sends another resource
            // version.
            if headers.get(upstream::READ).is_some_and(|it| *it == CACHED) && !page.is_same(&list) {
                read = Read::Cached;
            }
            // Should their resource versions differ, a watch from the oldest repeats some
            // changes, but misses none.
            list.revision = list.revision.min(page.revision);
            list.objects.extend(page.objects);
            list.rest = page.rest;
        }
        let Accepted { cluster, expected } = self.verifier.verify(before, marks).await?;
        let evidence = Evidence {
            cluster,
            view: view::of_answer(&headers),
            upstream: upstream.evidence(),
            read,
            position: Some(list.revision).filter(|it| !it.is_zero()),
        };
        let tier = upstream.tier();
        Ok(Page {
            objects: list.objects,
            revision: list.revision,
            origin: Origin {
                evidence,
                expected,
                tier,
            },
            share,
        })
    }

    /// A page, and the headers that it came with.
    async fn page(
        &self,
        query: Query,
        share: &mut Share,
    ) -> Result<(Part, HeaderMap), RequestError> {
        let response = self.get(query).await?;
        let limit = self.limits.page_bytes;
        let headers = response.headers().clone();
        let mut held = Share::of(self.budget.as_ref());
        let body = collect_within(response.into_body(), limit, &mut held).await?;
        let part = parse(self.scope.resource, &body, share)?;
        if part.revision.is_zero() && self.poll_every.is_none() {
            let why = "a list at no resource version".to_owned();
            return Err(FailureCause::Garbage(why).into());
        }
        Ok((part, headers))
    }

    /// Opens a watch again that was quiet for too long, if the server has reached its resource
    /// version. A kube-apiserver that was restored from a backup opens a watch from its future,
    /// and sends neither an event nor a bookmark.
    pub(super) async fn probe(self, from: ResourceVersion) -> Result<Watch, RequestError> {
        let limit = self.limits.probe;
        let probe = async {
            let mut query = Query::of(&self.scope);
            query.push("limit", "1");
            let (first, _) = self.page(query, &mut Share::of(None)).await?;
            if !first.revision.is_zero() && first.revision < from {
                return Err(RequestError::behind(first.revision));
            }
            self.watch(from).await
        };
        let answer = tokio::time::timeout(limit, probe).await;
        answer.unwrap_or(Err(FailureCause::Slow(limit).into()))
    }

    /// Watches changes after that resource version.
    pub(super) async fn watch(self, from: ResourceVersion) -> Result<Watch, RequestError> {
        self.watch_by(Connection::Any, from).await
    }

    /// Watches changes after that resource version by a connection that no other request takes.
    pub(super) async fn watch_by_new_connection(
        self,
        from: ResourceVersion,
    ) -> Result<Watch, RequestError> {
        self.watch_by(Connection::New, from).await
    }

    async fn watch_by(
        self,
        connection: Connection,
        from: ResourceVersion,
    ) -> Result<Watch, RequestError> {
        let mut query = Query::of(&self.scope);
        query.connection = connection;
        query.push("watch", "true");
        query.push("allowWatchBookmarks", "true");
        query.push("resourceVersion", &from.to_string());
        query.push("timeoutSeconds", &watch_seconds().to_string());
        let before = self.verifier.before().await;
        // Another watch may be open in the meantime, whose server counts on what is held.
        if connection == Connection::Any {
            query.records = self.formers.lock().begin(from);
        }
        let records = query.records;
        let response = self.get(query).await?;
        if records != DeltaRequest::Nothing && !response.body().has_records() {
            self.formers.lock().not_sent();
        }
        let headers = response.headers();
        let verified = self
            .verifier
            .verify(before, ServerHeaders::of(headers))
            .await;
        let Accepted { cluster, expected } = verified?;
        let said = UpstreamStatus::of(headers);
        let evidence = Evidence {
            cluster,
            view: view::of_answer(headers),
            upstream: said.evidence(),
            read: Read::Resumed,
            position: Some(from),
        };
        let origin = Origin {
            evidence,
            expected,
            tier: said.tier(),
        };
        let resource = self.scope.resource;
        Ok(Watch::new(resource, response, origin, self.limits))
    }

    async fn get(&self, query: Query) -> Result<Response<Decoded>, RequestError> {
        let limit = self.limits.response;
        let records = match query.records {
            DeltaRequest::Nothing => None,
            DeltaRequest::Records(_) => {
                let formers = Arc::clone(&self.formers);
                Some(Records::new(formers, self.limits.event_bytes))
            }
        };
        let answer = send(&self.client, query.into_request(&self.scope));
        let answer = tokio::time::timeout(limit, answer).await;
        decoded(
            answer.unwrap_or(Err(FailureCause::Slow(limit).into()))?,
            records,
        )
    }
}

/// Room for so many objects is made at once.
const MANY: usize = 1000;

/// A page of a list.
struct Part {
    revision: ResourceVersion,
    objects: Vec<RawObject>,
    /// Token of the next page; empty on the last.
    rest: String,
}

impl Part {
    /// Returns whether another page has the same resource version.
    fn is_same(&self, other: &Self) -> bool {
        self.revision == other.revision
    }
}

/// Reads a page. An object that does not parse spoils the page, since it would otherwise
/// count as absent; and so does an answer that is not a list of that kind.
fn parse(
    resource: &'static ApiResource,
    body: &Bytes,
    share: &mut Share,
) -> Result<Part, RequestError> {
    let garbage = |why: String| RequestError::from(FailureCause::Garbage(why));
    let list: List<'_> = serde_json::from_slice(body).map_err(|why| garbage(why.to_string()))?;
    list.check(resource).map_err(garbage)?;
    let items = list.items.unwrap_or_default();
    let mut objects = Vec::with_capacity(items.len().min(MANY));
    for item in items {
        let json = body.slice_ref(item.get().as_bytes());
        let mut object =
            RawObject::parse(resource, &json).map_err(|why| garbage(why.to_string()))?;
        if object.json.as_ptr() == json.as_ptr() {
            // A slice would keep the whole page for as long as the object lives.
            object.json = Bytes::copy_from_slice(&json);
        }
        share.take(Amount {
            bytes: object.cost(),
            objects: 1,
        })?;
        objects.push(object);
    }
    Ok(Part {
        revision: list.metadata.resource_version,
        objects,
        rest: list.metadata.continue_token,
    })
}

/// A watch that its server ends earlier has not ended at its own time.
pub(super) const LEAST_WATCH: Duration = Duration::from_secs(240);

/// Four to five minutes: shorter than most proxies allow, and spread, so that
/// watches which began together do not end together.
fn watch_seconds() -> u64 {
    LEAST_WATCH.as_secs() + RandomState::new().build_hasher().finish() % 61
}
