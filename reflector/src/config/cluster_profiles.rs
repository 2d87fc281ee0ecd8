//! Sources that are objects of the local cluster: ClusterProfiles of the cluster-inventory API.
//!
//! A profile has the URL of its cluster's emitter. Credentials, names and policies are those of
//! `clusterProfiles.defaults`. The author of a profile chooses the server, and so may not receive
//! a credential that is meant for another one. A profile without such a URL can have an access
//! provider of `clusterProfiles.accessProviders`: its cluster is then read at its API server.

mod access;

use proto_types::LabelSelector;
use proto_types::name::DnsLabel;
use reflector_planner::SourceName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub use access::AccessProvider;

use super::decision::{check_alone, check_free, invalid};
use super::file::RemovedSources;
use super::object_kind::EMITTER_URL;
use super::schema::Label;
use super::{
    Args, FoundSources, InvalidGroup, ObjectKind, ObjectPlace, Refusal, SourceDefaults,
    SourceEntry, SourceObject, Verdict, label_of,
};

/// A file's `clusterProfiles`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterProfiles {
    /// Namespace of the ClusterProfiles; default: the namespace of the pod.
    #[schemars(with = "Option<Label>")]
    pub namespace: Option<DnsLabel>,
    /// Label selector of the ClusterProfiles; default: all of them.
    pub selector: Option<String>,
    /// Defaults of their sources.
    pub defaults: SourceDefaults,
    /// Access providers, in order of preference, for profiles without the URL of an emitter.
    pub access_providers: Vec<AccessProvider>,
}

const KIND: ObjectKind = ObjectKind::ClusterProfile;

const DEFAULTS: &str = "clusterProfiles";

/// ClusterProfiles, as a configuration takes them in.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    /// Place of the profiles, if they are read.
    pub(super) place: Option<ObjectPlace>,
    pub(super) defaults: SourceDefaults,
    providers: Vec<AccessProvider>,
    found: FoundSources,
    /// `true` if credentials may be sent unencrypted.
    allows_plain_http: bool,
}

impl Profiles {
    /// Returns the settings of a file about profiles, with the objects read so far.
    pub(super) fn of(args: &Args, file: Option<ClusterProfiles>) -> Result<Self, InvalidGroup> {
        let Some(file) = file else {
            return Ok(Self::default());
        };
        let invalid = |why: String| InvalidGroup::Profiles(why);
        let own = || super::check::own_namespace()?.parse().ok();
        let namespace = file.namespace.or_else(own).ok_or_else(|| {
            invalid(
                "namespace: there is none, because this process runs outside of a pod: name one"
                    .to_owned(),
            )
        })?;
        let selector = file.selector.unwrap_or_default();
        let selector: LabelSelector = selector
            .parse()
            .map_err(|why| invalid(format!("selector: {selector:?}: {why}")))?;
        let profiles = Self {
            place: Some(ObjectPlace {
                kind: KIND,
                namespace,
                selector,
            }),
            defaults: file.defaults,
            providers: file.access_providers,
            found: args.cluster_profiles.clone(),
            allows_plain_http: args.allow_plain_http,
        };
        // Errors of the defaults are reported before there is a profile.
        let name = "name".parse().expect("a label");
        check_credentials(&profiles.defaults.source(DEFAULTS, &name)?)?;
        Ok(profiles)
    }

    /// Adds a source for each valid profile, and returns the decisions.
    pub(super) fn add(
        &self,
        removed_sources: RemovedSources,
        entries: &mut Vec<SourceEntry>,
        notes: &mut Vec<String>,
    ) -> Vec<Verdict> {
        if self.place.is_none() {
            return Vec::new();
        }
        self.found.note(KIND, removed_sources, notes);
        let entry = |object: &_, spec: &_, others: &_| self.entry(object, spec, others);
        self.found.decide(KIND, entries, entry)
    }

    /// Returns whether a source may exist that is not among the entries.
    pub(super) fn lacks_some(&self) -> bool {
        self.place.is_some() && self.found.lacks_some()
    }

    fn entry(
        &self,
        object: &SourceObject,
        spec: &Value,
        others: &[SourceEntry],
    ) -> Result<SourceEntry, Refusal> {
        let name = label_of(&object.name).map_err(|why| why.to_string());
        let name = name.and_then(|it| {
            let name = it.as_str().parse::<SourceName>();
            name.map_err(|why| why.to_string())
        });
        let name = name.map_err(|why| invalid(format!("metadata.name: {why}")))?;
        check_free(&name, others, || {
            format!(
                "there is another source {name}, which takes precedence; rename that one, or \
                 exclude the profile with clusterProfiles.selector"
            )
        })?;
        let defaults = self.defaults.source(DEFAULTS, &name);
        let defaults = defaults.map_err(|why| invalid(why.to_string()))?;
        let provided = || access::provided(&object.name, &spec["providers"], &self.providers);
        let entry = match (only_url(spec)?, provided()) {
            (Some(url), _) => SourceEntry {
                url: Some(url),
                is_inline: true,
                ..defaults
            },
            (None, Some(provided)) => defaults.provided_by(provided?),
            (None, None) => return Err(no_access(&self.providers)),
        };
        let checked = check_alone(&entry, self.allows_plain_http);
        checked.map_err(|(is_name, why)| match is_name {
            true => invalid(format!("metadata.name: {why}")),
            false => invalid(why),
        })?;
        Ok(entry)
    }
}

/// Returns the URL of the emitter, which a profile names at most once.
fn only_url(spec: &Value) -> Result<Option<String>, Refusal> {
    let urls = spec["urls"].as_array().map(Vec::as_slice);
    match urls.unwrap_or_default() {
        [Value::String(url)] => Ok(Some(url.clone())),
        [] => Ok(None),
        _ => Err(invalid(format!(
            "status.properties has {EMITTER_URL} more than once: leave one"
        ))),
    }
}

/// Refusal of a profile with neither the URL of an emitter nor a known access provider.
fn no_access(providers: &[AccessProvider]) -> Refusal {
    let known: Vec<_> = providers.iter().map(|it| it.name.as_str()).collect();
    let access = match known.as_slice() {
        [] => String::new(),
        known => format!(
            ", and status.accessProviders has none of those in clusterProfiles.accessProviders: {}",
            known.join(", ")
        ),
    };
    invalid(format!(
        "status.properties has no {EMITTER_URL}{access}: have the cluster manager set it to the \
         URL of the cluster's emitter, or exclude the profile with clusterProfiles.selector"
    ))
}

/// Refuses credentials for any server that has a certificate of a public authority.
fn check_credentials(defaults: &SourceEntry) -> Result<(), InvalidGroup> {
    let has_ca = defaults.ca.is_some() || defaults.ca_file.is_some() || defaults.ca_url.is_some();
    let keys = [
        ("tokenFile", defaults.token_file.is_some()),
        ("tokenVariable", defaults.token_variable.is_some()),
        (
            "clientCertificateFile",
            defaults.client_certificate_file.is_some(),
        ),
    ];
    match keys.into_iter().find(|(_, is_given)| *is_given && !has_ca) {
        None => Ok(()),
        Some((key, _)) => Err(InvalidGroup::Profiles(format!(
            "defaults: {key} needs caFile, ca or caUrl: a profile chooses the server, and only a \
             server with a certificate of that CA may receive the credential"
        ))),
    }
}

#[cfg(test)]
mod tests;
