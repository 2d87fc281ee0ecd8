//! The slices of a source, by the Services that they belong to.

use std::collections::{HashMap, HashSet};

use proto_types::ObjectKey;

use super::{Exported, SliceContent, SourceSlice};

/// The slices of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slices {
    by_service: HashMap<ObjectKey, Siblings>,
    service_of: HashMap<ObjectKey, ObjectKey>,
    /// Services whose Endpoints are empty: they are known to have no endpoints.
    empty: HashSet<ObjectKey>,
}

type Content = Result<SliceContent, Box<str>>;

/// Slices of one Service in the order of their keys. Most Services have one, and a tree has room
/// for eleven.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Siblings(Vec<(ObjectKey, Content)>);

impl Siblings {
    fn insert(&mut self, key: ObjectKey, content: Content) {
        match self.find(&key) {
            Ok(at) => self.0[at].1 = content,
            Err(at) => {
                if self.0.len() < 4 {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (key, content));
            }
        }
    }

    fn remove(&mut self, key: &ObjectKey) {
        if let Ok(at) = self.find(key) {
            drop(self.0.remove(at));
        }
    }

    fn find(&self, key: &ObjectKey) -> Result<usize, usize> {
        self.0.binary_search_by(|(it, _)| it.cmp(key))
    }
}

/// EndpointSlices that stand for the Endpoints of one Service.
#[derive(Debug)]
pub(crate) struct EndpointsOf {
    pub(crate) service: ObjectKey,
    /// All slices of the Service.
    pub(crate) parts: Vec<Exported<SourceSlice>>,
    /// `true` if the Endpoints exist and have no addresses.
    pub(crate) is_empty: bool,
}

impl Slices {
    /// Over these slices.
    #[must_use]
    pub fn new(slices: Vec<Exported<SourceSlice>>) -> Self {
        let mut all = Self::default();
        for slice in slices {
            all.set(slice);
        }
        all
    }

    /// The slices of a Service, by their keys.
    pub fn of(&self, service: &ObjectKey) -> impl Iterator<Item = (&ObjectKey, &Content)> {
        let siblings = self.by_service.get(service).into_iter();
        siblings
            .flat_map(|it| &it.0)
            .map(|(key, content)| (key, content))
    }

    /// Returns whether there is such a slice.
    #[must_use]
    pub fn contains(&self, slice: &ObjectKey) -> bool {
        self.service_of.contains_key(slice)
    }

    /// Returns whether anything is known of the endpoints of a Service, even if it is that
    /// there are none.
    #[must_use]
    pub fn states(&self, service: &ObjectKey) -> bool {
        self.by_service.contains_key(service) || self.empty.contains(service)
    }

    /// Number of Services whose endpoints are known.
    #[must_use]
    pub fn n_services(&self) -> usize {
        self.by_service.len() + self.empty.len()
    }

    /// The same, with these Services known to have no endpoints.
    #[must_use]
    pub(crate) fn with_empty(mut self, services: Vec<ObjectKey>) -> Self {
        self.empty.extend(services);
        self
    }

    /// The Services that have slices.
    pub fn services(&self) -> impl Iterator<Item = &ObjectKey> {
        self.by_service.keys()
    }

    /// Returns the number of EndpointSlices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.service_of.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.service_of.is_empty()
    }

    /// Records the current EndpointSlice; returns the Services that it concerns.
    pub(crate) fn set(&mut self, slice: Exported<SourceSlice>) -> Vec<ObjectKey> {
        let Exported { key, object } = slice;
        let mut concerned = self.remove(&key);
        if let Some(SourceSlice { service, content }) = object {
            self.service_of.insert(key.clone(), service.clone());
            let siblings = self.by_service.entry(service.clone()).or_default();
            siblings.insert(key, content);
            concerned.push(service);
        }
        concerned
    }

    /// Forgets a slice; returns the Service that it concerned.
    pub(crate) fn remove(&mut self, slice: &ObjectKey) -> Vec<ObjectKey> {
        let Some(service) = self.service_of.remove(slice) else {
            return Vec::new();
        };
        if let Some(siblings) = self.by_service.get_mut(&service) {
            siblings.remove(slice);
            if siblings.0.is_empty() {
                self.by_service.remove(&service);
            }
        }
        vec![service]
    }

    /// Records the current Endpoints, which are all slices of a Service together. Fields that they
    /// lack are kept.
    pub(crate) fn replace(&mut self, endpoints: EndpointsOf) -> Vec<ObjectKey> {
        let EndpointsOf {
            service,
            parts,
            is_empty,
        } = endpoints;
        match is_empty {
            true => self.empty.insert(service.clone()),
            false => self.empty.remove(&service),
        };
        let is_read = |it: &Exported<SourceSlice>| {
            let part = it.object.as_ref();
            part.is_none_or(|it| it.content.is_ok())
        };
        if parts.iter().all(is_read) {
            let siblings = self.by_service.remove(&service).unwrap_or_default();
            for (part, _) in siblings.0 {
                self.service_of.remove(&part);
            }
        }
        for part in parts {
            self.set(part);
        }
        vec![service]
    }

    /// Returns the number of endpoints in its EndpointSlices.
    #[must_use]
    pub fn n_endpoints(&self) -> usize {
        let slices = self.by_service.values().flat_map(|it| &it.0);
        let contents = slices.filter_map(|(_, content)| content.as_ref().ok());
        contents.map(|it| it.spec.endpoints.len()).sum()
    }
}
