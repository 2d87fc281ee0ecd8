//! Checks of the configuration, and its meaning.

use std::path::PathBuf;

use proto_types::name::DnsLabel;
use reflector_planner::policy::Policy;
use runtime::Access;

use super::cluster_profiles::Profiles;
use super::file::RemovedSources;
use super::objects::Objects;
use super::source_discovery::Groups;
use super::{
    Args, Config, Election, Error, File, GlobalConfig, GlobalEntry, Habits, InvalidSource, Origin,
    RecordKey, SourceEntry, Verdict, global, import,
};

/// Warning about a file without sources, as it is installed before there are some.
const NO_SOURCES: &str = "no sources are configured: the reflector is ready and mirrors nothing";

impl TryFrom<Args> for Config {
    type Error = Error;

    #[expect(clippy::too_many_lines, reason = "it names all that is configured")]
    fn try_from(args: Args) -> Result<Self, Error> {
        let (election, record) = (election(&args), record(&args));
        let file = args.config.as_deref().map(File::read).transpose()?;
        let (has_file, mut file) = (file.is_some(), file.unwrap_or_default());
        let groups = groups(&args, &mut file)?;
        let Args {
            config,
            sources: named,
            mirror_namespace,
            kubeconfig,
            context,
            admin_token_file,
            listen,
            global,
            semaphore_metrics,
            habits,
            opened,
            allow_plain_http,
            mut notes,
            mut inputs,
            may_be_empty,
            ..
        } = args;
        inputs.extend(config);
        notes.append(&mut file.warnings);
        let mirror_namespace = mirror_namespace.or(file.mirror_namespace);
        let mut entries: Vec<_> = file.sources.into_iter().chain(named).collect();
        inputs.extend(groups.inputs());
        let mut verdicts = groups.add(file.removed_sources, &mut entries, &mut notes)?;
        if entries.is_empty() && groups.are_none() && !may_be_empty {
            notes.push(without_sources(has_file, file.removed_sources)?);
        }
        let global = global.or(file.global);
        let roles = (global.as_ref(), file.cluster_set.is_some());
        let together = Together::new(roles, mirror_namespace.as_ref());
        let all_fit = together.leave_out(&groups, &mut entries, (&mut notes, &mut verdicts));
        let (global, mut policy) = together.check(&entries)?;
        let cluster_set = file.cluster_set.map(|it| it.check(&entries)).transpose()?;
        policy.removed_sources = groups.removed_sources(file.removed_sources, all_fit);
        close(&mut policy, &file.local_ranges, &opened, habits)?;
        let hold = file.deletion_hold.or(file.hold_seconds);
        policy.hold = hold.unwrap_or(Policy::HOLD);
        policy.confirm_deletions = file.confirm_deletions;
        withhold_secrets(allow_plain_http, &mut entries, &mut notes)?;
        let sources = entries.into_iter().map(SourceEntry::check);
        Ok(Self {
            local: local(kubeconfig, context),
            sources: sources.collect::<Result<_, _>>()?,
            global,
            cluster_set,
            policy,
            admin_token_file,
            listen,
            election,
            mirror_namespace,
            object_places: groups.places().collect(),
            config_map: groups.urls.and_then(|it| it.config_map),
            verdicts,
            record,
            learns_local_ranges: file.learn_local_ranges.unwrap_or(true),
            semaphore_metrics: semaphore_metrics || file.semaphore_metrics,
            habits,
            notes,
            inputs,
        })
    }
}

/// Returns the groups of discovered sources.
fn groups(args: &Args, file: &mut File) -> Result<Groups, Error> {
    let (directory, urls) = (file.kubeconfig_dir.take(), file.source_api.take());
    Ok(Groups {
        directory: args.kubeconfig_dir.clone().or(directory),
        urls: args.source_api.clone().or(urls),
        config_map: args.config_map.clone(),
        objects: Objects::of(args)?.at(file.sources_from_crd.take())?,
        profiles: Profiles::of(args, file.cluster_profiles.take())?,
    })
}

/// Checks of all sources together.
struct Together<'a> {
    global: Option<&'a GlobalEntry>,
    has_cluster_set: bool,
    mirror_namespace: Option<&'a DnsLabel>,
}

