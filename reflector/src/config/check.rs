//! What the configuration means, if it is one.

use std::path::PathBuf;

use proto_types::name::DnsLabel;
use reflector_planner::policy::Policy;
use reflector_planner::{Placement, SourcePolicy};
use runtime::Access;

use super::alike::Groups;
use super::{Args, Config, Election, Error, File, InvalidSource, SourceEntry, global, import};

impl TryFrom<Args> for Config {
    type Error = Error;

    fn try_from(args: Args) -> Result<Self, Error> {
        let election = election(&args);
        let Args {
            config,
            sources: named,
            mirror_namespace,
            kubeconfig,
            context,
            listen,
            global,
            kubeconfig_dir,
            source_api,
            config_map,
            semaphore_metrics,
            mut notes,
            mut inputs,
            may_be_empty,
            ..
        } = args;
        inputs.extend(config.clone());
        let file = config.map(|path| File::read(&path)).transpose()?;
        let file = file.unwrap_or_default();
        let mirror_namespace = mirror_namespace.or(file.mirror_namespace);
        let mut entries: Vec<_> = file.sources.into_iter().chain(named).collect();
        let groups = Groups {
            directory: kubeconfig_dir.or(file.kubeconfig_dir),
            urls: source_api.or(file.source_api),
            config_map,
        };
        inputs.extend(groups.inputs());
        groups.add(file.removed_sources, &mut entries, &mut notes)?;
        if entries.is_empty() && groups.are_none() && !may_be_empty {
            return Err(Error::NoSources);
        }
        let global = global.or(file.global);
        let global = global.map(|it| it.check(&entries, mirror_namespace.as_ref()));
        let (global, members) = global.transpose()?.unzip();
        let mut policy = global::policy(&entries, members, mirror_namespace.as_ref())?;
        policy.removed_sources = groups.removed_sources(file.removed_sources);
        policy.local_ranges =
            import::ranges("localCIDRs", &file.local_ranges).map_err(Error::LocalRanges)?;
        policy.hold = file
            .deletion_hold
            .or(file.hold_seconds)
            .unwrap_or(Policy::HOLD);
        let sources = entries.into_iter().map(SourceEntry::check).collect();
        let sources: Result<_, InvalidSource> = sources;
        Ok(Self {
            local: local(kubeconfig, context),
            sources: sources?,
            global,
            policy,
            listen,
            election,
            mirror_namespace,
            config_map: groups.urls.and_then(|it| it.config_map),
            semaphore_metrics: semaphore_metrics || file.semaphore_metrics,
            notes,
            inputs,
        })
    }
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

pub(super) fn source_policy(
    entry: &SourceEntry,
    mirror_namespace: Option<&DnsLabel>,
) -> Result<SourcePolicy, Error> {
    Ok(SourcePolicy {
        import: entry.imported()?,
        naming: entry.called()?,
        staleness: entry.staleness.0,
        staleness_of: entry.exceptions()?,
        known_as: entry.known_as().map(Into::into),
        missing_namespaces: entry.missing_namespaces(),
        endpoints: super::endpoints::written(entry.write_endpoints),
        ..SourcePolicy::new(entry.name.clone(), placement(entry, mirror_namespace)?)
    })
}

fn placement(entry: &SourceEntry, mirror_namespace: Option<&DnsLabel>) -> Result<Placement, Error> {
    match (&entry.prefix, entry.same_name) {
        (Some(prefix), false) => match mirror_namespace {
            Some(namespace) => Ok(Placement::Prefixed {
                prefix: prefix.clone(),
                namespace: namespace.clone(),
            }),
            None => Err(Error::NoMirrorNamespace(entry.name.clone())),
        },
        (None, true) => Ok(Placement::SameName),
        (Some(_), true) => Err(InvalidSource::TwoPlacements(entry.name.clone()).into()),
        (None, false) => Err(InvalidSource::NoPlacement(entry.name.clone()).into()),
    }
}