impl<'a> Together<'a> {
    const fn new(
        (global, has_cluster_set): (Option<&'a GlobalEntry>, bool),
        mirror_namespace: Option<&'a DnsLabel>,
    ) -> Self {
        Self {
            global,
            has_cluster_set,
            mirror_namespace,
        }
    }

    fn check(&self, entries: &[SourceEntry]) -> Result<(Option<GlobalConfig>, Policy), Error> {
        let global = self
            .global
            .map(|it| it.check(entries, self.mirror_namespace));
        let (global, members) = global.transpose()?.unzip();
        let roles = (members, self.has_cluster_set);
        let policy = global::policy(entries, roles, self.mirror_namespace)?;
        for entry in entries {
            entry.clone().check()?;
        }
        Ok((global, policy))
    }

    /// Leaves out the discovered sources that do not go together with those before them, and
    /// reports them: one of them must not cost the others. Returns whether all fit.
    fn leave_out(
        &self,
        groups: &Groups,
        entries: &mut Vec<SourceEntry>,
        (notes, verdicts): (&mut Vec<String>, &mut [Verdict]),
    ) -> bool {
        let configured = entries.iter().filter(|it| it.origin == Origin::Written);
        let mut kept: Vec<_> = configured.cloned().collect();
        // What is wrong with all of them is wrong with the configuration.
        let is_common = groups.samples().iter().any(|it| {
            let with_sample = kept.iter().chain([it]).cloned().collect::<Vec<_>>();
            self.check(&with_sample).is_err()
        });
        if self.check(entries).is_err() && !is_common {
            let found = entries.iter().filter(|it| it.origin == Origin::Found);
            for (entry, why) in self.fit(&mut kept, found.cloned().collect()) {
                let name = entry.name.as_str();
                let mut accepted = verdicts.iter_mut().filter(|it| it.in_effect.is_some());
                match accepted.find(|it| &*it.name == name) {
                    Some(verdict) => verdict.refuse(&why),
                    None => notes.push(format!(
                        "source {name} is left out; its mirrors stay: {why}"
                    )),
                }
            }
            *entries = kept;
        }
        notes.extend(verdicts.iter().filter_map(Verdict::note));
        !groups.lacks_some(notes, verdicts)
    }

    /// Keeps the sources that go together with those before them. Returns the others, with
    /// reasons.
    fn fit(
        &self,
        kept: &mut Vec<SourceEntry>,
        mut rest: Vec<SourceEntry>,
    ) -> Vec<(SourceEntry, String)> {
        loop {
            let n_before = kept.len();
            let mut left_out = Vec::new();
            for entry in rest {
                kept.push(entry);
                if let Err(why) = self.check(kept) {
                    left_out.extend(kept.pop().map(|it| (it, why.to_string())));
                }
            }
            // One may need another that comes later.
            if left_out.is_empty() || kept.len() == n_before {
                return left_out;
            }
            rest = left_out.into_iter().map(|(entry, _)| entry).collect();
        }
    }
}

/// Returns the warning about a configuration without sources, where it is valid.
fn without_sources(has_file: bool, removed: RemovedSources) -> Result<String, Error> {
    // An empty file by accident must not delete all mirrors.
    if !has_file || removed == RemovedSources::Delete {
        return Err(Error::NoSources);
    }
    Ok(NO_SOURCES.to_owned())
}

/// Refuses sources that would send credentials unencrypted. One that was found gets none: what
/// is wrong with it may stop no other.
fn withhold_secrets(
    is_allowed: bool,
    entries: &mut [SourceEntry],
    notes: &mut Vec<String>,
) -> Result<(), InvalidSource> {
    for entry in entries.iter_mut().filter(|_| !is_allowed) {
        match (entry.check_secrets(), entry.origin) {
            (Ok(()), _) => {}
            (Err(why), Origin::Written) => return Err(why),
            (Err(why), Origin::Found) => {
                notes.push(why.to_string());
                (entry.token_file, entry.token_variable, entry.ca_url) = (None, None, None);
            }
        }
    }
    Ok(())
}

/// Closes what is the local cluster's own, except for what the operator opened.
fn close(
    policy: &mut Policy,
    ranges: &[String],
    opened: &[DnsLabel],
    habits: Habits,
) -> Result<(), Error> {
    policy.opens_domains = habits.opens_domains;
    policy.local_ranges = import::ranges("localCIDRs", ranges).map_err(Error::LocalRanges)?;
    policy.opened_namespaces = opened.iter().map(|it| it.as_str().into()).collect();
    policy.own_namespaces.extend(own_namespace());
    policy.local_domains = local_domains();
    Ok(())
}

/// The record is where only the operator writes: in the namespace of this process, or where the
/// operator says.
fn record(args: &Args) -> Option<RecordKey> {
    let own = || own_namespace()?.parse().ok();
    let named = args.state_namespace.clone();
    let namespace = named
        .or_else(|| args.lease_namespace.clone())
        .or_else(own)?;
    let name = format!("{}-sources", args.lease_name);
    Some(RecordKey { namespace, name })
}

/// The namespace of this process, if it runs in a pod.
pub(super) fn own_namespace() -> Option<Box<str>> {
    const FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    let namespace = std::fs::read_to_string(FILE).ok()?;
    let namespace = namespace.trim();
    (!namespace.is_empty()).then(|| namespace.into())
}

/// The DNS domains of the cluster around this process, as its resolver is configured.
fn local_domains() -> Vec<Box<str>> {
    let file = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    domains_of(&file)
}

/// A kubelet lists the search domain `svc.` and the cluster's domain.
fn domains_of(resolver: &str) -> Vec<Box<str>> {
    let searches = resolver
        .lines()
        .filter_map(|it| it.trim().strip_prefix("search"));
    let words = searches.flat_map(str::split_whitespace);
    let domains = words.filter_map(|it| it.trim_end_matches('.').strip_prefix("svc."));
    domains.map(Into::into).collect()
}

fn election(args: &Args) -> Option<Election> {
    args.leader_elect.then(|| Election {
        name: args.lease_name.to_string(),
        namespace: args.lease_namespace.clone(),
        duration: args.lease_duration,
    })
}

fn local(kubeconfig: Option<PathBuf>, context: Option<String>) -> Access {
    match kubeconfig {
        Some(path) => Access::Kubeconfig { path, context },
        None => Access::InCluster,
    }
}

#[cfg(test)]
mod tests {
    use super::domains_of;

    #[test]
    fn the_domain_of_the_cluster_is_read_from_the_resolver() {
        let file = "nameserver 10.96.0.10\nsearch demo.svc.k8s.example.net svc.k8s.example.net. \
                    k8s.example.net\noptions ndots:5\n";
        assert_eq!(domains_of(file), ["k8s.example.net".into()]);
        assert_eq!(domains_of("search example.org\n"), []);
    }
}
